# %% [markdown]
# # A training that goes on
#
# A training may be cut off: the power fails, a cloud takes its machine back, a cluster's time is over,
# the process is killed. With `resume="a name"` it is kept on disk while it runs, and **the same
# program, started again, goes on where it was**, in the middle of an epoch too. On a CPU the weights at
# the end are the same, bit for bit, as without the cut.

# %%
import tempfile
from pathlib import Path

import torch

from onecycle import Callback, Checkpoint, Learner, accuracy, from_arrays, mlp

folder = Path(tempfile.mkdtemp())
failed = folder / "failed"


def make_learner():
    torch.manual_seed(0)
    x = torch.rand(1000, 2) * 2 - 1
    names = ["near" if r < 0.5 else "middle" if r < 0.9 else "far" for r in x.norm(dim=1)]
    data = from_arrays(x.numpy(), names, bs=32)
    return Learner(data, mlp([2, 32, 32, 3]), metrics=accuracy, path=folder)


class Weather(Callback):
    """The power fails in the middle of the third epoch, once."""

    def after_step(self, run):
        if run.step == 60 and not failed.exists():
            failed.touch()
            raise RuntimeError("the power has failed")


# %% [markdown]
# One argument more than usual. Here the power fails in the third epoch:

# %%
try:
    make_learner().fit_one_cycle(4, 1e-2, callbacks=[Weather()], resume="night")
except RuntimeError as error:
    print(error)

# %% [markdown]
# The program is started again. It says where it goes on, and trains what is left:

# %%
learn = make_learner()
learn.fit_one_cycle(4, 1e-2, callbacks=[Weather()], resume="night")
print(len(learn.history), "epochs in learn.history")

# %% [markdown]
# A program of several fits gives each a name of its own. What is complete is not trained again: its
# result is read, and the next line goes on from there.
#
# ```python
# learn.fit_one_cycle(4, 1e-3, resume="head")
# learn.unfreeze()
# learn.fit_one_cycle(8, slice(1e-5, 1e-3), resume="all")
# ```
#
# ## What is kept, and when
#
# The file is `learn.path/models/NAME.resume.safetensors` (no pickle), written in one step, with the one
# before it as `NAME.resume.1.safetensors` for the case that a disk damages the newest. It holds
# weights, optimizer, the place in the schedule and in the epoch, the loss scale of fp16, the order of
# the data, the history, what callbacks have counted, the state that a language model carries from batch
# to batch, and every random generator. It is also a saved model: `learn.load("night.resume")`.
#
# `resume="night"` stands for `callbacks=[Checkpoint("night")]`, which writes at the beginning, every ten
# minutes, after every epoch and at the end. Other intervals:

# %%
often = Checkpoint("often", minutes=2, steps=500, epochs=None, keep=3)
make_learner().fit(1, 1e-3, callbacks=[often])

# %% [markdown]
# Where the disk is full in mid-training, a warning says so and the training goes on; where the very
# first file cannot be written, it is an error before anything is trained.
#
# ## A budget of time in place of epochs
#
# With `minutes=` the first steps are measured, and the number of steps is decided so that the schedule
# ends in time, validations included. What was decided is said, and again where more measuring changes
# it by more than a tenth. The last epoch may be a part of one.

# %%
make_learner().fit_one_cycle(max_lr=1e-2, minutes=0.02)

# %% [markdown]
# It works with `fit`, `fit_one_cycle` and `fit_flat_cos`, and with `resume=`: a fit that goes on has the
# time that was left. Should the machine become slower, the fit ends all the same, after the step at hand
# and a validation.
#
# ## Ctrl-C, SIGTERM, SLURM, spot machines
#
# Ctrl-C, and SIGTERM where there is a checkpoint, let the step end, write the file and end the fit; a
# second Ctrl-C ends at once. After SIGTERM the program ends with exit status 143, so that a queue that
# starts it again (`sbatch --requeue`, a spot group) simply runs the same command. For SLURM, ask for the
# signal two minutes before the time is over: `#SBATCH --signal=TERM@120`.
#
# ## What must be the same
#
# Data and its order, model, what is frozen, epochs, rates, batch size, precision and callbacks. Where
# something is not, the fit refuses to go on and names what differs, and the file stays as it is.
# To train anew, give another name or delete the file. On a GPU, results after a cut are as close as
# two runs with the same seed are there.
#
# ## Callbacks of one's own
#
# A checkpoint keeps the attributes of a callback that are numbers, texts, tensors, arrays, or lists,
# dicts, tuples, sets and deques of these. Others are named in a warning; `state_dict()` and
# `load_state_dict(state)` decide otherwise.


# %%
class Smallest(Callback):
    """The smallest loss so far, kept by hand."""

    def before_fit(self, run):
        self.loss = float("inf")

    def after_step(self, run):
        self.loss = min(self.loss, run.loss_value)

    def state_dict(self):
        return {"loss": self.loss}

    def load_state_dict(self, state):
        self.loss = state["loss"]


smallest = Smallest()
make_learner().fit(1, 1e-2, callbacks=[smallest], resume="mine")
print(f"{smallest.loss:.3f}")
