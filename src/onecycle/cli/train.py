"""`onecycle train` and `onecycle lr-find`: from files to a model, its report and its file."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from shlex import quote
from time import perf_counter
from typing import Any
from warnings import catch_warnings, simplefilter

import torch

from onecycle.cli import layouts
from onecycle.cli.job import Job, Length
from onecycle.cli.layouts import Found
from onecycle.cli.options import CHANGES, Fit, How, HowTexts, Where
from onecycle.cli.plots import stage_table
from onecycle.cli.sides import described, refuse
from onecycle.core.display import clock
from onecycle.core.errors import OnecycleWarning, UsageError, listing
from onecycle.core.files import require_writable
from onecycle.core.plot import save_figure
from onecycle.data.checks import look_before_training
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.interpret.report import write_report
from onecycle.learn import metrics
from onecycle.learn.checkpoint import read as read_checkpoint
from onecycle.learn.cross_validation import CrossValidation
from onecycle.learn.learner import Learner
from onecycle.learn.losses import balanced_loss
from onecycle.learn.lr_find import find_lr
from onecycle.runtime.task import task_from_json
from onecycle.series.encode import series_transforms
from onecycle.series.learner import NETWORKS, series_learner
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.vision.augment import get_transforms
from onecycle.vision.box_metrics import mean_ap, mean_ap50
from onecycle.vision.input import imagenet_stats
from onecycle.vision.learner import cnn_learner, detection_learner, unet_learner

_LEAST, _MOST = 1e-3, 3e-2  # rates beyond them are those of curves that were read amiss
_SIDE = 128
_MOST_SOLVED = 10_000  # items of which a last layer is found in closed form: some GB of features
_STEPS = 300  # of everything: small sets are seen more often, at most four times as often


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
    changed = labelled.transform(get_transforms(**how.changes()), size=size)
    data = _loaders(how, changed)
    with catch_warnings():
        if wanted is True:  # the learner normalises as these weights expect
            simplefilter("ignore", OnecycleWarning)
        if not data.task.input.has_channels:
            data = data.normalize()  # bands have no statistics but their own
        elif wanted is not True:
            data = data.normalize(imagenet_stats)
        return make(data, how.arch, pretrained=wanted, **more)


def shorter_side(labelled: LabelledItems, side: int) -> tuple[int, int]:
    """(height, width) with that shorter side, in the shape of the first image."""
    item: Any = labelled.valid[0][0]
    height, width = item.size
    scale = side / min(height, width)
    return round(height * scale), round(width * scale)


def _suited(how: Any, learn: Learner) -> Learner:
    """The same learner with the metrics that suit the labels, and the loss that was asked for."""
    learn.metrics = [
        partial(getattr(metrics, name), **more) if more else getattr(metrics, name)
        for name, more in learn.data.task.target.suited_metrics
    ]
    if how.weights:
        learn.loss_func = balanced_loss(learn.data)
    return learn


def image_learner(how: How, labelled: LabelledItems) -> Learner:
    """A network for images, with the metrics that suit the labels."""
    return _suited(how, _normalized(how, labelled, how.size or _SIDE, cnn_learner))


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


def mask_learner(how: How, labelled: LabelledItems) -> Learner:
    """A U-Net with the metrics of masks."""
    refuse(how, "masks", "weights")
    size = shorter_side(labelled, how.size or _SIDE)
    learn = _normalized(how, labelled, size, unet_learner, bottle=True)
    learn.metrics = [metrics.pixel_accuracy, metrics.mean_iou]
    return learn


def train_masks(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """A U-Net on images with a class for every pixel."""
    learn = job.prepare(mask_learner(how, labelled))
    _two_stages(job, how, learn, (2, 8), 1e-2, 10, 1)
    return learn


def train_points(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Places in images."""
    refuse(how, "points", "weights")
    size = shorter_side(labelled, how.size or _SIDE)
    learn = job.prepare(_normalized(how, labelled, size, cnn_learner, ps=0.0))
    learn.metrics = [metrics.mae]
    _two_stages(job, how, learn, (2, 15), 1e-2, 10, 1)
    return learn


