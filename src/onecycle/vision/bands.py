"""Images of any number of bands and any depth as model input: measured, warped, normalised."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import in_threads
from onecycle.core.errors import ImageError, UsageError, listing, require_whole, warn
from onecycle.core.file_cache import look_at_files
from onecycle.core.machine import defaults
from onecycle.data.databunch import DatasetType
from onecycle.data.looks import Look, digest_of
from onecycle.runtime.inputs.band_files import Shape
from onecycle.runtime.inputs.bands import BandsSpec, Range, shape_of
from onecycle.runtime.sources import Remarks
from onecycle.vision.checks import (
    SHOW_FROM,
    look_of_pixels,
    refuse_faults,
    refuse_sizes,
    warn_of_surprises,
)
from onecycle.vision.image import Image
from onecycle.vision.input import ImageInput
from onecycle.vision.warp import UNLABELLED, Sample

_MEASURED = 200  # training images whose values decide the range
_SUMMED = 1000  # training images whose values decide mean and standard deviation
_SHARES = (0.5, 99.5)  # per cent of the values that lie below the range, and below its end
_VALUES = 10_000  # of each image and band


@dataclass(frozen=True, eq=False)
class BandsInput(BandsSpec, ImageInput):
    """How bands become a tensor; `rgb` are those that are drawn as red, green and blue."""

    has_channels: ClassVar[bool] = False
    rgb: tuple[int, ...] = field(default=(), metadata={"json": False})

    @classmethod
    def of(
        cls, given: ImageInput, bands: Any, value_range: Any, rgb: Any, page: int | None
    ) -> Self:
        """What `ImageList.with_bands` stands for; UsageError for what is none."""
        chosen = () if isinstance(bands, str) and bands == "all" else _whole("bands", bands)
        ranges = () if value_range is None else _ranges(value_range, len(chosen))
        drawn = () if rgb is None else _whole("rgb", rgb)
        if drawn and (len(drawn) != 3 or (chosen and not set(drawn) <= set(chosen))):
            raise UsageError(f"rgb are three of the bands {bands!r}, by their numbers, not {rgb!r}")
        number = 0 if page is None else require_whole("page", page, 1)
        kept = {f.name: getattr(given, f.name) for f in fields(ImageInput)}
        return cls(**kept, bands=chosen, value_range=ranges, rgb=drawn, frame=number)

    def fit(self, sources: Sequence[Any]) -> Self:
        """With the range of each band, measured on up to 200 items where it was not given."""
        if self.bands and self.value_range:
            return self
        values, images = self._sample(sources)
        fitted = self._with_range(values)
        numbers = self.bands or range(1, fitted.planes + 1)
        low, high = (f(values, axis=0) for f in (np.fmin.reduce, np.fmax.reduce))
        if flat := [b for b, varies in zip(numbers, high > low, strict=True) if not varies]:
            warn(
                f"{len(flat)} of {fitted.planes} bands ({listing(flat)}) have one value in all of "
                f"{images} training images: they say nothing. Leave them out of bands=",
                5,
            )
        if not self.value_range and defaults.progress:
            pairs = zip(numbers, fitted.value_range, strict=True)
            print(
                f"value_range of the bands, from {_SHARES[0]} to {_SHARES[1]} per cent of the "
                f"values of {images} training images: "
                + ", ".join(f"{band}: {low:g} to {high:g}" for band, (low, high) in pairs)
                + "; with_bands(value_range=...) decides otherwise"
            )
        return fitted

    def _sample(self, sources: Sequence[Any]) -> tuple[np.ndarray, int]:
        """Some values (n, bands) of up to 200 of the images, and how many images these are."""
        rows = np.unique(np.linspace(0, len(sources) - 1, _MEASURED).round().astype(int))
        looks = in_threads(self._sampled, [sources[i] for i in rows])
        found = [look for look in looks if isinstance(look, np.ndarray)]
        if not found:
            raise looks[0]
        counts = sorted({look.shape[1] for look in found})
        if len(counts) > 1:
            raise ImageError(f"images have {listing(counts)} bands: give bands=, by their numbers")
        return np.concatenate(found), len(found)

    def _with_range(self, values: np.ndarray) -> Self:
        """With the range that is given, or else that of values (n, bands)."""
        bands, given = values.shape[1], self.value_range
        if len(given) not in {0, 1, bands}:
            raise ImageError(f"value_range is of {len(given)} bands, the images have {bands}")
        ranges = given * (bands if len(given) == 1 else 1)
        return replace(self, value_range=ranges or tuple(map(_range_of, values.T)))

    def _sampled(self, source: Any) -> np.ndarray | ImageError:
        """Some of the values of an image (n, bands), evenly spread; what is wrong is said later."""
        try:
            values, _ = replace(self, value_range=()).stored(source, Remarks())
        except ImageError as error:
            return error
        step = max(1, round((values.shape[0] * values.shape[1] / _VALUES) ** 0.5))
        return values[::step, ::step].reshape(-1, values.shape[2])

    def check(self, sources: Iterable[Any]) -> None:
        """Raise for files that are no images of these bands, naming the first five.

        Their headers are read, and of up to 200 of them everything: what is odd is a warning.
        """
        files, others = self.apart(sources)
        unique, faults = list(dict.fromkeys(files)), dict[Any, ImageError]()

        def shape(path: Any) -> Shape | None:
            try:
                found = shape_of(path, str(path), self.frame)
            except ImageError as error:
                faults[path] = error
                return None
            if fault := self.lacks(found[2]):
                faults[path] = ImageError(f"{path}: {fault}")
            return None if fault else found

        rule = f"shape of images {self.bands} {self.planes} {self.frame}"
        shapes = look_at_files(rule, shape, unique, "checking files", SHOW_FROM)
        refuse_faults(faults, unique)
        if not self.is_sized:
            refuse_sizes(unique, [(h, w) for h, w, _ in shapes])
        warn_of_surprises([*unique, *others], read=self.array)

    def read(self, source: Any) -> Sample:
        """The image at its own size; before its range is known, in the range of its own values."""
        whole = self.value_range and (self.bands or len(self.value_range) > 1)
        known = self if whole else self._with_range(self._sample([source])[0])
        return Sample(known.shares(known.array(source)), *UNLABELLED)

    def _pixels(self, source: Any, *how: Any) -> np.ndarray:
        if isinstance(source, Image):
            raise ImageError(
                "an opened Image has three bands of 8 bits: give the file, or its values as an "
                "array (h, w, bands)"
            )
        return self.array(source, *how)

    def _enough(self, y: np.ndarray) -> None:
        """They are read whole."""

    def look(self, source: Any) -> Look:
        """The whole image is decoded; two that differ in one band are no copies."""
        values = self.array(source, Remarks())
        seen = look_of_pixels((self.shares(values) * 255).round().astype(np.uint8))
        return replace(seen, digest=seen.digest and digest_of(values))

    def as_item(self, x: Any) -> Image:
        """A sample, or a prepared tensor (bands, h, w), as an image of the bands in `rgb`."""
        if not isinstance(x, Tensor):
            x = torch.from_numpy(self.finish(x).x).permute(2, 0, 1)
        else:
            x = self.denorm(x)
        return Image(x[self._drawn(len(x))].clamp(0, 1))

    def _drawn(self, count: int) -> list[int]:
        """Where the bands that are drawn lie among all: the first three, or one as grey."""
        if not self.rgb:
            return [0, 1, 2] if count > 2 else [0, 0, 0]
        return [self.bands.index(b) if self.bands else b - 1 for b in self.rgb]

    def with_stats(self, stats: Any, data: Any) -> Self:
        """With (mean, std) per band; None measures them on up to 1,000 training images."""
        return super().with_stats(self._measured(data) if stats is None else stats, data)

    def _measured(self, data: Any) -> tuple[list[float], list[float]]:
        side = data.in_order(DatasetType.Train).dataset
        rows = np.unique(np.linspace(0, len(side) - 1, _SUMMED).round().astype(int))
        options = {k: data.options[k] for k in ("num_workers", "device", "seed")}
        loader = self.loader(side.take(rows.tolist()), batch_size=data.options["val_bs"], **options)
        sums, count = torch.zeros(2, self.planes, dtype=torch.float64), 0
        for x, _ in loader:
            flat = x.cpu().double().transpose(0, 1).flatten(1)
            sums += torch.stack([flat.sum(1), flat.square().sum(1)])
            count += flat.shape[1]
        mean = sums[0] / count
        std = (sums[1] / count - mean.square()).clamp(min=1e-12).sqrt()
        return mean.tolist(), std.tolist()

    def _noise(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Also outside the range, where values are cut off."""
        low, high = np.array(self.value_range, np.float32).T
        shares = rng.uniform(-0.02, 1.02, (*size, self.planes)).astype(np.float32)
        stored = np.zeros((*size, max(self.bands, default=self.planes)), np.float32)
        stored[:, :, [b - 1 for b in self.bands] or slice(None)] = low + shares * (high - low)
        return stored


