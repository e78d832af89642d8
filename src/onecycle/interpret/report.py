"""A training as one page that opens without a network: data, curves, figures, mistakes, its use."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from math import isfinite
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.core.files import write_atomically
from onecycle.core.plot import grid
from onecycle.data.databunch import DatasetType
from onecycle.data.items import file_of
from onecycle.data.label_list import LabelList
from onecycle.interpret.charts import curves, escaped, scatter
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    Interpretation,
    MultiLabelInterpretation,
    SegmentationInterpretation,
    grad_cam,
)
from onecycle.learn import loop
from onecycle.learn.cross_validation import CrossValidation
from onecycle.learn.evaluate import evaluate
from onecycle.learn.learner import Learner
from onecycle.learn.metric import keep_once, keeps_less, name_of, names_of
from onecycle.learn.metrics import confusion, shares
from onecycle.learn.predictions import Predictions, item_losses, of_part
from onecycle.version import __version__

Interval = tuple[float, float, float]  # value, lower and upper end
_DRAWS = 200  # resamples of the validation items
_SHOWN, _SAMPLES = 12, 8
_MOST_CLASSES = 30  # of a confusion matrix that is read as one
_LONGEST = 300  # characters of a text


def write_report(
    learn: Learner,
    path: str | Path,
    title: str = "Training report",
    about: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    rows: Sequence[Mapping[str, Any]] | None = None,
    tested: Mapping[str, float] | None = None,
    folds: CrossValidation | None = None,
) -> dict[str, Interval]:
    """Write what is to be known of a trained learner into one HTML file.

    It holds no scripts and loads nothing. `about` are further facts for the model card, `notes`
    what was left out or guessed, `rows` the epochs (those of `learn.history`), `tested` figures of
    a test set, `folds` those of a cross-validation. Returns the figures of the validation set by
    name, each with the ends of its 95 % interval, by bootstrap over the items.
    """
    seen = _look(learn)
    sections = {
        "How good it is": _figures(seen, tested or {}),
        "Folds": _folds(folds),
        "Data": _data(learn),
        "Curves": curves(learn.history if rows is None else rows),
        **seen.sections,
        "Worst items": seen.worst,
        "Left out, and to be known": _list(notes),
        "How to use it": _use(),
        "Model card": _card(learn, about or {}, seen),
    }
    parts = [
        f"<section><h2>{escaped(n)}</h2>{part}</section>" for n, part in sections.items() if part
    ]
    page = Template(_template()).substitute(
        title=escaped(title),
        subtitle=escaped(f"onecycle {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        body="".join(parts),
    )
    write_atomically(Path(path), lambda to: _write(to, page))
    return seen.intervals


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _template() -> str:
    return Path(__file__).with_name("report.html").read_text(encoding="utf-8")


def _table(head: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table in a box of its own that scrolls, so that the page never does."""
    top = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return _scrolled(
        f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    )


def _scrolled(table: str) -> str:
    return f'<div class="wide" tabindex="0">{table}</div>'


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


# What was seen on the validation set.


class _Seen:
    """Figures with intervals, sections that suit the answers, and the worst items."""

    def __init__(self) -> None:
        self.count = 0
        self.intervals: dict[str, Interval] = {}
        self.sections: dict[str, str] = {}
        self.worst = ""


def _look(learn: Learner) -> _Seen:
    return _look_at_masks(learn) if learn.task.target.mask_dtype else _look_at_items(learn)


def intervals(
    count: int, values_of: Callable[[np.ndarray], dict[str, float]]
) -> dict[str, Interval]:
    """Values of all `count` items, and the middle 95 % of those of items drawn with replacement.

    `values_of` gives figures by name for positions of items. Values that are no numbers are left
    out.
    """
    rng = np.random.default_rng(0)
    drawn = [values_of(rng.integers(0, count, count)) for _ in range(_DRAWS)]
    found = dict[str, Interval]()
    for name, value in values_of(np.arange(count)).items():
        known = [one[name] for one in drawn if isfinite(one[name])]
        if isfinite(value) and known:
            low, high = np.quantile(known, [0.025, 0.975])
            found[name] = (value, float(low), float(high))
    return found


