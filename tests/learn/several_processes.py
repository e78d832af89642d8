"""What `test_processes.py` starts in one and in two processes; each writes what it saw."""

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onecycle import CSVLogger, accuracy, from_arrays
from onecycle.core.errors import OnecycleError
from onecycle.learn.learner import Learner
from onecycle.vision.lists import ImageList

warnings.simplefilter("ignore")
out = Path(sys.argv[1])
OWN = out / f"files{os.environ['RANK']}"  # what this process writes through the library
torch.manual_seed(0)


def arrays(shift=0.0):
    """50 rows of 3 classes: batches of 8 in training; in validation the last batch has 2 rows."""
    luck = np.random.default_rng(4)
    x = luck.normal(size=(50, 6)).astype(np.float32) + shift
    return from_arrays(
        x[:40], x[:40, :3].argmax(1), x[40:], x[40:, :3].argmax(1), bs=8, device="cpu"
    )


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def learner(data, **options):
    return Learner(data, net(), metrics=accuracy, path=OWN, silent=True, **options).distributed(60)


def main():
    learn = learner(arrays(), callbacks=[CSVLogger(OWN / "history.csv")])
    curve = learn.lr_find(num_it=30)
    learn.layer_groups = [list(learn.model[0].parameters()), list(learn.model[2].parameters())]
    learn.freeze().fit_one_cycle(2, 0.05)  # another set of weights learns than afterwards
    learn.unfreeze().fit_one_cycle(3, 0.05)
    learn.save("kept")
    rank = learn.engine.state.process_index
    seen = {
        "weights": [p.tolist() for p in learn.model.parameters()],
        "history": [[row["valid_loss"], row["accuracy"]] for row in learn.history],
        "smoothed": learn.recorder.losses,
        "curve": curve.losses,
        "alone": [float(v) for v in learn.validate()],
        "processes": learn.engine.state.num_processes,
    }
    (out / f"rank{rank}.json").write_text(json.dumps(seen))
    for name, data in (("odd", arrays()), ("split", arrays(shift=float(rank)))):
        try:
            found = learner(data) if name == "split" else odd(data)
            text = f"no error: {found}"
        except OnecycleError as error:
            text = str(error)
        (out / f"{name}{rank}.txt").write_text(text)
    pictures(rank)


def odd(data):
    """Batches that two processes cannot share."""
    return learner(type(data).of(data.src, data.path, **data.options | {"bs": 7})).fit(1)


def pictures(rank):
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
