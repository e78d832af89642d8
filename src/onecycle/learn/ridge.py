"""The last layer behind a frozen body, in closed form: `Learner.fit_ridge`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import TrainingError, UsageError, require_number, warn
from onecycle.core.machine import defaults
from onecycle.data.targets import Category, MultiCategory, Numbers, Target
from onecycle.learn import evaluate
from onecycle.learn.calibration import at_its_end, forget_temperature, least_temperature
from onecycle.learn.callback import Run
from onecycle.learn.features import Features, divide, frozen_parts, require_items
from onecycle.learn.metric import directions_of, names_of
from onecycle.learn.recorder import Printer

ALPHAS = tuple(10 ** (i / 2) for i in range(-6, 13))  # .001 to 1,000,000
_ASKED = "fit_ridge()"
_EPS = 1e-8  # of the mean variance, added to each, so that what hardly varies is not blown up
_LOSSES = (Category.loss, MultiCategory.loss, Numbers.loss)


def fit_ridge(learner: Any, alphas: Sequence[float]) -> None:
    """See `Learner.fit_ridge`.

    Features (n, d) are those of the training items, each as in validation and once, with mean 0 and
    variance 1. A label is -1 or 1 for each class, a number is itself. The weights W make the sum of
    |XW - Y|^2 + alpha |W|^2 least; of `alphas` that is taken whose layers, each fitted without an
    item, come closest to that item (one for all outputs; the sum over items has a closed form, too:
    Hastie et al. 2009, The Elements of Statistical Learning, 7.10). By the same scores one factor
    is chosen for which cross-entropy is least, with labels as sure as (n + 1) / (n + 2), as Platt
    1999 proposes, so that it is finite where all are right. Needs memory for a few times n * d
    numbers and time for n * d * min(n, d): for some ten thousand items.
    """
    body, norm, last = _parts(learner)
    found = sorted(_checked(alphas))
    forget_temperature(learner, "fit_ridge() changes the weights", 3)
    start, shown = perf_counter(), defaults.progress and not learner.silent
    x, y = Features(body, learner.engine, learner.data, shown).of_training(True)[0]
    mean, scale, x = _standardised(x, last.in_features, norm)
    fitted = _fit(learner.task.target, x, y, found)
    with torch.no_grad():
        _write(fitted, mean, scale, norm, last)
    if shown:
        print(fitted.told(len(y), found))
    _record(learner, fitted, y, start, shown)


def _checked(alphas: Sequence[float]) -> Iterator[float]:
    if isinstance(alphas, str) or not hasattr(alphas, "__iter__") or not len(alphas):
        raise UsageError(f"alphas are one or more numbers above 0, as (0.1, 1, 10): {alphas!r}")
    for alpha in alphas:
        yield require_number("each of alphas", alpha, 1e-12, 1e12)


def _parts(learner: Any) -> tuple[nn.Module, nn.BatchNorm1d | None, nn.Linear]:
    """What comes before the last layers of a learner, and these; UsageError for what is not fit."""
    data = learner.data
    body, head = frozen_parts(learner, _ASKED)
    require_items(learner, _ASKED)
    if type(data.task.target).loss not in _LOSSES:
        raise UsageError(
            f"{_ASKED} is for labels of one class, several classes or numbers, not for a "
            f"{data.task.target.kind}: train with fit_one_cycle()"
        )
    if learner._loss_func is not None:
        raise UsageError(
            f"{_ASKED} makes squared errors least, and this learner has a loss of its own "
            "(weighted by class, perhaps): learn.loss_func = None leaves it out, or use "
            "fit_one_cycle(..., cache_features=True)"
        )
    if data.train_ds.sampler is not None:
        raise UsageError(
            f"{_ASKED} takes each item once, and sampler={data.train_ds.sampler!r} draws some more "
            "often: leave it out, or use fit_one_cycle(..., cache_features=True)"
        )
    if learner.callbacks:
        names = ", ".join(type(callback).__name__ for callback in learner.callbacks)
        raise UsageError(
            f"{_ASKED} takes no steps, so that {names} would have no part in it: "
            "learn.callbacks.clear() takes out what stays with the learner"
        )
    pool, rest = divide(nn.Sequential(*_flat(head)))
    return nn.Sequential(body, pool), *_last(rest)


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a head, one after the other."""
    for layer in module if type(module) is nn.Sequential else [module]:
        if type(layer) is nn.Sequential:
            yield from _flat(layer)
        else:
            yield layer


