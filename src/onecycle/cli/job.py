"""One training of the command line: what it leaves on the way, says, and goes on from."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings, simplefilter

from onecycle.cli.options import Fit
from onecycle.cli.wording import in_shell
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.core.files import write_atomically
from onecycle.learn.learner import Learner

_KEPT, _MARK = "onecycle-train-resume", "made-by-onecycle-train"  # a folder, and a file in it
_KEPT_FILES = "encoder.safetensors *.resume.safetensors *.resume.*.safetensors"
_OURS = ("*rate.json", "*plan.json", "*figures.json", *_KEPT_FILES.split(), ".*.lock", ".*.tmp")


Length = tuple[float, str]  # of a stage, in "epochs" or "minutes"


@dataclass
class Job:
    """One training: what it was told, and what it says of itself on the way."""

    fit: Fit
    notes: list[str] = field(default_factory=list)
    stages: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)  # by stage
    rows: list[Mapping[str, Any]] = field(default_factory=list)  # of all epochs
    fold: str = ""  # what stands before the names of what a fold keeps

    def __post_init__(self) -> None:
        self.kept = self.fit.out.absolute() / _KEPT

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """With --resume `kept` holds what a training goes on from; else it is there meanwhile.

        Of the folder goes what was written here, and it itself where nothing else is in it.
        """
        if not self.fit.resume:
            with TemporaryDirectory(prefix=".onecycle-train-", dir=self.fit.out) as folder:
                self.kept = Path(folder).absolute()
                yield
            return
        self.kept.mkdir(parents=True, exist_ok=True)
        if not (self.kept / _MARK).is_file() and any(self.kept.iterdir()):
            raise UsageError(f"{self.kept} holds files of somebody else: give another --out")
        (self.kept / _MARK).touch()
        yield
        with suppress(OSError):  # the model is there: a folder that stays is no fault
            for file in [file for name in (*_OURS, _MARK) for file in self.kept.glob(name)]:
                file.unlink(missing_ok=True)
            self.kept.rmdir()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Warnings of the library inside become notes at once, which the report has as well."""
        with catch_warnings():
            show = warnings.showwarning

            def note(message: Any, category: Any, *where: Any, **more: Any) -> None:
                if not issubclass(category, OnecycleWarning):
                    show(message, category, *where, **more)
                elif (text := in_shell(str(message))) not in self.notes:
                    self.notes.append(text)
                    print(f"note: {text}", file=sys.stderr, flush=True)

            warnings.showwarning = note
            simplefilter("always", OnecycleWarning)
            yield

    def prepare(self, learn: Learner) -> Learner:
        """The learner at the precision, with the folder and the weights that were asked for."""
        learn.path, learn.model_dir = learn.path.__class__(self.fit.out.absolute()), self.kept
        if self.fit.start is not None:
            learn.load(self.fit.start.absolute(), with_opt=False)
        return learn.to_fp16() if self.fit.fp16 else learn.to_bf16() if self.fit.bf16 else learn

    def begin(self, fold: int) -> None:
        """The training of one fold, from 0 on, whose stages and epochs stand for themselves."""
        self.fold = f"fold-{fold + 1}-"
        self.stages, self.epochs, self.rows = {}, {}, []

    def stage(self, name: str, learn: Learner, length: Length, rates: Any, **more: Any) -> None:
        """Train for some epochs, or minutes; with --resume from where that was cut off."""
        amount, unit = length
        if not amount:
            return
        print(f"\n{name}: {amount:.3g} {unit}", flush=True)
        resume = self.fold + name.replace(" ", "-") if self.fit.resume else None
        how: dict[str, Any] = {"cyc_len" if unit == "epochs" else unit: amount}
        before = len(learn.history)
        learn.fit_one_cycle(**how, max_lr=rates, resume=resume, **more)
        rows = learn.history[before:]
        self.stages[name], self.epochs[name] = rows[-1], len(rows)
        self.rows += rows

    def solve(self, name: str, learn: Learner) -> None:
        """A stage without steps: the last layer in closed form."""
        print(f"\n{name}: in closed form", flush=True)
        learn.fit_ridge()
        self.stages[name], self.epochs[name] = learn.history[-1], 1
        self.rows.append(learn.history[-1])

    def finish(self, learn: Learner) -> None:
        """Once everything is written; here nothing."""

    def decide(self, name: str, choose: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is chosen once: with --resume it is kept for the command that goes on."""
        file = self.kept / f"{self.fold}{name}.json"
        if self.fit.resume and file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        chosen = choose()
        if self.fit.resume:
            write_atomically(file, lambda to: _write(to, json.dumps(chosen)))
        return chosen


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
