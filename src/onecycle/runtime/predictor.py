"""Answers from an exported file, where neither torch nor the training half is installed."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from onecycle.core.addresses import place_of
from onecycle.core.errors import DataError, ModelError, OnecycleError, UsageError, listing
from onecycle.core.machine import onnx_runtime
from onecycle.runtime.file import read
from onecycle.runtime.kinds import Answer, InputSpec
from onecycle.runtime.sources import Remarks
from onecycle.runtime.task import task_from_json
from onecycle.runtime.tiles import predict_tiled

_HELD = 16_000_000  # bytes read ahead; as floats and resized they take ten times as much


@dataclass(frozen=True, eq=False)
class Prediction:
    """One answer: `answer.obj` in the user's terms, and the float32 `probabilities` behind it.

    Unpacks, and is indexed, as (answer, its encoded form, probabilities). The data of masks, points
    and boxes refer to the whole image: a mask (1, h, w) of its size (uint8, from 256 classes on
    uint16), points (n, 2) as (y, x) in its pixels, boxes (k, 6) as top, left, bottom, right in
    them, class, score.
    """

    answer: Answer
    probabilities: np.ndarray
    classes: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.answer, self.answer.data, self.probabilities))

    def __getitem__(self, index: int) -> Any:
        return (*self,)[index]

    def __str__(self) -> str:
        return str(self.answer)

    def top(self, k: int = 5) -> list[tuple[Any, float]]:
        """The `k` likeliest classes with their probabilities, likeliest first."""
        if not self.classes or self.probabilities.ndim != 1:
            raise UsageError("only answers of one or several classes have likeliest classes")
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]


class Predictor:
    """An exported file, loaded: `predict` takes what the model was trained on.

    Images: a path, bytes, a binary file, PIL or an array. Texts: a str, bytes or a `Path`.
    Series: an array or a list (t,) or (channels, t), or a CSV file as path, bytes or file. The
    first two: also a row of a frame with the cell `file`, `name`, `image`, ... or `text`.

    `classes`, `thresh` (None where nothing is decided by one), `task` (the plain specs of input
    and target) and `about` (all that the file says). `threads` 0 uses every core. `providers` are
    what computes, in the order of choice, such as ("cuda", "cpu"); UsageError where ONNX Runtime
    has not one of them, or cannot start it. Safe to be used from several threads. A model file is
    a program: of one that comes from elsewhere, give the `sha256` that its maker names. Raises
    ModelError for files that cannot be trusted; see `runtime.file.read`.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int = 0,
        sha256: str | None = None,
        providers: Sequence[str] = ("cpu",),
    ) -> None:
        ort = onnx_runtime()
        wanted = _providers(ort, providers)
        data, self.about = read(path, sha256)
        self.task = task_from_json(self.about["task"])
        self.input, self.target = self.task
        self.classes, self.thresh = tuple(self.target.classes), self.target.thresh
        self.input.prepare_reading()
        options = ort.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, threads  # errors are raised
        try:
            self._run = ort.InferenceSession(data, options, providers=wanted)
        except Exception as error:  # the runtime raises many kinds
            raise ModelError(f"{path} cannot be run: {error}") from error
        if absent := {*wanted} - {*self._run.get_providers()}:  # the runtime says nothing of it
            raise UsageError(
                f"ONNX Runtime has {listing(sorted(map(_short, absent)))} and cannot start it "
                "here: is there such a device, with its driver and libraries? Else leave it out"
            )
        self.providers = tuple(map(_short, wanted))
        self._path, self._outputs = path, [output.name for output in self._run.get_outputs()]
        shapes = {output.name: output.shape for output in self._run.get_outputs()}
        self._require_fit([i.name for i in self._run.get_inputs()], shapes.get("probabilities", ()))

    def _require_fit(self, inputs: Sequence[str], shape: Sequence[Any]) -> None:
        """ModelError unless the graph takes and gives what the description says.

        `shape` is that of the probabilities, with names for lengths that are not known yet.
        """
        width = self.target.n_outputs
        known = all(isinstance(length, int) for length in shape[1:])
        if (
            list(inputs) != [self.input.tensor]
            or len(shape) < 2
            or (known and width not in (shape[1], math.prod(shape[1:])))
        ):
            raise ModelError(
                f"{self._path} does not fit its own description: it takes {listing(inputs)} and "
                f"gives probabilities {list(shape)}, where {self.input.tensor!r} and {width} "
                "of them an item are described. Export it again"
            )

    def __repr__(self) -> str:
        return f"Predictor({self.target.kind}, classes {list(self.classes)})"

    def predict(self, source: Any, thresh: float | None = None) -> Prediction:
        """The answer for one source; `thresh` decides instead of the file's own."""
        return self.predict_batch([source], thresh)[0]

    def predict_batch(
        self, sources: Sequence[Any], thresh: float | None = None
    ) -> list[Prediction]:
        """The answers for several sources, in their order; alike ones run together."""
        if isinstance(sources, str | bytes | os.PathLike):
            raise UsageError(
                f"predict_batch() takes several sources, in a list, not {sources!r:.60}"
            )
        remarks = Remarks()
        items = [self.input.array(source, remarks) for source in sources]
        remarks.warn(len(items), stacklevel=3)
        return self.answers(items, thresh)

    def answers(self, items: Sequence[np.ndarray], thresh: float | None = None) -> list[Prediction]:
        """As `predict_batch`, for items that `input.array` gave."""
        given, groups = self.input, dict[Any, list[int]]()
        for i, item in enumerate(items):
            groups.setdefault(given.group(item), []).append(i)
        target = self.target if thresh is None else self.target.with_threshold(thresh)
        found: dict[int, Prediction] = {}
        for members in groups.values():
            batch = given.stack([items[i] for i in members])
            try:
                outputs = self._run.run(None, {given.tensor: batch})
                values = dict(zip(self._outputs, outputs, strict=True))
                self._require_fit([given.tensor], values["probabilities"].shape)
                for row, i in enumerate(members):
                    answer = target.place(values, row, batch.shape[1:3], given.fixed_size)
                    found[i] = Prediction(answer, values["probabilities"][row], self.classes)
            except OnecycleError:
                raise
            except Exception as error:  # the runtime's kinds, and whatever its numbers lead to
                raise ModelError(
                    f"{self._path} cannot answer an item of shape {batch.shape[1:]}: {error}"
                ) from error
        return [found[i] for i in range(len(items))]

    def predict_tiled(
        self, source: Any, tile: Any, overlap: int | None = None, out: str | Path | None = None
    ) -> np.ndarray:
        """The mask (h, w) of an image of any size, uint8 or uint16, from tiles that overlap.

        `tile`, an int or (h, w), is how many pixels of the image the network sees at a time: the
        size of the images that it was trained on. Tiles overlap by `overlap` pixels (a quarter of
        a tile), where one goes over into the other. With `out` the mask is a file, .png or .tif.
        Rows of a TIFF (with tifffile: `onecycle[large]`) or an array are read as they are wanted,
        and of an `out` that is a TIFF written so: beside them a row of tiles is in memory, 4 bytes
        a pixel and class. Any other image is decoded whole first. UsageError for models of other
        answers than masks.
        """

        def look(tiles: np.ndarray) -> dict[str, np.ndarray]:
            try:
                found = self._run.run(None, {self.input.tensor: tiles})
            except Exception as error:  # the runtime raises many kinds
                raise ModelError(f"{self._path} cannot answer tiles ({error})") from error
            return dict(zip(self._outputs, found, strict=True))

        return predict_tiled(look, self.input, self.target, source, tile, overlap, out)

    def warm(self) -> None:
        """Answer an item of zeros, so that the first real one is not the slowest.

        Raises ModelError where the file can be loaded and not be run.
        """
        axes = self._run.get_inputs()[0].shape[1:]
        item = np.zeros([axis if isinstance(axis, int) else 64 for axis in axes], self.input.dtype)
        try:
            self.answers([item])
        except Exception as error:  # the runtime raises many kinds
            raise ModelError(f"the model answers nothing: {error}") from error

    def stream(
        self, sources: Iterable[Any], thresh: float | None = None, batch: int = 32
    ) -> Iterator[Prediction]:
        """The answers one by one; see `stream_with_faults`."""
        for found in self.stream_with_faults(sources, thresh, batch):
            if isinstance(found, DataError):
                raise found
            yield found

    def stream_with_faults(
        self,
        sources: Iterable[Any],
        thresh: float | None = None,
        batch: int = 32,
        workers: int = 1,
    ) -> Iterator[Prediction | DataError]:
        """The answers one by one; of what cannot be read, its DataError in place of an answer.

        At most `batch` items, or 16 MB of them and one more, are in memory at a time. With several
        `workers` threads read while the model computes, and twice as many items as there are
        threads are in memory beside those; the answers are the same, in the same order.
        """
        remarks, count = Remarks(), 0
        try:
            for chunk in chunks(self._read_all(sources, remarks, workers), batch):
                good = [item for item in chunk if not isinstance(item, DataError)]
                count += len(good)
                found = iter(self.answers(good, thresh))
                for item in chunk:
                    yield item if isinstance(item, DataError) else next(found)
        finally:
            remarks.warn(count, stacklevel=3)

    def _read_all(
        self, sources: Iterable[Any], remarks: Remarks, workers: int
    ) -> Iterator[np.ndarray | DataError]:
        """What is read of each source, in their order."""
        if workers < 2:
            yield from (self._read(source, remarks) for source in sources)
            return
        waiting = deque[Future[np.ndarray | DataError]]()
        pool = ThreadPoolExecutor(workers)
        try:
            for source in sources:
                waiting.append(pool.submit(self._read, source, remarks))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, source: Any, remarks: Remarks) -> np.ndarray | DataError:
        try:
            return self.input.array(source, remarks)
        except DataError as error:
            return error

    def probabilities(self, sources: Sequence[Any]) -> np.ndarray:
        """float32 (n, ...) for several sources, in their order."""
        return np.stack([found.probabilities for found in self.predict_batch(sources)])