def train_boxes(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Boxes of things in images."""
    refuse(how, "boxes", "weights")
    size = shorter_side(labelled, how.size or _SIDE)
    learn = job.prepare(_normalized(how, labelled, size, detection_learner))
    learn.metrics = [mean_ap, mean_ap50]
    _two_stages(job, how, learn, (4, 16), 5e-3, 10, 1)
    return learn


def series_classifier(how: How, labelled: LabelledItems) -> Learner:
    """A network for series, of images of them or by one for series, with metrics that suit."""
    refuse(how, "series", *CHANGES, "policy")
    given: Any = labelled.task.input  # short series too
    if how.arch in NETWORKS:
        refuse(how, f"--arch {how.arch}", "size", "pretrained")
        data = _loaders(how, labelled.transform(series_transforms(), size=min(32, given.length)))
        return _suited(how, series_learner(data, arch=how.arch))
    changed = labelled.transform(series_transforms(), size=how.size or min(64, given.length))
    data = _loaders(how, changed)
    with catch_warnings():  # the statistics of a body for photographs are not those of curves
        simplefilter("ignore", OnecycleWarning)
        made = series_learner(data, how.arch, pretrained=_pretrained(how))
    return _suited(how, made)


def train_series(job: Job, how: How, labelled: LabelledItems) -> Learner:
    """Classes or numbers of series, which become images, or by a network for series do not.

    The layer of mini_rocket is found in closed form, unless an option asks for steps.
    """
    learn = job.prepare(series_classifier(how, labelled))
    fit, count = job.fit, len(labelled.train)
    of_steps = fit.epochs, fit.unfrozen_epochs, fit.minutes, fit.lr, how.weights or None
    if how.arch == "mini_rocket" and of_steps == (None,) * 5 and 3 <= count <= _MOST_SOLVED:
        job.solve("last layer", learn)
        return learn
    if how.arch in NETWORKS:
        job.stage("all layers", learn, _lengths(job, learn, False, (0, 8))[1], fit.lr or 2e-3)
        return learn
    _two_stages(job, how, learn, (1, 8), 4e-3, 1, 1)
    return learn


def train_texts(job: Job, how: HowTexts, labelled: LabelledItems) -> Learner:
    """A classifier on the encoder of a language model that has read these texts."""
    if how.arch != "awd_lstm":
        return _train_transformer(job, how, labelled)
    if job.fit.start is not None:
        labelled = read_as(labelled, job.fit.start)
    encoder, moms = _encoder(job, how, labelled), (0.8, 0.7)
    learn = job.prepare(text_classifier(how, labelled, encoder))
    head, whole = _lengths(job, learn, bool(encoder), (1, 4))
    lr = job.fit.lr or 1e-2
    if head[0]:
        budget = job.fit.minutes is not None
        head, last = ((head[0] / 2, "minutes"),) * 2 if budget else (head, (1, "epochs"))
        job.stage("head", learn.freeze(), head, slice(2 * lr), moms=moms)
        job.stage("last layer", learn.freeze_to(-2), last, slice(lr / 2.6**2, lr), moms=moms)
    job.stage("all layers", learn.unfreeze(), whole, slice(lr / 2.6**2 / 2, lr), moms=moms)
    return learn


def text_classifier(
    how: HowTexts, labelled: LabelledItems, encoder: bool | str | None = None
) -> Learner:
    """A classifier on an AWD-LSTM, by default the one asked for as it comes, or a transformer."""
    if how.arch != "awd_lstm":
        return _suited(how, text_classifier_learner(_loaders(how, labelled), how.arch))
    encoder = _given_encoder(how) if encoder is None else encoder
    data = _loaders(how, labelled)
    return _suited(how, text_classifier_learner(data, pretrained=encoder, drop_mult=0.3))


def read_as(labelled: LabelledItems, weights: Path) -> LabelledItems:
    """The same items, read as those were that `learn.save` kept weights of: by its vocabulary."""
    given, _ = task_from_json(read_checkpoint(weights.absolute())[0]["task"], torch=True)
    return labelled.with_task(replace(labelled.task, input=given))


def _given_encoder(how: HowTexts) -> bool | str:
    known: dict[str, bool | str] = {"yes": "small", "published": True, "no": False}
    return known.get(how.pretrained, how.pretrained)


def _encoder(job: Job, how: HowTexts, labelled: LabelledItems) -> bool | str:
    """The pretrained encoder, once it has read these texts."""
    encoder = _given_encoder(how)
    if not how.lm_epochs:
        return encoder
    if job.fit.start is not None:
        raise UsageError("--start holds a classifier, which has read its texts: --lm-epochs 0")
    stream = _loaders(how, _as_stream(labelled))
    language = language_model_learner(stream, pretrained=encoder, drop_mult=0.3)
    job.prepare(language).unfreeze()
    job.stage("language model", language, (how.lm_epochs, "epochs"), 5e-3, moms=(0.8, 0.7))
    job.rows.clear()  # its losses are others than the classifier's
    return str(language.save_encoder("encoder"))


def _train_transformer(job: Job, how: HowTexts, labelled: LabelledItems) -> Learner:
    """A classifier on a Hugging Face encoder."""
    if (how.lm_epochs, how.pretrained) != (HowTexts.lm_epochs, HowTexts.pretrained):
        raise UsageError("--lm-epochs and --pretrained are for awd_lstm: leave them out")
    learn = job.prepare(text_classifier(how, labelled))
    _two_stages(job, how, learn, (1, 3), 1e-4, 10, 2)
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
    "boxes": (layouts.boxes, train_boxes),
    "text": (layouts.texts, train_texts),
    "series": (layouts.series, train_series),
}


def train(
    kind: str,
    where: Any,
    how: Any,
    fit: Fit,
    job: Job | None = None,
    finder: Callable[..., Found] | None = None,
) -> dict[str, Any]:
    """Find the items, say what was found, train, and leave model.onnx, model.safetensors, report.

    Returns what --json prints. `finder` is used in the place of that of the kind.
    """
    start, out, job = perf_counter(), fit.out, job or Job(fit)
    _require_sense(fit)
    require_writable(out / "model.safetensors")
    find, teach = finder or KINDS[kind][0], KINDS[kind][1]
    torch.manual_seed(how.seed)
    with job.noted(), job.keeping():
        found = find(where)
        labelled = found.labelled()
        _require_text(labelled)
        print(labelled)
        held = _labelled_test(found, labelled)
        print(counts_of(labelled, held))
        learn, folds = _train_all(job, how, found, teach)
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
            folds,
        )
        job.finish(learn)
    _print_next(out, measured)
    files = {"model": str(file), "weights": f"{out}/model.safetensors"}
    return {**files, "report": f"{out}/report.html", "metrics": measured, "test": tested} | {
        "folds": folds and {"mean": folds.mean, "spread": folds.spread, "each": folds.folds},
        "notes": job.notes,
        "seconds": round(perf_counter() - start, 1),
    }


def _train_all(
    job: Job, how: Any, found: Found, teach: Callable[..., Learner]
) -> tuple[Learner, CrossValidation | None]:
    """The trained learner, or with --folds that of the last one and the figures of all."""
    count = len(found.splits)
    if count == 1:
        return teach(job, how, found.labelled()), None
    job.fit = replace(job.fit, minutes=job.fit.minutes and job.fit.minutes / count)
    rows = []
    for fold in range(count):
        job.begin(fold)
        torch.manual_seed(how.seed)
        print(f"\nfold {fold + 1} of {count}")

        def figures(fold: int = fold) -> dict[str, Any]:
            return _figures(teach(job, how, found.labelled(fold)))

        if fold < count - 1:
            rows.append(job.decide("figures", figures))
    learn = teach(job, how, found.labelled(count - 1))
    folds = CrossValidation((*rows, _figures(learn)))
    print(f"\n{folds}")
    return learn, folds


def _figures(learn: Learner, batches: Any = None) -> dict[str, float]:
    """Loss and metrics, those that have a value; without `batches` of the validation side."""
    values, names = learn.validate(batches), ["loss", *learn.recorder.metric_names]
    return {n: float(v) for n, v in zip(names, values, strict=True) if v is not None}


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
        **({"split": split} if (split := described(where)) else {}),
        **({"loss": "rare classes count as much as frequent ones"} if how.weights else {}),
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
    return _figures(learn, data.valid_dl)


def counts_of(labelled: LabelledItems, held: LabelledItems | None = None, most: int = 20) -> str:
    """How many items of each class are on each side, the commonest classes first."""
    target, sides = labelled.task.target, {"train": labelled.train, "valid": labelled.valid}
    sides |= {"test": held.valid} if held else {}
    counts = {
        name: Counter(c for label in side.labels or () for c in target.classes_of(label))
        for name, side in sides.items()
    }
    order = sorted(target.named_classes(), key=lambda c: -counts["train"][c])
    wide = max((len(str(c)) for c in order[:most]), default=0)
    rows = [
        f"  {c!s:<{wide}}  " + "  ".join(f"{counts[n][c]:>6} {n}" for n in sides)
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
    refuse(where, "lr-find", "folds", "test")
    require_writable(out / "lr.png", in_place=True)
    torch.manual_seed(how.seed)
    curve = image_learner(how, layouts.images(where).labelled()).lr_find()
    for name, rate in curve.suggestions().items():
        print(f"{name:>12}: " + (f"{rate:.2e}" if rate else "-"))
    save_figure(curve.plot(), out / "lr.png")
    print(f"drawn in {out / 'lr.png'}")
    return {**curve.suggestions(), "plot": str(out / "lr.png")}
