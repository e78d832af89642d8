"""A service's training job as an engineer writes it: typed, imported by name, no star.

Run as `python engineer.py FOLDER`, with a folder of images for each class in FOLDER. Type checkers
are run over this file; lines marked as planted are the only ones that they may complain of.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from onecycle import (
    Callback,
    ClassificationInterpretation,
    DataBunch,
    EarlyStopping,
    ImageLearner,
    ImageList,
    LabelList,
    OnecycleError,
    OnecycleWarning,
    Prediction,
    Predictor,
    RateCurve,
    Run,
    StopFit,
    accuracy,
    cnn_learner,
    get_transforms,
    half_stats,
    models,
    top_k_accuracy,
    whole_set,
)


def load(folder: Path, size: int = 32) -> DataBunch:
    """Labelled folders as loaders."""
    items = ImageList.from_folder(folder)
    labelled = items.split_by_rand_pct(0.25, seed=1).label_from_folder()
    return labelled.transform(get_transforms(), size=size).databunch(bs=8).normalize(half_stats)


def confidence(outputs: Tensor, y: Tensor) -> Tensor:
    """A metric that is a mean over the items."""
    return outputs.softmax(1).max(1).values.mean()


@whole_set
def worst_class(outputs: Tensor, y: Tensor) -> float:
    """A metric of the whole set."""
    right = (outputs.argmax(1) == y).float()
    classes = range(outputs.shape[1])
    return min(float(right[y == number].mean()) for number in classes if (y == number).any())


class Ledger(Callback):
    """Notes the loss of every step, and ends the fit after `most` of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.losses: list[float] = []

    def after_step(self, run: Run) -> None:
        self.losses.append(run.loss_value)
        if run.step >= self.most:
            raise StopFit

    def after_epoch(self, run: Run) -> None:
        rate: float = run.optimizer.rates()[-1]
        found = f"{run.row['accuracy']:.2f} of {run.data.c} classes"
        print(f"epoch {run.epoch + 1}: {found}, {rate:.1e}")


def train(data: DataBunch, ledger: Ledger) -> ImageLearner:
    """A small network on the data."""
    metrics = [accuracy, confidence, worst_class, partial(top_k_accuracy, k=2)]
    learn = cnn_learner(
        data,
        models.small,
        pretrained="small",
        ps=0.25,
        metrics=metrics,
        callbacks=[EarlyStopping(monitor="accuracy", patience=9)],
        silent=True,
    )
    curve: RateCurve = learn.lr_find(num_it=8)
    print(f"measured {len(curve.rates)} rates")
    learn.fit_one_cycle(3, slice(1e-3, 1e-2), callbacks=[ledger])
    return learn


def report(learn: ImageLearner) -> dict[str, float]:
    """What the trained model is worth."""
    loss = learn.validate()[0]
    probabilities, y = learn.get_preds()
    right = probabilities.argmax(1).eq(y).float().mean().item()
    confused = ClassificationInterpretation.from_learner(learn).most_confused(min_val=1)
    worst = sum(count for _, _, count in confused)
    assert loss is not None
    return {"loss": loss, "accuracy": right, "confused": worst}


def ask(learn: ImageLearner, photo: Path) -> str:
    """The learner's own answer for one photo."""
    answer, _, probabilities = learn.predict(photo)
    certain = probabilities.max().item()
    return f"{answer} ({certain:.0%})" if str(answer) in learn.data.classes else "unknown"


def serve(exported: Path, photos: list[Path]) -> list[dict[str, str]]:
    """What a service does, without torch."""
    predictor = Predictor(exported)
    found: list[Prediction] = predictor.predict_batch(photos)
    for one in found:
        label, share = one.top(1)[0]
        assert one.answer == label, one.answer.to_dict()
        assert 0 <= share <= 1
    names = [f"{photo.parent.name}/{photo.name}" for photo in photos]
    return [{"file": n, "label": str(f.answer)} for n, f in zip(names, found, strict=True)]


def main(folder: Path) -> None:
    """All of it."""
    warnings.simplefilter("ignore", OnecycleWarning)
    data = load(folder)
    ledger = Ledger(most=100)
    learn = train(data, ledger)
    model: nn.Module = learn.model
    side: LabelList = data.valid_ds
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(ledger.losses)} steps")
    print(json.dumps(report(learn)))
    print(ask(learn, side.items[0]))
    exported = learn.export(folder.absolute() / "model.onnx")
    print(json.dumps(serve(exported, list(side.items[:3]))))
    try:
        Predictor(folder / "absent.onnx")
    except OnecycleError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))


def planted(learn: ImageLearner, data: DataBunch) -> None:
    """Never called: what checkers must find, and nothing else in this file."""
    learn.fit_one_cycle("three")  # planted: argument
    learn.fit_one_cicle(3)  # planted: attribute
    print(data.train_dataset)  # planted: attribute
    cnn_learner(data, models.small, metric=accuracy)  # planted: argument
    ImageList.from_folder(data.path).split_by_rand_pct("20%")  # planted: argument
    print(Predictor("model.onnx").predict("photo.jpg").label)  # planted: attribute