def _short(provider: str) -> str:
    """CUDAExecutionProvider as cuda."""
    return provider.removesuffix("ExecutionProvider").lower()


def _providers(ort: Any, names: Sequence[str]) -> list[str]:
    """The runtime's names of what is to compute; UsageError for one that it has not."""
    have = {_short(name): name for name in ort.get_available_providers()}
    names = names if isinstance(names, str) else tuple(names)
    absent = [name for name in names if name not in have]
    if absent or not names or isinstance(names, str):
        more = (
            ". NVIDIA's cards need the package onnxruntime-gpu in place of onnxruntime"
            if {"cuda", "tensorrt"} & {*absent}
            else ""
        )
        raise UsageError(
            f"providers are some of what ONNX Runtime has here, {listing([*have])}, not "
            f"{listing(absent or [names])}{more}"
        )
    return [have[name] for name in names]


def _bytes_of(item: Any) -> int:
    return getattr(item, "nbytes", 0)


def chunks(
    items: Iterator[Any], most: int, size: Callable[[Any], int] = _bytes_of
) -> Iterator[list[Any]]:
    """The items in lists of `most`, or fewer where they are large."""
    chunk, held = list[Any](), 0
    for item in items:
        chunk.append(item)
        held += size(item)
        if len(chunk) >= most or held >= _HELD:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


