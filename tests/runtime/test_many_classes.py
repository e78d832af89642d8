"""Ten thousand classes, through training, export, answers and tables."""

import csv

import numpy as np
import pytest
from PIL import Image as Pillow
from test_page import NETS, made
from test_predict_command import run

from onecycle.runtime.predictor import Predictor
from onecycle.runtime.targets.category import CategorySpec

COUNT = 10_000
NAMES = tuple(f"class {i:04}" for i in range(COUNT))
# The mean of red decides: where there is much of it the last class is the likeliest.
LAST = """w = Constant <value = float[3, 1] {0.001, 0.0, 0.0}> ()
        from = Constant <value = float {0.0}> ()
        to = Constant <value = float {10000.0}> ()
        by = Constant <value = float {1.0}> ()
        steps = Range (from, to, by)
        red = MatMul (means, w)
        scores = Mul (red, steps)
        probabilities = Softmax <axis = 1> (scores)"""


def table_of(file, *command):
    done = run(*command, "--out", file)
    assert done.exit_code == 0
    with file.open(newline="") as text:
        return list(csv.reader(text))


def test_ten_thousand_classes_are_answered_and_written_in_a_table(tmp_path):
    NETS["many"] = (CategorySpec(NAMES), LAST)
    try:
        model = made("many", tmp_path)
    finally:
        del NETS["many"]
    for i, colour in enumerate(("red", "blue")):
        Pillow.new("RGB", (40, 30), colour).save(tmp_path / f"{i}.png")
    found = Predictor(model).predict(tmp_path / "0.png")
    assert (str(found), len(found.top(COUNT))) == ("class 9999", COUNT)
    images = tmp_path / "0.png", tmp_path / "1.png"
    header, red, blue = table_of(tmp_path / "all.csv", model, *images)
    assert tuple(header[2:]) == NAMES
    assert (red[1], blue[1]) == ("class 9999", "class 0000")
    assert np.array(red[2:], np.float32) == pytest.approx(found.probabilities)
    header, red, blue = table_of(tmp_path / "top.csv", model, *images, "--top", "2")
    assert (red[2], red[4], blue[2]) == ("class 9999", "class 9998", "class 0000")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
def test_ten_thousand_classes_are_trained_and_exported(tmp_path):
    from onecycle import ImageList, cnn_learner, half_stats

    rng = np.random.default_rng(0)
    for i in range(20):
        pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / f"{i}.png")
    rows = [f"{i % 20}.png,{NAMES[i % COUNT]}\n" for i in range(COUNT + 1000)]
    (tmp_path / "labels.csv").write_text("name,label\n" + "".join(rows))
    items = ImageList.from_csv(tmp_path, "labels.csv").split_by_idx(range(COUNT, COUNT + 1000))
    src = items.label_from_df().transform(None, size=16)
    data = src.databunch(bs=512, num_workers=0, find_copies=False).normalize(half_stats)
    learn = cnn_learner(data, "small", pretrained=False, silent=True)
    learn.fit_one_cycle(1, 1e-3)
    assert np.isfinite(learn.recorder.val_losses[-1])
    model = learn.export((tmp_path / "m.onnx").absolute())
    header, row = table_of(tmp_path / "out.csv", model, tmp_path / "0.png")
    assert tuple(header[2:]) == NAMES
    wanted = learn.predict(tmp_path / "0.png")[2]
    assert np.array(row[2:], np.float32) == pytest.approx(wanted.numpy(), abs=1e-6)
