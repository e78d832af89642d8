"""Write the exported files that later versions must still read: tests/runtime/golden/format1_*.

python scripts/golden_export.py writes what the format at hand lacks, and never one anew.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch import nn

from onecycle.runtime.file import FORMAT
from onecycle.runtime.predictor import Predictor
from onecycle.samples import planet_sample
from onecycle.series.lists import SeriesList
from onecycle.text.learner import text_classifier_learner
from onecycle.text.lists import TextClasDataBunch
from onecycle.vision.learner import cnn_learner
from onecycle.vision.lists import ImageList

GOLDEN = Path(__file__).parents[1] / "tests" / "runtime" / "golden"
TEXTS = ["A great film, I loved it.", "", "DULL &amp; awful; don't go!!!!", "so so so so bad"]


def image(h: int, w: int) -> np.ndarray:
    """An image that any version can draw: uint8 (h, w, 3)."""
    y, x = np.mgrid[:h, :w]
    return np.stack([7 * y % 256, 5 * x % 256, (3 * y + 11 * x) % 256], 2).astype(np.uint8)


def images_file(folder: Path) -> Path:
    """Several labels with a threshold, from images of any size."""
    root = planet_sample(folder / "planet", n=24, n_test=2, size=32)
    items = ImageList.from_csv(root, "train_v2.csv", folder="train-jpg", suffix=".jpg")
    src = items.split_by_rand_pct(0.25, seed=0).label_from_df(label_delim=" ")
    data = src.transform(None, size=24).databunch(bs=6, num_workers=0).normalize()
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
    learn = cnn_learner(data, body, pretrained=False, silent=True)
    learn.fit_one_cycle(2, 1e-2).with_threshold(0.58)
    return learn.export(GOLDEN / f"format{FORMAT}_images.onnx")


def texts_file(folder: Path) -> Path:
    """One of two classes, from texts of any length."""
    texts = [text or "fine" for text in TEXTS]
    frame = pd.DataFrame({"text": texts * 8, "label": ["pos", "neg"] * 16})
    data = TextClasDataBunch.from_df(
        folder, frame, text_cols="text", label_cols="label", seed=0, bs=8, num_workers=0, min_freq=1
    )
    sizes = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
    learn = text_classifier_learner(data, config=sizes, silent=True).fit_one_cycle(25, 3e-2)
    return learn.export(GOLDEN / f"format{FORMAT}_texts.onnx")


def curve(steps: int, period: int) -> np.ndarray:
    """A series that any version can make: float64 (steps,)."""
    return np.arange(steps) % period * 1.0


def series_file(folder: Path) -> Path:
    """One of two classes, from series of any length as all three images."""
    x = np.stack([curve(40, 5 + i % 2 * 6 + i % 3) for i in range(32)])
    items = SeriesList.from_array(
        x, np.array(["fast", "slow"] * 16), path=folder, encodings=("gasf", "gadf", "mtf")
    )
    src = items.split_by_rand_pct(0.25, seed=0).label_from_df("label")
    data = src.transform(None, size=16).databunch(bs=8, num_workers=0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
    learn = cnn_learner(data, body, pretrained=False, silent=True).fit_one_cycle(6, 1e-2)
    return learn.export(GOLDEN / f"format{FORMAT}_series.onnx")


KINDS = {
    "images": (images_file, "shape", [(24, 24), (31, 57), (90, 40)], lambda s: image(*s)),
    "texts": (texts_file, "text", TEXTS, str),
    "series": (series_file, "steps, period", [(40, 5), (97, 12), (9, 4)], lambda s: curve(*s)),
}


def main() -> None:
    """The files that are missing, and their answers as JSON."""
    torch.manual_seed(0)
    GOLDEN.mkdir(exist_ok=True)
    answers = GOLDEN / f"format{FORMAT}.json"
    known = json.loads(answers.read_text("utf-8")) if answers.exists() else {}
    for kind, (write, named, sources, made) in KINDS.items():
        if kind in known:
            continue
        with TemporaryDirectory() as name:
            predictor = Predictor(write(Path(name)))
        known[kind] = [
            {named: s, "answer": f.answer.obj, "probabilities": f.probabilities.tolist()}
            for s, f in ((s, predictor.predict(made(s))) for s in sources)
        ]
    answers.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