def _look_at_items(learn: Learner) -> _Seen:
    seen, target = _Seen(), learn.task.target
    found = learn.predictions()
    outputs = _undone(found.probabilities, target)  # calibrated where the answers are
    plain = target.uncalibrated()
    kept = {
        name_of(m): keep_once(m, outputs, found.targets) for m in learn.metrics if keeps_less(m)
    }
    each = [m for m in learn.metrics if not keeps_less(m)]
    names = names_of(each)

    def values_of(positions: np.ndarray) -> dict[str, float]:
        at = torch.from_numpy(positions)
        values = evaluate([(outputs[at], found.targets[at])], None, each, plain)[1:] if each else []
        own = {n: float("nan") if v is None else v for n, v in zip(names, values, strict=True)}
        own |= {name: value_of(at) for name, value_of in kept.items()}
        return own | {"loss": float(found.losses[at].mean())}

    seen.count, seen.intervals = len(found), intervals(len(found), values_of)
    interp, seen.sections = _sections(learn, found)
    worst = interp.top_losses(min(_SHOWN, len(found)))[1].tolist()
    if learn.task.input.in_tables:
        seen.worst = _texts(found, worst)
    else:
        drawn = (_drawn(learn, found, i, interp.line(i), i) for i in worst)
        seen.worst = _cards(drawn, "pairs")
    return seen


def _sections(learn: Learner, found: Predictions) -> tuple[Interpretation, dict[str, str]]:
    """The interpretation that suits the answers, and what it shows."""
    target = learn.task.target
    if target.one_class:
        single = ClassificationInterpretation(learn, found)
        return single, {"What is taken for what": _confusion(single)}
    if target.whole_classes:
        several = MultiLabelInterpretation(learn, found)
        return several, {"Each label": _frame("label", several.per_label())}
    predicted, actual = (t.reshape(len(found), -1) for t in (found.probabilities, found.targets))
    chart = (
        {}
        if target.on_image
        else {"Predicted and actual": scatter(predicted, actual, target.columns)}
    )
    return Interpretation(learn, found), chart


def _frame(what: str, table: Any) -> str:
    """Figures by name: counts as whole numbers, shares with three digits."""
    rows = (
        [
            name,
            *(
                "-" if not isfinite(v) else f"{v:.0f}" if v == int(v) and v > 1 else f"{v:.3f}"
                for v in row
            ),
        ]
        for name, row in zip(table.index, table.values, strict=True)
    )
    return _table([what, *table.columns], rows)


def _undone(probabilities: Tensor, target: Any) -> Tensor:
    """Outputs of the network whose activation gave these."""
    if target.activation == "sigmoid":
        return torch.logit(probabilities, 1e-7)
    if target.activation == "softmax":
        return probabilities.clamp(min=1e-30).log()
    return target.outputs_for(probabilities)


def _look_at_masks(learn: Learner) -> _Seen:
    """One pass over the images, of which only counts of pixels are kept."""
    seen, target = _Seen(), learn.task.target
    batches, each, losses = learn.data.in_order(DatasetType.Valid), list[Tensor](), list[Tensor]()
    with loop.each_batch(learn.model, batches, learn.engine) as pairs:
        for outputs, y in pairs:
            losses.append(item_losses(learn, outputs, y).cpu())
            each += [
                confusion(*pair, target.void).cpu()
                for pair in zip(outputs.split(1), y.split(1), strict=True)
            ]
    matrices, all_losses = torch.stack(each).double(), torch.cat(losses)
    void = target.metric_options.get("void")

    def values_of(positions: np.ndarray) -> dict[str, float]:
        total = matrices[torch.from_numpy(positions)].sum(0)
        return {
            "pixel_accuracy": float(total.diagonal().sum() / total.sum()),
            "mean_iou": float(shares(total, void).nanmean()),
            "loss": float(all_losses[positions].mean()),
        }

    seen.count, seen.intervals = len(each), intervals(len(each), values_of)
    side: LabelList = batches.dataset
    interp = SegmentationInterpretation(learn, side, matrices.sum(0), all_losses)
    seen.sections["Each class"] = _frame("class", interp.per_class())
    worst = interp.top_losses(min(_SHOWN, len(each)))[1].tolist()
    found = of_part(learn, side, worst)
    seen.worst = _cards((_drawn(learn, found, i, "") for i in range(len(worst))), "pairs")
    return seen


