"""Pictures as model input: read, warped by a plan, batched as bytes, normalised on the device."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import ImageError, SizeError, UsageError, listing
from onecycle.core.rng import untouched
from onecycle.data.loader import Loader, can_fork
from onecycle.data.targets import NoLabel, Target
from onecycle.data.task import Input
from onecycle.runtime.inputs.image import ImageSpec, parse_size
from onecycle.runtime.sources import Remarks
from onecycle.vision.checks import check_files, warn_of_surprises
from onecycle.vision.image import Image
from onecycle.vision.transform import Foreign, Transform, flatten
from onecycle.vision.validation import validation_spec
from onecycle.vision.warp import Plan, draw_plan, exact, exact_plan, one_window, warp

if TYPE_CHECKING:
    pass


_HIDDEN = {"json": False}
_MARGIN = 1.1  # a training JPEG is decoded at least this much larger than its output


@dataclass(frozen=True, eq=False)
class Sample:
    """One loaded picture: `x` uint8 (h, w, 3), its label, and what is still to be done with it.

    `remarks` are on what was reinterpreted as it was read.
    """

    x: np.ndarray
    y: np.ndarray
    target: Any
    plan: Plan | None = None
    source: Any = None
    remarks: Remarks = field(default_factory=Remarks)


@dataclass(frozen=True, eq=False)
class ImageInput(ImageSpec, Input):
    """How a picture becomes a tensor; the fields that are not in the spec serve training only."""

    augmented: ClassVar[bool] = True
    train_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)
    valid_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)

    @cached_property
    def shipped(self) -> ImageSpec:
        """How validation and `predict` prepare a picture: what files hold."""
        half: Any = next(c for c in type(self).__mro__ if not getattr(c, "trains", True))
        plain: ImageSpec = half(**{f.name: getattr(self, f.name) for f in fields(half)})
        return validation_spec(plain, self.valid_tfms)

    def to_json(self) -> dict[str, Any]:
        """That of `shipped`: the training transforms are in no file."""
        return self.shipped.to_json()

    def read(self, source: Any) -> Sample:
        """The picture at its own size."""
        pixels = source.pixels if isinstance(source, Image) else self.array(source)
        return Sample(pixels, np.zeros((), np.float32), NoLabel())

    def fit(self, sources: Sequence[Any]) -> Self:
        """Pictures need no vocabulary."""
        return self

    def check(self, sources: Iterable[Any]) -> None:
        """Raise for missing, empty and unreadable files, and for sizes that cannot be batched.

        Warns of images that are not what they seem (see `spec.remarks`).
        """
        files: list[Any] = []
        others: list[Any] = []
        for source in sources:
            (files if isinstance(source, str | os.PathLike) else others).append(source)
        if opened := [source for source in others if hasattr(source, "read")]:
            raise ImageError(
                f"{len(opened)} items are open files ({listing(opened)}), which can be read once "
                "only, and training reads each item in every epoch: give their paths or their bytes"
            )
        check_files(files, self._fixed_size())
        warn_of_surprises([s for s in others if not isinstance(s, Image)])

    def _fixed_size(self) -> bool:
        sizes = [getattr(tfm, "size", None) for tfm in (*self.train_tfms, *self.valid_tfms)]
        return self.size is not None or any(sizes)

    def transformed(
        self,
        tfms: Any,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Self:
        """With (train, valid) transforms; masks, points and boxes move with their picture."""
        pair = ([], []) if tfms is None else tfms
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UsageError("transforms come as a pair (train, valid), as get_transforms() gives")
        wanted, method = parse_size(size)
        if resize_method is not None and (wanted is None) != (resize_method == "none"):
            raise UsageError(
                f"size={size} and resize_method={resize_method!r}: a way of resizing goes with a "
                'size, and "none" with none'
            )
        train, valid = flatten(pair[0]), flatten(pair[1])
        for tfms in (train, valid):
            one_window(tfms, wanted)
        return replace(
            self,
            size=wanted,
            resize_method=resize_method or method,
            padding_mode=padding_mode or "reflection",
            train_tfms=train,
            valid_tfms=valid,
            view=(),
            window=None,
        )

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Sample:
        """Read, transform, and move the label; `rng` None: exactly as the exported file does."""
        tfms, spec = (self.valid_tfms, self.shipped) if rng is None else (self.train_tfms, self)
        plain, remarks = not (spec.in_python if rng is None else tfms), Remarks()
        if isinstance(source, Image):
            pixels = source.pixels
        else:
            pixels = self.array(source, remarks, None if plain else self._enough(y))
        if plain:
            plan = exact_plan(pixels.shape[:2], spec)
            return Sample(exact(pixels, spec), target.move(y, plan), target, plan, source, remarks)
        rng = rng or np.random.default_rng(0)
        plan = draw_plan(tfms, self, (pixels.shape[0], pixels.shape[1]), rng)
        return Sample(warp(pixels, plan), target.move(y, plan), target, plan, source, remarks)

    def finish(self, sample: Sample) -> Sample:
        """Run the transforms of other libraries, on the picture and its label."""
        return run_foreign(sample, self.size if self.resize_method != "none" else None)

    def load_pixels(self, pixels: np.ndarray, rng: np.random.Generator) -> Sample:
        """An array as an unlabelled training sample."""
        return self.load(pixels, np.zeros((), np.float32), NoLabel(), rng)

    def _enough(self, y: np.ndarray) -> tuple[int, int] | None:
        """The size (h, w) down to which a JPEG may be shrunk while it is decoded."""
        if self.size is None or self.resize_method == "none" or y.ndim == 3:
            return None
        return int(self.size[0] * _MARGIN), int(self.size[1] * _MARGIN)

    def collate(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Bytes (n, 3, h, w), stored with the channels last, and the stacked labels."""
        samples = [self.finish(sample) for sample in samples]
        if len({sample.x.shape for sample in samples}) > 1:
            raise SizeError(_different(samples))
        y = torch.from_numpy(np.stack([sample.y for sample in samples]))
        return torch.from_numpy(np.stack([s.x for s in samples])).permute(0, 3, 1, 2), y

    def prepare(self, x: Tensor) -> Tensor:
        """Float32 (n, 3, h, w): 0-1, or normalised if statistics were given."""
        x = x.float()
        if self.mean is None or self.std is None:
            return x.div_(255)
        mean, std = (torch.tensor(v, device=x.device) * 255 for v in (self.mean, self.std))
        last = x.permute(0, 2, 3, 1)
        if last.is_contiguous():  # one long row per line of pixels: ten times as fast as threes
            width = last.shape[2]
            last.view(-1, 3 * width).sub_(mean.repeat(width)).div_(std.repeat(width))
            return x
        return x.sub_(mean[:, None, None]).div_(std[:, None, None])

    def as_item(self, x: Any) -> Image:
        """A sample, or a prepared tensor (3, h, w), as a picture."""
        if isinstance(x, Tensor):
            if self.mean is not None and self.std is not None:
                mean, std = torch.tensor(self.mean), torch.tensor(self.std)
                x = x.cpu() * std[:, None, None] + mean[:, None, None]
            return Image(x.float().cpu().clamp(0, 1))
        return Image.of_pixels(self.finish(x).x)

    def normalized(self, stats: Any, data: Any) -> Self:
        """With (mean, std) per channel; None measures them on one training batch of `data`."""
        if self.mean is not None:
            raise UsageError("this data is normalised already: call normalize() once")
        if stats is None:
            x = data.one_batch()[0].transpose(0, 1).flatten(1)
            stats = x.mean(1).tolist(), x.std(1).tolist()
        mean, std = (tuple(float(v) for v in values) for values in stats)
        if len(mean) != 3 or len(std) != 3 or not all(v > 0 for v in std):
            raise ImageError(f"statistics are (mean, std) of 3 channels, std above 0: {stats}")
        if not all(0 <= v <= 1 for v in (*mean, *std)):
            raise ImageError(
                f"statistics are of values in 0-1, not {stats}: divide those of 0-255 by 255"
            )
        return replace(self, mean=mean, std=std)

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Any:
        """What `deploy.export` needs to write a network of pictures."""
        from onecycle.vision.validation import examples

        return examples(learner, precision, calibrate)

    def loader(self, dataset: Any, **options: Any) -> Loader:
        """Batches from threads, or beside a CUDA device from processes.

        Sets were checked by `databunch()`; of a single item to be predicted what it hides is said.
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
            self.remarks.warn(1, stacklevel=4)  # the line that called predict()
            yield pair


def _different(samples: Sequence[Sample]) -> str:
    first = {sample.x.shape: sample.source for sample in samples}
    named = [f"{source}: {shape[0]} x {shape[1]}" for shape, source in first.items()]
    return (
        f"pictures of different sizes do not fit into one batch: {listing(named)}. "
        "Give transform() a size, for example size=224"
    )


# Transforms of other libraries, run after our own warp, with their luck kept apart from ours.

_HALF = 0.5 / 255  # of a grey level: what rounding takes


def run_foreign(sample: Sample, size: tuple[int, int] | None = None) -> Sample:
    """The sample through the foreign transforms of its plan, each seeded by the plan.

    torchvision's v2 transforms see the picture as `tv_tensors.Image`, uint8 (3, h, w), masks and
    points as its types too, so that they move together. Runs where the batch is collated, not in
    a worker: these transforms draw from torch's global generator.

    UsageError, with the name of the transform, for a result that is no image of bytes or of floats
    in 0-1; SizeError for another size than `size` (h, w), where that is given.
    """
    if sample.plan is None or not sample.plan.foreign:
        return sample
    from torchvision import tv_tensors

    image = tv_tensors.Image(torch.from_numpy(sample.x).permute(2, 0, 1).contiguous())
    label = sample.target.as_tv_tensor(sample.y, sample.x.shape[:2])
    given: Any = image if label is None else (image, label)
    culprit = sample.plan.foreign[-1][0]
    for tfm, seed in sample.plan.foreign:
        before = _is_in_range(_image_of(given, label))
        given = _call(tfm, seed, given, label)
        if before and not _is_in_range(_image_of(given, label)):
            culprit = tfm
    x = _bytes(_image_of(given, label), culprit.name)
    if size is not None and x.shape[:2] != size:
        raise SizeError(
            f"the transform {culprit.name} made an image of {x.shape[0]} x {x.shape[1]}, wanted is "
            f"{size[0]} x {size[1]}: give that size to transform(size=...) and leave such "
            "transforms out, crop() and rand_resize_crop() do the same"
        )
    y = sample.y if label is None else sample.target.from_tv_tensor(given[1], x.shape[:2])
    return replace(sample, x=x, y=y, plan=replace(sample.plan, foreign=()))


def _call(tfm: Foreign, seed: int, given: Any, label: Any) -> Any:
    """What a transform makes of an image, or of the pair of an image and its label."""
    with untouched(torch):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            out = tfm.call(given)
        except Exception as error:  # whatever another library raises
            of = "an image" if label is None else "a pair of an image and its label"
            raise UsageError(
                f"the transform {tfm.name} failed on {of} ({type(error).__name__}: {error}); those "
                "of torchvision.transforms.v2 take both"
            ) from error
    pair = isinstance(out, tuple | list) and len(out) == 2
    if label is not None and not (pair and type(out[1]) is type(label)):
        raise UsageError(
            f"the transform {tfm.name} gave back no pair of an image and its label: only those "
            "that move both, as torchvision.transforms.v2 have them, go with masks and points"
        )
    return out


def _image_of(given: Any, label: Any) -> Any:
    return given if label is None else given[0]


def _is_in_range(out: Any) -> bool:
    """Whether a tensor of floats lies in 0-1; of anything else nothing is known yet."""
    if not isinstance(out, Tensor) or not out.is_floating_point():
        return True
    return bool(((out >= -_HALF) & (out <= 1 + _HALF)).all())  # not a NaN either


def _bytes(out: Any, name: str) -> np.ndarray:
    """What a transform gave back, as uint8 (h, w, 3)."""
    wanted = "wanted is (3, h, w) of uint8, or of floats in 0-1"
    if not isinstance(out, Tensor):
        values = np.asarray(out)
        if values.dtype.kind not in "bufi" or values.ndim not in {2, 3}:
            raise UsageError(f"the transform {name} returned {type(out).__name__}, {wanted}")
        out = torch.from_numpy(np.atleast_3d(values).copy()).permute(2, 0, 1)
    if out.ndim != 3 or out.shape[0] != 3:
        raise UsageError(f"the transform {name} returned shape {tuple(out.shape)}, {wanted}")
    if not _is_in_range(out):
        raise UsageError(
            f"the transform {name} returned values from {float(out.min()):.3g} to "
            f"{float(out.max()):.3g}, {wanted}: what lies outside would be cut off, and the "
            "exported file would not do the same. Normalising is data.normalize(stats), after "
            "databunch(); v2.ToDtype(torch.float32) wants scale=True"
        )
    if out.is_floating_point():
        out = (out * 255).round().clamp(0, 255).to(torch.uint8)
    if out.dtype != torch.uint8:
        raise UsageError(f"the transform {name} returned {out.dtype}, {wanted}")
    return out.permute(1, 2, 0).contiguous().numpy()


# Channel statistics (mean, std) of pictures in 0-1 that published weights were trained with.

imagenet_stats = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
half_stats = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
