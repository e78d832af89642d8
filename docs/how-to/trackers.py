# %% [markdown]
# # Keep track of trainings
#
# `learn.recorder` draws the last fit and `learn.history` holds all of them. `CSVLogger` writes a row
# per epoch as it happens, `TensorBoardLogger` (`pip install 'onecycle[tensorboard]'`) every batch and
# epoch below `runs/`. Each is a callback of one fit, or of all: `Learner(..., callbacks=[...])`.

# %%
import torch

from onecycle import Callback, CSVLogger, Learner, Path, Run, accuracy, from_arrays, mlp

torch.manual_seed(0)
x = torch.rand(600, 2) * 2 - 1
data = from_arrays(x.numpy(), ["in" if r < 0.7 else "out" for r in x.norm(dim=1)], bs=32)
learn = Learner(data, mlp([2, 32, data.c]), metrics=accuracy)
learn.fit_one_cycle(3, 0.05, callbacks=[CSVLogger("history.csv")])
print(Path("history.csv").read_text())

# %% [markdown]
# ## Any other tracker
#
# What a tracker has is a function that takes named numbers and a step; a callback hands them over. In
# a training of several processes only the first one reports.


# %%
class Tracker(Callback):
    """Hands the figures of each epoch to `log(figures, step)`."""

    order = 30  # after the recorder

    def __init__(self, log):
        self.log = log

    def after_epoch(self, run: Run):
        if run.engine.main:
            self.log({k: v for k, v in run.row.items() if isinstance(v, float)}, run.step)


def log(figures, step):
    print(step, {name: round(value, 2) for name, value in sorted(figures.items())})


learn.fit_one_cycle(2, 0.05, callbacks=[Tracker(log)])

# %% [markdown]
# | tracker | `log` |
# |---|---|
# | Weights & Biases | `run = wandb.init(project="tags")`, then `run.log` |
# | MLflow | `lambda figures, step: mlflow.log_metrics(figures, step=step)` |
# | Comet | `lambda figures, step: experiment.log_metrics(figures, step=step)` |
# | Aim | `lambda figures, step: [run.track(v, name=k, step=step) for k, v in figures.items()]` |
#
# The moments that a callback can have: [own loss, metric, callback](own_parts.md).
