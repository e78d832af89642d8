"""What `test_shards.py` does alone and in two processes that hold the weights together."""

import contextlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onecycle import Checkpoint, accuracy, from_arrays
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import GradientClipping
from onecycle.learn.learner import Learner
from onecycle.runtime.predictor import Predictor
from onecycle.vision.lists import ImageList


def made(folder, join=lambda learn: learn):
    """40 rows train in batches of 8, two of them a step; 11 validate. 3 outputs: an uneven part."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(51, 6)).astype(np.float32)
    y = x[:, :3].argmax(1)
    data = from_arrays(x[:40], y[:40], x[40:], y[40:], bs=8, val_bs=4, device="cpu")
    torch.manual_seed(1)
    first, last = nn.Linear(6, 16), nn.Linear(16, 3)
    model = nn.Sequential(first, nn.LayerNorm(16), nn.Tanh(), last)
    how = {"metrics": accuracy, "path": folder, "silent": True, "accumulate": 2}
    learn = Learner(data, model, groups=[[*model[:2].parameters()], [*last.parameters()]], **how)
    return join(learn)


class Cut(Callback):
    """Ends everything within the second epoch."""

    def after_loss(self, run):
        if run.epoch == 1 and run.batch == 3:
            raise ZeroDivisionError


def trained(folder, join=lambda learn: learn):
    """Everything that a training does, and what it left."""
    learn = made(folder, join)
    curve = learn.lr_find(num_it=8)
    clip = GradientClipping(0.2)
    learn.freeze().fit_one_cycle(1, 0.05)
    learn.unfreeze().fit_one_cycle(2, 0.05, callbacks=[clip])
    learn.save("kept")
    learn.fit(1, 0.02)
    after = learn.validate()
    learn.load("kept").fit(1, 0.02)
    return learn, {
        "curve": curve.losses,
        "after": after,
        "after loading": learn.validate(),
        "predictions": learn.get_preds()[0].tolist(),
        "history": [row["valid_loss"] for row in learn.history],
    }


def resumed(folder, join=lambda learn: learn):
    """Losses after a fit that was cut off and went on."""
    with contextlib.suppress(ZeroDivisionError):
        often = Checkpoint("night", minutes=None, steps=1)
        made(folder, join).fit(2, 0.02, callbacks=[often, Cut()])
    learn = made(folder, join)

    class NotCut(Cut):
        after_loss = Callback.after_loss

    NotCut.__name__ = "Cut"
    often = Checkpoint("night", minutes=None, steps=1)
    learn.fit(2, 0.02, callbacks=[often, NotCut()])
    return learn.validate()


def exported(folder, join):
    """What a model of images says of one of them, and the file that it was written to."""
    items = ImageList.from_folder(folder / "images").split_by_folder().label_from_folder()
    sized = items.transform(None, size=8)
    data = sized.databunch(bs=4, num_workers=0, device="cpu", no_check=True)
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(180, 2)
    learn = join(Learner(data, nn.Sequential(*layers), path=folder, silent=True))
    before = learn.get_preds()[0][0].tolist()
    learn.fit(1, 0.01)
    path = learn.export("model.onnx")
    file = Path(learn.data.valid_ds.items[0])
    found = Predictor(str(path)).predict(file).probabilities
    return {
        "before": before,
        "file": np.asarray(found).tolist(),
        "model": learn.get_preds()[0][0].tolist(),
    }


def main(out):
    warnings.simplefilter("ignore")

    def join(learn):
        return learn.distributed(60, shard=True)

    learn, seen = trained(out, join)
    rank = learn.engine.rank
    held = [p.to_local().numel() for p in learn.model.parameters()]
    seen["held"], seen["all"] = held, [p.numel() for p in learn.model.parameters()]
    state = learn.opt.inner.state.values()
    seen["averages"] = [row["exp_avg"].to_local().numel() for row in state]
    seen["resumed"] = resumed(out, join)
    seen["exported"] = exported(out, join)
    (out / f"shards{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
