"""What a metric is: how it is put together over a set, which way it improves, what it is called.

A plain function of (outputs, y) is averaged over the items; a `Metric` is a figure of the whole
set; objects with `reset`, `update` and `compute` keep a state of their own.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from onecycle.core.errors import UsageError, listing, warn
from onecycle.data.targets import Target, cooled

M = TypeVar("M")

# By scikit-learn's own convention ("what a name ends with", user guide, model evaluation).
_SKLEARN_ENDS = {"_score": True, "_loss": False, "_error": False, "_deviance": False}
COLUMNS = ("epoch", "train_loss", "valid_loss", "seconds", "time")  # of the loop's own


@dataclass(frozen=True)
class Metric:
    """A figure of the whole set, no mean over items, with the direction in which it improves.

    `func(outputs, y)` is called once with the whole set. With `value` it gives counts (a tensor)
    of each batch instead, which are added up, and `value` makes the figure of their sum: so no set
    is too large. Options go to both; `takes` names those that the target fills in where the user
    does not. With `keep`, a function of (outputs, y) that gives what is kept of a batch in their
    place, `func` is called with that of the whole set.
    """

    func: Callable[..., Any]
    value: Callable[..., Tensor] | None = None
    higher_is_better: bool | None = None
    takes: tuple[str, ...] = ()
    keep: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.func.__doc__)
        object.__setattr__(self, "__wrapped__", self.func)  # its signature is the one to show

    def __call__(self, outputs: Tensor, y: Tensor, **options: Any) -> Any:
        given = (outputs, y) if self.keep is None else self.keep(outputs, y)
        found = self.func(*given, **options)
        return found if self.value is None else self.value(found, **options)

    @property
    def __name__(self) -> str:
        return name_of(self.func)


def whole_set(func: Callable[..., Any], takes: tuple[str, ...] = ()) -> Metric:
    """Mark a function of (outputs, y) as one that needs the whole set."""
    return Metric(func, None, direction_of(func), takes)


def higher_is_better(metric: M) -> M:
    """Mark a metric as one that should rise, for `monitor=`; returns it."""
    return _with_direction(metric, True)


def lower_is_better(metric: M) -> M:
    """Mark a metric as one that should fall, for `monitor=`; returns it."""
    return _with_direction(metric, False)


def _with_direction(metric: Any, rises: bool) -> Any:
    if isinstance(metric, Metric):
        return replace(metric, higher_is_better=rises)
    metric.higher_is_better = rises
    return metric


def direction_of(metric: Any) -> bool | None:
    """True where more is better, False where less is, None where nobody has said.

    What counts is an attribute `higher_is_better`, as torchmetrics has it; then the conventions
    of scikit-learn for its own functions; then a name that leaves no doubt.
    """
    found = getattr(metric, "higher_is_better", None)
    if found is not None:
        return bool(found)
    if isinstance(metric, partial | Metric):
        return direction_of(metric.func)
    name = name_of(metric)
    if of_sklearn(metric):
        ends = (rises for end, rises in _SKLEARN_ENDS.items() if name.endswith(end))
        return next(ends, None)
    return rises_by_name(name)


def innermost(metric: Any) -> Any:
    """The function inside partials and marks."""
    while isinstance(metric, partial | Metric):
        metric = metric.func
    return metric


def unwrap(metric: Any) -> tuple[Any, dict[str, Any]]:
    """What is inside partials, and the options that these give."""
    options: dict[str, Any] = {}
    while isinstance(metric, partial):
        metric, options = metric.func, metric.keywords | options
    return metric, options


def of_sklearn(metric: Any) -> bool:
    """Whether a metric is one of scikit-learn's own."""
    inner = innermost(metric)
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return str(module).partition(".")[0] == "sklearn"


def keeps_state(metric: Any) -> bool:
    """Whether a metric is driven by `reset`, `update` and `compute`, as torchmetrics' are."""
    return all(hasattr(metric, name) for name in ("reset", "update", "compute"))


def parts_of(metric: Any) -> dict[str, Any] | None:
    """The metrics of a collection (torchmetrics' MetricCollection) by name; else None."""
    if keeps_state(metric) and hasattr(metric, "items") and hasattr(metric, "keys"):
        return {str(name): part for name, part in metric.items()}
    return None


