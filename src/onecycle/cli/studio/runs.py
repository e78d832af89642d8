"""The studio's trainings: their settings, their folders, and what they left."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onecycle.cli.studio import jobs
from onecycle.cli.studio.answers import Answers
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.project import Project
from onecycle.cli.studio.rows import read_rows
from onecycle.core.errors import UsageError, require_number, require_whole

_MEASURED = 100  # items on which the time and the changes of a precision are measured
_OF_FIT = ("minutes", "epochs", "start", "lr")
_OF_WEIGHTS = ("arch", "size")  # that stay where a training begins with another's weights
_HOSTS = ("vercel", "netlify", "pages", "docker", "spaces", "render")


class Runs:
    """The folders `runs/1`, `runs/2`, ... of a home."""

    def __init__(self, home: Path, kind: str, source: Path | None, project: Project | None) -> None:
        self.home, self.kind, self.source, self.project = home, kind, source, project
        self.lock = threading.RLock()  # two tabs may ask at once
        self._kept: tuple[Any, Answers] | None = None
        self._told: tuple[Answers, int | None, dict[str, Any]] | None = None

    def folder(self, run: int) -> Path:
        """That of a run; UsageError where there is none."""
        folder = self.home / "runs" / str(run)
        if not folder.is_dir():
            raise UsageError(f"there is no training {run}")
        return folder

    def numbers(self) -> list[int]:
        """Of all of them, in order."""
        place = self.home / "runs"
        names = [p.name for p in place.iterdir()] if place.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    def last_model(self) -> Path | None:
        """The file that the last training left, if any did."""
        files = (self.folder(number) / "model.onnx" for number in reversed(self.numbers()))
        return next((file for file in files if file.exists()), None)

    def all(self) -> list[dict[str, Any]]:
        """Each with its settings, its state and its figures."""
        found = []
        for number in self.numbers():
            folder = self.folder(number)
            if jobs.state(folder, "train") == jobs.NEW:
                continue  # the studio was killed, or the disk was full, before it began
            args = json.loads((folder / "train.args.json").read_text(encoding="utf-8"))
            result = jobs.result(folder, "train") or {}
            found.append(
                {
                    "run": number,
                    "state": jobs.state(folder, "train"),
                    "asked": args["asked"],
                    "counts": args["counts"],
                    "metrics": result.get("metrics", {}),
                    "test": result.get("test", {}),
                    "seconds": result.get("seconds"),
                    "message": result.get("message"),
                    "decided": jobs.result(folder, "decide"),
                    "shipped": (jobs.result(folder, "ship") or {}).get("rows") is not None,
                }
            )
        return found

    def begin(self, asked: Mapping[str, Any]) -> int:
        """A new training with these wishes; its number. UsageError for those that make no sense."""
        wishes = self._wishes(asked)
        with self.lock:
            return self._begin(asked, wishes)

    def _begin(self, asked: Mapping[str, Any], wishes: Mapping[str, Any]) -> int:
        running = [n for n in self.numbers() if jobs.state(self.folder(n), "train") == jobs.RUNNING]
        if running:
            raise UsageError(f"training {running[0]} runs: stop it first, or wait for it")
        if self.project is not None and (fault := self.project.fault()):
            what = {
                "few_classes": "two classes that train are wanted",
                "no_validation": "nothing validates: give a class two items at least",
            }
            raise UsageError(what[fault])
        number = max(self.numbers(), default=0) + 1
        folder = self.home / "runs" / str(number)
        folder.mkdir(parents=True)
        if self.project is not None:  # what it trains on stays what it is, also when it goes on
            self.project.keep_tables(folder)
        counts = {} if self.project is None else self.project.counts()
        about = {"kind": self.kind, "where": self.where(folder), "counts": counts}
        jobs.start(folder, "train", {**about, **wishes, "asked": dict(asked)})
        return number

    def go_on(self, run: int) -> None:
        """Where it stopped, by the same settings."""
        folder = self.folder(run)
        with self.lock:
            if jobs.state(folder, "train") not in (jobs.STOPPED, jobs.FAILED):
                raise UsageError(f"training {run} has not been stopped")
            args = json.loads((folder / "train.args.json").read_text(encoding="utf-8"))
            jobs.start(folder, "train", args)

    def start_job(self, name: str, given: Mapping[str, Any], run: int | None) -> None:
        """A job on the data, or on a run; of those that work on its model one at a time."""
        folder = self.home if run is None else self.folder(run)
        with self.lock:
            for other in () if run is None else ("train", "decide", "ship", "deploy"):
                if jobs.state(folder, other) == jobs.RUNNING:
                    raise UsageError(f"{other!r} works on this model: wait for it")
            args = self.job_args(name, given, run)
            (folder / f"{name}.jsonl").unlink(missing_ok=True)
            if name == "decide":  # what was shipped before does not answer so
                (folder / "ship.json").unlink(missing_ok=True)
            jobs.start(folder, name, args)

    def _wishes(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """How long, and which model; UsageError for what makes no sense."""
        fit, how = dict[str, Any](), dict[str, Any]()
        if asked.get("epochs") is not None:
            require_whole("epochs", asked["epochs"], 1)
            fit = {"epochs": 1, "unfrozen_epochs": asked["epochs"]}
        else:
            require_number("minutes", asked.get("minutes", 5), 0.05, 10_000)
            fit["minutes"] = asked.get("minutes", 5)
        if asked.get("lr") is not None:
            fit["lr"] = require_number("the learning rate", asked["lr"], 1e-7, 10)
        if asked.get("start") is not None:
            begun = self.folder(require_whole("start", asked["start"]))
            if not (begun / "model.safetensors").exists():
                raise UsageError(f"training {asked['start']} has left no weights to begin with")
            fit["start"] = str((begun / "model.safetensors").absolute())
            args = json.loads((begun / "train.args.json").read_text(encoding="utf-8"))
            how = {k: v for k, v in args["how"].items() if k in _OF_WEIGHTS}
        how |= {k: v for k, v in asked.items() if k not in _OF_FIT and v is not None}
        LAYOUTS[self.kind].require_settings(how, self.kind)
        if "start" in fit:
            how |= LAYOUTS[self.kind].again
        return {"how": how, "fit": fit}

    def where(self, folder: Path) -> dict[str, Any]:
        """Where items are found: of images in the tables that lie in a folder."""
        if self.project is None:
            return {"source": str(self.source and self.source.absolute())}
        return self.project.where(folder)

    def job_args(self, name: str, given: Mapping[str, Any], run: int | None) -> dict[str, Any]:
        """What a job is told, besides what the page says."""
        if run is None:
            how = {k: given[k] for k in ("arch", "size") if given.get(k) is not None}
            folder = str(self.project.folder) if self.project else ""
            return {"kind": self.kind, "where": self.where(self.home), "how": how} | {
                "folder": folder
            }
        args = json.loads((self.folder(run) / "train.args.json").read_text(encoding="utf-8"))
        if name == "decide":
            self._require_decision(given)
            return {"temperature": given.get("temperature"), "thresh": given.get("thresh")}
        if name == "ship":
            precision = given.get("precision", "fp32")
            if precision not in ("fp32", "fp16", "int8"):
                raise UsageError(f"a precision is fp32, fp16 or int8, not {precision!r}")
            title = {"title": str(given.get("title", ""))[:80], "precision": precision}
            return {**args, **title, "sources": self._validating(run)}
        if given.get("to") not in _HOSTS:
            raise UsageError(f"a host is one of {', '.join(_HOSTS)}")
        shipped = jobs.result(self.folder(run), "ship")
        if not shipped or "model" not in shipped:
            raise UsageError("make the page first")
        shown = str(given.get("title", ""))[:80]
        return {"to": given["to"], "title": shown, "model": shipped["model"]}

    def _require_decision(self, given: Mapping[str, Any]) -> None:
        if not LAYOUTS[self.kind].offers["decides"]:
            raise UsageError(f"thresholds of {self.kind} are not chosen here")
        if given.get("temperature") is not None:
            require_number("temperature", given["temperature"], 0.05, 20)
        thresh = given.get("thresh")
        if isinstance(thresh, dict):
            for label, value in thresh.items():
                require_number(f"the threshold of {label}", value, 0, 1)
        elif thresh is not None:
            require_number("thresh", thresh, 0, 1)

    def masks(self, run: int) -> dict[str, Any]:
        """What a training of masks left of its answers, each image with its number."""
        file, project = self.folder(run) / "masks.json", self.project
        if not file.exists() or project is None:
            raise UsageError(f"training {run} left no masks")
        found = json.loads(file.read_text(encoding="utf-8"))
        with project.lock:
            numbers = {item.name: i for i, item in enumerate(project.items)}
            for row in found["rows"]:
                row["i"] = numbers.get(row["name"])
                row["out"] = row["i"] is not None and project.items[row["i"]].out
        return found

    def mistakes(self, run: int) -> dict[str, Any]:
        """How a training answered, and what the one that was done before it answers otherwise."""
        found = self._answers(run)
        done = [n for n in self.numbers() if (self.folder(n) / "mistakes.json").exists()]
        earlier = max((other for other in done if other < run), default=None)
        with self.lock:
            if self._told is None or self._told[0] is not found or self._told[1] != earlier:
                self._told = found, earlier, found.about() | {"against": None}
                if earlier is not None:
                    against = found.against(Answers(self._answers_file(earlier)))
                    self._told[2]["against"] = (
                        {"run": earlier, **against} if against["both"] else None
                    )
            return self._told[2]

    def _answers_file(self, run: int) -> Path:
        file = self.folder(run) / "mistakes.json"
        if not file.exists():
            raise UsageError(f"training {run} is not done")
        return file

    def _answers(self, run: int) -> Answers:
        """Those of a run; of the one that was asked for last they are kept."""
        file = self._answers_file(run)
        key = (run, file.stat().st_mtime_ns)
        with self.lock:
            if self._kept is None or self._kept[0] != key:
                self._kept = key, Answers(file)
            return self._kept[1]

    def mistaken(
        self, run: int, asked: Mapping[str, str], first: int, count: int
    ) -> dict[str, Any]:
        """Some of them, each item with its number in the project, and its label now."""
        found = self._answers(run).slice(asked, first, count)
        if self.project is not None:
            with self.project.lock:
                numbers = {item.name: i for i, item in enumerate(self.project.items)}
                for row in found["rows"]:
                    row["i"] = numbers.get(row["name"])
                    item = None if row["i"] is None else self.project.items[row["i"]]
                    row["label"] = item and item.label
                    row["now"] = item and (None if item.out else item.label)
        return found

    def _validating(self, run: int) -> list[Any]:
        """Some items that validated a run, evenly spread: a table begins with one class."""
        if self.project is None:
            return []
        held = [
            name for name, _, valid in read_rows(self.folder(run) / "labels.csv") if valid == "True"
        ]
        known = {item.name for item in self.project.items}
        names = [name for name in held if name in known]
        step = max(1, len(names) // _MEASURED)
        return [self.project.example(name) for name in names[::step][:_MEASURED]]
