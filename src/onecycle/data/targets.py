"""The kinds of answers in torch: their loss and activation on top of the plain specs."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import ModelError, UsageError, listing, undefined, warn
from onecycle.data.looks import Finding, Look
from onecycle.data.tables import looks_like_numbers
from onecycle.runtime.kinds import Answer, NoLabelSpec, TargetSpec
from onecycle.runtime.targets.category import CategorySpec, is_blank
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec

LINE = 32  # characters of an answer in a title


class Target(TargetSpec):
    """How a label becomes a tensor and a tensor an answer: the torch half of every kind of answer.

    Batches: outputs (n, n_outputs, ...) as the model gives them, y (n, ...) as encoded. What stands
    here is what most answers do: y are values, which stay the same however the image is turned.
    Answers that are `drawn_over` their image want one each for actual and predicted. Those that
    lie `on_image` (masks, points, boxes) move with it, and several looks are merged by `map_back`.
    Where batches are streams of tokens, an item has not `one_row_an_item`.
    `fitting_losses` says what to use in place of a loss that does not fit, `suited_metrics` which
    functions of `learn.metrics` suit such answers, with their options; `advice` what to do about
    the problems that `doubts` names.
    """

    trains: ClassVar[bool] = True
    drawn_over: ClassVar[bool] = False
    on_image: ClassVar[bool] = False
    one_row_an_item: ClassVar[bool] = True
    fitting_losses: ClassVar[str] = "leave loss_func out"
    suited_metrics: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = ()
    advice: ClassVar[Mapping[str, str]] = {}

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean loss, or with reduction "none" one loss per item (n,)."""
        raise undefined(self, "loss")

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """Raise ModelError for outputs of a network that is made for other answers."""

    def activate(self, outputs: Tensor) -> Tensor:
        """Outputs as probabilities or values, float32."""
        return outputs.float()

    def outputs_for(self, probabilities: Tensor) -> Tensor:
        """Outputs that `activate` would turn into these: what a loss takes."""
        return probabilities

    def uncalibrated(self) -> Self:
        """The same without a temperature, which goes with weights that it was fitted to."""
        return self if self.temperature in {None, 1.0} else self.with_temperature(1.0)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(predicted, actual) as classes or values, as scikit-learn takes them: void left out."""
        return self.scores(outputs, y)

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(probabilities or values, actual): (n,) where there is one an item, else (n, k)."""
        pair = self.activate(outputs).reshape(len(y), -1), y.reshape(len(y), -1)
        return pair if pair[1].shape[1] > 1 else (pair[0].squeeze(1), pair[1].squeeze(1))

    @property
    def metric_options(self) -> dict[str, Any]:
        """Options that metrics take from the target where they are not given."""
        return {}

    def weight(self, y: Tensor) -> int:
        """How much the means of a batch count beside those of others: by its items."""
        return len(y)

    def move(self, y: np.ndarray, plan: Any) -> np.ndarray:
        """The encoded label after the image went through `plan`."""
        return y

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The label of an image of `size` (h, w) for torchvision's transforms; None: it stays."""
        return None

    def in_pixels(self, y: np.ndarray, source: Any, given: Any) -> np.ndarray:
        """An encoded answer in terms of the whole item `source`, as exported files give it.

        `given` is the input that the network's view of the item was made by.
        """
        return y

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """An answer, `in_pixels` of its whole image, as rows of COCO with the name of a category.

        Without `probabilities` it is a label, and has no score.
        """
        raise UsageError(f"answers of the kind {type(self).__name__} have no place in a COCO file")

    def require_mergeable(self) -> None:
        """Raise where the answers of several looks at one image cannot be merged."""

    def map_back(self, look: Tensor, plain: Tensor, back: Any) -> tuple[Tensor, Tensor]:
        """What an augmented look says of one item, in the plain one's place; and what it covers.

        `look` and `plain` are activated outputs of the item, `back` is the plan from the look's
        output to the plain one's. Gives values like `plain` and a mask that broadcasts to them.
        """
        return look, torch.ones_like(look, dtype=torch.bool)

    def show(self, answer: Answer, ax: Any) -> None:
        """Draw the answer onto (or over) axes: its text as a title."""
        from onecycle.core.plot import add_title, fold_lines

        add_title(ax, fold_lines(answer.text, LINE), fontsize=8)

    def legend(self, figure: Any) -> None:
        """Say below a figure of shown answers what their colours mean."""

    def inspect(self, sources: Sequence[Any], labels: Sequence[Any]) -> Self:
        """This kind, with what all labels together decide; raises for those that fit no item."""
        return self

    def doubts(self, looks: Sequence[Look], labels: Sequence[Any]) -> Iterable[Finding]:
        """What is odd about labels beside what was seen of their items, for `data.check()`."""
        return ()

    def locate(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """The raw labels, those in pixels of their image as shares of it."""
        return labels

    def is_blank(self, label: Any) -> bool:
        """Whether a raw label says nothing, in whole or in part."""
        return is_blank(label)

    def classes_of(self, label: Any) -> Sequence[Any]:
        """The classes that a raw label names; none, where labels name no classes."""
        return ()

    def named_classes(self) -> Sequence[Any]:
        """The classes that labels of items name; none, where they name none."""
        return ()


def require_shape(outputs: Any, shape: tuple[int, ...], count: int, what: str) -> None:
    """ModelError for outputs of another shape than `count` labels want.

    Broadcasting would hide it, or torch raise an error of its own.
    """
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"the network gives a {type(outputs).__name__}, not a tensor of shape {shape}: let its "
            "forward return one tensor, or give a loss_func of your own that takes what it gives"
        )
    if tuple(outputs.shape) != shape:
        raise ModelError(
            f"the network gives {tuple(outputs.shape)} for labels of {count} {what}, not {shape}: "
            f"its last layer needs {count} outputs (data.c)"
        )


