"""What `test_several_ways.py` does alone and in two processes: what is easily lost or doubled."""

import contextlib
import io
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from learn.several_looks import language
from onecycle import Checkpoint, CSVLogger, EarlyStopping, Tracker, accuracy, from_arrays
from onecycle.core.errors import OnecycleError
from onecycle.data.arrays import TensorList
from onecycle.learn import tracker
from onecycle.learn.averaging import ModelEMA
from onecycle.learn.callback import Callback, StopFit
from onecycle.learn.learner import Learner
from onecycle.learn.optimizer import SGD

SHAPES = ("together", "sharded")  # of weights


def rows(count=48, width=6):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(count + 11, width)).astype(np.float32)
    return x, x[:, :3].argmax(1)


def arrays(x, y, bs=12, **options):
    """All but the last 11 rows train."""
    return from_arrays(x[:-11], y[:-11], x[-11:], y[-11:], bs=bs, device="cpu", **options)


def net(norm=nn.Identity, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), norm(16), nn.Tanh(), nn.Linear(16, 3))


def made(folder, join, model=None, data=None, **options):
    data = data or arrays(*rows())
    return join(Learner(data, model or net(), path=folder, silent=True, **options))


def values(learn):
    return [value.tolist() for value in learn.engine.plain(learn.model).state_dict().values()]


class Cut(Callback):
    """Ends everything in the second epoch, once two batches went forward in it."""

    def __init__(self, cuts):
        self.cut = cuts

    def state_dict(self):
        return {}

    def after_loss(self, run):
        if self.cut and (run.epoch, run.batch) == (1, 2):
            raise ZeroDivisionError


def whole_and_resumed(name, fit):
    """What `fit(*callbacks)` gives at once, and what after a cut."""
    whole = fit(Cut(False))
    with contextlib.suppress(ZeroDivisionError):
        fit(Cut(True), Checkpoint(name, minutes=None, steps=1))
    return [whole, fit(Cut(False), Checkpoint(name, minutes=None, steps=1))]


def halves(folder, join, **how):
    """A training in bfloat16, with what its layers computed in, and what is kept of it."""
    learn = made(folder, join, metrics=accuracy, opt_func=SGD, accumulate=2).to_bf16()
    kinds = set()
    learn.model[0].register_forward_hook(lambda *args: kinds.add(str(args[-1].dtype)))
    learn.fit(3, 0.1)
    learn.save("half")
    found = {"weights": values(learn), "validate": learn.validate()}
    found |= {"preds": [part.tolist() for part in learn.get_preds(with_loss=True)]}
    found["history"] = [[row[n] for n in ("train_loss", "valid_loss")] for row in learn.history]
    held = [p for state in learn.opt.inner.state.values() for p in state.values() if p is not None]
    found["kinds"] = [*kinds, *{str(p.dtype) for p in (*learn.model.parameters(), *held)}]
    learn.fit(1, 0.1)
    found["loaded"] = values(learn.load("half")) == found["weights"]

    def fit(*callbacks):
        learn = made(folder, join, opt_func=SGD).to_bf16()
        return values(learn.fit(2, 0.1, callbacks=callbacks))

    return found | {"resumed": whole_and_resumed("half", fit)}


def statistics(folder, join):
    """Running statistics of a first layer, whose weights do not move."""
    norm = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    return made(folder, join, norm).fit(1, 1e-9).model[0].running_mean.tolist()


class Count(nn.Module):
    """As torchmetrics': adds up its state over all processes where it is told that there are."""

    higher_is_better = True
    distributed_available_fn = staticmethod(torch.distributed.is_initialized)

    def reset(self):
        self.seen = torch.tensor(0.0)

    def update(self, outputs, y):
        self.seen += len(y)

    def compute(self):
        if self.distributed_available_fn():
            torch.distributed.all_reduce(self.seen)
        return self.seen


def figures(folder, join):
    """What a loss with class weights is in training, and a metric with a state."""
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2]))
    learn = made(folder, join, loss_func=loss, metrics=Count(), accumulate=2).fit(2, 0.02)
    return {"losses": learn.recorder.losses, "counted": learn.validate()[1]}


def stream(folder, join, *callbacks):
    learn = join(language(folder))
    learn.path = folder
    return values(learn.fit(2, 0.02, callbacks=callbacks))


