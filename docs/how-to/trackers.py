# %% [markdown]
# # Keep track of trainings
#
# `learn.recorder` draws the last fit and `learn.history` holds all of them. A `Tracker` sends a training
# elsewhere: what it was made with, loss and rate of every step, losses and metrics of every epoch, and,
# with `export="model.onnx"`, the exported file.

# %%
import csv

import torch

from onecycle import Callback, Learner, Path, Run, Tracker, accuracy, from_arrays, mlp

torch.manual_seed(0)
x = torch.rand(600, 2) * 2 - 1
data = from_arrays(x.numpy(), ["in" if r < 0.7 else "out" for r in x.norm(dim=1)], bs=32)
learn = Learner(data, mlp([2, 32, data.c]), metrics=accuracy)

tracker = Tracker("csv", "rings", "first", params={"note": "a wide ring"})
learn.fit_one_cycle(3, 0.05, callbacks=[tracker])
rows = [*csv.DictReader(Path("runs/rings/first/metrics.csv").open())]
print([(row["step"], row["value"]) for row in rows if row["name"] == "epoch/accuracy"])

# %% [markdown]
# | `Tracker(...)` | needs | where it goes |
# |---|---|---|
# | `"mlflow"` | `onecycle[mlflow]` | `MLFLOW_TRACKING_URI`; the project is the experiment |
# | `"wandb"` | `onecycle[wandb]` | your account, or with `WANDB_MODE=offline` a folder for `wandb sync` |
# | `"tensorboard"` | `onecycle[tensorboard]` | `runs/project/name`; no files |
# | `"csv"` | nothing | `runs/project/name`: `metrics.csv` (step, name, value), `params.json`, the file |
#
# One Tracker is one run, however many fits it takes part in: give the same object to each, or to the
# learner (`Learner(..., callbacks=[tracker])`). With `resume=` the run goes on from the checkpoint's
# step; MLflow and Weights & Biases keep what they were sent after it, so these steps are there twice. A
# tracker that cannot be reached is an error before the first step, and a warning later: no training is
# lost for it.
#
# `CSVLogger` (a column per metric) and `TensorBoardLogger` write one thing each.
#
# ## Any other tracker
#
# What a tracker has is a function that takes named numbers and a step; a callback hands them over.


# %%
class Report(Callback):
    """Hands the figures of each epoch to `log(figures, step)`."""

    order = 30  # after the recorder

    def __init__(self, log):
        self.log = log

    def after_epoch(self, run: Run):
        if run.engine.main:
            self.log({k: v for k, v in run.row.items() if isinstance(v, float)}, run.step)


def log(figures, step):
    print(step, {name: round(value, 2) for name, value in sorted(figures.items())})


learn.fit_one_cycle(2, 0.05, callbacks=[Report(log)])

# %% [markdown]
# | tracker | `log` |
# |---|---|
# | Comet | `lambda figures, step: experiment.log_metrics(figures, step=step)` |
# | Aim | `lambda figures, step: [run.track(v, name=k, step=step) for k, v in figures.items()]` |
#
# The moments that a callback can have: [own loss, metric, callback](own_parts.md).