class GreyInput(BandsInput):
    """The one band of grey images of 8 bits, as a network with one plane takes it."""

    def fit(self, sources: Sequence[Any]) -> Self:
        """UsageError for images with more bands: their mixture would be in no exported file."""
        fitted = super().fit(sources)
        if fitted.planes > 1:
            raise UsageError(
                f'convert_mode="L" takes files of one band, these have {fitted.planes}: save them '
                'as grey PNG (PIL: .convert("L")), or leave convert_mode out, with three planes in '
                "the network's first layer; of JPEG with_bands(1, value_range=(0, 255)) takes the "
                "first plane"
            )
        return fitted


def _whole(name: str, given: Any) -> tuple[int, ...]:
    """Numbers of bands; UsageError for what is none."""
    values = (given,) if isinstance(given, int) else tuple(given)
    if not values or not all(isinstance(v, int) and v > 0 for v in values):
        raise UsageError(
            f'{name} are "all" or the numbers of bands, counted from 1 as in GDAL and data sheets, '
            f"not {given!r}"
        )
    return values


def _ranges(given: Any, bands: int) -> tuple[Range, ...]:
    """One (low, high) for all bands, or one for each; UsageError for what is none."""
    try:
        pairs = np.atleast_2d(np.array(given, np.float64))
    except (TypeError, ValueError):
        pairs = np.empty((0, 0))
    if pairs.shape[1:] != (2,) or (bands and len(pairs) not in {1, bands}):
        raise UsageError(f"value_range is (low, high), or one for each of the bands, not {given!r}")
    found = tuple((low, high) for low, high in pairs.tolist())
    return found * bands if len(found) == 1 and bands else found


def _range_of(values: np.ndarray) -> Range:
    """What most values of one band lie in; NaN do not count."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, _SHARES).tolist() if len(known) else (0.0, 0.0)
    if not low < high:  # nearly all are one value
        low, high = float(known.min(initial=low)), float(known.max(initial=high))
    return low, (high if low < high else low + 1)
