"""`onecycle train` and `onecycle lr-find`: from files to a model, its report and its file."""

import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from warnings import catch_warnings, simplefilter

import torch

from onecycle.cli import layouts
from onecycle.cli.layouts import Found
from onecycle.cli.options import Fit, How, HowTexts, Where
from onecycle.cli.plots import stage_table
from onecycle.core.display import clock
from onecycle.core.errors import OnecycleWarning, UsageError, listing
from onecycle.core.files import require_writable, write_atomically
from onecycle.core.plot import save_figure
from onecycle.data.checks import look_before_training
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.interpret.report import write_report
from onecycle.learn import metrics
from onecycle.learn.learner import Learner
from onecycle.learn.lr_find import find_lr
from onecycle.series.encode import series_transforms
from onecycle.series.learner import series_learner
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.vision.augment import get_transforms
from onecycle.vision.input import imagenet_stats
from onecycle.vision.learner import cnn_learner, unet_learner

_LEAST, _MOST = 1e-3, 3e-2  # rates beyond them are those of curves that were read amiss
_SIDE = 128
_STEPS = 300  # of everything: small sets are seen more often, at most four times as often
_KEPT, _MARK = "onecycle-train-resume", "made-by-onecycle-train"  # a folder, and a file in it
_KEPT_FILES = "rate.json encoder.safetensors *.resume.safetensors *.resume.*.safetensors"
_OURS = (*_KEPT_FILES.split(), ".*.lock", ".*.tmp", _MARK)

Length = tuple[float, str]  # of a stage, in "epochs" or "minutes"


