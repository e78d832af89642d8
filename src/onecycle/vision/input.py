"""Images as model input: read, warped by a plan, batched as bytes, normalised on the device."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import ImageError, SizeError, UsageError, listing
from onecycle.core.path_list import plain_items
from onecycle.data.loader import Loader, can_fork
from onecycle.data.looks import Finding, Look
from onecycle.data.targets import Target
from onecycle.data.task import Input
from onecycle.export.image import image_prelude
from onecycle.learn.exporting import examples_of, own_side, pairs_of, sources_of
from onecycle.runtime.inputs.image import ImageSpec, View
from onecycle.runtime.sources import Remarks
from onecycle.vision.checks import ADVICE, check_files, look_of_pixels, odd_sizes, warn_of_surprises
from onecycle.vision.image import Image
from onecycle.vision.pixel_cache import PixelCache
from onecycle.vision.transform import Crop, Foreign, Geometric, Pixels, Transform, flatten
from onecycle.vision.warp import UNLABELLED, Sample, make_sample, resizing, run_foreign

_HIDDEN = {"json": False}
_MARGIN = 1.1  # a training JPEG is decoded at least this much larger than its output
_RULE = "pixels 1"  # grows when files are decoded to other pixels than before
_SIZES = ((61, 83), (128, 96), (33, 240))  # of noise for exported files: odd, upright, long


@dataclass(frozen=True, eq=False)
class ImageInput(ImageSpec, Input):
    """How an image becomes a tensor; the fields that are not in the spec serve training only."""

    augmented: ClassVar[bool] = True
    reads_files: ClassVar[bool] = True
    suits_stats_of_weights: ClassVar[bool] = True
    advice: ClassVar[Mapping[str, str]] = ADVICE
    train_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)
    valid_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)
    cache: PixelCache | None = field(default=None, repr=False, metadata=_HIDDEN)

    @cached_property
    def file_spec(self) -> ImageSpec:
        """How validation and `predict` prepare an image: what files hold."""
        half: Any = next(c for c in type(self).__mro__ if not getattr(c, "trains", True))
        plain: ImageSpec = half(**{f.name: getattr(self, f.name) for f in fields(half)})
        return validation_spec(plain, self.valid_tfms)

    def to_json(self) -> dict[str, Any]:
        """That of `shipped`: the training transforms are in no file."""
        return self.file_spec.to_json()

    def read(self, source: Any) -> Sample:
        """The image at its own size."""
        return Sample(self._pixels(source), *UNLABELLED)

    def shares(self, values: np.ndarray) -> np.ndarray:
        """What was read, as it is warped: bytes are as they are."""
        return values

    def _pixels(self, source: Any, *how: Any) -> np.ndarray:
        """uint8 (h, w, 3) of an image that is opened already, or as `array` reads it."""
        return source.pixels if isinstance(source, Image) else self.array(source, *how)

    def require_alike(self, other: Any) -> None:
        mine, theirs = ((x.dtype, x.bands, x.value_range) for x in (self, other))
        if mine != theirs:
            raise UsageError(
                "two lists are joined whose images are read otherwise: call with_bands(...) with "
                "the same bands and value_range on both, or on what add() gives"
            )

    def check(self, sources: Iterable[Any]) -> None:
        """Raise for missing, empty and unreadable files, and for sizes that cannot be batched.

        Warns of images that are not what they seem (see `spec.remarks`).
        """
        files, others = self.apart(sources)
        check_files(files, self.is_sized)
        warn_of_surprises([s for s in others if not isinstance(s, Image)])

    @property
    def is_sized(self) -> bool:
        """Whether images of any size become those of one."""
        crops = [t for t in (*self.train_tfms, *self.valid_tfms) if isinstance(t, Crop)]
        return self.size is not None or any(tfm.size for tfm in crops)

    def apart(self, sources: Iterable[Any]) -> tuple[list[Any], list[Any]]:
        """The files among sources, and the others; ImageError for open files."""
        files: list[Any] = []
        others: list[Any] = []
        for source in plain_items(sources):
            (files if isinstance(source, str | os.PathLike) else others).append(source)
        if opened := [source for source in others if hasattr(source, "read")]:
            raise ImageError(
                f"{len(opened)} items are open files ({listing(opened)}), which can be read once "
                "only, and training reads each item in every epoch: give their paths or their bytes"
            )
        return files, others

    def look(self, source: Any) -> Look:
        """The whole image is decoded, so that damage in its middle is found."""
        return look_of_pixels(self._pixels(source, Remarks()))

    def doubts(self, sources: Sequence[Any], looks: Sequence[Look]) -> Iterable[Finding]:
        return odd_sizes(looks, self.size)

    def with_transforms(
        self,
        tfms: Any,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Self:
        """With (train, valid) transforms; masks, points and boxes move with their image."""
        pair = ([], []) if tfms is None else tfms
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UsageError("transforms come as a pair (train, valid), as get_transforms() gives")
        train, valid = map(flatten, pair)
        how = resizing([train, valid], size, resize_method, padding_mode)
        return replace(self, **how, train_tfms=train, valid_tfms=valid, view=(), window=None)

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Sample:
        """Read, transform, and move the label; `rng` None: exactly as the exported file does."""
        tfms, spec = (self.valid_tfms, self.file_spec) if rng is None else (self.train_tfms, self)
        tfms = tfms if rng is not None or spec.in_python else ()
        remarks, rng = Remarks(), rng or np.random.default_rng(0)
        enough = self._enough(y) if tfms else None
        read = partial(self._pixels, source, remarks, enough)
        how = f"{_RULE} {self.reading} {enough}", read, self.planes, self.dtype
        pixels = self.cache.pixels(source, *how) if self.cache else read()
        sample = make_sample(self.shares(pixels), tfms, spec, rng, (y, target))
        return replace(sample, source=source, remarks=remarks)

    @cached_property
    def reading(self) -> str:
        """With the fields that a kind has beside those of images, as its bands."""
        names = {f.name for f in fields(self)} - {f.name for f in fields(ImageInput)}
        return f"{super().reading} {[(name, getattr(self, name)) for name in sorted(names)]}"

    def with_cache(self, given: Any) -> Self:
        """With a cache of decoded images, or with none."""
        cache = PixelCache.wanted(given)
        own = [vars(c) for c in type(self).__mro__ if not c.__module__.startswith("onecycle.")]
        if cache and any("array" in c for c in own) and not any("look_version" in c for c in own):
            raise UsageError(
                f"cache= keeps what {type(self).__name__}.array() gives between runs, and does not "
                "see when its code changes: give the class look_version: ClassVar[int] = 1, and a "
                "higher one with each change"
            )
        return self if cache is self.cache else replace(self, cache=cache)

    def end_pass(self) -> None:
        """Say if the cache holds no more."""
        if self.cache:
            self.cache.report()

    def finish(self, sample: Sample) -> Sample:
        """Run the transforms of other libraries, on the image and its label."""
        return run_foreign(sample, self.fixed_size)

    def _enough(self, y: np.ndarray) -> tuple[int, int] | None:
        """The size (h, w) down to which a JPEG may be shrunk while it is decoded."""
        if self.size is None or self.resize_method == "none" or y.ndim == 3:
            return None
        return int(self.size[0] * _MARGIN), int(self.size[1] * _MARGIN)

    def collate(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Bytes (n, 3, h, w), stored with the channels last, and the stacked labels."""
        samples = [self.finish(sample) for sample in samples]
        first = {sample.x.shape: sample.source for sample in samples}
        if len(first) > 1:
            named = [f"{source}: {shape[0]} x {shape[1]}" for shape, source in first.items()]
            raise SizeError(
                f"images of different sizes do not fit into one batch: {listing(named)}. "
                "Give transform() a size, for example size=224"
            )
        y = torch.from_numpy(np.stack([sample.y for sample in samples]))
        return torch.from_numpy(np.stack([s.x for s in samples])).permute(0, 3, 1, 2), y

    def prepare(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, h, w): 0-1, or normalised if statistics were given."""
        rows = x.permute(0, 2, 3, 1)
        if x.device.type != "cpu" or x.dtype != torch.uint8 or not rows.is_contiguous():
            return self._normalise(x)
        values = torch.arange(256, dtype=torch.uint8).expand(1, self.planes, 1, 256)
        table = self._normalise(values)[0, :, 0].T.contiguous().numpy()
        n, h, w, planes = rows.shape
        # one pass, and no threads of torch's, which would spin beside those of the loader
        done = cv2.LUT(rows.view(n * h, w, planes).numpy(), table[None])
        return torch.from_numpy(done).view(n, h, w, planes).permute(0, 3, 1, 2)

    def _normalise(self, x: Tensor) -> Tensor:
        """`prepare`, of values on any device and of any type."""
        x = x.float()
        if self.mean is None or self.std is None:
            return x.div_(self.white)
        mean, std = (torch.tensor(v, device=x.device) * self.white for v in (self.mean, self.std))
        last = x.permute(0, 2, 3, 1)
        if last.is_contiguous():  # one long row per line of pixels: ten times as fast as threes
            width = last.shape[2]
            last.view(-1, self.planes * width).sub_(mean.repeat(width)).div_(std.repeat(width))
            return x
        return x.sub_(mean[:, None, None]).div_(std[:, None, None])

    def as_item(self, x: Any) -> Image:
        """A sample, or a prepared tensor (3, h, w), as an image."""
        if not isinstance(x, Tensor):
            return Image.of_pixels(self.finish(x).x)
        return Image(self.denorm(x).clamp(0, 1))

    def denorm(self, x: Tensor) -> Tensor:
        """Planes (..., planes, h, w) in 0-1."""
        if self.mean is None or self.std is None:
            return x.float().cpu()
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return x.float().cpu() * std[:, None, None] + mean[:, None, None]

    def with_stats(self, stats: Any, data: Any) -> Self:
        """With (mean, std) per channel; None measures them on one training batch of `data`."""
        if self.mean is not None:
            raise UsageError("this data is normalised already: call normalize() once")
        if stats is None:
            x = data.one_batch()[0].transpose(0, 1).flatten(1)
            stats = x.mean(1).tolist(), x.std(1).tolist()
        mean, std = (tuple(float(v) for v in values) for values in stats)
        if len(mean) != self.planes or len(std) != self.planes or not all(v > 0 for v in std):
            raise ImageError(
                f"statistics are (mean, std) of {self.planes} channels, std above 0, not {stats}"
            )
        if not all(0 <= v <= 1 for v in (*mean, *std)):
            raise ImageError(
                f"statistics are of values in 0-1, not {stats}: divide those of 0-255 by 255"
            )
        return replace(self, mean=mean, std=std)

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Any:
        """Noise of three sizes, and items of the validation set as the user has them."""
        prelude = image_prelude(learner.task.input.file_spec)
        rng = np.random.default_rng(0)
        sources: list[Any] = [self._noise(rng, size) for size in _SIZES]
        sources += sources_of(own_side(learner))
        return examples_of(
            learner, precision, pairs_of(learner, sources, self._pixels), prelude, calibrate
        )

    def _noise(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """An image (h, w, bands) with which an exported file is checked."""
        return rng.integers(0, 256, (*size, 3), dtype=np.uint8)

    def loader(self, dataset: Any, **options: Any) -> Loader:
        """Batches from threads, or beside a CUDA device from processes.

        Sets were checked by `databunch()`; what a single item hides is reported.
        """
        kind = _Single if len(dataset) == 1 and dataset.labels is None else Loader
        return kind(dataset, processes=can_fork(options["device"]), **options)


class _Single(Loader):
    """The loader of one item, read once: it may be a file that is open."""

    def _load(self, index: int, epoch: int) -> Sample:
        found: Sample = super()._load(index, epoch)
        self.remarks = found.remarks
        return found

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for pair in super().__iter__():
            self.remarks.warn(1, stacklevel=5)  # the line that called predict()
            yield pair


# What validation does to an image, as the plain data that checkpoints and exported files hold.


def validation_spec(spec: ImageSpec, tfms: Sequence[Transform]) -> ImageSpec:
    """How validation prepares an image: `spec` with what its transforms look at.

    Crops, zooms, squishes and pads that draw nothing become a `view`; the names of all others are
    in `in_python`, with the reason: they run in the learner only.
    """
    acting = [tfm for tfm in tfms if tfm.p > 0]
    if not acting:
        return spec
    strange = tuple(f"{tfm.name} ({why})" for tfm in acting if (why := _not_plain(tfm)))
    if strange:
        return replace(spec, in_python=strange)
    crops = [tfm for tfm in acting if isinstance(tfm, Crop)]
    place = crops[-1].constants if crops else {}
    chain = np.eye(3)
    for tfm in acting:
        if isinstance(tfm, Geometric):
            chain = chain @ tfm.matrix(1.0, 1.0, **tfm.constants)
    numbers = (chain[1, 1], chain[0, 0], chain[1, 2], chain[0, 2])
    view = View(place.get("row_pct", 0.5), place.get("col_pct", 0.5), *map(float, numbers))
    window = None if spec.size else next((t.size for t in reversed(crops) if t.size), None)
    modes = [tfm.padding_mode for tfm in crops if tfm.padding_mode]
    padding_mode = modes[-1] if modes else spec.padding_mode
    middle = view == View() and window is None
    return replace(
        spec, padding_mode=padding_mode, view=() if middle else tuple(view), window=window
    )


def _not_plain(tfm: Transform) -> str | None:
    """Why a transform is no fixed crop, zoom, squish or pad, or None."""
    if isinstance(tfm, Foreign):
        return "a Python function"
    if tfm.p < 1 or len(tfm.constants) < len(tfm.draws):
        return "draws at random"
    if isinstance(tfm, Crop):
        return "adds pixels around" if tfm.padding else None
    if isinstance(tfm, Geometric):
        return None if _is_upright(tfm) else "turns, mirrors or bends"
    return "edits single pixels" if isinstance(tfm, Pixels) else "changes colours"


def _is_upright(tfm: Geometric) -> bool:
    """Whether a transform only stretches and shifts, by shares of the window."""
    unit, other = (tfm.matrix(*size, **tfm.constants) for size in ((1.0, 1.0), (30.0, 70.0)))
    shares = other / [[1, 1, 70.0], [1, 1, 30.0], [1, 1, 1]]
    across = np.abs([unit[0, 1], unit[1, 0], *unit[2, :2], unit[2, 2] - 1]).max()
    straight = across < 1e-9 and min(unit[0, 0], unit[1, 1]) > 0
    return bool(straight and np.allclose(shares, unit, atol=1e-9))


# Channel statistics (mean, std) of images in 0-1 that published weights were trained with.

imagenet_stats = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
half_stats = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
