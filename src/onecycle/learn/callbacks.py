"""Callbacks: stop early, keep the best, lower the rate, 1cycle, mixup, clipping and others."""

from collections.abc import Sequence
from math import inf, isnan
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from onecycle.core.errors import CheckpointError, UsageError, require_number, warn
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.checkpoint import checkpoint_path, stored_row
from onecycle.learn.losses import per_item_loss
from onecycle.learn.metric import COLUMNS
from onecycle.learn.optimizer import GroupedOptimizer, one_cycle


class Monitor(Callback):
    """Says after each epoch whether `monitor` got better by more than `min_delta`.

    `mode` is "min", "max", or "auto": as the metric itself says (`higher_is_better`), or else its
    name, where that leaves no doubt. UsageError, before training, where nobody has said.
    """

    order = 10

    def __init__(
        self, monitor: str = "valid_loss", mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        if not isinstance(monitor, str):
            raise UsageError(
                f"monitor is the name of a column, such as 'valid_loss', not {type(monitor)}: "
                f"{type(self).__name__} is made without a learner, and given as callbacks=[...]"
            )
        if mode not in {"auto", "min", "max"}:
            raise UsageError(f'mode is "auto", "min" or "max", not {mode!r}')
        if not 0 <= min_delta < inf:
            raise UsageError(f"min_delta is a number from 0 on, not {min_delta!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.sign = 0  # 1 where the figure should rise, -1 where it should fall

    def before_fit(self, run: Run) -> None:
        """Nothing is the best yet."""
        self.sign = 1 if self._rises(run) else -1
        self.best, self.waited = -inf, 0

    def _rises(self, run: Run) -> bool:
        """Whether the figure should rise; UsageError where that is not known."""
        known = self.monitor in run.directions
        if not known and (self.mode == "auto" or self.monitor in COLUMNS):
            raise self._not_there(list(run.directions))
        if self.mode != "auto":
            return self.mode == "max"
        rises = run.directions[self.monitor]
        if rises is None:
            raise UsageError(
                f"nobody has said whether more or less {self.monitor!r} is better: give "
                f'{type(self).__name__} mode="max" or mode="min", or mark the metric once by '
                "@higher_is_better or @lower_is_better"
            )
        return rises

    def _not_there(self, known: list[str]) -> UsageError:
        return UsageError(
            f"there is no {self.monitor!r} to watch; there are {known}. For a figure that a "
            'callback of your own writes into run.row, give mode="max" or mode="min"'
        )

    def improves(self, run: Run) -> bool:
        """Compare the row of this epoch with the best one."""
        value = run.row.get(self.monitor)
        if value is None:
            raise self._not_there([name for name, v in run.row.items() if isinstance(v, float)])
        if isnan(value):
            message = (
                f"{self.monitor} is not a number in epoch {run.epoch}, which "
                f"{type(self).__name__} takes for no improvement"
            )
            warn(message, 2)
        better = self.sign * value > self.best + self.min_delta
        self.best = self.sign * value if better else self.best
        self.waited = 0 if better else self.waited + 1
        return bool(better)


class Patient(Monitor):
    """A monitor that does something once `patience` epochs in a row brought no improvement.

    0 is as 1: the first such epoch is enough.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not isinstance(patience, Integral) or patience < 0:
            raise UsageError(f"patience is a whole number of epochs from 0 on, not {patience!r}")
        self.patience: int = int(patience)

    def out_of_patience(self, run: Run) -> bool:
        """Compare the row of this epoch, and count."""
        return not self.improves(run) and self.waited >= self.patience


class EarlyStopping(Patient):
    """Stops once `patience` epochs in a row brought no improvement (0 is as 1)."""

    def after_epoch(self, run: Run) -> None:
        """Stop where it has waited long enough."""
        if self.out_of_patience(run):
            run.engine.say(f"epoch {run.epoch}: stopping early, {self.monitor} improves no more")
            raise StopFit


class ReduceLROnPlateau(Patient):
    """Multiplies all rates by `factor` once `patience` epochs in a row brought no improvement.

    With a schedule such as 1cycle, which sets the rate before every batch, it does nothing but
    warn: use it in `learn.fit`.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
        factor: float = 0.2,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience)
        if not 0 < factor < 1:
            raise UsageError(f"factor lowers the rate: a number between 0 and 1, not {factor!r}")
        self.factor, self.idle = factor, False

    def claims(self) -> tuple[str, ...]:
        """Twice would lower twice."""
        return (f"lower the rate when {self.monitor!r} stands still",)

    def before_fit(self, run: Run) -> None:
        """Look for a schedule, under which no other rate lasts."""
        super().before_fit(run)
        schedules = [type(c).__name__ for c in run.callbacks if c.schedules]
        self.idle = bool(schedules)
        if self.idle:
            message = (
                f"{schedules[0]} (as in fit_one_cycle) sets the learning rate before every batch, "
                f"so {type(self).__name__} would change nothing and is left out of this fit: use "
                "learn.fit(epochs, rate) with it"
            )
            warn(message, 2)

    def after_epoch(self, run: Run) -> None:
        """Lower the rates where it has waited long enough."""
        if not self.idle and self.out_of_patience(run):
            for part in run.optimizer.param_groups:
                part["lr"] *= self.factor
            self.waited = 0
            rate = run.optimizer.rates()[-1]
            run.engine.say(f"epoch {run.epoch}: learning rate lowered to {rate:.2e}")


class SaveModel(Monitor):
    """Saves the learner at each improvement, and loads the best one at the end of the fit.

    Without `learner` it is the one that trains. Each fit begins afresh, and its best replaces the
    file of an earlier fit, with a warning where that was better. With `reset_on_fit=False` the file
    keeps the best of all fits, also of earlier programs, and it is this one that is loaded at the
    end.
    """

    order = 9

    def __init__(
        self,
        learner: Any = None,
        monitor: str = "valid_loss",
        mode: str = "auto",
        name: str | Path = "bestmodel",
        reset_on_fit: bool = True,
    ) -> None:
        super().__init__(monitor, mode)
        self.learner = self.given = learner
        self.name, self.reset_on_fit = name, reset_on_fit
        self.saved = False
        self.earlier: float | None = None  # what the file of an earlier fit had
        self.foreign: str | None = None  # why it is none of this learner

    def bind(self, learner: Any) -> None:
        """Saves the learner that trains, where it was made without one."""
        self.learner = self.given or learner

    def claims(self) -> tuple[str, ...]:
        """Two would overwrite each other's file."""
        return (f"save to {str(self.name)!r} (give each a name= of its own)",)

    def before_fit(self, run: Run) -> None:
        """Begin afresh, or with what the file there has."""
        super().before_fit(run)
        path = checkpoint_path(self.learner.path, self.learner.model_dir, self.name)
        row, self.foreign = stored_row(path, self.learner.model, self.learner.task)
        value = row.get(self.monitor)
        self.earlier = float(value) if isinstance(value, int | float) else None
        if self.reset_on_fit:
            return
        if self.foreign:
            raise CheckpointError(
                f"{path} is {self.foreign}, so it cannot be kept as the best of all fits: give "
                "SaveModel another name="
            )
        if self.earlier is not None:
            self.best = self.sign * self.earlier

    def after_epoch(self, run: Run) -> None:
        """Save where it is better than before."""
        if self.improves(run):
            self.learner.save(self.name)
            self.saved = True

    def after_fit(self, run: Run) -> None:
        """The best weights come back."""
        saved, earlier, foreign = self.saved, self.earlier, self.foreign
        self.saved, self.earlier, self.foreign = False, None, None
        if saved or (not self.reset_on_fit and earlier is not None):
            self.learner.load(self.name, with_opt=False)
        if not saved and not self.reset_on_fit and earlier is not None:
            run.engine.say(
                f"{self.name}: the best {self.monitor}, {earlier:.6g}, is still that of an earlier "
                "fit; its weights are back"
            )
        worse = earlier is not None and self.best < self.sign * earlier
        if saved and (worse or foreign):
            was = f"of an earlier fit, with {self.monitor} {earlier:.6g}" if worse else foreign
            message = (
                f"{self.name}: the file that was there, {was}, is replaced by the best of this "
                f"fit, with {self.sign * self.best:.6g}. SaveModel(..., reset_on_fit=False) keeps "
                "the best of all fits; name= gives each fit a file of its own"
            )
            warn(message, 2)


# 1cycle as a callback: rate and momentum of every step.


class OneCycle(Callback):
    """Sets each layer group's rate, and the momentum, before every step.

    Warns, once a fit, where another callback has set them meanwhile.
    """

    order = -30
    schedules = True

    def __init__(
        self,
        max_rates: Sequence[float],
        moms: tuple[float, float] | None,
        div_factor: float,
        pct_start: float,
        final_div: float,
    ) -> None:
        if not 0 <= pct_start <= 1:
            raise UsageError(f"pct_start is a share of the steps from 0 to 1, not {pct_start}")
        pair = isinstance(moms, tuple | list) and len(moms) == 2
        if moms is not None and (not pair or not all(0 <= m < 1 for m in moms)):
            raise UsageError(f"moms are two momenta from 0 to below 1, (high, low), not {moms!r}")
        if not (0 < div_factor < inf and 0 < final_div < inf):
            raise UsageError(
                f"div_factor and final_div are finite numbers above 0, not {div_factor!r} and "
                f"{final_div!r}"
            )
        self.max_rates, self.div_factor, self.final_div = [*max_rates], div_factor, final_div
        self.ends = [(rate / div_factor, rate, rate / final_div) for rate in max_rates]
        self.moms, self.pct_start = moms and (*moms, moms[0]), pct_start

    def claims(self) -> tuple[str, ...]:
        """Of two schedules the last would win."""
        return ("set rate and momentum before every batch",)

    def before_fit(self, run: Run) -> None:
        """Set the first values, so that it is seen where others change them."""
        self.warned = False
        self._set(run)

    def before_batch(self, run: Run) -> None:
        """The values of this step."""
        self._compare(run)
        self._set(run)

    def _set(self, run: Run) -> None:
        where = run.step, run.n_steps
        run.optimizer.set_rates([one_cycle(*where, ends, self.pct_start) for ends in self.ends])
        if self.moms:
            run.optimizer.set_momentum(one_cycle(*where, self.moms, self.pct_start))
        self.values = _values(run.optimizer)

    def _compare(self, run: Run) -> None:
        """Warn where rates or momenta are not those that were set."""
        found = _values(run.optimizer)
        changed = [name for name, value in found.items() if value != self.values[name]]
        if self.warned or not changed:
            return
        self.warned = True
        own = type(self).__module__.partition(".")[0] + "."
        kinds = [type(callback) for callback in run.callbacks]
        others = [kind.__name__ for kind in kinds if not f"{kind.__module__}.".startswith(own)]
        who = " or ".join(dict.fromkeys(others)) or "something outside the callbacks"
        what = " and ".join(changed)
        message = (
            f"{who} changed the {what} (in epoch {run.epoch}, before step {run.step}), which does "
            f"not last: {type(self).__name__}, as in fit_one_cycle, sets both before every batch. "
            "Use learn.fit(epochs, rate), or leave one of the two out"
        )
        warn(message, 2)


def _values(optimizer: GroupedOptimizer) -> dict[str, Any]:
    parts = optimizer.param_groups
    momenta = [part.get("betas", part.get("momentum")) for part in parts]
    return {"learning rate": [part["lr"] for part in parts], "momentum": momenta}


# Mixup: train on blends of two items and of their losses (Zhang et al. 2017).


class MixUp(Callback):
    """Blends each image with another of its batch; the share comes from Beta(alpha, alpha)."""

    def __init__(self, alpha: float = 0.4) -> None:
        if not 0 < alpha < inf:
            raise UsageError(f"alpha of mixup is a number above 0, not {alpha!r}")
        self.alpha = alpha

    def claims(self) -> tuple[str, ...]:
        """Blends of blends have labels that nobody computes."""
        once = "learn.mixup() does it once, however often it is called"
        return (f"mix the items of a batch ({once})",)

    def blend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Blended inputs; the share (n,) of each that is its own, and the number of its partner."""
        n = len(x)
        share = torch.distributions.Beta(self.alpha, self.alpha).sample((n,)).to(x.device)
        share = torch.maximum(share, 1 - share)  # so that an item and its partner are not doubles
        other = torch.randperm(n, device=x.device)
        wide = share.view(n, *[1] * (x.ndim - 1))
        return x * wide + x[other] * (1 - wide), share, other

    def before_batch(self, run: Run) -> None:
        """Blend the inputs, and let the loss look at both labels."""
        run.x, share, other = self.blend(run.x)
        plain, partner, target = run.loss_func, run.y[other], run.data.task.target

        def blend_loss(outputs: Tensor, y: Tensor) -> Tensor:
            each = [per_item_loss(plain, outputs, labels, target) for labels in (y, partner)]
            return (each[0] * share + each[1] * (1 - share)).mean()

        run.loss_func = blend_loss


class CutMix(MixUp):
    """Puts a patch of another image into each, by torchvision's v2.CutMix (Yun et al. 2019).

    Both labels count by their share of the pixels. For images whose labels do not lie on them.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def before_fit(self, run: Run) -> None:
        """Refuse what lies on images, before training."""
        if run.data.task.target.on_image:
            raise UsageError(
                "cutmix() would leave masks and points behind: use mixup(), or neither"
            )

    def blend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As of `MixUp`; every image of a batch has its patch in the same place."""
        from torchvision.transforms.v2 import CutMix as Patch

        if x.ndim != 4:
            raise UsageError(
                f"cutmix() is for images (n, c, h, w), not for items {[*x.shape[1:]]}, which with "
                "cache_features= are features: leave one of the two out"
            )
        numbers = torch.arange(len(x), device=x.device)
        mixed, shares = Patch(alpha=self.alpha, num_classes=len(x))(x, numbers)
        return mixed, shares.diagonal(), numbers.roll(1)


def blend_by(kind: type[MixUp], alpha: float, callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks with one that mixes items, in place of any other; with alpha 0 without."""
    others = [callback for callback in callbacks if not isinstance(callback, MixUp)]
    return [*others, kind(alpha)] if alpha else others


# What happens to gradients between backward and step.


class GradientClipping(Callback):
    """Keeps the norm of all gradients together at or below `clip`."""

    def __init__(self, clip: float = 1.0) -> None:
        if not require_number("clip", clip, 0):
            raise UsageError("clip is above 0: with 0 no weight would ever move")
        self.clip = clip

    def after_backward(self, run: Run) -> None:
        """Scale the gradients in place."""
        clip_grad_norm_([p for p in run.model.parameters() if p.grad is not None], self.clip)


# Small and slowly changing activations of a recurrent model: AR and TAR.


class ActivationRegularization(Callback):
    """Adds alpha * mean(dropped^2) and beta * mean((raw_t+1 - raw_t)^2) to the training loss.

    Source: Merity et al. 2017 (arXiv 1708.02182), section 4.6.
    """

    def __init__(self, alpha: float = 2.0, beta: float = 1.0) -> None:
        self.alpha = require_number("alpha", alpha, 0)
        self.beta = require_number("beta", beta, 0)

    def claims(self) -> tuple[str, ...]:
        """Twice would count twice."""
        return ("add the size of activations to the loss",)

    def after_loss(self, run: Run) -> None:
        """On the encoder's last layer."""
        encoder: Any = run.model.encoder
        if run.loss is None:
            return
        if self.alpha and encoder.dropped is not None:
            run.loss = run.loss + self.alpha * encoder.dropped.float().square().mean()
        if self.beta and encoder.raw is not None and encoder.raw.shape[1] > 1:
            raw = encoder.raw.float()
            run.loss = run.loss + self.beta * (raw[:, 1:] - raw[:, :-1]).square().mean()


# Keeps the running statistics of batch norm in frozen groups as the weights have them.


class FrozenNorm(Callback):
    """Puts batch norm without trainable parameters into evaluation mode for training."""

    def before_epoch(self, run: Run) -> None:
        """The loop has just put the whole model into training mode."""
        for module in run.model.modules():
            own = list(module.parameters())
            norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
            if norm and own and not any(parameter.requires_grad for parameter in own):
                module.eval()
