"""Honest probabilities: how far they are from frequencies, what brings them there, thresholds."""

from dataclasses import dataclass, fields
from math import exp, inf, log
from typing import Any, NamedTuple

import torch
from torch import Tensor

from onecycle.core.errors import UsageError, listing, require_number, require_whole, warn
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.targets import Target
from onecycle.data.task import Task
from onecycle.learn import loop
from onecycle.learn.metric import whole_set
from onecycle.learn.predictions import of_set, require_labels

BINS = 15  # as in Guo et al. 2017
_HOTTEST = 20.0  # a temperature beyond says that the outputs say nothing
_HALVINGS = 50  # of the range of temperatures: to more digits than a float32 has


class Reliability(NamedTuple):
    """Predictions in bins of equal width by their probability; each field (bins,).

    `number` of predictions, their mean probability `said`, and the share `seen` that was right; of
    an empty bin these are NaN.
    """

    number: Tensor
    said: Tensor
    seen: Tensor

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of `said` and `seen`, by `number`."""
        apart = (self.said - self.seen).nan_to_num().abs()
        return float((self.number * apart).sum() / self.number.sum())


def reliability(probabilities: Tensor, y: Tensor, bins: int = BINS) -> Reliability:
    """How often predictions of each probability are right.

    Of one class per item, probabilities (n, classes) and y (n,): of the likeliest class. Of several
    labels, both (n, classes): of every label of every item, whether it is there. A bin holds what
    is above its lower edge, up to the upper one. Source: Guo et al. 2017 (arXiv 1706.04599).
    """
    require_whole("bins", bins, 1)
    if probabilities.ndim != 2 or y.shape not in {probabilities.shape, probabilities.shape[:1]}:
        raise UsageError(
            "probabilities (n, classes) are compared with classes (n,) or with zeros and ones (n, "
            f"classes), not {tuple(probabilities.shape)} with {tuple(y.shape)}"
        )
    if y.ndim == 1:
        shares, found = probabilities.max(1)
        right = found == y
    else:
        shares, right = probabilities.flatten(), y.flatten() > 0.5
    shares = shares.double()
    at = ((shares * bins).ceil().long() - 1).clamp(0, bins - 1)
    number, said, seen = (
        torch.zeros(bins, dtype=torch.float64).scatter_add(0, at, values.double())
        for values in (torch.ones_like(shares), shares, right)
    )
    return Reliability(number, said / number, seen / number)


def _calibration_error(outputs: Tensor, y: Tensor, bins: int = BINS) -> Tensor:
    """The expected calibration error of logits: how far probabilities are from frequencies.

    0 where of the answers given with 80 % four of five are right, and so on; of few items also
    honest probabilities have more (.11 of 98 items and five classes). A learner gives it the
    outputs of its answers, so that it falls with `learn.calibrate()`; see `reliability`.
    """
    logits = outputs.float()
    shares = logits.softmax(1) if y.ndim == 1 else logits.sigmoid()
    return torch.tensor(reliability(shares, y, bins).error)


_calibration_error.__name__ = "calibration_error"
calibration_error = whole_set(_calibration_error)


@dataclass(frozen=True)
class Calibration:
    """What `learn.calibrate()` fitted, on how many `items`, and its standard error `spread`.

    `error` is the expected calibration error, `log_loss` the mean negative log-likelihood of the
    labels; both before and after, on the items that the temperature was fitted to.
    """

    temperature: float
    spread: float
    items: int
    error: tuple[float, float]
    log_loss: tuple[float, float]

    def __str__(self) -> str:
        pairs = (("calibration error", self.error), ("log loss", self.log_loss))
        figures = [f"{name} {before:.4f} -> {after:.4f}" for name, (before, after) in pairs]
        on = f"on {self.items} validation items"
        return f"temperature {self.temperature:.3f} ± {self.spread:.3f}: {', '.join(figures)} {on}"


def calibrate(learner: Any) -> Calibration:
    """Fit the temperature on the validation side, and put it in force; see `Learner.calibrate`."""
    target = learner.task.target
    plain = target.with_temperature(1.0)  # UsageError for kinds that have none
    batches = learner.data.in_order(DatasetType.Valid)
    require_labels(batches.dataset, "temperature")
    with loop.each_batch(learner.model, batches, learner.engine) as pairs:
        rows = [(outputs.float().cpu(), y.cpu()) for outputs, y in pairs]
    outputs, y = map(torch.cat, zip(*rows, strict=True))
    temperature = best_temperature(plain, outputs, y)
    spread = spread_of(plain, outputs, y, temperature)
    if abs(log(temperature)) < 2 * spread / temperature < inf:
        warn(
            f"the temperature {temperature:.3g} ± {spread:.2g} of {len(y)} validation items might "
            "as well be 1: on other items it may do more harm than good. Calibrate on more of them",
            3,
        )
    fitted = target.with_temperature(temperature)
    tune(learner, fitted)
    errors, losses = [], []
    for each in (plain, fitted):
        errors.append(reliability(each.activate(outputs), y).error)
        losses.append(float(plain.loss(outputs / each.temperature, y)))
    found: Any = (*errors,), (*losses,)
    return Calibration(temperature, spread, len(y), *found)


def best_temperature(target: Target, outputs: Tensor, y: Tensor) -> float:
    """The one number by which dividing `outputs` makes `target`'s own loss of `y` least.

    The loss (the negative log-likelihood) is convex in 1 / temperature, so that its slope has one
    zero, which is halved in on. One for all classes and labels: it keeps their order, and a label
    that is seldom there has too few items for one of its own. Source: Guo et al. 2017 (arXiv
    1706.04599), section 4.2. Warns where there is no least one between 1/20 and 20.
    """
    found = least_temperature(target, outputs, y)
    if at_its_end(found):
        why = "every answer is right, or all are the same" if found < 1 else "none says anything"
        warn(
            f"the temperature {found:.3g} is the end of its range: of the outputs for {len(y)} "
            f"validation items {why}, so that no probability can be learnt from them. Calibrate "
            "on items that training has not seen, and on more of them",
            4,
        )
    return found


def least_temperature(target: Target, outputs: Tensor, y: Tensor) -> float:
    """That of `best_temperature`, without a warning; y may be shares of the classes (n, c)."""
    outputs, y = outputs.double(), y.double() if y.is_floating_point() else y
    low, high = -log(_HOTTEST), log(_HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scale = torch.tensor(exp(-middle), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(target.loss(outputs * scale, y), scale)
        low, high = (low, middle) if slope <= 0 else (middle, high)
    return exp((low + high) / 2)


def at_its_end(temperature: float) -> bool:
    """Whether a temperature is the end of the range in which one is looked for."""
    return not 1.01 / _HOTTEST < temperature < _HOTTEST / 1.01


def spread_of(target: Target, outputs: Tensor, y: Tensor, temperature: float) -> float:
    """The standard error of a fitted temperature: what other items of the same kind would change.

    That of an estimate at which the mean of the items' slopes is zero (a sandwich: White 1982), in
    the logarithm of the temperature, and times it.
    """
    labels = y.double() if y.is_floating_point() else y

    def slopes(shift: float) -> Tensor:
        z = (outputs.double() / temperature * exp(shift)).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(target.loss(z, labels, "none").sum(), z)
        return (gradient * z).detach().flatten(1).sum(1)

    step = 1e-3
    bend = float((slopes(step) - slopes(-step)).mean()) / (2 * step)
    error = float(slopes(0.0).square().mean() / len(y)) ** 0.5
    return temperature * error / abs(bend) if bend else inf


# Thresholds of several labels.

STEPS = torch.arange(1, 100) / 100


def fit_thresholds(learner: Any, beta: float = 2.0) -> dict[Any, float]:
    """The threshold of each label by its F-beta; see `Learner.fit_thresholds`."""
    require_number("beta", beta, 0)
    target = learner.task.target
    if target.one_class or not target.whole_classes:
        raise UsageError(
            f"fit_thresholds() is for several labels per item, not for a {target.kind}; where one "
            'class has to be likely enough, or else is "not sure", say learn.with_threshold(0.7)'
        )
    found = of_set(learner, learner.data.in_order(DatasetType.Valid))
    found.require_labels("thresholds")
    best = best_thresholds(found.probabilities, found.targets, beta)
    names = target.classes
    if without := [name for name, value in zip(names, best, strict=True) if value is None]:
        warn(
            f"{len(without)} of {len(names)} labels ({listing(without)}) are on no validation "
            "item, so that no threshold is better than another: they keep the one that they have",
            3,
        )
    fitted = {name: value for name, value in zip(names, best, strict=True) if value is not None}
    tune(learner, target.with_threshold(fitted))
    return fitted


def best_thresholds(probabilities: Tensor, y: Tensor, beta: float) -> list[float | None]:
    """For each label (column) that of .01, .02, ... .99 with the best F-beta over the items.

    Of several the one in their middle; None for a label that no item has.
    """
    actual, rows = y > 0.5, []
    for step in STEPS:
        predicted = probabilities > step
        sizes = beta**2 * actual.sum(0) + predicted.sum(0)
        rows.append((1 + beta**2) * (predicted & actual).sum(0) / sizes.clamp(min=1e-9))
    found: list[float | None] = []
    for curve, count in zip(torch.stack(rows).T, actual.sum(0), strict=True):
        best = (curve >= curve.max() - 1e-6).nonzero().flatten()
        middle = int(best[(len(best) - 1) // 2])
        found.append((1 + middle) / 100 if count else None)
    return found


# What is fitted lies in the target, so that it goes wherever that goes.


def tune(learner: Any, target: Target) -> None:
    """Give the learner's data this target; the order of its next batches stays what it was."""
    old: DataBunch = learner.data
    new = old.with_task(Task(old.task.input, target))
    if old.train_dl is not None:
        new.train_dl.restore(old.train_dl.state())
    learner._data = new