def name_of(metric: Any) -> str:
    """The column's name: the function's own, also inside a partial; UsageError for no metric."""
    if isinstance(metric, partial):
        return name_of(metric.func)
    if isinstance(metric, str):
        raise UsageError(
            f"a metric is a function of (outputs, y), not its name {metric!r}: write metrics="
            f"{metric if metric.isidentifier() else 'accuracy'}, after importing it"
        )
    if isinstance(metric, type):
        raise UsageError(
            f"a metric is a function or an object, not the class {metric.__name__}: make one of "
            f"it, {metric.__name__}(...)"
        )
    if of_sklearn(metric) and not hasattr(innermost(metric), "__name__"):
        raise UsageError(
            f"{metric!r} scores estimators: give scikit-learn's function itself, for example "
            'metrics=partial(sklearn.metrics.f1_score, average="macro")'
        )
    if not callable(metric) and not keeps_state(metric):
        raise UsageError(f"a metric is a function of (outputs, y), not {metric!r}")
    return str(getattr(metric, "__name__", None) or type(metric).__name__).lower()


def directions_of(metrics: Sequence[Any]) -> dict[str, bool | None]:
    """The columns of metrics, each with its direction; a name that is taken is numbered."""
    found: dict[str, bool | None] = {}
    for metric in metrics:
        parts = parts_of(metric)
        for name, part in parts.items() if parts is not None else [(name_of(metric), metric)]:
            taken = sum(other.partition(" ")[0] == name for other in (*COLUMNS, *found))
            found[f"{name} {taken + 1}" if taken else name] = direction_of(part)
    return found


def names_of(metrics: Sequence[Any]) -> list[str]:
    """One column name for each value of the metrics; a name that is taken is numbered."""
    return list(directions_of(metrics))


def warn_of_thresholds(metrics: Sequence[Any], target: Target, stacklevel: int) -> None:
    """Say where metrics of several labels decide by thresholds, and none by that of the answers."""
    found, thresh = dict[str, Any](), target.thresh
    several = target.whole_classes and not target.one_class
    for metric in metrics if several else ():
        inner, options = unwrap(metric)
        func = inner.func if isinstance(inner, Metric) else inner
        if "thresh" in options:
            found[name_of(metric)] = options["thresh"]
        elif inspect.isfunction(func) and "thresh" in (known := inspect.signature(func).parameters):
            found[name_of(metric)] = known["thresh"].default
    if found and not any(_same(value, thresh) for value in found.values()):
        by = listing([f"{name} by {value}" for name, value in found.items()])
        own = f"a threshold of {thresh}" if isinstance(thresh, float) else "thresholds by label"
        name, value = next(iter(found.items()))
        warn(
            f"answers are decided by {own}, and the metrics by others ({by}): partial({name}, "
            "thresh=learn.task.target.thresh) is a metric of the answers, and "
            f"learn.with_threshold({value}) makes the answers those that the metric is about",
            stacklevel + 1,
        )


def _same(one: Any, other: Any) -> bool:
    """Whether two thresholds, each one for all labels or one for each, decide alike."""
    one, other = (torch.as_tensor(each, dtype=torch.float64) for each in (one, other))
    comparable = () in {one.shape, other.shape} or one.shape == other.shape
    return comparable and bool((one == other).all())


def needs_whole_set(metric: Any) -> bool:
    """Whether a metric, or the function inside a partial, is marked by `whole_set`."""
    inner = unwrap(metric)[0]
    return isinstance(inner, Metric) and inner.value is None


def keeps_less(metric: Any) -> bool:
    """Whether a metric keeps something else of a batch than outputs and labels."""
    inner = unwrap(metric)[0]
    return isinstance(inner, Metric) and inner.keep is not None


def keep_once(metric: Any, outputs: Tensor, y: Tensor) -> Callable[[Tensor], float]:
    """A function from positions of items to the metric of these, of what it keeps of all."""
    inner, options = unwrap(metric)
    kept = inner.keep(outputs, y)
    return lambda at: float(inner.func(*(part[at] for part in kept), **options))


# What metrics of other libraries are given: scikit-learn's functions, torchmetrics' objects.