def per_item(losses: Tensor, reduction: str) -> Tensor:
    """(n, ...) losses as their mean, or the mean of each item."""
    return losses.mean() if reduction == "mean" else losses.flatten(1).mean(1)


def cooled(outputs: Tensor, temperature: float) -> Tensor:
    """Outputs over the temperature, float32."""
    return outputs.float() if temperature == 1 else outputs.float() / temperature


def _named_rows(names: Sequence[Any], classes: Sequence[Any], scores: Any) -> list[dict[str, Any]]:
    """Names without a place."""
    rows: list[dict[str, Any]] = [{"category": name} for name in names]
    for row in rows if scores is not None else ():
        row["score"] = float(scores[classes.index(row["category"])])
    return rows


class Category(CategorySpec, Target):
    """One class per item: cross-entropy, softmax. y is int64 (n,), outputs (n, classes)."""

    suited_metrics: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (("accuracy", {}),)
    fitting_losses: ClassVar[str] = (
        "for one class per item there are nn.CrossEntropyLoss(weight=...) and "
        "LabelSmoothingCrossEntropy(), or leave loss_func out"
    )

    def classes_of(self, label: Any) -> Sequence[Any]:
        """The label itself."""
        return (label,)

    def named_classes(self) -> Sequence[Any]:
        """All."""
        return self.classes

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """One row, with the class alone; none of an answer that is not sure."""
        names = [] if answer.obj is None else [answer.obj]
        return _named_rows(names, self.classes, probabilities)

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of the logits."""
        self.check_outputs(outputs, y)
        return F.cross_entropy(outputs, y, reduction=reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per class."""
        count = len(self.classes)
        require_shape(outputs, (len(y), count), count, "classes")

    def activate(self, outputs: Tensor) -> Tensor:
        """Softmax over the classes."""
        return cooled(outputs, self.temperature).softmax(1)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of the classes, (n,) and (n,)."""
        return outputs.argmax(1), y

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (n, classes) and numbers of classes (n,)."""
        return self.activate(outputs), y


