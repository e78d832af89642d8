# %% [markdown]
# # Search for rates and sizes
#
# [Optuna](https://optuna.org) (`pip install 'onecycle[search]'`) tries one set of choices after the
# other; a callback tells it how each training goes on, and ends those that will not win.

# %%
import optuna
import torch

from onecycle import Callback, Learner, accuracy, from_arrays, mlp

torch.manual_seed(0)
x = torch.rand(600, 2) * 2 - 1
data = from_arrays(x.numpy(), ["in" if r < 0.7 else "out" for r in x.norm(dim=1)], bs=32)


class Pruning(Callback):
    """Reports `monitor` of each epoch to a trial, and ends a training that the study gives up."""

    order = 30  # after the recorder

    def __init__(self, trial, monitor="accuracy"):
        self.trial, self.monitor = trial, monitor

    def after_epoch(self, run):
        self.trial.report(run.row[self.monitor], run.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def train(trial):
    lr = trial.suggest_float("lr", 1e-4, 0.3, log=True)
    wide = trial.suggest_int("wide", 4, 64, log=True)
    torch.manual_seed(0)
    learn = Learner(data, mlp([2, wide, data.c]), metrics=accuracy, silent=True)
    learn.fit_one_cycle(4, lr, callbacks=[Pruning(trial)])
    return learn.history[-1]["accuracy"]


# %%
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
)
study.optimize(train, n_trials=12)
pruned = sum(trial.state is optuna.trial.TrialState.PRUNED for trial in study.trials)
print(
    f"{study.best_value:.2f} with {study.best_params}; {pruned} of {len(study.trials)} ended early"
)

# %% [markdown]
# What is best on the validation side by choice of many is flattered by it: keep a
# [test side](splits.md), and look at it once. `study = optuna.create_study(storage="sqlite:///search.db",
# study_name="rings", load_if_exists=True)` goes on another day, and several processes may share it.
