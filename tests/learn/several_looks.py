"""What `test_shared_looks.py` does alone and in several processes: whole sets are looked at."""

import json
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from onecycle import fbeta, from_arrays
from onecycle.core.errors import OnecycleError
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import SegmentationInterpretation
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import auroc, average_precision
from onecycle.text import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch
from onecycle.vision.lists import SegmentationItemList

KINDS = ("classes", "tags", "masks", "texts", "language")
SMALL = {"emb_sz": 6, "n_hid": 8, "n_layers": 1}
TAGS = ("cold", "dry", "far")


def layers(outputs):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, outputs))


def classes(folder):
    """23 rows validate, in batches of 5 and a last one of 3: of 3 processes two have one twice."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(41, 6)).astype(np.float32)
    y = (x[:, :2] @ [1.0, 0.4] + rng.normal(size=41) > 0.3).astype(int)
    data = from_arrays(x[:18], y[:18], x[18:], y[18:], bs=6, val_bs=5, device="cpu")
    return Learner(data, layers(2), metrics=[auroc, average_precision], silent=True, path=folder)


def tags(folder):
    """Several labels an item, some items without any; the last batch has one row."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(37, 6)).astype(np.float32)
    rows = [[tag for tag, v in zip(TAGS, row[:3], strict=True) if v > 0.4] for row in x]
    rows[0] = [*TAGS]
    data = from_arrays(x[:18], rows[:18], x[18:], rows[18:], bs=6, val_bs=6, device="cpu")
    metrics = [partial(fbeta, thresh=0.4), auroc]
    return Learner(data, layers(3), metrics=metrics, silent=True, path=folder)


def masks(folder):
    """7 images with a class for every pixel, void among them."""
    data = (
        SegmentationItemList.from_folder(folder / "images")
        .split_by_idx(range(4, 11))
        .label_from_func(lambda file: folder / "masks" / file.name, classes=["a", "b", "c"])
        .transform(None, size=8, tfm_y=True)
        .databunch(bs=3, val_bs=4, num_workers=2, device="cpu", no_check=True)
    )
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
    return Learner(data, net, silent=True, path=folder)


def sentences(count):
    rng = np.random.default_rng(6)
    words = "good fine great nice bad poor awful sad film people".split()
    texts = [" ".join(rng.choice(words, 3 + i % 11)) for i in range(count)]
    return pd.DataFrame({"label": ["yn"[i % 3 == 0] for i in range(count)], "text": texts})


def texts(folder):
    """13 texts of very different lengths, which come by length."""
    frame = sentences(25)
    how = {"train_df": frame[:12], "valid_df": frame[12:], "bs": 6, "val_bs": 5, "device": "cpu"}
    data = TextClasDataBunch.from_df(folder, min_freq=1, **how)
    torch.manual_seed(1)
    return text_classifier_learner(data, config=SMALL, metrics=[auroc], silent=True, path=folder)


def language(folder):
    """A stream, of which every process reads some rows."""
    frame = sentences(90)
    how = {"train_df": frame[:45], "valid_df": frame[45:], "bs": 6, "bptt": 7, "device": "cpu"}
    data = TextLMDataBunch.from_df(folder, min_freq=1, **how)
    torch.manual_seed(1)
    return language_model_learner(data, config=SMALL, silent=True, path=folder)


def looks(kind, folder, join=lambda learn: learn):
    """What one learner says of its validation side, by every way of looking at a whole set."""
    learn = join(globals()[kind](folder))
    learn.model.eval()
    found = {"validate": learn.validate(), "on training data": learn.validate(learn.data.train_dl)}
    if kind == "language":
        return found
    found["preds"] = [part.tolist() for part in learn.get_preds(with_loss=True)]
    found["train preds"] = [part.tolist() for part in learn.get_preds(DatasetType.Train)]
    if kind == "masks":
        seen = SegmentationInterpretation.from_learner(learn)
        return found | {"confusion": seen.matrix.tolist(), "losses": seen.losses.tolist()}
    figures = learn.evaluate(DatasetType.Valid, resamples=100).figures
    found["evaluate"] = [[f.value, f.low, f.high] for f in figures.values()]
    if kind == "tags":
        found["thresholds"] = [*learn.fit_thresholds().values()]
    if kind == "classes":
        found["calibrated"] = learn.calibrate().temperature
    return found


def files_read(folder, join):
    """How many images this process opens for one look at all of them."""
    learn, read = join(masks(folder)), []
    sys.addaudithook(lambda name, args: read.append(args[0]) if name == "open" else None)
    learn.get_preds()
    return len([file for file in map(str, read) if "images" in file])


def main(out, folder):
    def join(learn):
        return learn.distributed(60)

    warnings.simplefilter("ignore")
    seen = {kind: looks(kind, folder, join) for kind in KINDS}
    learn = join(classes(folder))
    rank = learn.engine.rank
    seen["read"] = files_read(folder, join)
    (folder / "blocked").write_text("a file, where a folder should be")
    learn.model_dir = "blocked"
    try:
        learn.save("anything")
    except OnecycleError as error:
        seen["unwritable"] = [type(error).__name__, str(error)]
    seen["alone"] = float(learn.predict(np.ones(6, np.float32))[2].sum()) if rank == 0 else None
    (out / f"looks{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
