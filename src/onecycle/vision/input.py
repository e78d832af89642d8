"""Pictures as model input: read, warped by a plan, batched as bytes, normalised on the device."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import ImageError, SizeError, UsageError, listing
from onecycle.data.forked import can_fork
from onecycle.data.loader import Loader
from onecycle.data.targets import NoLabel, Target
from onecycle.spec.inputs import ImageSpec, parse_size
from onecycle.spec.pixels import open_pixels
from onecycle.spec.remarks import Remarks
from onecycle.vision.checks import check_files, warn_of_surprises
from onecycle.vision.foreign import run_foreign
from onecycle.vision.image import Image
from onecycle.vision.plan import Plan, draw_plan, one_window
from onecycle.vision.transform import Transform, flattened
from onecycle.vision.validation import validation_spec
from onecycle.vision.warp import exact, exact_plan, warp

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
class ImageInput(ImageSpec):
    """How a picture becomes a tensor; the fields that are not in the spec serve training only."""

    train_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)
    valid_tfms: tuple[Transform, ...] = field(default=(), metadata=_HIDDEN)

    @cached_property
    def shipped(self) -> ImageSpec:
        """How validation and `predict` prepare a picture: what files hold."""
        plain = ImageSpec(**{f.name: getattr(self, f.name) for f in fields(ImageSpec)})
        return validation_spec(plain, self.valid_tfms)

    def to_json(self) -> dict[str, Any]:
        """That of `shipped`: the training transforms are in no file."""
        return self.shipped.to_json()

    def read(self, source: Any) -> Sample:
        """The picture at its own size."""
        pixels = source.pixels if isinstance(source, Image) else open_pixels(source)
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
        train, valid = flattened(pair[0]), flattened(pair[1])
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
            pixels = open_pixels(source, None if plain else self._enough(y), remarks)
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
        from onecycle.vision.exporting import examples

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
