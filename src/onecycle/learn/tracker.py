"""One callback for the trackers of trainings: MLflow, Weights & Biases, TensorBoard, CSV files."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import sleep, time
from typing import Any, Protocol

from onecycle.core.errors import UsageError, warn
from onecycle.core.files import require_writable
from onecycle.learn.budget import Budget
from onecycle.learn.callback import Callback, Run

_ALWAYS = {"Recorder", "Printer", "FiniteLoss", "PlainOutputs", "Tracker"}
_HELD = 500  # figures that MLflow gets in one request


class Tracker(Callback):
    """Sends parameters, figures of every step and epoch, and the exported file to a tracker.

    `to` is "mlflow", "wandb", "tensorboard" or "csv"; all but the last are extras of onecycle. One
    Tracker is one run, however many fits it takes part in, of the `project` (of MLflow: the
    experiment) and by the `name`, without which it is the time. MLflow and Weights & Biases go
    where their own settings say (MLFLOW_TRACKING_URI, WANDB_MODE=offline); the others write to
    folder/project/name. `params` are the user's own, beside those that are known. With `export`, a
    name such as "model.onnx", each fit that ends by itself exports the learner and adds the file.

    A tracker that cannot be reached is an error before the first step; later it is a warning, and
    the training goes on. A fit that goes on from a checkpoint goes on in the same run, from the
    step of the checkpoint. In a training of several processes the first one reports.
    """

    order = 2000  # its after_fit comes when the best weights, or their average, are back

    def __init__(
        self,
        to: str,
        project: str = "onecycle",
        name: str | None = None,
        folder: str | Path | None = None,
        params: Mapping[str, Any] | None = None,
        export: str | Path | None = None,
    ) -> None:
        if to not in _KINDS:
            raise UsageError(f"a Tracker goes to one of {', '.join(_KINDS)}, not {to!r}")
        if folder is not None and to == "mlflow":
            raise UsageError("MLFLOW_TRACKING_URI says where MLflow writes: leave folder= out")
        if export is not None and to == "tensorboard":
            raise UsageError("TensorBoard keeps no files: leave export= out")
        self.to, self.project, self.params, self.export = to, project, dict(params or {}), export
        self.name = name or f"{datetime.now():%Y%m%d-%H%M%S}"
        self.folder = Path("runs" if folder is None else folder).absolute()
        self.id: str | None = None  # of the run, once it has begun
        self.step = self.rows = self.fits = self.failures = 0
        self.backend: Backend | None = None

    def claims(self) -> tuple[str, ...]:
        """Two would write everything twice."""
        return (f"report to {self.to} as {self.name!r}",)

    def state_dict(self) -> dict[str, Any]:
        """Which run it is, and how far."""
        return {name: getattr(self, name) for name in ("id", "step", "rows", "fits", "name")}

    def bind(self, learner: Any) -> None:
        """Whose parameters and file they are."""
        self.learner = learner

    def before_fit(self, run: Run) -> None:
        """Another fit of the run; its steps have numbers of their own, beside the last row."""
        self.step += self.fits > 0
        self.fits, self.rows = self.fits + 1, len(run.history)

    def before_epoch(self, run: Run) -> None:
        """Begin, or go on; then the rows of earlier epochs, which all callbacks have seen."""
        run.engine.by_first(lambda: self._begin(run))
        self._send_rows(run)

    def _begin(self, run: Run) -> None:
        if self.backend is None:
            backend = _KINDS[self.to](self)
            self.id = backend.begin(self.id, self.step, self._params(run))
            self.backend = backend

    def after_step(self, run: Run) -> None:
        """The figures of the step."""
        self._send({"step/loss": run.loss_value, "step/lr": run.optimizer.rates()[-1]})
        self.step += 1

    def after_fit(self, run: Run) -> None:
        """The last row, the file, the end."""
        self._send_rows(run)
        ended = "FINISHED" if run.complete else "KILLED" if run.stopping else "FAILED"
        try:
            if self.export is not None and run.complete:
                file = self.learner.export(self.export)
                self._try(lambda to: to.add(file))
        finally:
            self._try(lambda to: to.end(ended))
            self.backend = None

    def _send_rows(self, run: Run) -> None:
        for row in run.history[self.rows :]:
            numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and k != "epoch"}
            self._send({f"epoch/{name}": value for name, value in numbers.items()})
        self.rows = len(run.history)

    def _send(self, figures: Mapping[str, float]) -> None:
        self._try(lambda to: to.log(figures, self.step))

    def _try(self, do: Callable[["Backend"], None]) -> None:
        """A training is not lost for a tracker that is away."""
        if self.backend is None:
            return
        try:
            do(self.backend)
        except Exception as error:  # whatever another library raises
            self.failures += 1
            if self.failures == 1:
                message = (
                    f"{self.to} did not take what it was sent at step {self.step} "
                    f"({type(error).__name__}: {error}); the training goes on, and what is not "
                    "taken is missing there. learn.history has all rows"
                )
                warn(message, 4)

    def _params(self, run: Run) -> dict[str, str]:
        learn, data, fit = self.learner, run.data, f"fit{self.fits}/"
        names = [type(callback).__name__ for callback in run.callbacks]
        minutes = [f"{c.minutes:g} minutes" for c in run.callbacks if isinstance(c, Budget)]
        known = {
            "model": (learn.recipe or {}).get("arch", type(run.model).__name__),
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "train items": len(data.train_ds),
            "valid items": len(data.valid_ds),
            "bs": data.batch_size,
            "accumulate": run.accumulate,
            "size": data.task.input.size,
            "seed": data.options["seed"],
            "loss": getattr(run.loss_func, "__name__", type(run.loss_func).__name__),
            "optimizer": type(run.optimizer.inner).__name__,
            "precision": run.engine.precision,
            "device": run.engine.device.type,
            f"{fit}length": (minutes or [f"{run.epochs} epochs"])[0],
            f"{fit}trained": sum(p.numel() for p in run.model.parameters() if p.requires_grad),
            f"{fit}wd": learn.wd,
            f"{fit}callbacks": " ".join(name for name in names if name not in _ALWAYS) or "none",
        }
        return {name: str(value) for name, value in (known | self.params).items()}


class Backend(Protocol):
    """What a tracker must be able to do."""

    def __init__(self, of: Tracker) -> None: ...
    def begin(self, known: str | None, step: int, params: Mapping[str, str]) -> str:
        """Begin a run, or go on with a `known` one from `step` on; returns its id."""
        ...

    def log(self, figures: Mapping[str, float], step: int) -> None: ...
    def add(self, file: Path) -> None: ...
    def end(self, status: str) -> None: ...


def _needs(name: str, extra: str, error: ImportError) -> UsageError:
    return UsageError(f"{name} is not installed: pip install 'onecycle[{extra}]' ({error})")


class _Csv:
    """`metrics.csv` with columns step, name, value; `params.json`; files beside them."""

    def __init__(self, of: Tracker) -> None:
        self.path, self.name = of.folder / of.project / of.name, of.name

    def begin(self, known: str | None, step: int, params: Mapping[str, str]) -> str:
        table, kept = self.path / "metrics.csv", []
        if known is None and table.exists():
            raise UsageError(f"{table} is of another run: give the Tracker another name=")
        if table.exists():
            with table.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) < step]
        self.path.mkdir(parents=True, exist_ok=True)
        about = self.path / "params.json"
        require_writable(about, in_place=True)
        old = json.loads(about.read_text(encoding="utf-8")) if known and about.exists() else {}
        about.write_text(json.dumps({**old, **params}, indent=1), encoding="utf-8")
        self.file = table.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["step", "name", "value"])
        self.writer.writerows(row.values() for row in kept)
        return self.name

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.writer.writerows((step, name, value) for name, value in figures.items())
        self.file.flush()

    def add(self, file: Path) -> None:
        shutil.copy2(file, self.path)

    def end(self, status: str) -> None:
        self.file.close()


class _TensorBoard:
    def __init__(self, of: Tracker) -> None:
        self.path, self.name = of.folder / of.project / of.name, of.name

    def begin(self, known: str | None, step: int, params: Mapping[str, str]) -> str:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _needs("TensorBoard", "tensorboard", error) from error
        self.writer: Any = SummaryWriter(self.path, purge_step=step if known else None)
        rows = "\n".join(f"| {name} | {value} |" for name, value in params.items())
        self.writer.add_text("params", f"| name | value |\n|---|---|\n{rows}", step)
        return self.name

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def add(self, file: Path) -> None:
        """Refused when the Tracker is made."""

    def end(self, status: str) -> None:
        self.writer.close()


class _WandB:
    def __init__(self, of: Tracker) -> None:
        self.of = of

    def begin(self, known: str | None, step: int, params: Mapping[str, str]) -> str:
        try:
            import wandb
        except ImportError as error:
            raise _needs("Weights & Biases", "wandb", error) from error
        self.of.folder.mkdir(parents=True, exist_ok=True)
        if known:
            sleep(1.1)  # an offline run has a folder by its second, and would overwrite itself
        self.run: Any = wandb.init(
            project=self.of.project,
            name=self.of.name,
            dir=self.of.folder,
            config=dict(params),
            id=known,
            resume="allow" if known else None,
        )
        self.artifact: Any = wandb.Artifact
        return str(self.run.id)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.run.log(dict(figures), step=step)

    def add(self, file: Path) -> None:
        artifact = self.artifact(file.stem, "model")
        artifact.add_file(str(file))
        self.run.log_artifact(artifact)

    def end(self, status: str) -> None:
        self.run.finish(exit_code=0 if status == "FINISHED" else 1)


class _MLflow:
    def __init__(self, of: Tracker) -> None:
        self.of, self.held = of, list[Any]()

    def begin(self, known: str | None, step: int, params: Mapping[str, str]) -> str:
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, Param

            self.client: Any = MlflowClient()
        except ImportError as error:
            raise _needs("MLflow", "mlflow", error) from error
        self.metric: Any = Metric
        if known is None:
            found = self.client.get_experiment_by_name(self.of.project)
            of = found.experiment_id if found else self.client.create_experiment(self.of.project)
            known = str(self.client.create_run(of, run_name=self.of.name).info.run_id)
        else:
            self.client.update_run(known, "RUNNING")
        self.id = known
        there = self.client.get_run(known).data.params  # a parameter of MLflow never changes
        new = [Param(name, value) for name, value in params.items() if name not in there]
        self.client.log_batch(known, params=new)
        return known

    def log(self, figures: Mapping[str, float], step: int) -> None:
        now = int(1000 * time())
        self.held += [self.metric(name, value, now, step) for name, value in figures.items()]
        if len(self.held) >= _HELD or any(name.startswith("epoch/") for name in figures):
            held, self.held = self.held, []
            self.client.log_batch(self.id, metrics=held)

    def add(self, file: Path) -> None:
        self.client.log_artifact(self.id, str(file))

    def end(self, status: str) -> None:
        if self.held:
            self.client.log_batch(self.id, metrics=self.held)
        self.client.set_terminated(self.id, status)


_KINDS: dict[str, type[Backend]] = {
    "mlflow": _MLflow,
    "wandb": _WandB,
    "tensorboard": _TensorBoard,
    "csv": _Csv,
}
