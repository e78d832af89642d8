"""Images, masks and points as values that can show themselves."""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core import plot
from onecycle.core.errors import LabelError, UsageError, listing
from onecycle.core.machine import defaults
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.inputs.pixels import open_indexes, open_pixels, open_size
from onecycle.vision.transform import flatten
from onecycle.vision.warp import make_sample, resizing, run_foreign

_HALF = 0.5 / 255  # half a grey level: what rounding takes


@dataclass(frozen=True, eq=False)
class _Grid:
    """Values for every pixel: `data` is (channels, h, w)."""

    data: Tensor

    @property
    def shape(self) -> torch.Size:
        """(channels, h, w)."""
        return self.data.shape

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.data.shape[-2], self.data.shape[-1]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {tuple(self.shape)}"


class Image(_Grid):
    """An image: `data` is float32 (3, h, w) in 0-1."""

    @classmethod
    def of_pixels(cls, pixels: np.ndarray) -> Self:
        """From uint8 (h, w, 3)."""
        return cls(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)

    @property
    def pixels(self) -> np.ndarray:
        """uint8 (h, w, 3). UsageError for data that is not in 0-1, which would be cut off."""
        low, high = float(self.data.min()), float(self.data.max())
        if not -_HALF <= low <= high <= 1 + _HALF:
            raise UsageError(
                f"an Image is in 0-1, this data goes from {low:.3g} to {high:.3g}: divide it by "
                "255 (open_image does so unless div=False), or undo its normalisation"
            )
        return (self.data * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()

    def show(
        self,
        ax: Any = None,
        figsize: tuple[float, float] = (3, 3),
        title: str | None = None,
        hide_axis: bool = True,
        cmap: str | None = None,
        y: Any = None,
        **options: Any,
    ) -> Any:
        """Draw on `ax` or a new figure; `y` (a mask, points, or an answer) is drawn over it.

        With `cmap` the mean of the channels is drawn in its colours, as grey images are in
        `defaults.cmap` where that is set. `options` are those of
        `y.show`; UsageError where there is none.
        """
        if options and not hasattr(y, "show"):
            raise UsageError(f"show() knows no {listing(options)} without a y that can be drawn")
        if cmap is None and defaults.cmap and bool((self.data == self.data[:1]).all()):
            cmap = defaults.cmap
        shown = self.pixels if cmap is None else self.pixels.mean(2)
        ax = plot.draw_image(shown, ax, figsize, cmap=cmap)
        if not hide_axis:
            ax.axis("on")
        if hasattr(y, "show"):
            y.show(ax=ax, **options)
        elif y is not None:
            plot.add_title(ax, str(y))
        plot.add_title(ax, title)
        return ax

    def apply_tfms(self, tfms: Any, size: Any = None, seed: int | None = None, **how: Any) -> Image:
        """The image through random transforms; `how` are `transform()`'s ways of resizing."""
        given = flatten(tfms or [])
        spec = ImageSpec(**resizing([given], size, **how))
        sample = make_sample(self.pixels, given, spec, np.random.default_rng(seed))
        return Image.of_pixels(run_foreign(sample, spec.fixed_size).x)

    def _repr_png_(self) -> bytes:
        from PIL import Image as PillowImage

        buffer = io.BytesIO()
        PillowImage.fromarray(self.pixels).save(buffer, "PNG")
        return buffer.getvalue()


class ImageSegment(_Grid):
    """A mask: `data` is int64 (1, h, w), one class number per pixel."""

    def show(
        self,
        ax: Any = None,
        figsize: tuple[float, float] = (3, 3),
        title: str | None = None,
        cmap: str = "tab20",
        alpha: float = 0.5,
        n_classes: int | None = None,
    ) -> Any:
        """Draw the classes in colours, half transparent by default.

        With `n_classes` a class has the same colour in every mask.
        """
        top = n_classes or int(self.data.max()) + 1
        shown = np.ma.masked_less(self.data[0].numpy(), 0)
        options = {"cmap": cmap, "vmin": 0, "vmax": max(top - 1, 1), "alpha": alpha}
        ax = plot.draw_image(shown, ax, figsize, interpolation="nearest", **options)
        plot.add_title(ax, title)
        return ax


@dataclass(frozen=True, eq=False)
class FlowField:
    """Points on an image of `size` (h, w): `flow` is (n, 2)."""

    size: tuple[int, int]
    flow: Tensor


class ImagePoints:
    """Points of an image: `data` is float32 (n, 2), (y, x), from -1 to 1 from edge to edge.

    `flow` holds pixel coordinates (y, x) with `scale` (x, y with `y_first` false), where whole
    numbers are the centres of pixels; without `scale` it is `data` already.
    """

    def __init__(self, flow: FlowField, scale: bool = True, y_first: bool = True) -> None:
        points = torch.as_tensor(flow.flow, dtype=torch.float32).reshape(-1, 2)
        points = points if y_first else points.flip(1)
        size = torch.tensor(flow.size, dtype=torch.float32)
        self.size = (int(flow.size[0]), int(flow.size[1]))
        self.data = (points + 0.5) / size * 2 - 1 if scale else points

    @property
    def pixels(self) -> Tensor:
        """(n, 2) as (y, x) in pixels of the image."""
        return (self.data + 1) / 2 * torch.tensor(self.size, dtype=torch.float32) - 0.5

    def show(
        self,
        ax: Any = None,
        figsize: tuple[float, float] = (3, 3),
        title: str | None = None,
        **options: Any,
    ) -> Any:
        """Draw the points as red dots."""
        ax = plot.axes(ax, figsize)
        marks = {"s": 12, "marker": ".", "c": "r", **options}
        ax.scatter(self.pixels[:, 1], self.pixels[:, 0], **marks)
        plot.add_title(ax, title)
        return ax

    def __repr__(self) -> str:
        return f"{type(self).__name__} {tuple(self.data.shape)}"


def size_of(source: Any) -> tuple[int, int]:
    """The (h, w) of an image that is opened already, or upright of a file, array or PIL image."""
    return source.size if isinstance(source, Image) else open_size(source)


def open_image(fn: Any, div: bool = True, convert_mode: str = "RGB") -> Image:
    """Open a path, bytes, file, PIL image or array as an image; `convert_mode` "L" makes it grey.

    `div=False` keeps values at 0-255.
    """
    if convert_mode not in {"RGB", "L"}:
        raise UsageError(f'convert_mode is "RGB" or "L", not {convert_mode!r}')
    image = Image.of_pixels(open_pixels(fn))
    if convert_mode == "L":
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        image = Image((image.data * weights).sum(0, keepdim=True).expand(3, -1, -1))
    return image if div else Image(image.data * 255)


def open_mask(fn: Any, div: bool = False, colours: Any = None) -> ImageSegment:
    """Open an index mask; with `div` a mask of 0 and 255 becomes one of 0 and 1.

    `colours`, a table (classes, 3) of 0-255, turns a coloured mask into rows of the table.
    LabelError for a mask that holds other numbers than 0 and 255, where `div` is asked for.
    """
    stored = open_indexes(fn, colours).astype(np.int64)
    name = fn if isinstance(fn, str | PathLike) else "the mask"
    return ImageSegment(torch.from_numpy(halves(stored, str(name)) if div else stored)[None])


def halves(stored: np.ndarray, name: str) -> np.ndarray:
    """A mask of 0 and 255 as one of 0 and 1; LabelError for every other number."""
    strange, counts = np.unique(stored[(stored != 0) & (stored != 255)], return_counts=True)
    if len(strange):
        held = [f"{v} ({n} pixels)" for v, n in zip(strange[:5], counts, strict=False)]
        raise LabelError(
            f"{name} holds {', '.join(held)}: div=True is for masks of 0 and 255 alone. Where 255 "
            "means 'do not count', give Mask(void=255) instead; where the file is a JPEG, save "
            "(values > 127) as PNG"
        )
    return stored // 255
