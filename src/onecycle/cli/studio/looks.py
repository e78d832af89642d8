"""What the rooms Look and Decide show: augmented images, and what decisions would do."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.work import OUTPUTS, fitted_temperature
from onecycle.core.errors import EmptyDataError, UsageError, require_number
from onecycle.learn.calibration import BINS, reliability
from onecycle.runtime.file import read
from onecycle.runtime.task import task_from_json
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import open_image

_SIDE, _DRAWS = 160, 5


def augmented(files: Sequence[Path], given: Mapping[str, Any]) -> list[list[str]]:
    """For each file itself, and some draws of the transforms, as data addresses of JPEGs."""
    if not files:
        raise EmptyDataError("there are no training images yet")
    layout = LAYOUTS["images"]
    layout.require_settings(given, "images")
    changes = layout.how(**given).changes()  # those of the training
    tfms, whole = get_transforms(**changes)[0], get_transforms()[1]
    rows = []
    for file in files:
        image = open_image(file)
        plain = image.apply_tfms(whole, size=_SIDE)
        drawn = [image.apply_tfms(tfms, size=_SIDE, seed=seed) for seed in range(_DRAWS)]
        rows.append([_address(one.pixels) for one in (plain, *drawn)])
    return rows


def _address(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def decided(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The validation items under a temperature (None: that which fits) and thresholds."""
    if not (folder / OUTPUTS).exists():
        raise UsageError("there is nothing to decide here: train on images with classes first")
    _, target = task_from_json(read(folder / "model.onnx")[1]["task"], torch=True)
    force = {"temperature": target.temperature, "thresh": target.thresh}
    force["temperature"] = None if force["temperature"] == 1 else force["temperature"]
    target = target.with_temperature(1.0)
    stored = load_file(folder / OUTPUTS)
    shares, y = torch.from_numpy(stored["valid_p"]), torch.from_numpy(stored["valid_y"])
    with catch_warnings(record=True) as said:
        simplefilter("always")
        fitted, spread = fitted_temperature(folder, target)
    chosen = given.get("temperature")
    if chosen is not None:
        require_number("temperature", chosen, 0.05, 20)
    many = target.activation == "sigmoid"
    outputs = torch.logit(shares, 1e-7) if many else shares.clamp(min=1e-30).log()
    now = target.with_temperature(float(chosen or 1.0)).activate(outputs)
    found: dict[str, Any] = {
        "several": many,
        "classes": [str(name) for name in target.classes],
        "items": len(y),
        "fitted": fitted,
        "spread": spread,
        "notes": [str(one.message) for one in said],
        "bins": BINS,
        "before": _reliability(shares, y),
        "after": _reliability(now, y),
        "in_force": force,
    }
    return found | (_of_labels(now, y) if many else _of_levels(now, y))


def _reliability(shares: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    bins = reliability(shares, y)
    return {
        "error": bins.error,
        "number": bins.number.tolist(),
        "said": bins.said.tolist(),
        "seen": bins.seen.tolist(),
    }


def _of_levels(shares: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    """At each level of "not sure": the share of items answered, and of those that are right."""
    best, answer = shares.max(1)
    right = answer == y
    levels = []
    for level in np.linspace(0, 0.99, 100):
        kept = best > level
        good = float(right[kept].double().mean()) if kept.any() else None
        levels.append(
            {"level": float(level), "answered": float(kept.double().mean()), "right": good}
        )
    return {"levels": levels}


def _of_labels(shares: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    """For each label at each threshold: precision, recall, and F2."""
    actual, tables = y > 0.5, []
    for column in range(y.shape[1]):
        rows = []
        for thresh in np.linspace(0.01, 0.99, 99):
            said = shares[:, column] > thresh
            hits = float((said & actual[:, column]).sum())
            wanted, given = float(actual[:, column].sum()), float(said.sum())
            rows.append(
                {
                    "thresh": float(thresh),
                    "precision": hits / given if given else None,
                    "recall": hits / wanted if wanted else None,
                    "f2": 5 * hits / (4 * wanted + given) if wanted + given else None,
                }
            )
        tables.append(rows)
    return {"labels": tables}
