"""`onecycle predict`: what a trained model says about pictures, as a table or a CSV file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import ImageError, UsageError
from onecycle.spec.pixels import SUFFIXES


def predict(
    model: Path, pictures: Sequence[Path], thresh: float | None, target: Path | None
) -> None:
    """One row per picture: name, answer, and the probability of each class (or each number).

    For masks the mean probability over all pixels. A picture that cannot be read gets an empty
    answer and its fault on standard error.
    """
    answering, kind = _opened(model)
    names = [str(c) for c in getattr(kind, "classes", ()) or getattr(kind, "names", ())]
    files = list(_files(pictures))
    if not files:
        raise UsageError("there are no pictures to look at")
    opened = target.open("w", newline="", encoding="utf-8") if target else nullcontext(sys.stdout)
    failed = 0
    with opened as file:
        writer = csv.writer(file)
        writer.writerow(["file", "answer", *names])
        for path in files:
            try:
                answer, _, found = answering.predict(path, thresh)
            except ImageError as error:
                failed += 1
                print(error, file=sys.stderr)
                writer.writerow([path, *[""] * (1 + len(names))])
                continue
            values = np.asarray(found)
            shares = values if values.ndim < 3 else values.mean((1, 2))  # masks: of all pixels
            writer.writerow([path, answer, *(f"{v:.4f}" for v in shares.ravel().tolist())])
    if target:
        print(f"{len(files) - failed} of {len(files)} answers written to {target}")


def _opened(model: Path) -> tuple[Any, Any]:
    """What answers, and its target: an exported file needs no torch, a checkpoint does."""
    if model.suffix == ".onnx":
        from onecycle.deploy.predictor import Predictor

        predictor = Predictor(model)
        return predictor, predictor.target
    from onecycle.vision.restore import load_cnn

    learn = load_cnn(model)
    return learn, learn.task.target


def _files(pictures: Iterable[Path]) -> Iterator[Path]:
    for path in pictures:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path