# `load_learner`: an exported file behind the course's names, without torch.


@dataclass(frozen=True)
class LoadedData:
    """What a loaded learner knows of its data: the classes, and the items to predict."""

    classes: list[Any]
    items: tuple[Any, ...]

    @property
    def c(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def test_ds(self) -> Self:
        """What holds the `items` to predict, as with the data of training."""
        return self

    def __len__(self) -> int:
        return len(self.items)


class LoadedLearner:
    """Predicts as the learner did that wrote the file; `predictor` does the work."""

    def __init__(
        self, path: Path, items: Iterable[Any] | None = None, sha256: str | None = None
    ) -> None:
        self.predictor = Predictor(path, sha256=sha256)
        self.data = LoadedData(list(self.predictor.classes), _sources(items, self.predictor.input))

    def predict(self, item: Any, thresh: float | None = None) -> Prediction:
        """(answer, its encoded form, probabilities) of a path, bytes, file, image or array."""
        source = getattr(item, "pixels", item)
        return self.predictor.predict(source, thresh)

    def predict_batch(self, items: Iterable[Any], thresh: float | None = None) -> list[Prediction]:
        """The answers for several items, in their order."""
        return list(self.predictor.stream(_sources(items, self.predictor.input), thresh))

    def get_preds(self, ds_type: Any = None) -> list[np.ndarray]:
        """[probabilities (n, ...), zeros (n,)] of the test items, in their order."""
        if not self.data.items:
            raise UsageError("there is no test set: load_learner(path, test=items)")
        if ds_type is not None and getattr(ds_type, "value", ds_type) != "test":
            raise UsageError("a loaded learner has a test set only: get_preds(DatasetType.Test)")
        rows = [found.probabilities for found in self.predictor.stream(self.data.items)]
        return [np.stack(rows), np.zeros(len(rows), np.int64)]


def _sources(items: Any, given: InputSpec) -> tuple[Any, ...]:
    """An item list, the rows of a frame, the files of a folder, or what is iterated over."""
    if items is None:
        return ()
    if hasattr(items, "iterrows"):
        return tuple(row for _, row in items.iterrows())
    if isinstance(items, str | os.PathLike):
        return tuple(source for _, source in given.named_sources(place_of(items)))
    return tuple(getattr(items, "items", items))


def load_learner(
    path: str | Path,
    file: str | Path = "export.onnx",
    test: Iterable[Any] | None = None,
    sha256: str | None = None,
) -> LoadedLearner:
    """The learner that `learn.export()` wrote to `path/file`; `path` may be the file itself.

    `test`, for `get_preds`, is an item list, a frame, a folder, or sources in a row. A file with
    another `sha256` than the given one is refused.
    """
    path = Path(path)
    return LoadedLearner(path if path.is_file() else path / file, test, sha256)
