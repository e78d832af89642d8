"""The commands `onecycle train ...` and `onecycle lr-find`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from onecycle.cli.commands import examples, plain_errors, spread
from onecycle.cli.options import (
    Fit,
    How,
    HowTexts,
    Where,
    WhereBoxes,
    WhereMasks,
    WherePoints,
    WhereSeries,
    WhereTexts,
)

train = typer.Typer(help="Train a model on your own data.", no_args_is_help=True)


@train.command(
    "images",
    epilog=examples(
        "onecycle train images photos/ --out flowers",
        "onecycle train images labels.csv --folder jpg --suffix .jpg --label-delim ' '",
        "onecycle train images photos/ --arch resnet34 --size 224 --minutes 30 --resume",
        "onecycle train images scans.csv --stratify --group-col patient --test-pct .2",
        "onecycle train images few.csv --stratify --folds 5 --weights balanced",
    ),
)
@plain_errors
@spread
def train_images(where: Where, how: How, fit: Fit) -> dict[str, Any]:
    """Tell images apart: by folders named like the classes, or a table of names and labels.

    Leaves model.onnx (to use), model.safetensors (to go on from) and report.html in --out.
    """
    return _train("images", where, how, fit)


@train.command(
    "masks",
    epilog=examples(
        "onecycle train masks streets/ --out streets-model",
        "onecycle train masks scans/ --images jpg --mask 'masks/{stem}.png' --classes names.txt",
    ),
)
@plain_errors
@spread
def train_masks(where: WhereMasks, how: How, fit: Fit) -> dict[str, Any]:
    """A class for every pixel: images, and a mask for each of them (a U-Net)."""
    return _train("masks", where, how, fit)


@train.command(
    "points",
    epilog=examples(
        "onecycle train points faces.csv --folder images",
        "onecycle train points joints.csv --points 'hand_x,hand_y' --minutes 10",
    ),
)
@plain_errors
@spread
def train_points(where: WherePoints, how: How, fit: Fit) -> dict[str, Any]:
    """Where something is: a table of names of images and points in their pixels."""
    return _train("points", where, how, fit)


@train.command(
    "boxes",
    epilog=examples(
        "onecycle train boxes annotations.json --images photos",
        "onecycle train boxes VOC2007/ --arch resnet34 --size 320 --minutes 60",
    ),
)
@plain_errors
@spread
def train_boxes(where: WhereBoxes, how: How, fit: Fit) -> dict[str, Any]:
    """Where things are: images, and the boxes that a labelling tool has written (a detector)."""
    return _train("boxes", where, how, fit)


@train.command(
    "text",
    epilog=examples(
        "onecycle train text reviews.csv --text-col review --label-col sentiment",
        "onecycle train text mails.jsonl --arch distilbert-base-uncased",
    ),
)
@plain_errors
@spread
def train_text(where: WhereTexts, how: HowTexts, fit: Fit) -> dict[str, Any]:
    """Tell texts apart: a table of texts with labels, or a folder of .txt files per class."""
    return _train("text", where, how, fit)


@train.command(
    "series",
    epilog=examples(
        "onecycle train series ECG200/",
        "onecycle train series waves.csv --label-col kind --encodings gasf,gadf,mtf",
        "onecycle train series sensors.csv --label-col kind --arch inception_time",
    ),
)
@plain_errors
@spread
def train_series(where: WhereSeries, how: How, fit: Fit) -> dict[str, Any]:
    """Tell time series apart: a table with a series in each row, or files of the archives."""
    return _train("series", where, how, fit)


def _train(kind: str, where: Any, how: Any, fit: Fit) -> dict[str, Any]:
    from onecycle.cli import train as work

    return work.train(kind, where, how, fit)


@plain_errors
@spread
def lr_find(
    where: Where,
    how: How,
    out: Annotated[Path, typer.Option(help="The folder for the plot.")] = Path("onecycle-output"),
) -> dict[str, Any]:
    """Measure the loss over growing learning rates, suggest one, and draw the curve."""
    from onecycle.cli import train as work

    return work.find(where, how, out)
