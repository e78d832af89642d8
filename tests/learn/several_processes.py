"""What `test_processes.py` starts in one and in two processes; each writes what it saw."""

import atexit
import contextlib
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onecycle import Checkpoint, CSVLogger, accuracy, from_arrays
from onecycle.core.errors import OnecycleError
from onecycle.learn.callback import Callback, StopFit
from onecycle.learn.learner import Learner
from onecycle.vision.lists import ImageList

warnings.simplefilter("ignore")
out = Path(sys.argv[1])
OWN = out / f"files{os.environ['RANK']}"  # what this process writes through the library
torch.manual_seed(0)


@atexit.register  # the first that is registered is the last that is called
def tell_whether_in_a_group():
    (out / f"group{os.environ['RANK']}.txt").write_text(str(torch.distributed.is_initialized()))


def arrays(shift=0.0):
    """50 rows of 3 classes: batches of 8 in training; in validation the last batch has 2 rows."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(50, 6)).astype(np.float32) + shift
    return from_arrays(
        x[:40], x[:40, :3].argmax(1), x[40:], x[40:, :3].argmax(1), bs=8, device="cpu"
    )


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def learner(data, **options):
    return Learner(data, net(), metrics=accuracy, path=OWN, silent=True, **options).distributed(60)


def main():
    learn = learner(arrays(), callbacks=[CSVLogger(OWN / "history.csv")], accumulate=2)
    curve = learn.lr_find(num_it=30)
    learn.layer_groups = [list(learn.model[0].parameters()), list(learn.model[2].parameters())]
    learn.freeze().fit_one_cycle(2, 0.05)  # another set of weights learns than afterwards
    learn.unfreeze().fit_one_cycle(3, 0.05)
    learn.save("kept")
    rank = learn.engine.rank
    seen = {
        "weights": [p.tolist() for p in learn.model.parameters()],
        "history": [[row["valid_loss"], row["accuracy"]] for row in learn.history],
        "smoothed": learn.recorder.losses,
        "curve": curve.losses,
        "alone": [float(v) for v in learn.validate()],
        "processes": learn.engine.processes,
    }
    (out / f"rank{rank}.json").write_text(json.dumps(seen))
    (out / f"norms{rank}.json").write_text(json.dumps([normed(), normed(sync_bn=True)]))
    for name, use in (
        ("odd", lambda: odd(arrays())),
        ("lonely", lonely),
        ("split", lambda: learner(arrays(shift=float(rank)))),
        ("broken", lambda: broken(rank)),
        ("broken_norms", lambda: broken(rank, sync_bn=True)),
    ):
        try:
            text = f"no error: {use()}"
        except OnecycleError as error:
            text = str(error)
        (out / f"{name}{rank}.txt").write_text(text)
    images(rank)
    (out / f"resumed{rank}.json").write_text(json.dumps(resumed()))


def resumed():
    """Weights and statistics after a fit that is whole, and after one that was cut off four times.

    Processes draw different numbers for dropout, and have different statistics until these are
    averaged before a validation.
    """

    def fit(*callbacks):
        torch.manual_seed(3 + int(os.environ["RANK"]))
        layers = [nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3)]
        model = nn.Sequential(*layers)
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, 0.1)
        learn = Learner(arrays(), model, path=out, silent=True).distributed(60)
        learn.fit(3, 0.02, callbacks=callbacks)
        return [value.tolist() for value in learn.model.state_dict().values()]

    def often():
        return Checkpoint("shared", minutes=None, steps=1)

    whole = fit(Cut())
    places = [(0, "after_loss", 3), (0, "before_validate", 5), (1, "after_loss", 4)]
    for place in [*places, (2, "before_validate", 5)]:
        with contextlib.suppress(ZeroDivisionError):
            fit(Cut(*place), often())
    return [whole, fit(Cut(), often())]


class Cut(Callback):
    """Ends everything at a moment of an epoch, once so many batches went backward."""

    def __init__(self, *place):
        self.cut = place

    def state_dict(self):
        return {}

    def end(self, run, moment, batches):
        if self.cut == (run.epoch, moment, batches):
            raise ZeroDivisionError

    def after_loss(self, run):
        self.end(run, "after_loss", run.batch)

    def before_validate(self, run):
        self.end(run, "before_validate", run.batch)


def normed(**options):
    """A network with batch norm, with or without statistics of all processes; what fit reports.

    Every second row is far from the others, so that the processes see very different items.
    """
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 6)).astype(np.float32)
    x[::2] += 3 * rng.normal(size=6).astype(np.float32)
    y = x[:, :3].argmax(1)
    data = from_arrays(x[:40], y[:40], x[40:], y[40:], bs=8, device="cpu")
    torch.manual_seed(1)
    first, last = nn.Linear(6, 16, bias=False), nn.Linear(16, 3, bias=False)  # BN takes biases out
    model = nn.Sequential(first, nn.BatchNorm1d(16), nn.Tanh(), last, nn.BatchNorm1d(3))
    groups = [[*model[:3].parameters()], [*model[3:].parameters()]]
    learn = Learner(data, model, groups=groups, metrics=accuracy, path=OWN, silent=True)
    learn.recipe = {"kind": "mine"}
    learn.distributed(60, **options)
    learn.fit(2, 0.02)
    name = "synchronized" if options else "normed"
    learn.save(name)
    alone = [float(v) for v in learn.validate()]
    reported = [learn.history[-1][n] for n in ("valid_loss", "accuracy")]
    learn.fit(1, 0.02, callbacks=[Stop()])
    return {
        "reported": reported,
        "alone": alone,
        "buffers": [b.tolist() for b in learn.model.buffers()],
        "weights": [p.tolist() for p in learn.model.parameters()],
        "saved": str(OWN / f"models/{name}.safetensors"),
        "groups": [len(group) for group in learn.layer_groups],
        "recipe": learn.recipe,
        "norms": [isinstance(learn.model[i], nn.BatchNorm1d) for i in (1, 4)],
    }


class Stop(Callback):
    """Ends the fit within an epoch, where the processes' statistics differ."""

    def after_step(self, run):
        if run.step == 2:
            raise StopFit


def lonely():
    """Two items by two processes: each has one."""
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    data = arrays()
    data = type(data).of(data.src, data.path, **data.options | {"bs": 2})
    return Learner(data, model, silent=True).distributed(60).fit(1)


def broken(rank, **options):
    """An item of the second process's share is no number."""

    class Spoil(Callback):
        def before_batch(self, run):
            if rank == 1 and run.step == 1:
                run.x[2] = float("nan")

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    learn = Learner(arrays(), model, path=OWN, silent=True).distributed(60, **options)
    return learn.fit(1, callbacks=[Spoil()])


def odd(data):
    """Batches that two processes cannot share."""
    return learner(type(data).of(data.src, data.path, **data.options | {"bs": 7})).fit(1)


def images(rank):
    """Images are read by the process that needs them only."""
    learn = ImageList.from_folder(out / "images").split_by_folder().label_from_folder()
    data = learn.databunch(bs=4, num_workers=2, device="cpu", no_check=True)
    learn = Learner(data, nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), silent=True).distributed(
        60
    )
    read = [len(x) for x, _ in learn.engine.share(data.train_dl)]
    held = [len(x) for x, _ in learn.engine.share(data.valid_dl)]
    (out / f"rows{rank}.json").write_text(json.dumps([read, held]))


main()
