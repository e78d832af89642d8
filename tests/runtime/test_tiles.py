"""Masks of images of any size: tiles answer as the whole image would, in little memory."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import nn

from onecycle.core.errors import DamagedImageError, UsageError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.large_images import rows_of
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.tiles import Axis, predict_tiled
from onecycle.vision.learner import ImageLearner
from onecycle.vision.lists import SegmentationItemList

tifffile = pytest.importorskip("tifffile")
REACH = 3  # pixels around one that the network below looks at
RNG = np.random.default_rng(0)
TOWN = RNG.integers(0, 256, (150, 217, 3), dtype=np.uint8)


class Near(nn.Sequential):
    """A network whose answer at a pixel depends on 7 x 7 pixels."""

    def __init__(self):
        torch.manual_seed(1)
        wide = [nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh()]
        super().__init__(*wide, nn.Conv2d(8, 3, 3, padding=1))


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    root = tmp_path_factory.mktemp("town")
    for i in range(4):
        Pillow.fromarray(TOWN[: 60 + i, :70]).save(root / f"{i}.png")
    data = (
        SegmentationItemList.from_folder(root)
        .split_by_idx([0])
        .label_from_func(
            lambda f: np.zeros((60 + int(f.stem), 70), np.uint8), classes=["field", "road", "roof"]
        )
        .transform(size=48)
        .databunch(bs=2, num_workers=0, device="cpu")
        .normalize(([0.5] * 3, [0.2] * 3))
    )
    return ImageLearner(data, Near(), silent=True)


@pytest.fixture(scope="module")
def predictor(learner, tmp_path_factory):
    return Predictor(learner.export(tmp_path_factory.mktemp("file") / "near.onnx"), threads=1)


def whole(net, pixels):
    """The mask by torch alone, and the pixels where two classes are as good as equal."""
    x = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5) / 0.2
    with torch.no_grad():
        values, classes = net.eval()(x.float())[0].topk(2, 0)
    return classes[0].numpy(), (values[0] - values[1] < 1e-4).numpy()


def apart(mask, wanted):
    expected, close = wanted
    assert mask.shape == expected.shape
    return (mask != expected) & ~close


# --- where tiles lie, and what each pixel of theirs counts


@pytest.mark.parametrize(
    ("length", "tile", "overlap"),
    [
        (100, 40, 12),
        (100, 40, 0),
        (41, 40, 20),
        (99, 40, 20),
        (40, 40, 8),
        (7, 40, 8),
        (61, 31, 15),
    ],
)
def test_weights_add_up_to_one_and_leave_out_the_edges_of_tiles(length, tile, overlap):
    axis = Axis(length, tile, overlap)
    total = np.zeros(max(length, tile))
    for i, (start, weights) in enumerate(zip(axis.starts, axis.weights, strict=True)):
        total[start : start + tile] += weights
        assert (weights >= 0).all()
        quarter = overlap // 4
        if i:
            assert not weights[:quarter].any()
        if start + tile < length:
            assert not weights[tile - quarter :].any()
    assert total == pytest.approx(1)
    assert axis.starts[0] == 0
    assert axis.starts[-1] + tile == max(length, tile)


@pytest.mark.parametrize("tile", [48, (40, 40)])
def test_a_network_that_looks_at_what_is_near_answers_tiles_as_the_whole(learner, predictor, tile):
    wanted = whole(learner.model, TOWN)
    if tile == 48:  # else the input is 48 x 48, and tiles are enlarged
        for answering in (learner, predictor):
            mask = answering.predict_tiled(TOWN, tile, overlap=4 * REACH)
            assert mask.dtype == np.uint8
            assert not apart(mask, wanted).any()
        assert apart(predictor.predict_tiled(TOWN, tile, overlap=0), wanted).any()
    else:
        pair = [a.predict_tiled(TOWN, tile, overlap=12) for a in (learner, predictor)]
        assert (pair[0] != pair[1]).mean() < 1e-3


def test_one_tile_over_a_whole_image_is_its_mask(predictor):
    for size in (48, 83):
        image = np.ascontiguousarray(TOWN[:size, :size])
        assert (predictor.predict_tiled(image, size) == predictor.predict(image).answer.data).all()


def test_an_image_smaller_than_a_tile_has_a_mask_of_its_own_size(learner, predictor):
    image = TOWN[:31, :100]
    found = apart(predictor.predict_tiled(image, 48, 12), whole(learner.model, image))
    assert not found[: 31 - REACH].any()


# --- what is read, held and written


def kinds_of_tiff(folder):
    grey16 = RNG.integers(0, 60000, (150, 217), dtype=np.uint16)
    clear = np.dstack([TOWN, RNG.integers(0, 2, (150, 217, 1), dtype=np.uint8) * 255])
    for name, pixels, options in [
        ("strips", TOWN, {"rowsperstrip": 7}),
        ("tiles", TOWN, {"tile": (32, 48), "compression": "zlib", "predictor": True}),
        ("grey", grey16, {"tile": (64, 16), "compression": "lzw"}),
        ("clear", clear, {"photometric": "rgb", "extrasamples": ["unassalpha"], "rowsperstrip": 9}),
        ("one_strip", TOWN, {}),
    ]:
        tifffile.imwrite(folder / f"{name}.tif", pixels, **options)
        yield folder / f"{name}.tif"


def test_rows_of_a_tiff_are_those_of_the_whole_image(tmp_path):
    for file in kinds_of_tiff(tmp_path):
        expected = ImageSpec().array(file)
        with rows_of(file, ImageSpec().array) as rows:
            assert rows.size == (150, 217)
            for first, end in ((0, 150), (0, 1), (149, 150), (31, 65), (64, 96)):
                assert (rows.read(first, end) == expected[first:end]).all(), file


def test_of_a_tiff_only_what_holds_the_rows_is_read(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, TOWN, rowsperstrip=10, compression="zlib")
    content = bytearray(file.read_bytes())
    with tifffile.TiffFile(file) as opened:
        start, count = (x[9] for x in (opened.pages[0].dataoffsets, opened.pages[0].databytecounts))
    content[start : start + count] = bytes(count)  # rows 90 to 99
    file.write_bytes(content)
    with rows_of(file, ImageSpec().array) as rows:
        assert (rows.read(80, 90) == TOWN[80:90]).all()
        assert (rows.read(100, 101) == TOWN[100:101]).all()
        with pytest.raises(DamagedImageError, match=r"a\.tif: damaged"):
            rows.read(85, 95)


def by_value(held):
    """A model of a 32 x 32 input whose class at a pixel is its red value."""

    def look(tiles):
        held.append(len(tiles))
        shares = np.eye(3, dtype=np.float32)[tiles[..., 0]].transpose(0, 3, 1, 2)
        return {
            "probabilities": shares,
            "box": np.array([0, 0, *tiles.shape[1:3]]),
            "inner": np.array([0, 0, *tiles.shape[1:3]]),
        }

    return look, ImageSpec(size=(32, 32)), MaskSpec(classes=("a", "b", "c"))


def test_what_was_padded_around_a_tile_is_cut_off_its_answer():
    look, given, target = by_value([])

    def padded(tiles):
        seen = look(tiles)
        around = np.pad(seen["probabilities"], ((0, 0), (0, 0), (3, 1), (0, 5)), constant_values=9)
        return seen | {"probabilities": around, "inner": np.array([3, 0, *tiles.shape[1:3]])}

    image = np.repeat(RNG.integers(0, 3, (50, 70, 1), dtype=np.uint8), 3, 2)
    mask = predict_tiled(padded, given, target, image, (20, 30), 8, None)
    assert (mask == image[..., 0]).all()


@pytest.mark.parametrize("rows", [4_000, 16_000])
def test_memory_holds_one_row_of_tiles_however_long_the_image(rows, tmp_path):
    wide, tile, held = 500, 32, []
    stored = tifffile.memmap(
        tmp_path / "long.tif", shape=(rows, wide, 3), dtype=np.uint8, photometric="rgb"
    )
    for first in range(0, rows, 500):
        stored[first : first + 500] = RNG.integers(0, 3, (500, wide, 1), dtype=np.uint8)
    stored.flush()
    del stored
    tracemalloc.start()
    mask = predict_tiled(*by_value(held), tmp_path / "long.tif", tile, 8, tmp_path / "mask.tif")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    row = wide * tile * (3 + 3 * 4)  # bytes and probabilities of three classes
    assert peak < 4 * row + 1_000_000  # the image has 24 MB and less than 1 MB is held
    assert max(held) <= 4
    assert isinstance(mask, np.memmap)
    assert (mask == tifffile.imread(tmp_path / "long.tif")[..., 0]).all()


def test_a_mask_is_written_as_png_or_tiff(predictor, tmp_path):
    wanted = predictor.predict_tiled(TOWN, 48)
    for name in ("mask.png", "deeper/mask.tif"):
        assert (predictor.predict_tiled(TOWN, 48, out=tmp_path / name) == wanted).all()
        assert (np.asarray(Pillow.open(tmp_path / name)) == wanted).all()
    assert sorted(file.name for file in tmp_path.rglob("*.*")) == ["mask.png", "mask.tif"]


def test_what_tiles_cannot_do_is_refused_before_anything_is_read(predictor, tmp_path):
    with pytest.raises(UsageError, match=r"written as \.png, or as \.tif"):
        predictor.predict_tiled(TOWN, 48, out=tmp_path / "mask.jpg")
    with pytest.raises(UsageError, match="overlap by 24 pixels at most: 25"):
        predictor.predict_tiled(TOWN, 48, overlap=25)
    with pytest.raises(UsageError, match="of tiles of 48 x 64 the model sees a part only"):
        predictor.predict_tiled(TOWN, (48, 64))


def test_the_command_writes_the_same_mask(predictor, tmp_path):
    Pillow.fromarray(TOWN).save(tmp_path / "town.png")
    call = [sys.executable, "-m", "onecycle", "predict", str(predictor._path)]
    call += [str(tmp_path / "town.png"), "--tile", "48"]
    out = str(tmp_path / "mask.png")
    ran = subprocess.run([*call, "--out", out], capture_output=True, text=True, check=False)
    assert ran.stdout == f"mask 150 x 217 written to {out}\n", ran.stderr
    assert (np.asarray(Pillow.open(out)) == predictor.predict_tiled(TOWN, 48)).all()
    ran = subprocess.run([*call, "--top", "1"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "have no effect on tiles" in ran.stderr
