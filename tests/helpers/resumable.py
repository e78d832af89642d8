"""Small trainings of each kind, as a program that can be killed and started again.

`python resumable.py KIND FOLDER [CUT]` trains in FOLDER and prints a digest of everything that a
fit leaves. CUT is "moment:count": the process kills itself there. Data is drawn in FOLDER once.
"""

import json
import os
import signal
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learn_helpers import tiny_learner
from PIL import Image

from onecycle import (
    CSVLogger,
    GradientClipping,
    ImageList,
    SaveModel,
    SegmentationItemList,
    SeriesList,
    TextClasDataBunch,
    TextLMDataBunch,
    accuracy,
    fbeta,
    get_transforms,
    language_model_learner,
    models,
    series_learner,
    text_classifier_learner,
    unet_learner,
)
from onecycle.learn.callback import MOMENTS, Callback

SMALL = {"emb_sz": 12, "n_hid": 16, "n_layers": 2}


def draw(folder, rng):
    """28 images of 32 px, each with a mask beside it, and a table of their tags."""
    rows = []
    for i in range(28):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[4 : 8 + i % 9, 6:20] = 1 + i % 2
        pixels[mask > 0] //= 3
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
        Image.fromarray(mask).save(folder / f"{i:02}_mask.png")
        rows.append((f"{i:02}.png", ("dark", "dark wide")[i % 2] if i % 9 > 3 else "low", i > 19))
    table = pd.DataFrame(rows, columns=["name", "tags", "is_valid"])
    table.to_csv(folder / "tags.csv", index=False)


def prepare(folder):
    """`folder`, with data in it."""
    folder = Path(folder)
    if not (folder / "tags.csv").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draw(folder, np.random.default_rng(5))
    return folder


HOW = {"num_workers": 0, "device": "cpu"}


def images(folder):
    """Several labels, augmented, with mixup and frozen groups."""
    table = pd.read_csv(folder / "tags.csv")
    src = ImageList.from_df(table, folder).split_from_df("is_valid")
    src = src.label_from_df("tags", label_delim=" ").transform(get_transforms(), size=24)
    data = src.databunch(bs=4, no_check=True, seed=3, **HOW)
    learn = tiny_learner(data, dropout=0.3, path=folder, metrics=[partial(fbeta, thresh=0.3)])
    learn.freeze_to(1)
    return learn.mixup()


def masks(folder):
    """A U-Net without pretrained weights; two batches make a step."""
    table = pd.read_csv(folder / "tags.csv")
    src = SegmentationItemList.from_df(table, folder).split_from_df("is_valid")
    src = src.label_from_func(lambda p: p.with_name(f"{p.stem}_mask.png"), classes=list("abc"))
    data = src.transform(get_transforms(), size=32, tfm_y=True).databunch(bs=4, **HOW)
    arch = {"arch": models.small, "pretrained": False, "silent": True, "path": folder}
    return unet_learner(data, metrics=[], accumulate=2, **arch)


def _reviews():
    rng = np.random.default_rng(1)
    words = np.array("good bad dull film plot cast was not a the of end".split())
    rows = [(i % 3 == 0, " ".join(rng.choice(words, rng.integers(4, 60)))) for i in range(60)]
    return pd.DataFrame(rows, columns=["label", "text"])


def language(folder):
    """A language model, whose state goes from batch to batch."""
    how = {"text_cols": "text", "seed": 0, "bs": 4, "bptt": 12, "num_workers": 0}
    data = TextLMDataBunch.from_df(folder, _reviews(), **how)
    return language_model_learner(data, config=SMALL, path=folder, silent=True)


def classifier(folder):
    """Texts of similar lengths in a batch."""
    how = {"text_cols": "text", "label_cols": "label", "seed": 0, "bs": 8, "num_workers": 0}
    data = TextClasDataBunch.from_df(folder, _reviews(), **how)
    return text_classifier_learner(data, config=SMALL, path=folder, silent=True).unfreeze()