def _figures(seen: _Seen, tested: Mapping[str, float]) -> str:
    cells = "".join(
        f"<div><span>{escaped(name)}</span><b>{value:.3f}</b>"
        f"<span>95 %: {low:.3f} to {high:.3f}</span></div>"
        for name, (value, low, high) in seen.intervals.items()
    )
    text = (
        f"Measured on the {seen.count:,} validation items. The interval is what luck in drawing "
        "them explains (bootstrap); it knows nothing of items from elsewhere. Training "
        "was steered by these items, so a test set says more."
    )
    test = ", ".join(f"{name} {value:.3f}" for name, value in tested.items())
    more = f"<h3>Test set, measured once</h3><p>{escaped(test)}</p>" if test else ""
    return f'<div class="figures">{cells}</div><p class="soft">{escaped(text)}</p>{more}'


def _folds(found: CrossValidation | None) -> str:
    """A row for each fold, their mean, and how far they lie apart."""
    if found is None:
        return ""
    names, count = [*found.mean], len(found.folds)
    rows = {str(i): row for i, row in enumerate(found.folds, 1)}
    rows |= {"mean": found.mean, "standard deviation": found.spread}
    cells = ([name, *(f"{row[n]:.4f}" for n in names)] for name, row in rows.items())
    text = f"Each validates other items. The other figures are of the model of fold {count}."
    return f"<p>{text}</p>{_table(['fold', *names], cells)}"


def _confusion(interp: ClassificationInterpretation) -> str:
    """The matrix with the cells' shares as colours, or for many classes what is confused most."""
    classes, matrix = interp.classes, interp.confusion_matrix()
    confused = _table(["actual", "predicted", "times"], interp.most_confused()[:10])
    if len(classes) > _MOST_CLASSES:
        return f"<h3>Confused most</h3>{confused}"
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in classes)
    rows = ""
    for i, name in enumerate(classes):
        total = max(1, int(matrix[i].sum()))
        cells = "".join(
            f'<td{" class=right" * (i == j)} style="background:rgb(var(--tint) / '
            f'{0.55 * count / total:.2f})">{count}</td>'
            for j, count in enumerate(matrix[i].tolist())
        )
        rows += f'<tr><th scope="row">{escaped(name)}</th>{cells}</tr>'
    table = f"<table class=matrix><thead><tr><th>actual ↓ predicted →</th>{head}</tr></thead>{rows}"
    mistakes = f"<h3>Confused most</h3>{confused}" if interp.most_confused() else ""
    return _scrolled(f"{table}</table>") + mistakes


# Items, drawn or as texts.


def _cards(drawn: Iterable[tuple[str, str]], kind: str = "") -> str:
    """Images with captions, which are HTML already."""
    cards = (
        f'<figure><img src="data:image/png;base64,{image}" alt=""><figcaption>{caption}'
        "</figcaption></figure>"
        for image, caption in drawn
    )
    return f'<div class="items {kind}">{"".join(cards)}</div>'


def _drawn(
    learn: Learner, found: Predictions, index: int, line: str, heat: int | None = None
) -> tuple[str, str]:
    """(PNG, caption) of an item beside where the model looked, or with actual and predicted."""
    target = learn.task.target
    item, _ = found.items[index]
    looked = None if heat is None else _heat(learn, found, heat, item)
    places = grid(1 + (target.drawn_over or looked is not None), 2, cell=2.2)
    for ax in places:
        item.show(ax=ax)
    if target.drawn_over:
        target.show(found.actual(index), places[0])
        target.show(found.predicted(index), places[1])
        line = "left actual, right predicted"
    if looked is not None:
        extent = (-0.5, item.size[1] - 0.5, item.size[0] - 0.5, -0.5)
        how: dict[str, Any] = {"alpha": 0.5, "cmap": "magma", "interpolation": "bilinear"}
        places[1].imshow(looked, extent=extent, **how)
    text = f"{_name(found.items, index)}\n{line}\nloss {float(found.losses[index]):.2f}"
    return _png(places[0].figure), "<br>".join(escaped(part) for part in text.splitlines() if part)


def _heat(learn: Learner, found: Predictions, index: int, item: Any) -> np.ndarray | None:
    """Where the model looked; None for what is no image, or a model without feature maps."""
    if not learn.task.target.whole_classes or not hasattr(item, "size"):
        return None
    try:
        return grad_cam(learn, found, index)
    except UsageError:
        return None


def _png(figure: Any) -> str:
    from matplotlib import pyplot as plt

    buffer = BytesIO()
    figure.savefig(buffer, dpi=80, format="png", bbox_inches="tight", pad_inches=0.02)
    plt.close(figure)
    return b64encode(buffer.getvalue()).decode()