def _last(rest: nn.Module) -> tuple[nn.BatchNorm1d | None, nn.Linear]:
    """The batch norm and the linear layer of a head that has only them behind its pooling."""
    layers: list[Any] = [m for m in rest.children() if not isinstance(m, nn.Dropout | nn.Identity)]
    norm = layers.pop(0) if len(layers) > 1 and isinstance(layers[0], nn.BatchNorm1d) else None
    tracked = norm is None or norm.track_running_stats
    linear = len(layers) == 1 and isinstance(layers[0], nn.Linear) and layers[0].bias is not None
    if not (tracked and linear):
        names = ", ".join(type(layer).__name__ for layer in rest.children()) or "none that learns"
        raise UsageError(
            f"{_ASKED} is for a head of one linear layer, with a bias, behind pooling and perhaps "
            f"a batch norm, and this one has {names}: cnn_learner(..., lin_ftrs=[]) makes such a "
            "head"
        )
    return norm, layers[0]


def _standardised(
    x: Tensor, width: int, norm: nn.BatchNorm1d | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, scale (d,) and features with mean 0 and variance 1, float64."""
    if x.shape[1:] != (width,):
        raise UsageError(
            f"{_ASKED} takes {width} features an item, as its last layer does, and the body gives "
            f"{tuple(x.shape[1:])}"
        )
    x = x.double()
    if bad := int((~x.isfinite()).any(1).sum()):
        raise TrainingError(
            f"the body gives features that are no finite numbers, of {bad} of {len(x)} training "
            "items: look at these items, or at the weights of the body"
        )
    var, mean = torch.var_mean(x, 0, correction=0)
    scale = (var + (norm.eps if norm is not None else _EPS * var.mean())).sqrt()
    scale[scale == 0] = 1.0
    return mean, scale, (x - mean) / scale


# The closed form.


@dataclass(frozen=True)
class Ridge:
    """A linear layer on standardised features: weight (k, d), bias (k,), float64.

    `left_out` (n, k) are the scores of each item by a layer that was fitted without it, `scores`
    those of the layer itself; all of them are times `factor`.
    """

    weight: Tensor
    bias: Tensor
    left_out: Tensor
    scores: Tensor
    alpha: float
    factor: float | None = None

    def times(self, by: Tensor | float, factor: float | None = None) -> "Ridge":
        """All outputs times a number, or each by its own (k,); `factor` is what that is called."""
        weight = self.weight * torch.as_tensor(by).reshape(-1, 1)
        bias, left_out, scores = (part * by for part in (self.bias, self.left_out, self.scores))
        return Ridge(weight, bias, left_out, scores, self.alpha, factor)

    def told(self, items: int, alphas: Sequence[float]) -> str:
        """What was chosen, in a line."""
        at = {alphas[0]: ", the least given", alphas[-1]: ", the largest given"}
        end = at.get(self.alpha, "") if len(alphas) > 1 else ", the only one given"
        factor = (
            "" if self.factor is None else f"; scores times {self.factor:.4g} for probabilities"
        )
        return (
            f"fit_ridge: one look at each of {items} training items, alpha {self.alpha:.4g}{end}, "
            f"by leaving one out{factor}"
        )


def solve(x: Tensor, y: Tensor, alphas: Sequence[float]) -> Ridge:
    """The ridge of the best alpha; x (n, d) and y (n, k), both float64, x with mean 0."""
    bias = y.mean(0)
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    kept = s > s.max() * 1e-10
    u, s, vt = u[:, kept], s[kept], vt[kept]
    along = u.T @ (y - bias)
    beyond = y - bias - u @ along
    outside = (1 - 1 / len(x) - u.square().sum(1)).clamp(min=0)[:, None]

    def missed(alpha: float) -> tuple[Tensor, Tensor]:
        """How far the labels are from the scores of the layer, and of those without the item."""
        share = alpha / (s.square() + alpha)
        rest = beyond + u @ (share[:, None] * along)
        return rest, rest / (outside + (u.square() @ share)[:, None])

    alpha = min(alphas, key=lambda alpha: float(missed(alpha)[1].square().mean()))
    rest, without = missed(alpha)
    weight = (vt.T @ ((s / (s.square() + alpha))[:, None] * along)).T
    return Ridge(weight, bias, y - without, y - rest, alpha)


def _fit(target: Target, x: Tensor, y: Tensor, alphas: Sequence[float]) -> Ridge:
    """The ridge in the units of a target, of which `activate` makes probabilities or values."""
    if len(x) < 3:
        raise UsageError(f"{_ASKED} leaves one item out, and wants three or more, not {len(x)}")
    if not target.whole_classes:
        spread = y.double().std(0, correction=0)
        spread[spread == 0] = 1.0
        return solve(x, y.double() / spread, alphas).times(spread)
    kinds = nn.functional.one_hot(y, target.n_outputs) if target.one_class else y
    kinds = kinds.double()
    if (kinds == kinds[0]).all():
        raise UsageError(
            f"all {len(y)} training items have the same label, so that {_ASKED} has nothing to "
            "tell apart: split the items otherwise"
        )
    found = solve(x, 2 * kinds - 1, alphas)
    unit = float(found.left_out.std()) or 1.0
    slack = 1 / (len(y) + 2)
    parts = kinds.shape[1] if target.one_class else 2
    sure = kinds * (1 - slack * parts / (parts - 1)) + slack / (parts - 1)
    divisor = least_temperature(target.uncalibrated(), found.left_out / unit, sure)
    if divisor > 1 and at_its_end(divisor):
        message = (
            f"the scores of {len(y)} training items, each by a layer that has not seen it, say "
            "nothing about their labels: probabilities are made nearly equal. Look at the labels, "
            "or use another body"
        )
        warn(message, 4)
    factor = 1 / (unit * divisor)
    return found.times(factor, factor)


# What becomes of it.


def _write(
    fitted: Ridge, mean: Tensor, scale: Tensor, norm: nn.BatchNorm1d | None, last: nn.Linear
) -> None:
    """Into the layers, in place; a batch norm before the last does the standardising."""
    weight, bias, var = fitted.weight, fitted.bias, scale.square()
    if norm is None:
        weight = weight / scale
        bias = bias - weight @ mean
    else:
        norm.running_mean.copy_(mean.float())  # type: ignore[union-attr]
        norm.running_var.copy_((var - norm.eps).float())  # type: ignore[union-attr]
        if norm.affine:
            norm.weight.fill_(1.0)
            norm.bias.zero_()
    last.weight.copy_(weight.float())  # not every device has float64
    last.bias.copy_(bias.float())


def _record(learner: Any, fitted: Ridge, y: Tensor, start: float, shown: bool) -> None:
    """A row of results, as after an epoch, in history, recorder and table."""
    data, metrics = learner.data, learner.metrics
    columns: dict[str, bool | None] = {"train_loss": False}
    if data.valid_dl is not None:
        columns |= {"valid_loss": False} | directions_of(metrics)
    what = learner.model, data, learner.create_opt(defaults.lr), learner.engine, learner.loss_func
    run = Run(*what, epochs=1, n_steps=0, directions=columns, row={"epoch": 0})
    recorder, printer = learner.recorder, Printer(names_of(metrics), shown)
    recorder.bind(learner)
    recorder.before_fit(run)
    printer.before_fit(run)
    printer.start = start
    run.row["train_loss"] = float(data.task.target.loss(fitted.scores.float(), y))
    run.row |= evaluate.validate(run, run.loss_func, metrics) if data.valid_dl is not None else {}
    chosen = {"alpha": fitted.alpha, "factor": fitted.factor}
    run.row |= {name: value for name, value in chosen.items() if value is not None}
    for each in (recorder, printer):
        each.after_epoch(run)
    learner.history.append(run.row)
    learner.opt = None  # there were no steps, and averages of earlier ones are of other weights
