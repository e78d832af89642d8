"""The learner: a model, its data, and everything one does with the two."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from onecycle.data.databunch import DatasetType
from onecycle.learn import loop, predictions
from onecycle.learn.evaluate import evaluate
from onecycle.learn.lr_find import RateCurve
from onecycle.learn.metric import names_of
from onecycle.learn.predictions import require_labels
from onecycle.learn.trainer import Trainer
from onecycle.models.groups import layer_groups

_NO_TABLES = "it belongs to recommendations, which onecycle leaves to others"
_INSTEAD = {
    "TTA": "TTA(learn) is a function here",
    "pred_batch": "learn.get_preds() answers a whole side, learn.predict(item) one item",
    "bias": _NO_TABLES,
    "weight": _NO_TABLES,
    "callback_fns": "callbacks are made first and given as callbacks=[...]",
    "purge": "learn.destroy() lets go of everything",
}


class Learner(Trainer):
    """A model and its data: train it (see `Trainer`), look at what it says, keep it."""

    def __getattr__(self, name: str) -> Any:
        if name in _INSTEAD:
            raise AttributeError(f"a Learner has no attribute {name!r}: {_INSTEAD[name]}")
        return super().__getattr__(name)

    def split(self, split_on: Any) -> Self:
        """Other layer groups: the modules at which one begins, or a function of the model."""
        self.layer_groups, self.opt = layer_groups(self.model, split_on), None
        return self

    # --- looking ----------------------------------------------------------------------------

    def validate(self, dl: Any = None, metrics: Any = None) -> list[float | None]:
        """[loss, *metrics] on the validation set, or on another loader."""
        wanted = self.metrics if metrics is None else metrics
        wanted = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        names_of(wanted)  # before any batch is computed
        batches = self.data.dl(DatasetType.Valid) if dl is None else dl
        require_labels(batches, "loss and metrics")
        counts = hasattr(batches, "restore")  # a training loader's next pass has another order
        state = batches.state() if counts else None
        try:
            with closing(loop.predict(self.model, batches, self.engine)) as pairs:
                return evaluate(pairs, self.loss_func, wanted, self.task.target)
        finally:
            if counts:
                batches.restore(state)

    def predictions(self, ds_type: DatasetType = DatasetType.Valid) -> predictions.Predictions:
        """Everything the model says about one side, in the side's order."""
        return predictions.of_set(self, self.data.ordered(ds_type))

    def get_preds(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        with_loss: bool = False,
        ordered: bool = True,
    ) -> list[Tensor]:
        """[probabilities, y], and with `with_loss` the loss of each item, in the set's order.

        The course asked for the order of texts by `ordered`; here there is no other.
        """
        found = self.predictions(ds_type)
        if with_loss:
            found.require_labels("losses")
        pair = [found.probabilities, found.targets]
        return [*pair, found.losses] if with_loss else pair

    def predict(self, item: Any, thresh: float | None = None, return_x: bool = False) -> Any:
        """(answer, encoded answer, probabilities) of one item: path, bytes, picture, array, row."""
        return predictions.of_item(self, item, thresh, return_x)

    def show_results(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        rows: int = 5,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Draw items with what is true and what the model says; returns the figure."""
        return predictions.show(self, ds_type, rows, figsize)

    def summary(self) -> str:
        """A table of the layers: shapes of their outputs, parameters, what is trained."""
        from onecycle.learn.summary import summary

        return summary(self)

    def distributed(self, timeout: float = 600.0, sync_bn: bool = False) -> Self:
        """Train with all the processes that `accelerate launch` or `torchrun` has started.

        Each takes its share of every batch, so `bs` and the rates stay as they are for one; `fit`,
        `lr_find` and `save` are called in all of them, files are written by the first. Batch norm
        normalises by each process's own items, with `sync_bn` by those of all, as one process
        would; its running statistics are averaged before every validation. Needs Accelerate
        (`onecycle[scale]`); a process that is silent for `timeout` seconds ends all.
        """
        from onecycle.learn.engine import distribute

        distribute(self, timeout, sync_bn)
        return self

    # --- keeping ----------------------------------------------------------------------------

    def save(self, file: str | Path, with_opt: bool = True, return_path: bool = False) -> Any:
        """Write weights, optimizer and task to `path/model_dir/file.safetensors`."""
        from onecycle.learn.checkpoint import checkpoint_path, save

        self.engine.synchronize(self.model)
        if self.engine.main:
            save(self, file, with_opt)
        self.engine.wait()
        return checkpoint_path(self, file) if return_path else None

    def load(
        self,
        file: str | Path,
        with_opt: bool = True,
        strict: bool = True,
        differences: str = "warn",
    ) -> Self:
        """Read what `save` wrote; returns the learner.

        Other classes, or another vocabulary, are a CheckpointError; other statistics, sizes or
        thresholds than those of the saved model are a warning that names them, or with
        `differences="error"` an error. With "ignore" only the weights have to fit.
        """
        from onecycle.learn.checkpoint import load

        load(self, file, with_opt, strict, differences)
        return self

    def export(
        self,
        file: str | Path = "export.onnx",
        precision: str = "fp32",
        destroy: bool = False,
        calibrate: int | None = None,
    ) -> Path:
        """Write one ONNX file that answers from raw pictures without torch; returns its path.

        The file lies in `self.path`, unless it is absolute, and holds preprocessing, activation,
        classes and threshold. `precision` is "fp32", "fp16" (half the size) or "int8" (a quarter,
        faster; refused where it costs more than a point on the validation set). A warning, and
        `Predictor(file).about["made"]`, say how many answers the precision changes; with
        `calibrate` training items in place of 512 int8 may change fewer.
        """
        from onecycle.learn.exporting import export

        path = export(self, file, precision, calibrate)
        if destroy:
            self.destroy()
        return path

    def destroy(self) -> None:
        """Let go of model, data and optimizer; any later use is an error that says so."""
        self.__dict__.clear()
        import gc

        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def lr_find(learn: Learner, **options: Any) -> RateCurve:
    """`learn.lr_find()` as a function."""
    return learn.lr_find(**options)