def series(folder):
    """Series as images."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 1, 30)).cumsum(2).astype(np.float32)
    y = (x[:, 0, -1] > 0).astype(int)
    src = SeriesList.from_array(x, y, folder).split_by_idx(list(range(30, 40)))
    data = src.label_from_df("label").transform(size=24).databunch(bs=5, **HOW)
    return series_learner(data, models.small, metrics=accuracy, path=folder, silent=True)


KINDS = {
    "images": images,
    "masks": masks,
    "language": language,
    "classifier": classifier,
    "series": series,
}


class Cut(Callback):
    """Calls `end` at the `count`-th call of a moment, before (or after) all other callbacks."""

    steps = 0  # of all fits so far

    def __init__(self, cut, end, order=-(10**3)):
        self.moment, count = cut.split(":")
        self.left, self.end, self.order = int(count), end, order
        for moment in MOMENTS:
            setattr(self, moment, partial(self.count_down, moment))

    def state_dict(self):
        return {}

    def count_down(self, moment, run):
        Cut.steps += moment == "after_step"
        self.left -= moment == self.moment
        if moment == self.moment and self.left == 0:
            self.end()


class EveryStep(Callback):
    """A callback of a user's own: an average of the weights, and a row that it writes into."""

    order = 5

    def __init__(self):
        self.average, self.drawn = {}, []

    def after_step(self, run):
        self.drawn.append(float(np.random.random()))
        run.row["drawn"] = self.drawn[-1]
        for name, value in run.model.state_dict().items():
            kept = self.average.get(name, torch.zeros_like(value, dtype=torch.float32))
            self.average[name] = 0.9 * kept + 0.1 * value


def learner(kind, folder):
    """A fresh learner, all seeds set."""
    torch.manual_seed(7)
    np.random.seed(7)
    return KINDS[kind](prepare(folder))


def train(kind, folder, checkpoint, cut="never:0", end=os.getpid):
    """Two fits, one after the other, of which one may be cut; what they leave."""
    learn, own, others = learner(kind, folder), EveryStep(), [Cut(cut, end)]
    logs = [CSVLogger(folder / "log.csv"), SaveModel(name="best"), GradientClipping(0.5)]
    first, second = (checkpoint(name) for name in ("first", "second"))
    learn.fit_one_cycle(3, 1e-2, callbacks=[own, *logs, *first, *others])
    left = report(learn, own, folder)
    learn.unfreeze()
    learn.fit(2, 1e-3, callbacks=[*second, *others])
    return left | {f"second {name}": value for name, value in report(learn, own, folder).items()}


def report(learn, own, folder):
    """Everything that a fit leaves, as digests by name."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in learn.history]
    log = pd.read_csv(folder / "log.csv").drop(columns="seconds")
    recorder = learn.recorder
    optimizer = [
        learn.opt.inner.state[parameter]
        for part in (learn.opt.param_groups if learn.opt else ())
        for parameter in part["params"]
    ]
    found = {
        "weights": {k: v.clone() for k, v in learn.model.state_dict().items()},
        "optimizer": optimizer,
        "history": rows,
        "log": log.to_csv(),
        "recorder": [recorder.losses, recorder.lrs, recorder.moms, recorder.metrics],
        "own": [own.average, own.drawn],
        "random": [float(torch.rand(())), float(np.random.random())],
        "data": learn.data.train_dl.state(),
    }
    return {name: digest(value) for name, value in found.items()}


def digest(value):
    """A short digest of anything made of tensors, numbers and texts."""
    total = sha256()

    def add(part):
        if isinstance(part, torch.Tensor):
            total.update(part.contiguous().numpy().tobytes())
        elif isinstance(part, dict):
            for name in sorted(part):
                total.update(str(name).encode())
                add(part[name])
        elif isinstance(part, list):
            for each in part:
                add(each)
        else:
            total.update(repr(part).encode())

    add(value)
    return total.hexdigest()[:16]


if __name__ == "__main__":
    from onecycle.learn.resume import Checkpoint

    kind, where, *cut = sys.argv[1:]
    die = partial(os.kill, os.getpid(), signal.SIGKILL)
    often = {"minutes": 0.002, "steps": 3}
    plan = [*cut, "never:0"][0], die
    print(json.dumps(train(kind, prepare(where), lambda name: [Checkpoint(name, **often)], *plan)))
