"""What a training of masks leaves for the room Mistakes: each class, and the worst images drawn."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from onecycle.cli.studio.jobs import plain
from onecycle.cli.studio.masks import overlaid
from onecycle.core.files import write_atomically
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import SegmentationInterpretation
from onecycle.learn import loop
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import confusion, shares
from onecycle.learn.predictions import item_losses, of_part

FILE, DRAWN = "masks.json", "heat"
_WORST = 48


def leave_masks(learn: Learner, out: Path, names: Sequence[str]) -> None:
    """`masks.json` and, of the worst images, what the model saw, its mask and the predicted one.

    One pass over the validation images, of which only counts of pixels are kept.
    """
    target: Any = learn.task.target
    batches, each, losses = learn.data.in_order(DatasetType.Valid), [], []
    with closing(loop.predict(learn.model, batches, learn.engine)) as pairs:
        for outputs, y in pairs:
            losses.append(item_losses(learn, outputs, y).cpu())
            both = zip(outputs.split(1), y.split(1), strict=True)
            each += [confusion(*pair, target.void).double().cpu() for pair in both]
    whole, void = torch.cat(losses), target.metric_options.get("void")
    side: Any = batches.dataset
    table = SegmentationInterpretation(learn, side, torch.stack(each).sum(0), whole).per_class()
    worst = whole.argsort(descending=True)[:_WORST].tolist()
    _draw(learn, side, worst, out / DRAWN)
    rows = [
        {"index": i, "name": names[i], "loss": float(whole[i])}
        | {"iou": float(shares(each[i], void).nanmean())}
        for i in worst
    ]
    found = {
        "classes": [{"name": str(name), **row} for name, row in table.to_dict("index").items()],
        "items": len(whole),
        "rows": rows,
    }
    text = json.dumps(plain(found))
    write_atomically(out / FILE, lambda to: _write(to, text))


def _draw(learn: Learner, side: Any, worst: Sequence[int], folder: Path) -> None:
    """Three images of each: as the model saw it, the actual and the predicted mask over it."""
    folder.mkdir(exist_ok=True)
    classes = [str(name) for name in learn.task.target.classes]
    found = of_part(learn, side, worst)
    for place, index in enumerate(worst):
        item: Any = found.items[place][0]
        masks = {"actual": found.actual(place), "predicted": found.predicted(place)}
        Image.fromarray(item.pixels).save(folder / f"{index}.jpg", quality=90)
        for name, answer in masks.items():
            over = overlaid(item.pixels, answer.data[0], classes)
            Image.fromarray(over).save(folder / f"{index}.{name}.jpg", quality=90)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
