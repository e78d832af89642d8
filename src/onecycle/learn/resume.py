"""A fit that was cut off goes on where it was, bit for bit: the `Checkpoint` callback."""

from contextlib import ExitStack
from datetime import datetime
from io import IOBase
from itertools import pairwise
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import CheckpointError, UsageError, listing, require_number, warn
from onecycle.core.files import hold_alone
from onecycle.data.databunch import DataBunch
from onecycle.learn import checkpoint
from onecycle.learn.callback import Callback, Run
from onecycle.learn.packing import (
    can_pack,
    from_bytes,
    pack,
    random_states,
    set_random_states,
    to_bytes,
    unpack,
)
from onecycle.learn.recorder import Printer, Recorder
from onecycle.learn.settings import differences, settings_of, settings_of_groups

_ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError)
_PROCESS = "process."  # names of tensors that belong to one process begin so
Packed = tuple[Any, dict[str, Tensor], bytes]  # JSON, its tensors, and what each process has alone


class Checkpoint(Callback):
    """Keeps a fit on disk while it runs; the same program, started again, goes on from there.

    `fit(..., resume=name)` makes one. The file, `path/model_dir/name.resume.safetensors`, holds
    weights, optimizer, place in schedule and epoch, loss scale, order of the data, history, states
    of all callbacks (`Callback.state_dict`) and of all random generators: on a CPU the end is the
    same, bit for bit, as without the cut. It is written before the first step, then every
    `minutes`, `steps` or `epochs`, whatever comes first (None: not for that reason), where Ctrl-C
    or SIGTERM ends the fit, and at the end, after which the same call gives back what was trained
    and trains no more. The `keep` last files stay; the older ones are used where the newest is
    damaged. CheckpointError where data, model, epochs, rates or callbacks are other ones than
    those that the fit was begun with.
    """

    order = 10**6  # after all others, whose states it keeps

    def __init__(
        self,
        name: str | Path,
        minutes: float | None = 10,
        steps: int | None = None,
        epochs: int | None = 1,
        keep: int = 2,
    ) -> None:
        given = {"minutes": minutes, "steps": steps, "epochs": epochs}
        for option, value in given.items():
            if value is not None and not require_number(option, value, 0):
                raise UsageError(f"{option} of a Checkpoint is above 0, or None, not {value!r}")
        if not isinstance(keep, int) or keep < 1:
            raise UsageError(f"keep is the number of files that stay, from 1 on, not {keep!r}")
        self.name = Path(name).with_name(Path(name).name + ".resume")
        self.seconds, self.keep = inf if minutes is None else 60 * minutes, keep
        self.steps, self.epochs = steps or inf, epochs or inf

    def claims(self) -> tuple[str, ...]:
        """Two places would be gone back to."""
        return ("go on from a checkpoint",)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: it is what is being kept in the others' names."""
        return {}

    def bind(self, learner: Any) -> None:
        """Look for a file to go on from."""
        self.learner, self.failures, self.within, self.held = learner, 0, False, ExitStack()
        self.path = checkpoint.checkpoint_path(learner.path, learner.model_dir, self.name)
        self.source = next((path for path in self._places() if path.is_file()), None)
        there = learner.engine.agree(self.source is not None)
        if there and self.source is None:
            raise CheckpointError(
                f"{self.path}: other processes see this file and this one does not: all of them "
                "need the same folder (learn.path, learn.model_dir)"
            )

    def _places(self) -> list[Path]:
        """The files, from the newest."""
        older = [self.path.with_suffix(f".{i}.safetensors") for i in range(1, self.keep)]
        return [self.path, *older]

    def before_fit(self, run: Run) -> None:
        """Go back to where the fit was; or write the first file, so that it is seen that it can."""
        what = f"another process trains with the checkpoint {self.path.stem!r}"
        lock = self.path.with_name(f".{self.path.stem}.lock")
        run.engine.by_first(lambda: self.held.enter_context(hold_alone(lock, what)))
        self.settings = settings_of(run, without=(Checkpoint, Printer, Recorder))
        if self.source is None:
            _warn_of_lost(run, self.learner)
            self._write(run, 0, 0, self._pack(run))
        else:
            self._go_back(run)
            self._say(run)
        self._begin_interval()

    def _begin_interval(self) -> None:
        self.since, self.steps_since = perf_counter(), 0

    def before_epoch(self, run: Run) -> None:
        """In mid-epoch the others have just made ready for its beginning: once more."""
        if self.within:
            self._restore(run)
            self.within = False
        self.order_of_data = run.data.train_dl.state()
        if _epoch_ends(run, run.step):  # it was validation that was cut off
            self.at_end = self._pack(run)

    def after_step(self, run: Run) -> None:
        """Write where it is time."""
        self.steps_since += 1
        late = perf_counter() - self.since >= self.seconds
        due = run.engine.agree(late or run.stopping) or self.steps_since >= self.steps
        if due or _epoch_ends(run, run.step + 1):
            self.at_end = self._pack(run, step=run.step + 1)
        if due:
            self._try_to_write(run, run.epoch, run.batch, self.at_end)

    def after_epoch(self, run: Run) -> None:
        """Write where it is time; the last epoch is followed by the end of the fit."""
        left = run.n_steps - run.step
        stopping = run.engine.agree(run.stopping)
        if stopping or (left and not (run.epoch + 1) % self.epochs):
            self._try_to_write(run, run.epoch + 1, 0, self._pack(run))

    def after_fit(self, run: Run) -> None:
        """What was trained, or the end of the last epoch where validation was cut off."""
        with self.held:
            self._write_end(run)

    def _write_end(self, run: Run) -> None:
        if run.complete and not (self.source and self.at["complete"]):
            run.batch = 0
            self._try_to_write(run, run.epoch + 1, 0, self._pack(run), True)
        elif run.validating and run.stopping:
            self._try_to_write(run, run.epoch, run.batch, self.at_end)

    # --- writing ---------------------------------------------------------------------------

    def _pack(self, run: Run, step: int | None = None) -> Packed:
        """All but weights and optimizer."""
        state = {
            "step": run.step if step is None else step,
            "row": {name: value for name, value in run.row.items() if can_pack(value)},
            "data": self.order_of_data if run.batch else run.data.train_dl.state(),
            "groups": settings_of_groups(run),
            "optimizer": self.learner.opt is run.optimizer,  # not where the best weights came back
            "scaler": run.engine.scaler.state_dict(),
            "callbacks": [callback.state_dict() for callback in run.callbacks],
        }
        own: dict[str, Any] = {"random": random_states()}
        own["carried"] = [module.carried() for module in _carriers(run)]
        if run.engine.processes > 1:  # statistics of batch norm, until they are averaged
            own["buffers"] = _buffers(run)
        tensors: dict[str, Tensor] = {}
        return pack(state, "run", tensors), tensors, to_bytes(own)

    def _try_to_write(self, run: Run, *what: Any) -> None:
        """A training is not lost for a file that cannot be written now: warn, and try again."""
        try:
            self._write(run, *what)
        except CheckpointError as error:
            self.failures += 1
            warn(f"checkpoint {self.failures} of this fit was not written: {error}", 3)
        self._begin_interval()

    def _write(
        self, run: Run, epoch: int, batch: int, packed: Packed, complete: bool = False
    ) -> None:
        state, tensors, own = packed
        for rank, data in enumerate(run.engine.collect(own)):
            tensors[f"{_PROCESS}{rank}"] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        tensors = tensors | checkpoint.tensors_of(run.model, run.optimizer, run.engine.main)
        more = {
            "history": run.history,
            "recipe": self.learner.recipe,
            "data": run.data.train_dl.state(),
            "saved": datetime.now().astimezone().isoformat(timespec="seconds"),
            "settings": self.settings,
            "at": {"epoch": epoch, "batch": batch, "complete": complete},
            "run": state,
        }
        run.engine.by_first(lambda: self._replace(run, tensors, more))

    def _replace(self, run: Run, tensors: dict[str, Tensor], more: dict[str, Any]) -> None:
        """The newest file; what it was becomes the one before it."""
        if self.path.is_file():
            for newer, older in reversed([*pairwise(self._places())]):
                if newer.is_file():
                    newer.replace(older)
        checkpoint.save(self.path, tensors, run.data.task, run.optimizer, more)

    # --- reading ---------------------------------------------------------------------------

    def _read(self, run: Run) -> None:
        """The newest whole file, if it is of this fit; older ones with a warning."""
        there = [path for path in self._places() if path.is_file()]
        for path in there:
            try:
                self.content, self.source = checkpoint.read(path), path
                break
            except CheckpointError as error:
                if path == there[-1]:
                    advice = "give resume= another name, or delete the file, to begin anew"
                    raise CheckpointError(f"{error}; {advice}") from error
                warn(f"{error}; the checkpoint before it is used", 3)
        about = self.content[0]
        if "at" not in about:
            raise CheckpointError(f"{self.source}: not written by a Checkpoint")
        if ways := differences(about["settings"], self.settings):
            raise CheckpointError(
                f"{self.source} is of a fit that was begun otherwise: {'; '.join(ways)}. Begin it "
                "with the same, or, to train anew, give resume= another name or delete the file"
            )
        self.at = about["at"]
        self.within = self.at["batch"] > 0

    def _go_back(self, run: Run) -> None:
        """Read the file, and become what it says."""
        try:
            self._read(run)
            self._restore(run)
        except _ODD as error:
            raise CheckpointError(
                f"{self.source}: no whole checkpoint of a fit ({type(error).__name__}: {error}); "
                "give resume= another name, or delete the file, to begin anew"
            ) from error

    def _restore(self, run: Run) -> None:
        """Everything as it was when the file was written."""
        assert self.source is not None
        about, tensors = self.content
        checkpoint.fill(self.source, self.content, run.model, run.data.task, True, "error")
        checkpoint.restore_optimizer(run.optimizer, self.content, self.source)
        state = unpack(about["run"], tensors)
        for part, saved in zip(run.optimizer.param_groups, state["groups"], strict=True):
            part.update(saved)
        if not state["optimizer"]:
            self.learner.opt = None
        run.engine.scaler.load_state_dict(state["scaler"])
        run.history[:] = about["history"]
        run.epoch = run.epochs if self.at["complete"] else self.at["epoch"]
        run.batch, run.step, run.row = self.at["batch"], state["step"], state["row"]
        run.data.train_dl.restore(state["data"], run.batch)
        for callback, saved in zip(run.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        own = from_bytes(tensors[f"{_PROCESS}{run.engine.rank}"].numpy().tobytes())
        for module, saved in zip(_carriers(run), own["carried"], strict=True):
            module.carry([tensor.to(run.engine.device) for tensor in saved])
        set_random_states(own["random"])
        if run.engine.processes > 1:
            for buffer, saved in zip(_buffers(run), own["buffers"], strict=True):
                buffer.copy_(saved)

    def _say(self, run: Run) -> None:
        if self.learner.silent or not run.engine.main:
            return
        if self.at["complete"]:
            where = (
                "that fit is complete, and its result is back. To train anew, give resume= "
                "another name or delete the file"
            )
        else:
            total = len(run.data.train_dl)
            where = f"goes on in epoch {run.epoch}, after {run.batch} of {total} batches"
        print(f"{self.source} (of {self.content[0]['saved']}): {where}")


_KNOWN = (nn.Module, DataBunch, Run, torch.optim.Optimizer, IOBase)  # are there again anyway


def _warn_of_lost(run: Run, learner: Any) -> None:
    """Name what of callbacks and model no checkpoint can hold."""
    lost = [
        f"{type(callback).__name__}.{name}"
        for callback in run.callbacks
        if type(callback).state_dict is Callback.state_dict
        for name, value in vars(callback).items()
        if not (can_pack(value) or callable(value) or value is learner)
        and not isinstance(value, _KNOWN)
    ]
    if hasattr(run.model, "reset") and not _carriers(run):
        lost.append("what the model carries from batch to batch (give it carried() and carry())")
    if lost:
        message = (
            f"checkpoints of this fit do not hold {listing(lost)}: a fit that goes on begins them "
            "anew. A callback keeps more by methods state_dict() and load_state_dict(state)"
        )
        warn(message, 3)


def _epoch_ends(run: Run, steps: int) -> bool:
    """Whether validation comes next, once so many steps are done."""
    return run.batch >= len(run.data.train_dl) or steps >= run.n_steps


def _buffers(run: Run) -> list[Tensor]:
    """Those of the model, and of averages of it that callbacks keep."""
    values = (value for callback in run.callbacks for value in vars(callback).values())
    held = [value for value in values if isinstance(value, nn.Module)]
    return [buffer for module in (run.model, *held) for buffer in module.buffers()]


def _carriers(run: Run) -> list[Any]:
    """The modules that carry a state from batch to batch, and can say which."""
    return [module for module in run.model.modules() if hasattr(module, "carried")]