@dataclass
class Job:
    """One training: what it was told, and what it says of itself on the way."""

    fit: Fit
    notes: list[str] = field(default_factory=list)
    stages: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)  # by stage
    rows: list[Mapping[str, Any]] = field(default_factory=list)  # of all epochs

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
            for file in [file for name in _OURS for file in self.kept.glob(name)]:
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
                elif str(message) not in self.notes:
                    self.notes.append(str(message))
                    print(f"note: {message}", file=sys.stderr, flush=True)

            warnings.showwarning = note
            simplefilter("always", OnecycleWarning)
            yield

    def prepare(self, learn: Learner) -> Learner:
        """The learner at the precision, and with the folder, that were asked for."""
        learn.path, learn.model_dir = learn.path.__class__(self.fit.out.absolute()), self.kept
        return learn.to_fp16() if self.fit.fp16 else learn.to_bf16() if self.fit.bf16 else learn

    def stage(self, name: str, learn: Learner, length: Length, rates: Any, **more: Any) -> None:
        """Train for some epochs, or minutes; with --resume from where that was cut off."""
        amount, unit = length
        if not amount:
            return
        print(f"\n{name}: {amount:.3g} {unit}", flush=True)
        resume, before = name.replace(" ", "-") if self.fit.resume else None, len(learn.history)
        how: dict[str, Any] = {"cyc_len" if unit == "epochs" else unit: amount}
        learn.fit_one_cycle(**how, max_lr=rates, resume=resume, **more)
        rows = learn.history[before:]
        self.stages[name], self.epochs[name] = rows[-1], len(rows)
        self.rows += rows

    def decide(self, name: str, choose: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is chosen once: with --resume it is kept for the command that goes on."""
        file = self.kept / f"{name}.json"
        if self.fit.resume and file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        chosen = choose()
        if self.fit.resume:
            write_atomically(file, lambda to: _write(to, json.dumps(chosen)))
        return chosen


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _require_sense(fit: Fit) -> None:
    """UsageError for options that contradict one another, before anything is looked at."""
    if fit.fp16 and fit.bf16:
        raise UsageError("--fp16 and --bf16 are two precisions: give one of them")
    if fit.minutes is None:
        return
    if fit.epochs is not None or fit.unfrozen_epochs is not None:
        raise UsageError("--minutes chooses the epochs: leave --epochs and --unfrozen-epochs out")
    if fit.minutes <= 0:
        raise UsageError(f"--minutes is a number above 0, not {fit.minutes:g}")


def _lengths(
    job: Job, learn: Learner, frozen: bool, usual: tuple[int, int]
) -> tuple[Length, Length]:
    """(with a frozen body, of everything): epochs as asked or usual, or minutes of a budget."""
    fit = job.fit
    if fit.minutes is not None:
        share = usual[0] / sum(usual) if frozen else 0.0
        return (fit.minutes * share, "minutes"), (fit.minutes * (1 - share), "minutes")
    if fit.epochs and not frozen:
        print(
            f"--epochs {fit.epochs} are not used: they are those with a frozen body, and from "
            "scratch nothing is frozen; --unfrozen-epochs are"
        )
    enough = min(4 * usual[1], ceil(_STEPS / len(learn.data.train_dl)))
    given = zip((fit.epochs, fit.unfrozen_epochs), (usual[0], max(usual[1], enough)), strict=True)
    first, second = (default if asked is None else asked for asked, default in given)
    first = first if frozen else 0
    if first < 0 or second < 0 or not first + second:
        raise UsageError("train for at least one epoch: --epochs or --unfrozen-epochs")
    return (first, "epochs"), (second, "epochs")


# The learner of each kind, and the stages that it is trained in.


def _pretrained(how: Any) -> bool | str:
    known: dict[str, bool | str] = {"yes": True, "no": False}
    return known.get(how.pretrained, how.pretrained)


def _loaders(how: Any, labelled: LabelledItems, bs: int | None = None) -> DataBunch:
    bs, count = bs or how.bs, len(labelled.train)
    if bs is not None and bs > count:
        print(f"--bs {bs} is more than there is: {count} train in one batch")
        bs = count
    return labelled.databunch(bs=bs, seed=how.seed, device=how.device)


def _normalized(
    how: How, labelled: LabelledItems, size: Any, make: Callable[..., Learner], **more: Any
) -> Learner:
    """A learner on data that is normalised as its pretrained body expects."""
    wanted = _pretrained(how)
    changed = labelled.transform(get_transforms(flip_vert=how.flip_vert), size=size)
    data = _loaders(how, changed)
    with catch_warnings():
        if wanted is True:  # the learner normalises as these weights expect
            simplefilter("ignore", OnecycleWarning)
        else:
            data = data.normalize(imagenet_stats)
        return make(data, how.arch, pretrained=wanted, **more)


def _shorter_side(labelled: LabelledItems, side: int) -> tuple[int, int]:
    """(height, width) with that shorter side, in the shape of the first image."""
    item: Any = labelled.valid[0][0]
    height, width = item.size
    scale = side / min(height, width)
    return round(height * scale), round(width * scale)


def suited_metrics(data: DataBunch) -> list[Any]:
    """The metrics that suit the labels."""
    return [
        partial(getattr(metrics, name), **how) if how else getattr(metrics, name)
        for name, how in data.task.target.suited_metrics
    ]


def image_learner(how: How, labelled: LabelledItems) -> Learner:
    """A network for images, with the metrics that suit the labels."""
    learn = _normalized(how, labelled, how.size or _SIDE, cnn_learner)
    learn.metrics = suited_metrics(learn.data)
    return learn


def _two_stages(
    job: Job, how: Any, learn: Learner, usual: tuple[int, int], lr: float, deep: float, top: float
) -> None:
    """The head at `lr`, then everything: the first layers at lr/`deep`, the last at lr/`top`."""
    lr = lr if job.fit.lr is None else job.fit.lr
    frozen = how.pretrained != "no"
    first, second = _lengths(job, learn, frozen, usual)
    job.stage("frozen", learn, first, slice(lr))
    if second[0]:
        learn.unfreeze()
        job.stage("unfrozen", learn, second, slice(lr / deep, lr / top) if frozen else lr)


def train_images(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Classes, tags or numbers of images, at a rate that is found."""
    learn = job.prepare(image_learner(how, labelled))
    lr = job.decide("rate", lambda: {"lr": _find_rate(job, learn)})["lr"]
    _two_stages(job, how, learn, (4, 4), lr, 100, 5)
    return learn


def _find_rate(job: Job, learn: Learner) -> float:
    """The rate asked for, or that of the range test, within what new heads bear."""
    if job.fit.lr is not None:
        return job.fit.lr
    found = find_lr(learn).suggestion
    rate = min(max(found, _LEAST), _MOST)
    print(f"learning rate: {rate:.1e}" + f" (not the {found:.1e} of the curve)" * (rate != found))
    return rate


def train_masks(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """A U-Net on images with a class for every pixel."""
    size = _shorter_side(labelled, how.size or _SIDE)
    learn = job.prepare(_normalized(how, labelled, size, unet_learner, bottle=True))
    learn.metrics = [metrics.pixel_accuracy, metrics.mean_iou]
    _two_stages(job, how, learn, (2, 8), 1e-2, 10, 1)
    return learn


def train_points(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Places in images."""
    size = _shorter_side(labelled, how.size or _SIDE)
    learn = job.prepare(_normalized(how, labelled, size, cnn_learner, ps=0.0))
    learn.metrics = [metrics.mae]
    _two_stages(job, how, learn, (2, 15), 1e-2, 10, 1)
    return learn


def train_series(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Classes or numbers of series, which become images."""
    layouts.refuse(how, "series", "flip_vert")
    changed = labelled.transform(series_transforms(), size=how.size or 64)
    data = _loaders(how, changed)
    with catch_warnings():  # the statistics of a body for photographs are not those of curves
        simplefilter("ignore", OnecycleWarning)
        learn = series_learner(data, how.arch, pretrained=_pretrained(how))
    learn.metrics = suited_metrics(data)
    _two_stages(job, how, job.prepare(learn), (1, 8), 4e-3, 1, 1)
    return learn


def train_texts(job: Job, how: HowTexts, labelled: LabelledItems) -> Learner:
    """A classifier on the encoder of a language model that has read these texts."""
    if how.arch != "awd_lstm":
        return _train_transformer(job, how, labelled)
    known: dict[str, bool | str] = {"yes": "small", "published": True, "no": False}
    encoder, moms = known.get(how.pretrained, how.pretrained), (0.8, 0.7)
    if how.lm_epochs:
        stream = _loaders(how, _as_stream(labelled))
        language = language_model_learner(stream, pretrained=encoder, drop_mult=0.3)
        job.prepare(language).unfreeze()
        job.stage("language model", language, (how.lm_epochs, "epochs"), 5e-3, moms=moms)
        encoder = str(language.save_encoder("encoder"))
        job.rows.clear()  # its losses are others than the classifier's
    data = _loaders(how, labelled)
    learn: Learner = text_classifier_learner(data, pretrained=encoder, drop_mult=0.3)
    learn.metrics = suited_metrics(data)
    job.prepare(learn)
    head, whole = _lengths(job, learn, bool(encoder), (1, 4))
    lr = job.fit.lr or 1e-2
    if head[0]:
        budget = job.fit.minutes is not None
        head, last = ((head[0] / 2, "minutes"),) * 2 if budget else (head, (1, "epochs"))
        job.stage("head", learn.freeze(), head, slice(2 * lr), moms=moms)
        job.stage("last layer", learn.freeze_to(-2), last, slice(lr / 2.6**2, lr), moms=moms)
    job.stage("all layers", learn.unfreeze(), whole, slice(lr / 2.6**2 / 2, lr), moms=moms)
    return learn


def _train_transformer(job: Job, how: HowTexts, labelled: LabelledItems) -> Learner:
    """A classifier on a Hugging Face encoder."""
    if (how.lm_epochs, how.pretrained) != (HowTexts.lm_epochs, HowTexts.pretrained):
        raise UsageError("--lm-epochs and --pretrained are for awd_lstm: leave them out")
    learn: Learner = text_classifier_learner(_loaders(how, labelled), how.arch)
    learn.metrics = suited_metrics(learn.data)
    _two_stages(job, how, job.prepare(learn), (1, 3), 1e-4, 10, 2)
    return learn


def _as_stream(labelled: LabelledItems) -> LabelledItems:
    """The same texts without their labels, for a language model."""
    train: Any = labelled.train.x
    return train.split_by_list(train, labelled.valid.x).label_for_lm()


# The way from what was found to the files that are left.

KINDS: dict[str, tuple[Callable[..., Found], Callable[..., Learner]]] = {
    "images": (layouts.images, train_images),
    "masks": (layouts.masks, train_masks),
    "points": (layouts.points, train_points),
    "text": (layouts.texts, train_texts),
    "series": (layouts.series, train_series),
}


def train(kind: str, where: Any, how: Any, fit: Fit) -> dict[str, Any]:
    """Find the items, say what was found, train, and leave model.onnx, model.safetensors, report.

    Returns what --json prints.
    """
    start, out, job = perf_counter(), fit.out, Job(fit)
    _require_sense(fit)
    require_writable(out / "model.safetensors")
    find, teach = KINDS[kind]
    torch.manual_seed(how.seed)
    with job.noted(), job.keeping():
        found = find(where)
        labelled = found.labelled()
        _require_text(labelled)
        print(labelled)
        print(counts_of(labelled))
        held = _labelled_test(found, labelled)
        learn = teach(job, how, labelled)
        file = _save(learn, out)
        print(stage_table(job.stages))
        tested = _test(learn, held)
        measured = write_report(
            learn,
            out / "report.html",
            f"{where.source.absolute().name}: training report",
            _about(job, learn, where, how) | {"time": clock(perf_counter() - start)},
            job.notes,
            job.rows,
            tested,
        )
    _print_next(out, measured)
    files = {"model": str(file), "weights": f"{out}/model.safetensors"}
    return {**files, "report": f"{out}/report.html", "metrics": measured, "test": tested} | {
        "notes": job.notes,
        "seconds": round(perf_counter() - start, 1),
    }


def _save(learn: Learner, out: Path) -> Path:
    """Leave the weights, before anything else can fail, then the model's file."""
    if (out / "model.safetensors").exists():
        print(f"the model that was in {out} is replaced")
    learn.save((out / "model").absolute(), with_opt=False)
    learn.silent = True
    return learn.export((out / "model.onnx").absolute())


def _require_text(labelled: LabelledItems) -> None:
    """UsageError for names of classes that no file can hold."""
    names = [str(name) for name in labelled.task.target.classes]
    odd = [name for name in names if any("\ud800" <= mark <= "\udfff" for mark in name)]
    if odd:
        raise UsageError(
            f"{len(odd)} names of classes are no valid UTF-8, so that no file can hold them: "
            f"{listing(odd)}. Rename their folders, or correct the table"
        )


def _about(job: Job, learn: Learner, where: Any, how: Any) -> dict[str, str]:
    """Facts for the model card."""
    return {
        "source": str(where.source),
        "architecture": how.arch,
        "pretrained": how.pretrained,
        "epochs": ", ".join(f"{count} {name}" for name, count in job.epochs.items()),
        "seed": str(how.seed),
        "precision": learn.engine.precision,
        "device": str(learn.data.device),
    }


def _labelled_test(found: Found, labelled: LabelledItems) -> LabelledItems | None:
    """The test set, labelled and looked at before anything is trained, where there is one."""
    held = found.measured()
    if held is not None:
        sides = [*labelled.sides, *(replace(s, name="test") for s in held.sides[1:])]
        look_before_training(labelled.task, sides, None, find_copies=True, skips=False)
    return held


def _test(learn: Learner, held: LabelledItems | None) -> dict[str, float]:
    """Loss and metrics of the test set, where there is one."""
    if held is None:
        return {}
    data = held.with_task(learn.task).databunch(
        bs=1, val_bs=learn.data.options["val_bs"], device=learn.data.device, no_check=True
    )
    values = learn.validate(data.valid_dl)
    names = ["loss", *learn.recorder.metric_names]
    return {n: float(v) for n, v in zip(names, values, strict=True) if v is not None}


def counts_of(labelled: LabelledItems, most: int = 20) -> str:
    """How many items of each class are on each side, the commonest classes first."""
    target, sides = labelled.task.target, {"train": labelled.train, "valid": labelled.valid}
    counts = {
        name: Counter(c for label in side.labels or () for c in target.classes_of(label))
        for name, side in sides.items()
    }
    order = sorted(target.named_classes(), key=lambda c: -counts["train"][c])
    wide = max((len(str(c)) for c in order[:most]), default=0)
    rows = [
        f"  {c!s:<{wide}}  {counts['train'][c]:>7} train  {counts['valid'][c]:>6} valid"
        for c in order[:most]
    ]
    rows += [f"  and {len(order) - most} more classes"] * (len(order) > most)
    return "\n".join(rows or [f"classes: {listing(target.classes, most)}"] * bool(target.classes))


def _print_next(out: Path, measured: Mapping[str, Any]) -> None:
    for name, (value, low, high) in measured.items():
        print(f"{name}: {value:.4f} (95 %: {low:.4f} to {high:.4f})")
    print(f"\nwritten to {out}: model.onnx, model.safetensors, report.html. Next:")
    print(f"  onecycle site {quote(f'{out}/model.onnx')} site/")
    print(f"  onecycle predict {quote(f'{out}/model.onnx')} FILES --out answers.csv")


def find(where: Where, how: How, out: Path) -> dict[str, Any]:
    """Print the readings of the range test, and draw its curve."""
    require_writable(out / "lr.png", in_place=True)
    torch.manual_seed(how.seed)
    curve = image_learner(how, layouts.images(where).labelled()).lr_find()
    for name, rate in curve.suggestions().items():
        print(f"{name:>12}: " + (f"{rate:.2e}" if rate else "-"))
    save_figure(curve.plot(), out / "lr.png")
    print(f"drawn in {out / 'lr.png'}")
    return {**curve.suggestions(), "plot": str(out / "lr.png")}
