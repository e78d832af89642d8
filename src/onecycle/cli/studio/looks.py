"""What the rooms Look and Decide show: augmented images, and what decisions would do."""

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

from onecycle.cli.studio.contents import drawn
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.masks import MaskProject, overlaid
from onecycle.cli.studio.project import Project
from onecycle.cli.studio.work import OUTPUTS, fitted_temperature
from onecycle.cli.train import shorter_side
from onecycle.core.errors import EmptyDataError, UsageError, require_number
from onecycle.learn.calibration import BINS, reliability
from onecycle.runtime.file import read
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.inputs.words import tokenize
from onecycle.runtime.task import task_from_json
from onecycle.series.encode import series_transforms
from onecycle.series.input import SeriesInput
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import open_image

_SIDE, _DRAWS = 160, 5
_READ = 2000  # characters of a text


def augmented(project: Project, last: Path | None, given: Mapping[str, Any]) -> list[list[str]]:
    """Of some images each itself, and draws of the transforms, as data addresses of JPEGs."""
    files = [project.example(name) for name in project.trained(4)]
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
        draws = [image.apply_tfms(tfms, size=_SIDE, seed=seed) for seed in range(_DRAWS)]
        rows.append([_address(one.pixels) for one in (plain, *draws)])
    return rows


def augmented_masks(
    project: MaskProject, last: Path | None, given: Mapping[str, Any]
) -> list[list[str]]:
    """As `augmented`, the mask over each: both go through the same draws."""
    names = project.trained(4)
    if not names:
        raise EmptyDataError("there are no training images yet")
    layout = LAYOUTS["masks"]
    layout.require_settings(given, "masks")
    size = shorter_side(project.labelled, _SIDE)
    changes = layout.how(**given).changes()
    changed = project.labelled.transform(get_transforms(**changes), size=size)
    rows = []
    for name in names:
        side, i = project.at[name]
        side = changed.train if side is project.labelled.train else changed.valid
        draws = [None, *(np.random.default_rng(seed) for seed in range(_DRAWS))]
        samples = [side.task.input.finish(side.sample(i, rng)) for rng in draws]
        pairs = [(side.task.input.as_item(one).pixels, one.y[0]) for one in samples]
        rows.append([_address(overlaid(*pair, project.classes)) for pair in pairs])
    return rows


def tokens(project: Project, last: Path | None, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of some texts their tokens, and which of them the last model knows.

    Before there is one, the tokens are those of our rules for words, and all count as known.
    """
    spec: Any = TextSpec() if last is None else task_from_json(read(last)[1]["task"])[0]
    rows = []
    for name in project.trained(8):
        text = project.example(name)[:_READ]
        found = spec.tokens(spec.ids(text)) if spec.tokenizer else tokenize(text)
        known = [spec.tokenizer or not spec.vocab or token in spec.numbers for token in found]
        rows.append({"text": text, "tokens": found, "known": known})
    return rows


def encoded(project: Project, last: Path | None, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of some series the curve, the image that is made of it, and of draws of the changes."""
    series = [np.asarray(project.example(name)) for name in project.trained(6)]
    if not series:
        raise EmptyDataError("there are no training series yet")
    spec = SeriesInput().fit(series)
    spec = spec.with_transforms(series_transforms(), min(64, spec.length or 64))
    rows = []
    for x in series:
        rng = np.random.default_rng(0)
        plain = spec.stretch(spec.array(x))
        draws = [plain]
        for _ in range(_DRAWS - 1):
            changed = plain
            for change in spec.train_changes:
                changed = change(changed, rng)
            draws.append(np.asarray(changed, np.float32))
        images = spec.prepare(torch.from_numpy(np.stack(draws)))
        pixels = ((images + 1) * 127.5).clamp(0, 255).byte().movedim(1, -1).numpy()
        rows.append({"series": drawn(x), "images": [_address(_wide(one)) for one in pixels]})
    return rows


def _wide(pixels: np.ndarray) -> np.ndarray:
    """Large enough that no viewer smooths it."""
    times = max(1, _SIDE // pixels.shape[1])
    return pixels.repeat(times, 0).repeat(times, 1)


LOOKS: dict[str, Callable[..., list[Any]]] = {
    "images": augmented,
    "masks": augmented_masks,
    "tokens": tokens,
    "encoded": encoded,
}


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