def set_temperature(learner: Any, temperature: float | None) -> None:
    """That of weights which come with one, where the answers have any."""
    target = learner.task.target
    if None not in (temperature, target.temperature) and temperature != target.temperature:
        tune(learner, target.with_temperature(temperature))


def carry_over(learner: Any, target: Target) -> None:
    """Temperature and thresholds of `target` stay with a learner that gets other data.

    Only where nobody has chosen thresholds for the learner, those of the data are taken.
    """
    set_temperature(learner, target.temperature)
    theirs, ours = learner.task.target.thresh, target.thresh
    default = _default_of(target)
    if ours in (theirs, default):
        return
    if theirs != default:
        warn(
            f"the learner decides by a threshold that was chosen for it, and keeps its own, {ours};"
            f" that of the other data is {theirs}: learn.with_threshold({theirs}) takes that",
            3,
        )
    tune(learner, learner.task.target.with_threshold(ours))


def _default_of(target: Target) -> Any:
    """The threshold of answers for which none was chosen."""
    return next((field.default for field in fields(target) if field.name == "thresh"), None)


def forget_temperature(learner: Any, why: str, stacklevel: int) -> None:
    """Weights that change are no longer calibrated: say so, and go back to 1."""
    target = learner.task.target
    if target.temperature in (None, 1.0):
        return
    set_temperature(learner, 1.0)
    warn(
        f"{why}, so the temperature {target.temperature:.3g} that calibrate() has fitted to the "
        "weights before is dropped: probabilities are those of the network again. Call "
        "learn.calibrate() afterwards, and choose thresholds anew where there are any",
        stacklevel + 1,
    )
