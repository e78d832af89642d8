"""What metrics of other libraries are given: scikit-learn's functions, torchmetrics' objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.data.targets import Target
from onecycle.learn.metric import WholeSet, innermost, name_of, parts_of

_SHARES = {"log_loss", "d2_log_loss_score"}  # their `y_pred` are probabilities
_WANT_SHARES = ("y_score", "y_prob", "y_proba", "pred_decision")  # so are these parameters


def given_to_sklearn(metric: Any, target: Target | None) -> Callable[[Tensor, Tensor], Any]:
    """A metric of scikit-learn as a function of (outputs, y) of the whole set.

    Those with a parameter `y_score` or `y_prob` get probabilities, the others what is decided;
    UsageError where scikit-learn refuses them, with the way to give options.
    """
    if target is None:
        raise UsageError("a metric of scikit-learn is computed by a learner: learn.validate()")
    func = metric.func if isinstance(metric, WholeSet) else metric
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


def given_to_torchmetrics(
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
    return lambda outputs, y: (outputs, y)