def _name(side: LabelList, index: int) -> str:
    """The file below the data's folder, or the number of the item."""
    item = side.x.items[index]
    try:
        return side.x.relative(file_of(item))
    except UsageError:
        return f"item {index}"


def _texts(found: Predictions, positions: Sequence[int]) -> str:
    rows = [
        [
            str(found.items[i][0])[:_LONGEST],
            found.actual(i),
            found.predicted(i),
            f"{float(found.losses[i]):.2f}",
        ]
        for i in positions
    ]
    return _table(["text", "actual", "predicted", "loss"], rows, "texts")


# Data, curves, and what stands around them.


def _data(learn: Learner) -> str:
    target, sides = learn.task.target, {"train": learn.data.train_ds, "valid": learn.data.valid_ds}
    counts = {
        name: Counter(c for label in side.labels or () for c in target.classes_of(label))
        for name, side in sides.items()
    }
    classes = sorted(target.named_classes(), key=lambda c: -counts["train"][c])
    table = _table(
        ["class", "training", "validation"],
        ([c, counts["train"][c], counts["valid"][c]] for c in classes),
    )
    text = ", ".join(f"{len(side):,} {name}" for name, side in sides.items())
    other = f"<p>Classes: {escaped(', '.join(map(str, target.classes)))}</p>"
    named = table if classes else other if target.classes else ""
    return f"<p>{escaped(text)}</p>{named}<h3>Some training items</h3>{_samples(learn)}"


def _samples(learn: Learner) -> str:
    """A few training items as they are, evenly spread."""
    side = learn.data.in_order(DatasetType.Train).dataset
    some = np.unique(np.linspace(0, len(side) - 1, min(_SAMPLES, len(side))).round().astype(int))
    pairs = [(int(i), *side[int(i)]) for i in some]
    if learn.task.input.in_tables:
        rows = ([str(item)[:_LONGEST], label] for _, item, label in pairs)
        return _table(["text", "label"], rows, "texts")

    def drawn() -> Iterator[tuple[str, str]]:
        for i, item, label in pairs:
            image, text = drawn_item(item, side.target, label)
            name = escaped(_name(side, i))
            yield image, f"<b>{escaped(text)}</b><br>{name}" if text else name

    return _cards(drawn())


def drawn_item(item: Any, target: Any, label: Any) -> tuple[str, str]:
    """(PNG in base64, label as text) of an item; a label that is drawn over it has no text."""
    (ax,) = grid(1, 1, cell=2.2)
    item.show(ax=ax)
    if target.drawn_over:
        target.show(label, ax)
    return _png(ax.figure), "" if target.drawn_over else str(label)


def _use() -> str:
    commands = (
        "onecycle site model.onnx site/      # a page for phones, for any static host\n"
        "onecycle serve model.onnx           # the same page, and POST /api/predict\n"
        "onecycle predict model.onnx FILES --out answers.csv"
    )
    program = (
        "from onecycle import Predictor\n\n"
        'answer = Predictor("model.onnx").predict(item)   # without torch\n'
        "print(answer)"
    )
    text = "model.onnx answers; model.safetensors holds the weights to go on from (learn.load)."
    return f"<p>{text}</p><pre>{escaped(commands)}</pre><pre>{escaped(program)}</pre>"


def _card(learn: Learner, about: Mapping[str, str], seen: _Seen) -> str:
    """What the model is, what it was made of, and what it is not known to be good for."""
    task, data = learn.task, learn.data
    weights = sum(p.numel() for p in learn.model.parameters())
    facts = {
        "task": f"{task.input.kind} to {task.target.kind.replace('_', ' ')}",
        "answers": ", ".join(map(str, task.target.classes[:_MOST_CLASSES])) or "numbers",
        "network": f"{type(learn.model).__name__}, {weights / 1e6:.1f} million weights",
        "items": f"{len(data.train_ds):,} trained, {len(data.valid_ds):,} validated",
        **about,
        "made with": f"onecycle {__version__}, torch {torch.__version__}",
    }
    pairs = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in facts.items()
    )
    limits = (
        "It answers every item, also one of none of its classes; it is not known how good it is on "
        "items from another source, camera, place or time than the ones above. Whom a wrong answer "
        "harms, and who looks at answers, is for those to decide who use it."
    )
    return f"<dl>{pairs}</dl><h3>Limits</h3><p>{limits}</p>"