class MultiCategory(MultiCategorySpec, Target):
    """Several classes per item: binary cross-entropy, sigmoid. y is float32 (n, classes)."""

    suited_metrics: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (
        ("accuracy_thresh", {"thresh": 0.5}),
        ("fbeta", {"thresh": 0.2}),
        ("average_precision", {}),
    )
    fitting_losses: ClassVar[str] = (
        "for several labels per item there is nn.BCEWithLogitsLoss(pos_weight=...), or leave "
        "loss_func out"
    )

    def is_blank(self, label: Any) -> bool:
        """Also where one of the tags is."""
        several = isinstance(label, list | tuple | set | frozenset)
        return any(map(is_blank, label)) if several else is_blank(label)

    def classes_of(self, label: Any) -> Sequence[Any]:
        """The tags, each once."""
        return tuple(set(label))

    def named_classes(self) -> Sequence[Any]:
        """All."""
        return self.classes

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """A row for each tag."""
        return _named_rows(answer.obj, self.classes, probabilities)

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Binary cross-entropy of the logits, mean over the classes."""
        self.check_outputs(outputs, y)
        each = F.binary_cross_entropy_with_logits(outputs, y, reduction="none")
        return per_item(each, reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per class."""
        require_shape(outputs, tuple(y.shape), len(self.classes), "classes")

    def activate(self, outputs: Tensor) -> Tensor:
        """Sigmoid of each class."""
        return cooled(outputs, self.temperature).sigmoid()

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros and ones (n, classes), by the threshold."""
        limits = torch.as_tensor(self.thresh, device=outputs.device)
        return (self.activate(outputs) > limits).long(), y.long()

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities, and zeros and ones, both (n, classes)."""
        return self.activate(outputs), y.long()


class Numbers(NumbersSpec, Target):
    """One or more numbers: mean squared error. y and outputs are float32 (n, k)."""

    suited_metrics: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (("rmse", {}), ("r2", {}))
    fitting_losses: ClassVar[str] = (
        "for numbers there are nn.MSELoss(), nn.L1Loss() and nn.HuberLoss(), of outputs as wide "
        "as the labels, or leave loss_func out"
    )

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Squared error, mean over the numbers."""
        self.check_outputs(outputs, y)
        return per_item((outputs - y) ** 2, reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per number."""
        require_shape(outputs, tuple(y.shape), y.shape[1], "numbers")


class NoLabel(NoLabelSpec, Target):
    """No labels: batches carry zeros in their place."""

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Zero: there is nothing to compare with."""
        zeros = torch.zeros(len(outputs), device=outputs.device)
        return zeros.mean() if reduction == "mean" else zeros


# Which kind of answer labels are where nobody says so; a guess that may be wrong is a warning.

Kind = type[Category] | type[MultiCategory] | type[Numbers]
_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?\s*")
_FEW = 20  # distinct whole numbers that may be classes, though each is rare
_FEW_OF_MANY = 100  # and those of which each occurs twice or more often
_MANY = 50  # distinct whole numbers that may be ages or prices
_TAGS = (list, tuple, set, frozenset)
_SEVERAL = 5  # distinct labels below which nobody wonders that each is rare


def guess_kind(labels: Sequence[Any], of_table: bool = False, stacklevel: int = 4) -> Kind:
    """As `infer_kind`, and with `of_table` text that reads as real numbers makes Numbers too.

    A warning says both ways where the labels may well be meant otherwise: whole numbers stored as
    floats, rows of zeros and ones, as many classes as there are prices or ages.
    """
    kind = Numbers if of_table and looks_like_numbers(list(labels)) else infer_kind(labels)
    message = _doubts_of_numbers(labels) if kind is Numbers else _doubts_of_classes(labels)
    if message and kind is not MultiCategory:
        warn(message, stacklevel)
    return kind


def infer_kind(labels: Sequence[Any]) -> Kind:
    """Numbers if any label is a float, an array or holds a float; lists of tags MultiCategory."""
    if any(map(_is_real, labels)):
        return Numbers
    first = next((label for label in labels if not is_blank(label)), None)
    return MultiCategory if isinstance(first, _TAGS) else Category


def _is_real(label: Any) -> bool:
    if isinstance(label, _TAGS):
        return any(isinstance(v, float | np.floating) and not np.isnan(v) for v in label)
    real = isinstance(label, float | np.floating | np.ndarray) or hasattr(label, "numpy")
    return real and not is_blank(label)


def whole(value: Any) -> int | None:
    """The whole number that a label says, also as a float or as text; None where it says none."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Integral):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def few_whole_numbers(labels: Iterable[Any]) -> list[int]:
    """The distinct values, where all are whole numbers and so few that they may be classes."""
    counts = Counter(map(whole, labels))
    repeated = len(counts) < counts.total()
    often = 2 * len(counts) <= counts.total()
    few = (repeated and len(counts) <= _FEW) or (often and len(counts) <= _FEW_OF_MANY)
    found = [value for value in counts if value is not None]
    return sorted(found) if few and len(found) == len(counts) else []


