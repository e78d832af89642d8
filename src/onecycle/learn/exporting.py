"""A learner's model, task and some of its items, handed to `deploy.export`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.data.databunch import DatasetType
from onecycle.deploy.export import Examples
from onecycle.deploy.export import export as write
from onecycle.deploy.prelude import image_prelude
from onecycle.models.modes import modes_kept

if TYPE_CHECKING:
    from onecycle.learn.learner import Learner

_SIZES = ((61, 83), (128, 96), (33, 240))  # besides the items' own: odd, upright, long
_CALIBRATE = 8  # batches


def export(learner: Learner, file: str | Path, precision: str) -> Path:
    """Check the file with items of the validation set and with pictures of other sizes."""
    path = Path(learner.path) / file
    given: Any = learner.task.input
    make = getattr(given, "export_examples", None)  # of texts and series; pictures: below
    if make is None and given.kind != "image":
        raise UsageError(f"{type(given).__name__} cannot be exported")
    device = next(learner.model.parameters()).device
    try:
        with modes_kept(learner.model), torch.no_grad():
            examples = (make or image_examples)(learner, precision)
            write(learner.model, learner.task, path, examples, precision)
    finally:
        learner.model.to(device)
    return path


def image_examples(learner: Learner, precision: str) -> Examples:
    """Three items and noise of three sizes; for int8 training batches and the validation figure."""
    luck = np.random.default_rng(0)
    noise = [luck.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _SIZES]
    raw = noise
    if learner.data.valid_dl is not None:
        side = learner.data.ordered(DatasetType.Valid).dataset
        raw = [*noise, *(_pixels(side.x.items[i]) for i in range(min(3, len(side))))]
    return pictured(learner, precision, raw, image_prelude(learner.task.input))  # type: ignore[arg-type]


def pictured(learner: Learner, precision: str, raw: Sequence[np.ndarray], prelude: Any) -> Examples:
    """Raw items of any kind, and what the network itself takes: pictures."""
    given: Any = learner.task.input
    size = getattr(given, "size", None) or (64, 64)
    prepared = [torch.zeros(1, getattr(given, "planes", 3), *size)]
    if precision == "int8":
        if learner.data.valid_dl is None:
            raise UsageError("int8 needs the data: export it from the learner that was trained")
        batches = learner.data.ordered(DatasetType.Train)
        prepared = [x.cpu() for x, _ in islice(_closing(batches), _CALIBRATE)]
    score = None if learner.data.valid_dl is None else lambda run: figure(learner, run)
    return Examples(raw, prepared, score, prelude)


def _pixels(source: object) -> np.ndarray:
    from onecycle.spec.pixels import open_pixels

    return source.pixels if hasattr(source, "pixels") else open_pixels(source)


def _closing(batches: object) -> Iterator[tuple[Tensor, Tensor]]:
    yield from batches  # type: ignore[misc]


def figure(learner: Learner, run: Callable[[Tensor], Tensor]) -> float:
    """The share of right decisions of `run` (prepared inputs to probabilities) on validation.

    For numbers and points: minus the loss, relative to what the mean label would give.
    """
    target = learner.task.target
    right = count = 0.0
    errors, spread = [], []
    for x, y in learner.data.ordered(DatasetType.Valid):
        said, y = run(x.cpu()), y.cpu()
        if said.shape == y.shape or said.numel() == y.numel():
            thresh = getattr(target, "thresh", None)
            if thresh is not None:
                right += float(((said > thresh) == (y > 0.5)).sum())
                count += y.numel()
                continue
            errors.append((said.reshape(y.shape) - y).flatten(1))
            spread.append(y.flatten(1))
            continue
        true = y[:, 0] if y.ndim == said.ndim else y
        void = getattr(target, "void", None)
        counted = (true >= 0) & (true != (-1 if void is None else void))
        right += float(((said.argmax(1) == true) & counted).sum())
        count += int(counted.sum())
    if count:
        return right / count
    wanted = torch.cat(spread)
    return 1 - float(torch.cat(errors).square().mean() / wanted.var(0).mean().clamp(min=1e-12))