_SHARES = {"log_loss", "d2_log_loss_score"}  # their `y_pred` are probabilities
_WANT_SHARES = ("y_score", "y_prob", "y_proba", "pred_decision")  # so are these parameters


def for_sklearn(metric: Any, target: Target | None) -> Callable[[Tensor, Tensor], Any]:
    """A metric of scikit-learn as a function of (outputs, y) of the whole set.

    Those with a parameter `y_score` or `y_prob` get probabilities, the others what is decided;
    UsageError where scikit-learn refuses them, with the way to give options.
    """
    if target is None:
        raise UsageError("a metric of scikit-learn is computed by a learner: learn.validate()")
    func = metric.func if isinstance(metric, Metric) else metric
    inner = innermost(metric)
    parameters = list(inspect.signature(inner).parameters)
    shares = inner.__name__ in _SHARES or any(name in parameters[:2] for name in _WANT_SHARES)

    def of(outputs: Tensor, y: Tensor) -> Any:
        predicted, actual = (target.scores if shares else target.decisions)(outputs, y)
        if shares and predicted.ndim == 2 and predicted.shape[1] == 2 and actual.ndim == 1:
            predicted = predicted[:, 1]  # of two classes, as there, that of the second
        try:
            return func(actual.numpy(), predicted.numpy())
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"scikit-learn's {inner.__name__} cannot be computed of these answers: {error}. "
                f"Options are given by functools.partial: partial({inner.__name__}, ...); or "
                "write a function of (outputs, y) marked by whole_set"
            ) from error

    return of


def for_torchmetrics(
    metric: Any, target: Target | None
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Probabilities and labels in whole numbers for torchmetrics' own; others get (outputs, y)."""
    parts = parts_of(metric) or {name_of(metric): metric}
    theirs = any(
        kind.__module__.partition(".")[0] == "torchmetrics"
        for part in (metric, *parts.values())
        for kind in type(part).__mro__
    )
    if theirs and target is not None:
        return target.scores
    temperature = (target and target.temperature) or 1.0
    return lambda outputs, y: (outputs if temperature == 1 else cooled(outputs, temperature), y)


# Which way a figure improves, by its name alone: only for names that leave no doubt.


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Established names of figures; digits that belong to them are part of the word.
_RISE = _words(
    "accuracy acc precision recall sensitivity specificity ppv npv tpr tnr f1 f2 fbeta fscore "
    "auc auroc auprc roc ap map mrr ndcg dcg hits kappa mcc matthews r2 iou miou jaccard dice "
    "bleu rouge meteor psnr ssim pearson pearsonr spearman spearmanr kendall cindex"
)
_FALL = _words("mse rmse mae mape smape msle rmsle medae perplexity ppl wer cer eer nll brier")
# Words beside such a name that do not turn its sense.
_NEUTRAL = _words(
    "a the of my mine own our val valid validation train test score metric value mean avg average "
    "macro micro weighted samples binary multi multiclass multilabel balanced top at k per class "
    "classes item items image pixel pixels token tokens foreground background area under curve pr "
    "cohen cohens quadratic linear coef coefficient thresh threshold ovr ovo"
)
# A loss whose sign or sense is turned round is no loss.
_TURNED = _words("neg negative negated minus inverse inverted inv no non not without")


def rises_by_name(name: str) -> bool | None:
    """True where more is better, False where less is, None where the name does not tell.

    What ends with "loss" or "error" falls. Any word that is not understood leaves it open:
    nothing is found in parts of words, or beside words such as "drop" and "neg".
    """
    words = re.findall(r"[a-z]+\d*|\d+", name.lower())
    if _is_loss(words):
        return False
    telling = {word for word in words if word.rstrip("0123456789") not in {"", *_NEUTRAL}}
    if telling and telling <= _RISE:
        return True
    return False if telling and telling <= _FALL else None


def _is_loss(words: list[str]) -> bool:
    if words and words[-1] == "rate":
        words = words[:-1]
    last = words[-1].rstrip("0123456789") if words else ""
    ends = last.endswith(("loss", "losses")) or last in {"error", "errors"}
    return ends and not _TURNED & {*words, last.removesuffix("loss")}
