"""The drawn sample sets: the same for the same seed, whole or not there, not told by colour."""

import csv
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from onecycle.core.errors import DataError
from onecycle.samples import (
    butterflies_sample,
    drawing,
    faces,
    faces_sample,
    guitars_sample,
    hands,
    hands_sample,
    planet_sample,
)


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def colours(path):
    pixels = cv2.imread(str(path)).reshape(-1, 3) / 255
    return np.r_[pixels.mean(0), pixels.std(0)]


def test_tiles_depend_on_the_seed_and_their_number_alone(tmp_path):
    few = planet_sample(tmp_path / "few", n=3, n_test=1, size=48, seed=4)
    many = planet_sample(tmp_path / "many", n=6, n_test=2, size=48, seed=4)
    other = planet_sample(tmp_path / "other", n=3, n_test=1, size=48, seed=5)
    for name in ("train-jpg/train_2.jpg", "test-jpg/test_0.jpg"):
        assert (few / name).read_bytes() == (many / name).read_bytes()
        assert (few / name).read_bytes() != (other / name).read_bytes()
    assert rows(few / "train_v2.csv") == rows(many / "train_v2.csv")[:3]


def test_the_layout_is_that_of_kaggles_planet_set(tmp_path):
    root = planet_sample(tmp_path / "p", n=30, n_test=4, size=32)
    table = rows(root / "train_v2.csv")
    assert [row["image_name"] for row in table] == [f"train_{i}" for i in range(30)]
    assert all((root / "train-jpg" / f"{row['image_name']}.jpg").is_file() for row in table)
    assert len(list((root / "test-jpg").iterdir())) == 4 == len(rows(root / "test_truth.csv"))
    weather = {"clear", "partly_cloudy", "haze", "cloudy"}
    for row in table:
        tags = row["tags"].split(" ")
        assert len(weather & set(tags)) == 1
        assert tags == ["cloudy"] or ("cloudy" not in tags and len(tags) >= 1)


def test_a_complete_set_is_kept_and_anything_else_is_left_alone(tmp_path):
    root = butterflies_sample(tmp_path / "b", n=5, size=32)
    before = (root / "images" / "Banded_Glider_0.jpg").stat().st_mtime_ns
    assert butterflies_sample(tmp_path / "b", n=5, size=32) == root
    assert (root / "images" / "Banded_Glider_0.jpg").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="holds something else"):
        butterflies_sample(tmp_path / "b", n=6, size=32)
    assert (root / "images" / "Banded_Glider_0.jpg").is_file()


def test_an_interrupted_drawing_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    def breaks(path: Path, values):
        raise KeyboardInterrupt

    monkeypatch.setattr("onecycle.samples.planet.write_image", breaks)
    with pytest.raises(KeyboardInterrupt):
        planet_sample(tmp_path / "p", n=3, n_test=0, size=32)
    assert list(tmp_path.iterdir()) == []


def test_butterflies_come_by_name_and_by_folder(tmp_path):
    named = butterflies_sample(tmp_path / "n", n=10, size=32)
    assert (named / "images" / "Eyed_Satyr_8.jpg").is_file()
    folders = butterflies_sample(tmp_path / "f", n=25, size=32, layout="folders")
    assert len(list((folders / "train").rglob("*.jpg"))) == 20
    assert len(list((folders / "valid").rglob("*.jpg"))) == 5
    same = (named / "images" / "Eyed_Satyr_8.jpg").read_bytes()
    assert (folders / "train" / "Eyed_Satyr" / "8.jpg").read_bytes() == same


FOLDERS = {  # samples with a folder for each class, and how many classes
    "butterflies": (partial(butterflies_sample, layout="folders"), 5),
    "faces": (faces_sample, 6),
    "guitars": (guitars_sample, 4),
    "hands": (hands_sample, 10),
}


@pytest.mark.parametrize("name", list(FOLDERS))
def test_colour_alone_does_not_tell_the_classes(name, tmp_path):
    from sklearn.linear_model import LogisticRegression

    make, count = FOLDERS[name]
    files = sorted(make(tmp_path / "b", n=300, size=48).rglob("*.jpg"))
    labels = np.array([f.parent.name for f in files])
    assert len(set(labels)) == count
    x = np.stack([colours(f) for f in files])
    order = np.random.default_rng(0).permutation(len(x))
    fit, held = order[:210], order[210:]
    model = LogisticRegression(max_iter=2000).fit(x[fit], labels[fit])
    assert model.score(x[held], labels[held]) < 1 / count + 0.3  # a small network: .9 and more


@pytest.mark.parametrize("name", ["faces", "guitars", "hands"])
def test_drawn_images_depend_on_the_seed_and_their_number_alone(name, tmp_path):
    make, _ = FOLDERS[name]
    few, many, other = (
        {f.name: f.read_bytes() for f in make(tmp_path / f"{n}{seed}", n, 32, seed).rglob("*.jpg")}
        for n, seed in ((3, 4), (13, 4), (3, 5))
    )
    assert few == {file: many[file] for file in few}
    assert few["2.jpg"] != other["2.jpg"]


def test_classes_of_faces_and_hands_follow_what_is_drawn():
    assert len({tuple(sorted(look.items())) for look in faces.EXPRESSIONS.values()}) == 6
    assert len({frozenset(fingers) for fingers in hands.SIGNS.values()}) == 10


def test_a_pen_draws_in_its_own_frame():
    pen = drawing.Pen(np.zeros((100, 100, 3)), (0.5, 0.25), 0.1, np.pi / 2)
    pen.oval(1, 0, 0.3, 0.3, np.array([1.0, 0.5, 0.0]))  # its x runs down the image
    y, x = np.nonzero(pen.floats()[:, :, 0] > 0.5)
    assert (y.mean(), x.mean()) == pytest.approx((35, 50), abs=0.6)
    assert pen.floats()[35, 50] == pytest.approx([1, 0.5, 0], abs=0.01)
    pen.line([(0, -2), (0, 2)], np.ones(3), 0.4)  # and its y to the left
    y, x = np.nonzero(pen.floats()[:, :, 2] > 0.5)
    assert (x.min(), x.max()) == pytest.approx((28, 72), abs=1)
    assert np.ptp(y) == pytest.approx(4, abs=1)


def test_noise_has_mean_zero_and_deviation_one():
    drawn = drawing.noise(np.random.default_rng(3), 64, 5)
    assert drawn.shape == (64, 64)
    assert abs(drawn.mean()) < 1e-4
    assert drawn.std() == pytest.approx(1, abs=1e-3)