def _doubts_of_numbers(labels: Sequence[Any]) -> str:
    rows = [np.ravel(label).tolist() for label in labels if not isinstance(label, float | str)]
    if rows and len(rows) == len(labels) and max(map(len, rows)) > 1:
        if not all(value in (0, 1) for row in rows for value in row):
            return ""
        return (
            f"the {len(rows)} labels are rows of zeros and ones, taken as {len(rows[0])} numbers "
            "to be met (a regression). If each row marks one class, give its number (y.argmax(1)); "
            "if several, the list of their names. label_cls=Numbers keeps them without this warning"
        )
    values = few_whole_numbers(v for label in labels for v in np.ravel(label).tolist())
    if not values:
        return ""
    return (
        f"the {len(labels)} labels are {len(values)} whole numbers stored as real ones "
        f"({listing(values)}), and are taken as numbers to be met (a regression). If they are "
        "classes, say label_cls=Category, or give them as whole numbers or text: "
        "frame[column].astype(int). If not, label_cls=Numbers keeps them without this warning"
    )


def _doubts_of_classes(labels: Sequence[Any]) -> str:
    if not all(isinstance(label, str | int | np.integer) for label in labels):
        return ""
    distinct = list(dict.fromkeys(labels))
    rare = len(distinct) > max(_SEVERAL, len(labels) / 2)
    if None not in map(whole, distinct) and (rare or len(distinct) > _MANY):
        return (
            f"{len(distinct)} different whole numbers in {len(labels)} labels are taken as so many "
            f"classes ({listing(distinct)}). If they are numbers to be met, such as prices or "
            "ages, say label_cls=Numbers; if not, label_cls=Category keeps them without this "
            "warning"
        )
    if not rare:
        return ""
    return _nearly_numbers(distinct) or (
        f"{len(labels)} labels are {len(distinct)} different classes ({listing(distinct)}), so "
        "that most have a single item. Is it the right column, or does something stand between "
        "several labels (label_delim=)? label_cls=Category keeps them without this warning"
    )


def _nearly_numbers(distinct: Sequence[Any]) -> str:
    """What keeps most of the labels from being numbers: some words, or a comma for the point."""
    if all(_COMMA.fullmatch(str(label)) for label in distinct):
        return (
            f"{len(distinct)} different numbers with a decimal comma ({listing(distinct, 2)}) are "
            "taken as so many classes. To be met as numbers they need a point: "
            'frame[column].str.replace(",", ".").astype(float)'
        )
    odd = [label for label in distinct if not looks_like_numbers([label, "0.5"])]
    if 2 * len(odd) >= len(distinct):
        return ""
    return (
        f"{len(distinct) - len(odd)} of {len(distinct)} labels read as numbers, and all are taken "
        f"as classes for the sake of {listing(odd)}: correct these or leave them out, or say "
        "label_cls=Category"
    )
