"""What the studio's jobs do, each in a process of its own: `python -m onecycle.cli.studio.work`."""

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from onecycle.cli import layouts, train
from onecycle.cli.job import Job, Length
from onecycle.cli.options import Fit
from onecycle.cli.studio.jobs import Reporter
from onecycle.cli.studio.kinds import KINDS
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.mask_mistakes import leave_masks
from onecycle.cli.studio.masks import counted
from onecycle.cli.studio.rows import read_rows
from onecycle.core.errors import OnecycleError, UsageError
from onecycle.core.files import write_atomically
from onecycle.core.machine import defaults
from onecycle.data.databunch import DatasetType
from onecycle.data.report import ReportRow
from onecycle.export import graph
from onecycle.export.hosts import write_recipe
from onecycle.interpret.classification import grad_cam
from onecycle.learn.calibration import best_temperature, spread_of, tune
from onecycle.learn.callback import Callback, Run
from onecycle.learn.learner import Learner
from onecycle.learn.lr_find import find_lr
from onecycle.learn.predictions import Predictions, of_set
from onecycle.models.groups import modes_kept
from onecycle.runtime.file import examine, read
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.task import task_from_json

OUTPUTS = "outputs.safetensors"  # probabilities and labels of both sides
WORST = 48  # items with heat maps
_COUNTED = 50  # masks between two lines about them
_PAUSE = 0.25  # seconds between two lines about steps


# Training.


class _Live(Callback):
    """Says how the training goes, some times a second."""

    order = 90

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.last = reporter, 0.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def before_fit(self, run: Run) -> None:
        self.reporter.say("fit", step=run.step)

    def after_step(self, run: Run) -> None:
        if perf_counter() - self.last < _PAUSE and run.step + 1 < run.n_steps:
            return
        self.last = perf_counter()
        rate = run.optimizer.rates()[-1]
        self.reporter.say("step", step=run.step, steps=run.n_steps, loss=run.loss_value, lr=rate)

    def before_validate(self, run: Run) -> None:
        self.reporter.say("validating", epoch=run.epoch)

    def after_epoch(self, run: Run) -> None:
        self.reporter.say("epoch", epoch=run.epoch, row=run.row)


