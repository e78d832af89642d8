"""What kinds of inputs and answers are, without torch: frozen data that answers for itself.

Everything that depends on the kind is a member of it: whoever uses a task asks these members, and
never the name of a kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import index
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from onecycle.core.addresses import Address
from onecycle.core.errors import (
    CheckpointError,
    DataError,
    LabelError,
    ModelError,
    UsageError,
    listing,
)
from onecycle.core.walk import FileKind, files_below
from onecycle.runtime.http.body import Body, Limits, RequestError
from onecycle.runtime.sources import Remarks

Label = str | float | bool  # the name of a class; a whole number is a float to types, too
OPTIONAL: Final = {"optional": True}  # metadata of fields that JSON leaves out at their default
TUNED: Final = ("thresh", "temperature")  # of a target: chosen for a model, not what answers are


def freeze(value: Any) -> Any:
    """Lists become tuples, all the way down."""
    return tuple(freeze(v) for v in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Plain:
    """The base of every spec; `kind` is the name by which a file finds the class again."""

    kind: ClassVar[str]
    trains: ClassVar[bool] = False  # the halves with torch do

    def to_json(self) -> dict[str, Any]:
        """The fields of the spec (not a torch adapter's own ones) and its kind."""
        stored = [f for f in fields(self) if f.metadata.get("json", True)]
        values = {f.name: getattr(self, f.name) for f in stored}
        rest = {k for k, default in self.left_out().items() if values[k] == default}
        return {"kind": self.kind, **{k: v for k, v in values.items() if k not in rest}}

    @classmethod
    def left_out(cls) -> dict[str, Any]:
        """The fields that JSON leaves out at their default, with it."""
        return {f.name: f.default for f in fields(cls) if f.metadata.get("optional")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The spec that `to_json` wrote; an unknown field means a newer or a foreign file.

        Values of other types than the fields' are refused here, before anything computes with them.
        """
        known = {f.name for f in fields(cls)}
        given = {k: freeze(v) for k, v in values.items() if k != "kind"}
        if unknown := set(given) - known:
            raise CheckpointError(
                f"{cls.kind} has no field {', '.join(sorted(unknown))}: the file was written by a "
                "newer onecycle or by something else"
            )
        try:
            hints = get_type_hints(cls)
        except NameError:  # of a kind from outside, whose types are known to its checker alone
            hints = {}
        for name, value in given.items():
            if not _is_of(value, hints.get(name, Any)):
                raise CheckpointError(f"{cls.kind} with {name}={listing([value])}: a damaged file")
        return cls(**given)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is what a field's type says; types that JSON has not say nothing."""
    home, parts = get_origin(hint), get_args(hint)
    if home in (Union, UnionType):
        return any(_is_of(value, part) for part in parts)
    if home is tuple:
        if not isinstance(value, tuple):
            return False
        each = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(value) == len(each) and all(map(_is_of, value, each))
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return hint not in (str, bool, NoneType) or isinstance(value, hint)


class InputSpec(Plain):
    """Every kind of input, without torch: how a source becomes an array for an exported file.

    Class variables: `tensor`, `dtype` and `axes` describe the graph's input; `files` are the files
    that hold such items, `columns` the usual names of a table's column that holds an item, or where
    `by_file` its file's name; `page` is the page's module of an own kind (those that come with
    onecycle lie in the page's folder `inputs`).
    """

    tensor: ClassVar[str] = "x"
    dtype: ClassVar[str] = "float32"
    axes: ClassVar[tuple[Any, ...]] = ("n",)
    files: ClassVar[FileKind] = FileKind("item")
    columns: ClassVar[tuple[str, ...]] = ()
    by_file: ClassVar[bool] = True
    page: ClassVar[Path | None] = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images that the network sees, where these are fixed."""
        return None

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """The (h, w) of the network's input where it does not depend on the item's."""
        return None

    @property
    def mean(self) -> tuple[float, ...] | None:
        """What is subtracted from each channel of 0-1 before the network, where anything is."""
        return None

    @property
    def std(self) -> tuple[float, ...] | None:
        """What each channel is divided by then."""
        return None

    @property
    def vocab(self) -> tuple[str, ...]:
        """The tokens of texts in the order of their numbers; none where items are no texts."""
        return ()

    def prepare_reading(self) -> None:
        """Load what reading needs; raises where a file describes what cannot be."""

    def array(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """The array of one source, without the axis n; DataError for what is no such source.

        What it hides or leaves out is a warning, or an entry in `remarks`.
        """
        raise ModelError(f"inputs of kind {self.kind!r} cannot be run from an exported file")

    def group(self, item: np.ndarray) -> Any:
        """Items of equal groups can be stacked."""
        return item.shape

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, ...) of items of one group."""
        return np.stack(items)

    def named_sources(self, path: Any) -> Iterator[tuple[str, Any]]:
        """(name, source) of a file, or of each file in a folder and below, sorted.

        `path` is a Path or an Address. A warning counts the files that are left out.
        """
        known = isinstance(path, Address) and path.suffix.lower() in self.files.suffixes
        for file in files_below(path, self.files) if not known and path.is_dir() else [path]:
            yield str(file), file

    def bodies(self, max_bytes: int, one: bool = False) -> dict[str, Any]:
        """The contents of a request as OpenAPI has them, by media type; `one`: of a single item."""
        file = {"type": "string", "format": "binary", "maxLength": max_bytes}
        files = file if one else {"type": "array", "items": file, "minItems": 1}
        return {"multipart/form-data": {"schema": object_schema(file=files)}}

    def sources(self, body: Body, limits: Limits) -> list[Any]:
        """The sources in a request; RequestError for more or larger ones than `limits` allow."""
        return list(body.files)

    def read_upload(self, source: Any, limits: Limits) -> np.ndarray:
        """`array` of a source that a stranger sent; RequestError for what cannot be used."""
        try:
            return self.array(source)
        except DataError as error:
            raise RequestError(422, str(error).replace("the given bytes", "the upload")) from None

    @property
    def page_scripts(self) -> tuple[str, ...]:
        """Other projects' scripts that its module of the page imports, as `make web` names them."""
        return ()

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that reading an item needs, beside those of any exported file."""
        return ()

    def page_fault(self) -> str | None:
        """Why the page in the browser cannot take such items, or None."""
        return None


# What a model says about one item, in the user's own terms.


@dataclass(frozen=True, eq=False)
class Answer:
    """`obj` is the answer itself (a name, names, numbers), `data` its encoded form, `text` both.

    Answers are equal where their values are: names and numbers by themselves, so that
    `answer == "cat"`, `answer in classes` and a dict by answers do what they seem to; masks, points
    and boxes (whose `data` have rows) by all their numbers.
    """

    obj: Any
    data: Any
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __int__(self) -> int:
        """The number of its class, counted from 0; TypeError for answers that are no one class."""
        return index(self.data)

    @property
    def _rows(self) -> np.ndarray | None:
        """The numbers of an answer that lies over its item; None where `obj` says it all."""
        if self.obj is None or np.ndim(self.data) > 1:
            return np.asarray(self.data)
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return _alike(self.obj, other)
        mine, theirs = self._rows, other._rows
        if mine is None or theirs is None:
            return mine is theirs and _alike(self.obj, other.obj)
        return np.array_equal(mine, theirs) and _alike(self.obj, other.obj)

    def __hash__(self) -> int:
        rows = self._rows
        if rows is None:
            return hash(tuple(self.obj) if isinstance(self.obj, list) else self.obj)
        return hash((rows.shape, tuple(rows.ravel()[:64].tolist())))

    def to_dict(self) -> dict[str, Any]:
        """`answer` (names, numbers, or lists of them) and `text`, as JSON can hold them."""
        return {"answer": _plain(self.obj), "text": self.text}


def _alike(one: Any, other: Any) -> bool:
    """Equal values, also of lists and arrays of any depth; a text is no list of letters."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    one, other = _plain(one), _plain(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    same = one == other
    return isinstance(same, bool) and same


def _plain(value: Any) -> Any:
    """Arrays, tensors and tuples as lists, numpy's scalars as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


Size = tuple[int, ...]
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TargetSpec(Plain):
    """What every kind of answer is without torch; arrays are numpy, one item at a time.

    Class variables: `activation` is that of the network's outputs; `whole_classes` where an item
    has some of the classes, as a whole, `one_class` where it has exactly one; `page` is the page's
    module of an own kind.
    """

    activation: ClassVar[str] = "identity"
    whole_classes: ClassVar[bool] = False
    one_class: ClassVar[bool] = False
    page: ClassVar[Path | None] = None

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes in the order of their numbers, where there are any."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numbers of an answer, where it has any."""
        return ()

    @property
    def thresh(self) -> float | tuple[float, ...] | None:
        """The probability above which a class is predicted, or that of each class; None: none."""
        return None

    @property
    def takes_threshold(self) -> bool:
        """Whether a probability may decide what is predicted."""
        return self.thresh is not None

    @property
    def temperature(self) -> float | None:
        """What outputs are divided by before they become probabilities; None: such are none."""
        return None

    @property
    def void(self) -> int | None:
        """The number of the class that counts nowhere, if there is one."""
        return None

    @property
    def n_outputs(self) -> int:
        """The width of the model's last layer."""
        raise LabelError(f"{self.kind} has no outputs: the items carry no labels")

    def fit(self, labels: Sequence[Any]) -> Self:
        """Learn classes or widths from the raw training labels; returns a new target."""
        return self

    def check(self, label: Any) -> str | None:
        """Why `label` cannot be encoded, or None."""
        return None

    def encode(self, label: Any) -> np.ndarray:
        """One raw label as an array."""
        return np.zeros((), np.float32)

    def decode(self, probabilities: np.ndarray) -> Answer:
        """One row of activated outputs as an answer."""
        return Answer(None, probabilities, "")

    def answer(self, y: np.ndarray) -> Answer:
        """One encoded label as an answer, for drawing what is true."""
        return Answer(None, y, "")

    @property
    def mask_dtype(self) -> str | None:
        """The kind of numbers in the masks of an exported file; None where answers are no masks."""
        return None

    def place(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The answer of row `row` of a batch from an exported file, in terms of the whole item.

        `values` are the file's outputs by name, `size` the item's (h, w) where it is an image,
        `whole` the (h, w) of the network's input where it does not depend on the item.
        """
        return self.decode(values["probabilities"][row])

    def with_threshold(self, thresh: Any) -> Self:
        """The same, deciding by `> thresh`; UsageError for kinds that decide by none."""
        if not self.takes_threshold:
            raise UsageError(f"a {self.kind} decides by no threshold")
        return replace(self, thresh=thresh)  # type: ignore[call-arg]

    def with_temperature(self, temperature: float) -> Self:
        """The same with calibrated probabilities; UsageError for kinds that have none to be so."""
        if self.temperature is None:
            raise UsageError(
                f"a {self.kind} cannot be calibrated: answers of one class or of several labels can"
            )
        return replace(self, temperature=temperature)  # type: ignore[call-arg]

    @property
    def columns(self) -> list[str]:
        """Names of the numbers behind one answer, as columns of a table."""
        return [str(name) for name in self.classes or self.names]

    def cells(self, data: Any, probabilities: Any) -> list[float]:
        """The numbers behind an answer (encoded, and as activated outputs), one for each column."""
        return np.asarray(probabilities).ravel().tolist()

    def reply(self, answer: Answer, probabilities: np.ndarray) -> dict[str, Any]:
        """An answer as JSON for whoever asks a server."""
        found = {"kind": self.kind, **answer.to_dict()}
        if self.classes:
            shares = zip(map(str, self.classes), map(float, probabilities), strict=True)
            found["probabilities"] = dict(shares)
        return found

    def decide(self, probabilities: np.ndarray) -> np.ndarray | None:
        """What a batch (n, ...) of activated outputs decides, (n, ...); None where numbers count.

        The decisions can be counted, and compared with another model's by `changed`.
        """
        return None

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Booleans, flat: which of a batch's decisions are those of its encoded labels `y`."""
        return (decided == y).ravel()

    def changes(self, decided: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The share (n,) of each answer in which two models' decisions differ: 0 or 1."""
        return (decided != other).reshape(len(decided), -1).any(1).astype(np.float64)


@dataclass(frozen=True)
class NoLabelSpec(TargetSpec):
    """Items without labels: for looking and predicting, not for training."""

    kind: ClassVar[str] = "none"


def object_schema(**properties: Any) -> dict[str, Any]:
    """OpenAPI's schema of an object with these properties, all required."""
    return {"type": "object", "required": list(properties), "properties": properties}