def stopped(folder, join):
    """After a callback asked for the end, in the first process only, within and after an epoch."""

    class Stop(Callback):
        def __init__(self, moment):
            setattr(self, moment, self.ends)

        def ends(self, run):
            if run.engine.rank == 0:
                raise StopFit

    learn = made(folder, join)
    for moment in ("after_step", "after_epoch"):
        learn.fit(2, 0.02, callbacks=[Stop(moment)])
    return values(learn)


def alone(folder, join):
    """All that one process can do as well."""
    found = {"halves": halves(folder, join), "figures": figures(folder, join)}
    return found | {"statistics": statistics(folder, join), "stopped": stopped(folder, join)}


# What only several processes can do wrongly.


class Idle(nn.Module):
    """One of its layers does nothing."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.used(x)


class Away(tracker.Backend):
    """A tracker that keeps nothing."""

    def __init__(self, of):
        self.of = of

    def begin(self, *args):
        return "run"

    def log(self, *args):
        pass

    add = end = log


def tracked(folder, join):
    """A tracker that is to have a file: of arrays there is none, as the first process finds."""
    tracker._KINDS["mlflow"] = Away
    return made(folder, join).fit(1, callbacks=[Tracker("mlflow", export="model.onnx")])


def terminated(folder, join):
    """SIGTERM comes to the second process."""

    class Send(Callback):
        def after_loss(self, run):
            if run.engine.rank == 1 and run.step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    made(folder, join).fit(2, 0.02, callbacks=[Send()], resume="night")


def printed(folder, join):
    """What a process says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        learn = made(folder, join)
        learn.silent = False
        learn.lr_find(num_it=5)
        learn.fit(3, 1e-9, callbacks=[EarlyStopping(min_delta=1.0)])
    return said.getvalue()


def refused(rank, folder, join):
    """The messages of what cannot be."""
    (x, y), (wide, kinds) = rows(), rows(width=2000)
    wide[:, 700] += rank  # which no printed row shows
    other = arrays(x, (y + rank) % 3)
    names = np.array(["a", "b", "c"])[y]
    split = TensorList.from_arrays(x, names).split_by_idx(range(11))
    named = split.label_from_df("label", classes=["a", "b", "c"][:: 1 - 2 * rank])
    cases = {
        "labels": lambda: made(folder, join, data=other),
        "long rows": lambda: made(folder, join, nn.Linear(2000, 3), arrays(wide, kinds)),
        "classes": lambda: made(folder, join, data=named.databunch(bs=12, device="cpu")),
        "later": lambda: later(folder, join, other),
        "idle": lambda: made(folder, join, Idle()).fit(1),
        "tracker": lambda: tracked(folder, join),
        "log": lambda: made(folder, join).fit(1, callbacks=[CSVLogger(folder)]),
        "average": lambda: sharded(made(folder, lambda learn: learn)).fit(
            1, callbacks=[ModelEMA()]
        ),
    }
    found = {}
    for name, use in cases.items():
        try:
            found[name] = f"no error: {use()}"
        except OnecycleError as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def later(folder, join, other):
    """Other data is given to a learner that is distributed already."""
    learn = made(folder, join)
    learn.data = other
    return learn.fit(1)


def sharded(learn):
    return learn.distributed(60, shard=True)


def main(out):
    def join(learn):
        return learn.distributed(60)

    rank = int(os.environ["RANK"])
    first = made(out, join, net(seed=rank))
    seen = {"first": [values(first), first.get_preds()[0].tolist()]} | alone(out, join)
    seen["refused"] = refused(rank, out, join)
    seen["sharded"] = halves(out / "sharded", sharded)
    seen["stream"] = whole_and_resumed("stream", lambda *own: stream(out, join, *own))
    seen["average"] = whole_and_resumed(
        "average",
        lambda *own: values(
            made(out, join, net(nn.BatchNorm1d)).fit(2, 0.02, callbacks=[*own, ModelEMA(0.5)])
        ),
    )
    learn = sharded(language(out))
    learn.path = out / f"own{rank}"
    learn.fit(1, 0.02).save_encoder("words")
    seen["encoders"] = [path.name for path in learn.path.rglob("words*")]
    seen["perplexed"] = [learn.history[-1]["valid_loss"], learn.validate()[0]]
    seen["printed"] = printed(out, join)
    try:
        seen["ended"] = terminated(out, join)
    except SystemExit as end:
        seen["ended"] = end.code
    (out / f"ways{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
