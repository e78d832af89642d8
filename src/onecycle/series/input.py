"""Series as model input: read and stretched by workers, encoded as a batch on the device."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import DataError, UsageError, listing, warn
from onecycle.data.loader import Loader
from onecycle.data.looks import Finding, Look, digest_of
from onecycle.data.targets import Target
from onecycle.data.task import Input, Sample
from onecycle.export.graph import Examples
from onecycle.export.series import series_prelude
from onecycle.learn.exporting import examples_of, own_side, pairs_of, sources_of
from onecycle.runtime.inputs.series import SeriesSpec, as_series, blurs, numbers, varies
from onecycle.series.encode import Change, aggregate, gadf, gasf, mtf, recurrence

OPTIONS = ("encodings", "bins", "scale", "by", "length", "layout")  # of every list
_HIDDEN = {"json": False}
_REACH = 3.0  # standard deviations that lie on [-1, 1]
_LEAST = 1e-30  # differences of what varies by less come near float32's end


@dataclass(frozen=True, eq=False)
class Series:
    """One series (channels, t) float32, and the image (planes, h, w) made of it, in [-1, 1].

    There is no image where a network takes the series itself.
    """

    data: np.ndarray | None
    image: Tensor | None

    def show(self, ax: Any = None, figsize: tuple[float, float] = (6, 4)) -> Any:
        """The image, with the series drawn to its left."""
        from onecycle.core.plot import axes, draw_image

        ax = axes(ax, figsize)
        if self.image is None:
            assert self.data is not None
            ax.plot(self.data.T, linewidth=0.8)
            ax.tick_params(labelsize=6)
            return ax
        pixels = ((self.image + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()
        if pixels.shape[2] > 3:  # side by side, in grey
            pixels = np.concatenate([pixels[..., [i] * 3] for i in range(pixels.shape[2])], 1)
        if self.data is None:
            return draw_image(pixels, ax)
        ax.axis("off")
        left, right = ax.inset_axes((0, 0, 0.48, 1)), ax.inset_axes((0.52, 0, 0.48, 1))
        left.plot(self.data.T, linewidth=0.8)
        left.tick_params(labelsize=6)
        draw_image(pixels, right)
        return ax


@dataclass(frozen=True, eq=False)
class SeriesInput(SeriesSpec, Input):
    """How a series becomes a tensor; `train_changes` are (x, rng) -> x on (channels, length)."""

    train_changes: tuple[Change, ...] = field(default=(), metadata=_HIDDEN)
    measured: bool = field(default=False, metadata=_HIDDEN)  # `length`, which nobody gave
    mean: ClassVar[tuple[float, ...]] = (0.5,) * 3  # of pixels in 0-1: images are in [-1, 1]
    std: ClassVar[tuple[float, ...]] = (0.5,) * 3
    shows_samples: ClassVar[bool] = True

    def read(self, source: Any) -> Sample:
        return Sample(self.stretch(self.array(source)), np.zeros((), np.float32))

    def array(self, source: Any, remarks: Any = None) -> np.ndarray:
        return super().array(source.data if isinstance(source, Series) else source, remarks)

    def stretch(self, x: np.ndarray) -> np.ndarray:
        """(channels, t) on `length` steps, straight lines between the values.

        The same operations as in an exported graph: quantiles of equal values hang on the last bit.
        """
        if self.length is None or x.shape[1] == self.length:
            return x
        last, parts = x.shape[1] - 1, max(self.length - 1, 1)
        low, rest = np.divmod(np.arange(self.length) * last, parts)
        share = rest.astype(np.float32) / np.float32(parts)
        before, after = x[:, low], x[:, np.minimum(low + 1, last)]
        return (before + (after - before) * share).astype(np.float32)

    def fit(self, sources: Sequence[Any]) -> Self:
        """The longest length, the number of channels and the statistics of the training set."""
        series = [as_series(source, shift=self.by == "series") for source in sources]
        counts = {len(x) for x in series}
        if len(counts) > 1:
            raise DataError(f"series have different numbers of channels: {sorted(counts)}")
        if self.by == "train":
            _require_room(sources)
        whole = np.concatenate(series, axis=1)
        low, high = whole.min(1), whole.max(1)
        spread = np.where(high > low, whole.std(1, dtype=np.float64), 0)  # float32's squares are 0
        return replace(
            self,
            length=self.length or max(x.shape[1] for x in series),
            measured=self.measured or self.length is None,
            channels=len(series[0]),
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            centre=tuple(whole.mean(1, dtype=np.float64).tolist()),
            spread=tuple(spread.tolist()),
        )

    def check(self, sources: Iterable[Any]) -> None:
        if self.encodings and self.length is not None and self.pixels > self.length:
            raise UsageError(
                f"series of {self.length} steps make images of at most {self.length} pixels, "
                f"not {self.pixels}: use transform(size={self.length}) or less"
            )
        lengths = list[int]()
        for i, source in enumerate(sources):
            x = numbers(source, i)
            if len(x) != self.channels:
                raise DataError(f"series {i} has {len(x)} channels, the others {self.channels}")
            lengths.append(x.shape[1])
        others = [n for n in lengths if n != self.length]
        if others and self.measured:
            found = str(min(others)) + f" to {max(others)}" * (min(others) < max(others))
            message = (
                f"{len(others)} of {len(lengths)} series have {found} steps and are stretched to "
                f"the {self.length} of the longest that trains, so that their pace changes; "
                "length= of the list says to how many instead, and keeps them without this warning"
            )
            warn(message, 4)

    advice: ClassVar[Mapping[str, str]] = {
        "gaps": "they are filled by straight lines: fill them yourself, or leave the series out",
        "constant": "a channel that never changes says nothing: is it the right column?",
        "length": "it is stretched to the others' length: cut the series alike, or give length=",
    }

    def look(self, source: Any) -> Look:
        x = numbers(source)
        problems = []
        if lost := int(np.isnan(x).sum()):
            problems.append(("gaps", f"{lost} of {x.size} values"))
        still = np.flatnonzero(np.nanmax(x, 1) == np.nanmin(x, 1)).tolist()
        if still:
            problems.append(("constant", f"channel {listing(still)}"))
        return Look(tuple(problems), x.shape, digest_of(x))

    def doubts(self, sources: Sequence[Any], looks: Sequence[Look]) -> Iterator[Finding]:
        """Series of other lengths than most."""
        counts = Counter(look.size[1] for look in looks if look.size)
        usual = max(counts, key=lambda n: (counts[n], n), default=0)
        for i, look in enumerate(looks):
            if look.size and look.size[1] != usual:
                yield i, "length", f"{look.size[1]} steps, most have {usual}"

    def require_alike(self, other: Any) -> None:
        for name in OPTIONS:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise UsageError(
                    f"the two lists of series were made with other options: {name} is {ours!r} and "
                    f"{theirs!r}; give both the same"
                )

    def with_transforms(
        self,
        tfms: Any,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Self:
        """With (train, valid) changes and images of `size` pixels for every channel."""
        if resize_method or padding_mode or tfm_y:
            raise UsageError("series know no resize_method, no padding_mode and no tfm_y")
        if size is not None and (not isinstance(size, Integral) or size < 1):
            raise UsageError(f"the size of a series' image is a positive int, not {size!r}")
        if size is not None and not self.encodings:
            raise UsageError("size= is that of images, and encodings=() makes none: leave it out")
        pair = ((), ()) if tfms is None else tuple(tfms)
        if len(pair) != 2 or not all(isinstance(side, list | tuple) for side in pair) or pair[1]:
            raise UsageError(
                "the changes of series are a pair (changes, []), as series_transforms() gives it: "
                "for validation series are not changed"
            )
        for change in pair[0]:
            self._try(change)
        return replace(self, pixels=int(size or 0) or self.pixels, train_changes=tuple(pair[0]))

    def _try(self, change: Any) -> None:
        """UsageError for what does not map a series and a generator to a series."""
        x = np.ones((self.channels, self.length or 32))
        try:
            shape = np.shape(change(x, np.random.default_rng(0)))
        except Exception as error:
            raise UsageError(
                f"{change!r} is no change of series, (channels, t) and a generator to (channels, t)"
                f", as onecycle.series has them: {error}"
            ) from error
        if shape != x.shape:
            raise UsageError(f"{change!r} gives a series of another shape")

    def with_stats(self, stats: Any, data: Any) -> Self:
        raise UsageError("series are scaled by `scale` and `by` of the list, not by normalize()")

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Sample:
        x = self.stretch(self.array(source))
        for change in self.train_changes if rng is not None else ():
            x = change(x, rng)  # type: ignore[arg-type]
        return Sample(x.astype(np.float32), target.move(y, None))

    def prepare(self, x: Tensor) -> Tensor:
        """Series (n, channels, length) as images (n, planes, h, w) in [-1, 1], or scaled."""
        if not self.encodings:
            return self.rescale(x)
        fields = torch.stack([self._field(x, name) for name in self.encodings], 2)
        if self.layout == "planes":
            fields = fields.flatten(1, 2)[:, None]
        count = fields.shape[2]
        if count == 1:
            fields = fields.expand(-1, -1, 3, -1, -1)
        elif count == 2:
            fields = torch.cat([fields, fields.mean(2, keepdim=True)], 2)
        return self._side_by_side(fields)

    def rescale(self, x: Tensor) -> Tensor:
        """By the statistics of each series or of the training set."""
        if self.by == "train":
            pair = (self.low, self.high) if self.scale == "minmax" else (self.centre, self.spread)
            first, second = (torch.tensor(v, dtype=x.dtype, device=x.device)[:, None] for v in pair)
        elif self.scale == "minmax":
            first, second = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
        else:
            first = x.mean(-1, keepdim=True)
            second = (x - first).square().mean(-1, keepdim=True).sqrt()
        apart = second if self.scale == "zscore" else second - first
        if self.by == "train":
            apart = torch.where(apart > 0, apart, torch.ones_like(apart))
        else:  # it varies by 1e-3 or not at all (`as_series`): less is rounding of its mean
            apart = apart.clamp(min=1e-8)
        return (x - first) / apart if self.scale == "zscore" else 2 * (x - first) / apart - 1

    def _field(self, x: Tensor, name: str) -> Tensor:
        if name == "mtf":  # ranks alone count: unscaled, so that rounding moves nothing
            return 2 * mtf(x, self.pixels, self.bins) - 1
        x = self.rescale(x) if self.scale == "minmax" else self.rescale(x) / _REACH
        own = self.by == "series" and self.scale == "minmax"
        if name == "recurrence":
            far = recurrence(aggregate(x, self.pixels))
            most = far.amax((-1, -2), keepdim=True).clamp(min=1e-8)
            return 1 - 2 * far / most if own else (1 - far).clamp(min=-1)
        return (gasf if name == "gasf" else gadf)(x, self.pixels, own)

    def _side_by_side(self, x: Tensor) -> Tensor:
        """(n, places, planes, p, p) to (n, planes, rows p, columns p); places left over are 0."""
        rows, columns = self.grid
        if empty := rows * columns - x.shape[1]:
            x = torch.cat([x, torch.zeros_like(x[:, :1]).repeat(1, empty, 1, 1, 1)], 1)
        tiles = x.unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5)
        return tiles.reshape(-1, self.planes, rows * self.pixels, columns * self.pixels)

    def image_shape(self) -> tuple[int, tuple[int, int] | None]:
        if not self.encodings:
            raise UsageError(
                "encodings=() hands on the series itself, and a network for images takes none: "
                'series_learner(data, arch="inception_time") makes one for series'
            )
        return super().image_shape()

    def as_item(self, x: Any) -> Series:
        if isinstance(x, Tensor):
            x = x.float().cpu()
            return Series(None, x) if self.encodings else Series(x.numpy(), None)
        if not self.encodings:
            return Series(x.x, None)
        return Series(x.x, self.prepare(torch.from_numpy(x.x)[None])[0])

    def loader(self, dataset: Any, **options: Any) -> Loader:
        """Without threads: what they would do holds Python's lock."""
        return Loader(dataset, **{**options, "num_workers": 0})

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Examples:
        """Walks of several lengths, and series of the validation set."""
        assert self.length is not None
        rng = np.random.default_rng(0)
        centre, spread = (np.array(v, np.float32)[:, None] for v in (self.centre, self.spread))
        sources: list[Any] = []
        for t in (2, self.length, self.length + 1, 3 * self.length + 2):
            walk = rng.normal(size=(self.channels, t)).cumsum(1) / t**0.5
            sources.append((centre + spread * walk).astype(np.float32))
        side = own_side(learner)
        sources += sources_of(side) if side is not None else []
        pairs = pairs_of(learner, sources, self.array)
        prelude = series_prelude(self, [x for x, _ in pairs])
        return examples_of(learner, precision, pairs, prelude, calibrate)


def _require_room(sources: Sequence[Any]) -> None:
    """DataError for a channel that varies too little for float32."""
    x = np.concatenate([numbers(source) for source in sources], axis=1)
    low, high = np.nanmin(x, 1), np.nanmax(x, 1)
    tiny = varies(low, high) & (high - low < _LEAST)
    if (narrow := blurs(low, high, 1e-5) | tiny).any():
        c = int(narrow.argmax())
        raise DataError(
            f"channel {c} of the training set lies between {low[c]!r} and {high[c]!r}, too close "
            "for float32: subtract its level and take a smaller unit, or scale each series by "
            'itself (by="series")'
        )
