"""The learner: a model, its data, and everything one does with the two."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, Unpack, overload

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError, require_whole
from onecycle.core.machine import defaults, reuse_memory
from onecycle.core.paths import Path as ListablePath
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.groups import By
from onecycle.data.label_list import LabelList
from onecycle.data.task import Task
from onecycle.learn import (
    calibration,
    checkpoint,
    checks,
    exporting,
    fitting,
    held_out,
    predictions,
    recipes,
    ridge,
)
from onecycle.learn.budget import length
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import CutMix, MixUp, blend_by
from onecycle.learn.engine import Engine, free_memory
from onecycle.learn.execution import Execution
from onecycle.learn.lr_find import RateCurve, find_lr
from onecycle.learn.metric import names_of, warn_of_thresholds
from onecycle.learn.optimizer import AdamW, GroupedOptimizer, Rate, rates_by_group
from onecycle.learn.options import FitOptions
from onecycle.learn.recorder import Recorder
from onecycle.learn.training import train
from onecycle.models.groups import Groups, layer_groups, norm_parameters, train_from
from onecycle.runtime import hub
from onecycle.runtime.kinds import Answer


class Learner(Execution):
    """Trains `model` on `data`, looks at what it predicts, and keeps it.

    `metrics` is a function of (outputs, y) or a list of them; `wd` decoupled weight decay, on
    normalisation layers too with `bn_wd`; `train_bn` keeps batch norm learning in frozen groups,
    without it their statistics stand still. Saved weights go to `path/model_dir`. With
    `accumulate` n the weights move after every n batches, as with batches n times as large.
    """

    largest_kept = 2**30  # bytes of a freed block that stays with the process, on a CPU

    def __init__(
        self,
        data: DataBunch,
        model: nn.Module,
        opt_func: Callable[..., torch.optim.Optimizer] = AdamW,
        loss_func: Callable[..., Tensor] | None = None,
        metrics: Any = None,
        wd: float | None = None,
        true_wd: bool = True,
        bn_wd: bool = True,
        train_bn: bool = True,
        path: str | Path | None = None,
        model_dir: str | Path = "models",
        callbacks: Sequence[Callback] = (),
        groups: Groups | None = None,
        silent: bool = False,
        accumulate: int = 1,
        callback_fns: Any = None,
    ) -> None:
        checks.require_bunch(data, callback_fns)
        self._data, self._model = data, model.to(data.device)
        self.recorder = Recorder([])
        self.opt_func, self.loss_func, self.metrics = opt_func, loss_func, metrics
        self.wd = defaults.wd if wd is None else wd
        self.true_wd, self.bn_wd, self.train_bn = true_wd, bn_wd, train_bn
        self.path, self.model_dir = ListablePath(path or data.path), model_dir
        self.callbacks, self.silent, self.accumulate = list(callbacks), silent, accumulate
        self._layers = checks.Layers(self.model, groups)
        self.engine = Engine(data.device)
        if data.device.type == "cpu":
            reuse_memory(self.largest_kept)
        self.opt: GroupedOptimizer | None = None
        self.history: list[dict[str, Any]] = []
        self.recipe: dict[str, Any] | None = None

    if not TYPE_CHECKING:  # else a type checker would take any attribute to be there

        def __getattr__(self, name: str) -> NoReturn:
            if not self.__dict__ and not name.startswith("__"):
                raise UsageError("this Learner was destroyed: make a new one")
            raise AttributeError(f"a Learner has no attribute {name!r}{checks.instead_of(name)}")

    def __repr__(self) -> str:
        if not self.__dict__:
            return f"{type(self).__name__}: destroyed"
        return checks.describe(self, type(self.model).__name__)

    # --- what it is made of ------------------------------------------------------------------

    @property
    def model(self) -> nn.Module:
        """The network; another one may be assigned, which begins with layer groups of its own."""
        return self._model

    @model.setter
    def model(self, other: nn.Module) -> None:
        self._model = other.to(self.data.device)
        calibration.forget_temperature(self, "the learner has another model", 2)
        self._layers, self.opt, self.recipe = checks.Layers(self._model, None), None, None

    @property
    def layer_groups(self) -> Groups:
        """The parameters in the groups that are frozen together and have a rate of their own."""
        return self._layers.of(self.model)

    @layer_groups.setter
    def layer_groups(self, groups: Groups) -> None:
        self._layers, self.opt = checks.Layers(self.model, groups), None

    @property
    def data(self) -> DataBunch:
        """The data; assign another DataBunch with the same answers to train on at another size."""
        return self._data

    @data.setter
    def data(self, other: DataBunch) -> None:
        other = checkpoint.fit_swapped(self.task, other)
        checks.warn_of_seen(self._data, other)
        target, self._data = self.task.target, other
        calibration.carry_over(self, target)  # it belongs to the weights

    @property
    def task(self) -> Task:
        """What an item and an answer are."""
        return self._data.task

    @property
    def loss_func(self) -> Callable[..., Tensor]:
        """The loss: the one given, or the target's."""
        return checks.on_device(self._loss_func, self.data.device) or self.task.target.loss

    @loss_func.setter
    def loss_func(self, func: Callable[..., Tensor] | None) -> None:
        self._loss_func = func

    @property
    def accumulate(self) -> int:
        """How many batches a step is made of."""
        return self._accumulate

    @accumulate.setter
    def accumulate(self, count: int) -> None:
        self._accumulate: int = require_whole("accumulate", count)

    @property
    def metrics(self) -> list[Any]:
        """The metrics, as a list; one or several may be assigned."""
        return self._metrics

    @metrics.setter
    def metrics(self, given: Any) -> None:
        found = checks.listed(given)
        names = names_of(found)
        if not self.recorder.metrics:  # else they are those of the fit that is recorded
            self.recorder.metric_names = names
        self._metrics = found

    def with_threshold(self, thresh: Any) -> Self:
        """This learner, deciding by `> thresh` from now on (it is saved and exported).

        Of several labels those above it are predicted; it is one for all, or a dict of those of
        some labels. Of one class per item the likeliest is predicted where it is above it, else
        the answer is "not sure" (its name None); without a threshold it is always the likeliest.
        """
        calibration.tune(self, self.task.target.with_threshold(thresh))
        return self

    def calibrate(self) -> calibration.Calibration:
        """Fit one temperature on the validation side, so that 80 % are right four times of five.

        From now on `predict`, `get_preds`, an exported file, its server and its page give softmax
        or sigmoid of outputs / temperature (Guo et al. 2017, arXiv 1706.04599); what is likeliest
        stays so. Call it after training: a later fit drops it, with a warning. Returns what was
        fitted, with the calibration error and the log loss before and after.
        """
        return calibration.calibrate(self)

    def fit_thresholds(self, beta: float = 2.0) -> dict[Any, float]:
        """Decide each of several labels by the threshold of best F-beta in validation.

        Returns them. Call it after `calibrate`, which moves probabilities.
        """
        return calibration.fit_thresholds(self, beta)

    def split(self, split_on: Any) -> Self:
        """Other layer groups: the modules at which one begins, or a function of the model."""
        self.layer_groups = layer_groups(self.model, split_on)
        return self

    def freeze_to(self, n: int) -> Self:
        """Train the groups from `n` on (-1: the last), with `train_bn` every batch norm too."""
        norms = norm_parameters(self.model, batch_only=True) if self.train_bn else set()
        train_from(self.layer_groups, n, norms)
        self.opt = None
        return self

    def freeze(self) -> Self:
        """Train the last layer group only."""
        return self.freeze_to(-1)

    def unfreeze(self) -> Self:
        """Train everything."""
        return self.freeze_to(0)

    def mixup(self, alpha: float = 0.4) -> Self:
        """Train on blends of two items from now on (`MixUp`), by the last `alpha`; 0: no longer."""
        self.callbacks = blend_by(MixUp, alpha, self.callbacks)
        return self

    def cutmix(self, alpha: float = 1.0) -> Self:
        """As `mixup`, and in its place, with patches of other images; see `CutMix`."""
        self.callbacks = blend_by(CutMix, alpha, self.callbacks)
        return self

    # --- training ----------------------------------------------------------------------------

    def create_opt(self, lr: Rate, wd: float | None = None) -> GroupedOptimizer:
        """A fresh optimizer over what is not frozen."""
        how = self.opt_func, self.wd if wd is None else wd, self.true_wd, self.bn_wd
        self.opt = GroupedOptimizer(self.layer_groups, self.model, *how)
        self.opt.set_rates(self.lr_range(lr))
        return self.opt

    def lr_range(self, lr: Rate) -> list[float]:
        """One rate per layer group; see `schedule.rates_by_group`."""
        return rates_by_group(lr, len(self.layer_groups))

    def fit(
        self,
        epochs: int | None = None,
        lr: Rate | None = None,
        wd: float | None = None,
        callbacks: Sequence[Callback] = (),
        resume: str | Path | None = None,
        cache_features: bool | int = False,
        minutes: float | None = None,
    ) -> Self:
        """Train for `epochs`, or for `minutes` in their place (see `Budget`), at constant rates.

        With `resume`, a name, the fit is kept on disk, and the same call goes on where it was cut
        off; see `Checkpoint`. Ctrl-C ends it after the current step, a second one at once.
        With `cache_features` a frozen body runs once and the head trains on what it gave, without
        augmentation, or with a number on so many augmented looks; see `learn.features`.
        """
        train(self, length(epochs, minutes), lr, wd, callbacks, resume, cache_features)
        return self

    def fit_one_cycle(
        self,
        cyc_len: int | None = None,
        max_lr: Rate | None = None,
        moms: tuple[float, float] | None = (0.95, 0.85),
        div_factor: float = 25.0,
        pct_start: float = 0.3,
        final_div: float | None = None,
        wd: float | None = None,
        callbacks: Sequence[Callback] = (),
        lr: Rate | None = None,
        resume: str | Path | None = None,
        cache_features: bool | int = False,
        minutes: float | None = None,
    ) -> Self:
        """Train for `cyc_len` epochs, or `minutes`, with one cycle; `lr` is as `max_lr`.

        The rate climbs from max/div_factor to `max_lr` in the share `pct_start` of all steps and
        falls to max/final_div (div_factor * 1e4); the momentum falls from moms[0] to moms[1] and
        comes back (None: it stays). The rest as in `fit`.
        """
        cycle = recipes.cycle(self, max_lr, lr, moms, div_factor, pct_start, final_div)
        how = wd, recipes.joined(callbacks, cycle), resume, cache_features, minutes
        return self.fit(cyc_len, cycle.max_rates, *how)

    def fit_flat_cos(
        self,
        epochs: int | None = None,
        lr: Rate | None = None,
        div_final: float = 1e5,
        pct_start: float = 0.75,
        **options: Unpack[FitOptions],
    ) -> Self:
        """Train at `lr` for the share `pct_start` of all steps, then fall by a cosine to lr/1e5.

        The momentum stays; `div_final` is another divisor. The options are those of `fit`.
        """
        return self.fit_one_cycle(epochs, lr, None, 1.0, pct_start, div_final, **options)

    def fine_tune(
        self,
        epochs: int,
        base_lr: float = 2e-3,
        freeze_epochs: int | None = None,
        lr_mult: float = 100,
        resume: str | None = None,
        from_probe: bool = False,
    ) -> Self:
        """The new head alone for `freeze_epochs` (1), then all layers for `epochs`, a cycle each.

        Those of the second part are half as high, and by depth: those of the first layers divided
        by `lr_mult` (fastai's recipe of this name). `resume` as in `fit`, for both parts. For small
        sets `from_probe` ends no worse in validation than the head alone; see `recipes.fine_tune`.
        """
        recipes.fine_tune(self, epochs, base_lr, freeze_epochs, lr_mult, resume, from_probe)
        return self

    def fit_ridge(self, alphas: Sequence[float] = ridge.ALPHAS) -> Self:
        """Fit the one linear layer behind a frozen body in closed form, in seconds.

        A ridge on standardised features of the training items, as `cache_features=True` keeps
        them. Its strength is that of `alphas` which is best by leave-one-out cross-validation, and
        by the same scores, without a validation item, outputs become logits whose probabilities
        are honest. `history` has both ("alpha", "factor"). For one label, several, and numbers;
        losses, samplers and callbacks of one's own are a UsageError; see `ridge.fit_ridge`.
        """
        ridge.fit_ridge(self, alphas)
        return self

    def run_fit(
        self, epochs: int, callbacks: Sequence[Callback], validate: bool, bare: bool = False
    ) -> None:
        """One run of the loop with the optimizer as it stands; see `fitting.fit`."""
        fitting.fit(self, epochs, callbacks, validate, bare)

    def lr_find(
        self,
        start_lr: float | slice = 1e-7,
        end_lr: float | slice = 10,
        num_it: int = 100,
        stop_div: bool = True,
        wd: float | None = None,
    ) -> RateCurve:
        """Measure the loss over growing rates, and put everything back; see `find_lr`."""
        curve = self.recorder.curve = find_lr(self, start_lr, end_lr, num_it, stop_div, wd)
        if defaults.progress and not self.silent:
            self.engine.say("LR Finder is complete, type learn.recorder.plot() to see the graph.")
        return curve

    @contextmanager
    def preserve_state(self) -> Iterator[None]:
        """Weights, modes, what is frozen, optimizer (inside one begins afresh), loss scale,
        history, order of the data and random state come out as before, whatever happens inside."""
        with fitting.preserve_state(self):
            yield

    # --- looking -----------------------------------------------------------------------------

    def validate(self, dl: Any = None, metrics: Any = None) -> list[float | None]:
        """[loss of training, *metrics of the answers] on validation items, or another loader."""
        return predictions.validate(self, dl, self.metrics if metrics is None else metrics)

    def evaluate(
        self,
        test: DatasetType | LabelList = DatasetType.Test,
        metrics: Any = None,
        level: float = 0.95,
        resamples: int = 1000,
        seed: int = 0,
        group_by: By = None,
    ) -> held_out.Evaluation:
        """Loss and metrics of a labelled test side, each with a confidence interval; look once.

        The ends are percentiles of a bootstrap over the items (with `group_by`, a column, a
        function or a list, over their groups), by `seed`. Each look is counted in
        `path/model_dir/test_looks.json`, and from the second on a warning says so.
        """
        return held_out.evaluate_test(self, test, metrics, level, resamples, seed, group_by)

    def predictions(self, ds_type: DatasetType = DatasetType.Valid) -> predictions.Predictions:
        """Everything that the model predicts of one side, in the side's order."""
        return predictions.of_set(self, self.data.in_order(ds_type))

    def get_preds(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        with_loss: bool = False,
        ordered: bool = True,
    ) -> list[Tensor]:
        """[probabilities, y], in order always, and `with_loss` each item's loss (of training)."""
        found = self.predictions(ds_type)
        if with_loss:
            found.require_labels("losses")
        return [found.probabilities, found.targets, *[found.losses] * with_loss]

    @overload
    def predict(
        self, item: Any, thresh: float | None = None, return_x: Literal[False] = False
    ) -> tuple[Answer, Tensor, Tensor]: ...

    @overload
    def predict(
        self, item: Any, thresh: float | None = None, *, return_x: Literal[True]
    ) -> tuple[Any, Answer, Tensor, Tensor]: ...

    def predict(self, item: Any, thresh: float | None = None, return_x: bool = False) -> Any:
        """(answer, encoded answer, probabilities) of one item: path, bytes, image, array, row."""
        return self._predict(item, thresh, return_x)

    def _predict(self, item: Any, thresh: float | None, return_x: bool) -> Any:
        return predictions.of_item(self, item, thresh, return_x)

    def show_results(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        rows: int = 5,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Draw items with what is actual and what is predicted; returns the figure."""
        return predictions.show(self, ds_type, rows, figsize)

    def summary(self) -> str:
        """A table of the layers: shapes of their outputs, parameters, what is trained."""
        return predictions.summary(self, len(self.layer_groups))

    # --- keeping -----------------------------------------------------------------------------

    def save(
        self, file: str | Path, with_opt: bool = True, return_path: bool = False
    ) -> Path | None:
        """Write weights, optimizer and task to `path/model_dir/file.safetensors`."""
        path = checkpoint.write(self, file, with_opt)
        return path if return_path else None

    def load(
        self,
        file: str | Path,
        with_opt: bool = True,
        strict: bool = True,
        differences: str = "warn",
    ) -> Self:
        """Read what `save` wrote; returns the learner.

        `with_opt` also what training goes on from: optimizer, history and order of the data. A
        temperature that was fitted to the weights comes with them.
        Other classes, or another vocabulary, are a CheckpointError; other statistics, sizes or
        thresholds than those of the saved model are a warning that names them, or with
        `differences="error"` an error. With "ignore" only the weights have to fit.
        """
        path = checkpoint.checkpoint_path(self.path, self.model_dir, file)
        checkpoint.restore(self, path, with_opt, strict, differences)
        return self

    def export(
        self,
        file: str | Path = "export.onnx",
        precision: str = "fp32",
        destroy: bool = False,
        calibrate: int | None = None,
    ) -> ListablePath:
        """Write one ONNX file that answers from raw items without torch; returns its whole path.

        The file lies in `self.path`, unless its name is absolute, and holds preprocessing,
        activation, classes and threshold. `precision` is "fp32", "fp16" (half the size) or "int8"
        (a quarter, faster; refused where it costs more than a point on the validation set). A
        warning, and `Predictor(file).about["made"]`, say how many answers the precision changes;
        with `calibrate` training items in place of 512 int8 may change fewer.
        """
        warn_of_thresholds(self.metrics, self.task.target, 2)
        path = ListablePath((self.path / file).absolute())
        exporting.export(self, path, precision, calibrate)
        if destroy:
            self.destroy()
        return path

    def push_to_hub(self, repo: str, private: bool = False, **how: Any) -> str:
        """Export, and send file and model card to the Hugging Face Hub; see `hub.push_to_hub`."""
        return hub.push_to_hub(self.export(hub.FILE), repo, private, **how)

    def destroy(self) -> None:
        """Let go of model, data and optimizer; any later use is an error that says so."""
        self.__dict__.clear()
        free_memory()