class _Job(Job):
    """A training that says how it goes, and leaves what the other rooms show."""

    def __init__(self, fit: Fit, reporter: Reporter, kind: str) -> None:
        super().__init__(fit)
        self.reporter, self.kind_of_data = reporter, kind

    def prepare(self, learn: Learner) -> Learner:
        learn.callbacks = [*learn.callbacks, _Live(self.reporter)]
        return super().prepare(learn)

    def decide(self, name: str, choose: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.reporter.say("deciding", what=name)
        return super().decide(name, choose)

    def stage(self, name: str, learn: Learner, length: Length, rates: Any, **more: Any) -> None:
        if length[0]:
            self.reporter.say("stage", name=name, length=length[0], unit=length[1])
        super().stage(name, learn, length, rates, **more)

    def finish(self, learn: Learner) -> None:
        self.reporter.say("looking")
        _leave_mistakes(learn, self.fit.out, self.kind_of_data)


def run_training(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """`onecycle train` with these settings; what it returns."""
    where, how = LAYOUTS[args["kind"]].options(args)
    fit = Fit(**{**args["fit"], "start": args["fit"].get("start") and Path(args["fit"]["start"])})
    fit = replace(fit, out=folder, resume=True)
    job = _Job(fit, reporter, args["kind"])
    find = KINDS[args["kind"]].find
    found = train.train(args["kind"], where, how, fit, job, lambda where: find(where, folder))
    return {**found, "epochs": job.epochs}


def _leave_mistakes(learn: Learner, out: Path, kind: str) -> None:
    """Answers for all items, heat maps of the worst, and the outputs that decisions rest on."""
    learn.silent = True
    target = learn.task.target
    table = read_rows(out / "labels.csv")
    if target.mask_dtype:
        leave_masks(learn, out, [name for name, _, valid in table if valid == "True"])
        return
    if not target.whole_classes:
        _write(out / "mistakes.json", json.dumps({"kind": kind, "relabel": False}))
        return
    sides = {"valid": DatasetType.Valid, "train": DatasetType.Train}
    rows: list[dict[str, Any]] = []
    outputs: dict[str, np.ndarray] = {}
    for side, which in sides.items():
        found = of_set(learn, learn.data.in_order(which))
        names = [n for n, _, valid in table if (valid == "True") == (side == "valid")]
        rows += _rows_of(found, side, names)
        outputs |= {f"{side}_y": found.targets.numpy()}
        outputs |= {f"{side}_p": found.probabilities.numpy()}
        if side == "valid":
            worst = found.losses.argsort(descending=True)[:WORST].tolist()
            heats = {str(i): LAYOUTS[kind].heats and _heat(learn, found, i, out) for i in worst}
    about = {
        "kind": kind,
        "relabel": True,
        "classes": [str(name) for name in target.classes],
        "rows": rows,
        "heats": [i for i, there in heats.items() if there],
    }
    write_atomically(out / OUTPUTS, lambda to: save_file(outputs, to))
    _write(out / "mistakes.json", json.dumps(about))


def _rows_of(found: Predictions, side: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each item its name, labels, answer, loss, and whether its label is likely wrong."""
    doubtful = likely_wrong(found.probabilities.numpy(), found.targets.numpy())
    return [
        {
            "side": side,
            "index": i,
            "name": name,
            "actual": str(found.actual(i)),
            "predicted": str(found.predicted(i)),
            "share": round(float(found.probabilities[i].max()), 4),
            "loss": round(float(found.losses[i]), 4),
            "doubt": bool(doubtful[i]),
        }
        for i, name in zip(range(len(found)), names, strict=True)
    ]


def likely_wrong(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which labels are likely wrong, (n,) bool.

    Where another class than the label's is as likely as it is on average where it is the label,
    and the label's own class is less likely than it is where it is the label. Source: confident
    learning, Northcutt et al. 2021 (arXiv 1911.00068). Of several labels: for any of them.
    """
    if y.ndim == 2:
        pairs = np.stack([1 - probabilities, probabilities], 2)
        each = [likely_wrong(pairs[:, c], y[:, c].astype(np.int64)) for c in range(y.shape[1])]
        return np.any(each, axis=0)
    classes = probabilities.shape[1]
    usual = np.array(
        [probabilities[y == c, c].mean() if (y == c).any() else np.inf for c in range(classes)]
    )
    confident = probabilities >= usual
    best = np.where(confident, probabilities, -1.0).argmax(1)
    return confident.any(1) & (best != y) & ~confident[np.arange(len(y)), y]


def _heat(learn: Learner, found: Predictions, index: int, out: Path) -> bool:
    """What the model saw, and where it looked, as an image to lie over it; False without maps."""
    from PIL import Image

    try:
        looked = grad_cam(learn, found, index)
    except UsageError:
        return False
    item: Any = found.items[index][0]
    height, width = item.size
    colour = np.zeros((*looked.shape, 4), np.uint8)
    colour[..., 0], colour[..., 1] = 255, (120 * looked).astype(np.uint8)
    colour[..., 3] = (190 * looked).astype(np.uint8)
    (out / "heat").mkdir(exist_ok=True)
    over = Image.fromarray(colour).resize((width, height), Image.Resampling.BICUBIC)
    over.save(out / "heat" / f"{index}.png")
    Image.fromarray(item.pixels).save(out / "heat" / f"{index}.jpg", quality=90)
    return True


# The rate finder, decisions, and shipping.


def run_rates(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The rate finder's curve and what it suggests."""
    where, how = LAYOUTS["images"].options(args)
    learn = train.image_learner(how, layouts.images(where).labelled())
    reporter.say("rates")
    learn.silent = True
    curve = find_lr(learn)
    return {
        "lrs": list(curve.rates),
        "losses": list(curve.losses),
        "suggestion": curve.suggestion,
        "others": curve.suggestions(),
    }


def run_decide(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The exported file anew, with a temperature and thresholds."""
    reporter.say("exporting", precision="fp32")
    learn = _learner_of(folder)
    decided = {name: args.get(name) for name in ("temperature", "thresh")}
    target = learn.task.target
    if decided["temperature"]:
        target = target.with_temperature(float(decided["temperature"]))
    if decided["thresh"] is not None:
        target = target.with_threshold(decided["thresh"])
    _export_as(learn, target, folder / "model.onnx", "fp32", folder)
    return decided


def _learner_of(folder: Path) -> Any:
    """The learner of a run, for another export: without its data where that can be."""
    args = json.loads((folder / "train.args.json").read_text(encoding="utf-8"))
    kind = KINDS[args["kind"]]
    if kind.alone is not None:
        return kind.alone(folder / "model.safetensors")
    return kind.trained(*LAYOUTS[args["kind"]].options(args), folder)


def _export_as(learn: Any, target: Any, to: Path, precision: str, folder: Path) -> None:
    """Export with this target; the file says of its training what the one before says."""
    tune(learn, target)
    trained = examine((folder / "model.onnx").read_bytes(), "model.onnx").get("trained")
    with modes_kept(learn.model), torch.no_grad():
        examples = learn.task.input.export_examples(learn, precision, None)
        graph.export(learn.model, learn.task, to.absolute(), examples, precision, trained)


def fitted_temperature(folder: Path, target: Any) -> tuple[float, float]:
    """The temperature of the validation side and its standard error; see `learn.calibrate`."""
    stored = load_file(folder / OUTPUTS)
    shares, y = torch.from_numpy(stored["valid_p"]), torch.from_numpy(stored["valid_y"])
    many = target.activation == "sigmoid"
    outputs = torch.logit(shares, 1e-7) if many else shares.clamp(min=1e-30).log()
    plain = target.with_temperature(1.0)
    found = best_temperature(plain, outputs, y)
    return found, spread_of(plain, outputs, y, found)


def run_ship(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The file in each precision with its size, cost and time, and the page of the one chosen."""
    model, rows = folder / "model.onnx", []
    _, target = task_from_json(read(model)[1]["task"], torch=True)  # with what was decided
    sources = [KINDS[args["kind"]].source(one) for one in args["sources"]]
    before: list[Any] | None = None
    for precision in ("fp32", "fp16", "int8"):
        reporter.say("exporting", precision=precision)
        file = model if precision == "fp32" else folder / f"model-{precision}.onnx"
        try:
            if file != model:
                _export(folder, args, file, precision, target)
            rows.append(_measure(file, precision, sources, before))
        except OnecycleError as error:
            if precision == args.get("precision"):
                raise  # no page of another one, or of an older file
            rows.append({"precision": precision, "why": str(error)})
            continue
        before = before or rows[-1].pop("answers")
        rows[-1].pop("answers", None)
    chosen = args.get("precision", "fp32")
    file = model if chosen == "fp32" else folder / f"model-{chosen}.onnx"
    site = write_site(file, folder / "site", title=args.get("title") or None)
    size = sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    return {"rows": rows, "precision": chosen, "site_bytes": size, "model": str(file)}


def _export(folder: Path, args: dict[str, Any], file: Path, precision: str, target: Any) -> None:
    """Write the file in another precision, whose cost is measured on the run's data."""
    learn = KINDS[args["kind"]].trained(*LAYOUTS[args["kind"]].options(args), folder)
    _export_as(learn, target, file, precision, folder)


def _measure(
    file: Path, precision: str, sources: list[Any], before: list[Any] | None
) -> dict[str, Any]:
    """Size, milliseconds an item, and how many answers differ from those of full precision."""
    predictor = Predictor(file)
    answers = [predictor.predict(source) for source in sources[:2]]  # warm
    begun = perf_counter()
    answers = [predictor.predict(source) for source in sources]
    seconds = (perf_counter() - begun) / max(1, len(sources))
    found = {"precision": precision, "bytes": file.stat().st_size, "items": len(sources)}
    changed = None
    if before is not None:
        changed = sum(str(a) != str(b) for a, b in zip(answers, before, strict=True))
    return {**found, "ms": 1000 * seconds, "changed": changed, "answers": answers}


def run_deploy(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """A folder that is ready for a host, and what to type next."""
    out = folder / f"deploy-{args['to']}"
    return {"text": write_recipe(Path(args["model"]), args["to"], out, args.get("title") or None)}


# Looking at data.


def run_check(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Every item read whole: broken ones, copies, leaks, rare classes."""
    where, _ = LAYOUTS[args["kind"]].options(args)
    found = KINDS[args["kind"]].find(where, folder).labelled().check()
    table = read_rows(folder / "labels.csv")
    names = {
        side: [name for name, _, valid in table if valid == held]
        for side, held in (("training", "False"), ("validation", "True"))
    }
    rows = [
        {"name": _name_of(row, names, Path(args["folder"])), "problem": row.problem}
        | {"detail": row.detail, "label": row.label}
        for row in found.rows
    ]
    return {"rows": rows, "counts": found.problems, "advice": dict(found.advice)}


def _name_of(row: ReportRow, names: dict[str, list[str]], folder: Path) -> str:
    """What the studio calls an item with a problem; of a class nothing."""
    if row.index is not None and not row.file:
        return names[row.side][row.index]
    with suppress(ValueError):
        return Path(row.file).relative_to(folder).as_posix()
    return row.file


def run_count(folder: Path, args: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Of each image with a mask how many pixels are of each class."""
    where, _ = LAYOUTS["masks"].options(args)
    labelled = layouts.masks(where).labelled()
    target: Any = labelled.task.target
    classes, found = [str(name) for name in target.classes], dict[str, dict[str, int]]()
    files = [pair for s in labelled.sides for pair in zip(s.items, s.labels or (), strict=True)]
    for i, (item, mask) in enumerate(files):
        name = Path(item).absolute().relative_to(where.source.absolute()).as_posix()
        found[name] = counted(target.encode(mask), classes)
        if i % _COUNTED == 0:
            reporter.say("counted", n=i, total=len(files))
    return {"images": found}


TASKS: dict[str, Callable[[Path, dict[str, Any], Reporter], dict[str, Any]]] = {
    "train": run_training,
    "rates": run_rates,
    "decide": run_decide,
    "ship": run_ship,
    "deploy": run_deploy,
    "check": run_check,
    "count": run_count,
}


def main(name: str, folder: Path) -> int:
    """Do one job; its result, or what was wrong, is left in its folder."""
    args = json.loads((folder / f"{name}.args.json").read_text(encoding="utf-8"))
    defaults.progress = False
    with Reporter(folder, name) as reporter:
        reporter.say("begin")
        try:
            found = TASKS[name](folder, args, reporter)
        except (OnecycleError, OSError) as error:
            found = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # the page shows it; the log has all of it
            traceback.print_exc()
            found = {"error": type(error).__name__, "message": f"{error} (see {name}.log)"}
        reporter.finish(found)
        reporter.say("end", failed="error" in found)
    return int("error" in found)


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda to: _text(to, text))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
