"""A learner's model, task and some of its items, handed to `export.graph`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError
from onecycle.core.machine import defaults
from onecycle.data.databunch import DatasetType
from onecycle.data.label_list import LabelList
from onecycle.export.graph import Cost, Examples, Run
from onecycle.export.graph import export as write
from onecycle.learn.predictions import Trained, part_of
from onecycle.learn.recorder import Recorder
from onecycle.models.groups import modes_kept

CALIBRATE = 512  # training items that int8 is calibrated on
_OWN = 8  # items of the user's that a file is checked with
Pair = tuple[np.ndarray, Tensor]


class Recorded(Trained, Protocol):
    """A learner that knows its last fit."""

    recorder: Recorder
    silent: bool


def training_of(learner: Recorded) -> dict[str, Any]:
    """What the file says of its training: the day, the numbers of items, the last epoch's metrics.

    Of a learner without its data there is the day alone. Figures that are no numbers are left out.
    """
    recorder, data = learner.recorder, learner.data
    last = recorder.metrics[-1] if recorder.metrics else []
    pairs = zip(recorder.metric_names, last, strict=False)
    found: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat()}
    if data.train_dl is not None:
        found["items"] = len(data.train_ds)
    if data.valid_dl is not None:
        found["validation_items"] = len(data.valid_ds)
    metrics = {name: float(value) for name, value in pairs if isfinite(value)}
    return found | ({"metrics": metrics} if metrics else {})


def export(learner: Recorded, path: Path, precision: str, calibrate: int | None = None) -> None:
    """Write the file; it is checked with items of the validation set and items of other sizes."""
    if calibrate is not None and (precision != "int8" or calibrate < 1):
        raise UsageError(
            f'calibrate= is a number of training items for precision="int8", not {calibrate!r} '
            f"for {precision!r}"
        )
    model = learner.engine.plain(learner.model)
    learner.engine.by_first(lambda: _export(learner, model, path, precision, calibrate))


def _export(
    learner: Recorded, model: nn.Module, path: Path, precision: str, calibrate: int | None
) -> None:
    task, device = learner.data.task, next(model.parameters()).device
    try:
        with modes_kept(model), torch.no_grad():
            examples = task.input.export_examples(learner, precision, calibrate)
            write(model, task, path, examples, precision, training_of(learner))
    finally:
        model.to(device)
    if defaults.progress and not learner.silent:
        fault = task.input.page_fault()
        where, command = ("A server of it", "serve") if fault else ("As a page for phones", "site")
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB. {where}:")
        print(f"  onecycle {command} {quote(str(path))}" + ("" if fault else " site/"))


def examples_of(
    learner: Trained,
    precision: str,
    pairs: Sequence[Pair],
    prelude: Any,
    calibrate: int | None = None,
) -> Examples:
    """Items of any kind, and what the network itself takes: images."""
    prepared: Sequence[Tensor] = [pairs[-1][1]]
    if precision == "int8":
        if learner.data.valid_dl is None:
            raise UsageError("int8 needs the data: export it from the learner that was trained")
        prepared = calibration(learner, calibrate or CALIBRATE)
    return Examples(pairs, prepared, cost_on(learner), prelude)


def sources_of(side: LabelList | None, most: int = _OWN) -> list[Any]:
    """Up to `most` items of a side, evenly spread over it: sorted sets begin with one class."""
    return [] if side is None else [side.x.items[i] for i in _spread(side, most)]


def _spread(side: LabelList, most: int) -> list[int]:
    at = np.linspace(0, len(side) - 1, min(most, len(side))).round().astype(int)
    return np.unique(at).tolist()


def own_side(learner: Trained) -> LabelList | None:
    """The validation set, or without one the training set; None where there is no data."""
    if learner.data.train_dl is None:
        return None
    held = learner.data.valid_dl is not None
    return learner.data.in_order(DatasetType.Valid if held else DatasetType.Train).dataset


def pairs_of(
    learner: Trained, sources: Sequence[Any], read: Callable[[Any], np.ndarray]
) -> list[Pair]:
    """Each source as an exported file is fed with it (by `read`), and as `predict` prepares it."""
    return [
        (read(source), next(iter(learner.data.single([source])))[0].cpu()) for source in sources
    ]


def calibration(learner: Trained, count: int) -> list[Tensor]:
    """Batches of `count` training items, evenly spread over the set, without augmentation."""
    side = learner.data.in_order(DatasetType.Train).dataset
    options = {k: learner.data.options[k] for k in ("num_workers", "device", "seed")}
    part, size = part_of(side, _spread(side, count)), learner.data.options["val_bs"]
    return [x.cpu() for x, _ in learner.data.task.input.loader(part, batch_size=size, **options)]


def cost_on(learner: Trained) -> Callable[[Run, Run], Cost] | None:
    """What `export.graph` asks for the cost of a precision; None without validation data."""
    return None if learner.data.valid_dl is None else partial(cost, learner)


def cost(learner: Trained, before: Run, after: Run) -> Cost:
    """Two ways of answering (prepared inputs to probabilities) compared on the validation set.

    The figure is the share of right decisions. Of numbers and points it is 1 - e, where e is the
    squared error relative to that of the mean label; 1 / e - 1 where it is larger than that.
    """
    target: Any = learner.data.task.target
    batches = ((x.cpu(), y.cpu().numpy()) for x, y in learner.data.in_order(DatasetType.Valid))
    rows = [(before(x).numpy(), after(x).numpy(), y) for x, y in batches]
    decided = [(target.decide(a), target.decide(b), y) for a, b, y in rows]
    items = sum(len(y) for *_, y in rows)
    if decided[0][0] is None:
        return _cost_of_numbers(rows, items)
    first, last = (
        float(np.concatenate([target.right(row[way], row[2]) for row in decided]).mean())
        for way in (0, 1)
    )
    changed = np.concatenate([target.changes(a, b) for a, b, _ in decided])
    return Cost(first, last, items, first - last, float(changed.mean()))


def _cost_of_numbers(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], items: int) -> Cost:
    before, after, y = (
        np.concatenate([row[way].reshape(len(row[2]), -1) for row in rows]) for way in (0, 1, 2)
    )
    spread = max(float(y.var(0, ddof=min(1, items - 1)).mean()), 1e-12)
    first, last = (float(np.square(found - y).mean()) / spread for found in (before, after))
    moved = float(np.square(before - after).mean() / spread) ** 0.5
    figures = [1 - e if e <= 1 else 1 / e - 1 for e in (first, last)]
    worse = (last - first) / max(1.0, first)
    return Cost(figures[0], figures[1], items, worse, moved=moved)
