"""Images of any number of bands and depth, from their files to an answer of the exported file."""

import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from band_helpers import as_dicom, as_tiff, ramps
from starlette.testclient import TestClient
from torch import nn
from torchvision.transforms import v2

from onecycle import PixelCache, models
from onecycle.core.errors import ImageError, ModelError, OnecycleWarning, SizeError, UsageError
from onecycle.data.targets import NoLabel
from onecycle.models.body import create_body
from onecycle.runtime.http.body import Limits
from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.task import task_from_json, task_to_json
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.bands import BandsInput
from onecycle.vision.image import Image, open_image
from onecycle.vision.input import ImageInput
from onecycle.vision.learner import cnn_learner, load_cnn, unet_learner
from onecycle.vision.lists import ImageList, SegmentationItemList
from onecycle.vision.warp import draw_plan, exact, warp

NOTHING = np.zeros((), np.float32)
HARD = [
    *get_transforms(flip_vert=True, max_rotate=25, max_zoom=1.4, max_lighting=0.4)[0],
    augment.jitter(0.03),
    augment.cutout(2, 6),
]


def tile(kind, seed, bands=4, size=(40, 52)):
    """uint16 (h, w, bands): kinds differ in the last band alone, and lie above 20,000 there."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(300, 3000, (5, 7, bands)).astype(np.float64)
    coarse[:, :, -1] = rng.integers(20_000, 24_000, (5, 7)) + 12_000 * kind
    rows, columns = (
        np.linspace(0, n - 1e-9, s).astype(int) for n, s in zip((5, 7), size, strict=True)
    )
    return (coarse[rows][:, columns] + rng.integers(0, 200, (*size, 1))).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 tiles of two classes, of several sizes."""
    root = tmp_path_factory.mktemp("tiles")
    for i in range(40):
        kind = i % 2
        (root / "dry wet".split()[kind]).mkdir(exist_ok=True)
        data = as_tiff(tile(kind, i, size=[(40, 52), (48, 36), (33, 70)][i % 3]), compression="lzw")
        (root / "dry wet".split()[kind] / f"{i:02}.tif").write_bytes(data)
    return root


def split(items, **options):
    return items.split_by_idx(range(0, len(items), 4)).label_from_folder(**options)


def bunch(folder, tfms=None, size=32, bands="all", value_range=None, rgb=None, **options):
    items = split(ImageList.from_folder(folder).with_bands(bands, value_range, rgb))
    data = items.transform(tfms, size=size, **options)
    return data.databunch(bs=8, device="cpu", num_workers=0, find_copies=False)


def body(planes=4):
    layers = [nn.Conv2d(planes, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())


@pytest.fixture(scope="module")
def learn(folder):
    data = bunch(folder, get_transforms()).normalize()
    made = cnn_learner(data, body(), pretrained=False, silent=True)
    return made.fit_one_cycle(2, 1e-2)


@pytest.fixture(scope="module")
def exported(learn, tmp_path_factory):
    file = tmp_path_factory.mktemp("file") / "tiles.onnx"
    learn.export(file)
    return file


# --- geometry and light


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("size", [(61, 83), (250, 190)])
def test_each_of_several_bands_is_warped_as_if_it_were_alone(bands, size):
    values = np.random.default_rng(bands).random((*size, bands), np.float32)
    given = ImageInput().with_transforms((HARD, []), size=(48, 56))
    for seed in range(4):
        plan = draw_plan(given.train_tfms, given, size, np.random.default_rng(seed))
        alone = [warp(np.repeat(values[:, :, [b]], 3, 2), plan)[:, :, :1] for b in range(bands)]
        assert np.abs(warp(values, plan) - np.dstack(alone)).max() < 1e-6
        alone = [exact(np.repeat(values[:, :, [b]], 3, 2), given)[:, :, :1] for b in range(bands)]
        assert np.abs(exact(values, given) - np.dstack(alone)).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_bands_of_bytes_go_the_way_of_a_photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels = pixels.repeat(8, 0).repeat(8, 1)
    given = ImageInput().with_transforms((HARD, []), size=40)
    plan = draw_plan(given.train_tfms, given, pixels.shape[:2], np.random.default_rng(seed))
    shares = pixels.astype(np.float32) / 255
    for way in (partial(warp, plan=plan), partial(exact, spec=given)):
        assert np.abs(way(shares) * 255 - way(pixels)).mean() < 0.7
        assert np.abs(way(shares) * 255 - way(pixels)).max() < 3


def test_channels_of_noise_and_other_libraries_transforms_keep_bands_and_depth():
    x = np.random.default_rng(0).random((20, 20, 5), np.float32)
    given = BandsInput(value_range=((0, 1),) * 5).with_transforms(
        ([augment.rgb_randomize(1, 0.25), v2.RandomHorizontalFlip(p=1)], []), size=20
    )
    sample = given.finish(given.load(x, NOTHING, NoLabel(), np.random.default_rng(0)))
    assert sample.x.dtype == np.float32
    assert sample.x[:, :, 1].max() <= 0.25
    assert np.allclose(sample.x[:, :, [0, 2, 3, 4]], x[:, ::-1, [0, 2, 3, 4]], atol=1e-6)


# --- range and statistics


def test_values_become_shares_of_their_bands_range():
    values = np.array([[[100, 5]], [[300, 25]], [[50, 30]]], np.uint16)
    given = BandsInput(value_range=((100, 500), (5, 25)))
    sample = given.load(values, NOTHING, NoLabel(), None)
    assert sample.x.ravel().tolist() == [0, 0, 0.5, 1, 0, 1]


def test_the_range_is_measured_on_the_training_images_and_said(tmp_path, capsys):
    for i in range(8):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        values = ramps(20, 30, 2, seed=i) + np.uint16([0, 3000])
        far = values // 2 if i % 4 else values  # those that validate lie far above
        (tmp_path / "ab"[i % 2] / f"{i}.tif").write_bytes(as_tiff(far))
    items = ImageList.from_folder(tmp_path).with_bands((2, 1))
    files = [str(file) for file in items.items]
    held = [i for i, file in enumerate(files) if int(Path(file).stem) % 4 == 0]
    data = items.split_by_idx(held).label_from_folder()
    train = [ramps(20, 30, 2, seed=i) + np.uint16([0, 3000]) for i in range(8) if i % 4]
    wanted = np.percentile(np.stack(train)[..., [1, 0]] // 2, (0.5, 99.5), axis=(0, 1, 2)).T
    assert np.allclose(data.task.input.value_range, wanted)
    said = capsys.readouterr().out
    assert f"6 training images: 2: {wanted[0, 0]:g} to {wanted[0, 1]:g}, 1: " in said


def test_one_range_is_that_of_all_bands_and_several_go_with_their_own(folder):
    items = ImageList.from_folder(folder)
    one, each = (0, 9), [(0, 9), (1, 8)]
    assert split(items.with_bands("all", one)).task.input.value_range == ((0, 9),) * 4
    assert split(items.with_bands((4, 1), each)).task.input.value_range == ((0, 9), (1, 8))
    for bands, wrong in ((("all"), [(0, 1)] * 3), ((1, 2), [(0, 1)] * 3), ("all", 5), ("all", "x")):
        with pytest.raises((UsageError, ImageError), match="value_range is"):
            split(items.with_bands(bands, wrong))
    with pytest.raises(UsageError, match="two numbers"):
        items.with_bands("all", (9, 9))


def test_a_band_of_one_value_is_said():
    values = np.stack([np.full((9, 8), 7), np.arange(72).reshape(9, 8)], 2).astype(np.uint16)
    with pytest.warns(OnecycleWarning, match=r"1 of 2 bands \(1\) have one value"):
        BandsInput().fit([values, values])


def test_statistics_are_those_of_the_training_images(folder):
    data = bunch(folder, get_transforms(), bands=(4, 2), value_range=(0, 50_000))
    rows = [data.train_ds.sample(i, None).x.reshape(-1, 2) for i in range(len(data.train_ds))]
    values = np.concatenate(rows).astype(np.float64)
    given = data.normalize().task.input
    assert np.allclose(given.mean, values.mean(0), atol=1e-4)
    assert np.allclose(given.std, values.std(0), atol=1e-4)
    with pytest.raises(ImageError, match="of 2 channels"):
        data.normalize(([0.5] * 3, [0.5] * 3))


# --- files and lists


def test_files_that_lack_a_band_or_are_no_images_are_named_before_training(folder, tmp_path):
    files = sorted(folder.rglob("*.tif"))
    short, broken = tmp_path / "short.tif", tmp_path / "broken.tif"
    short.write_bytes(as_tiff(tile(0, 1, bands=3)))
    broken.write_bytes(files[0].read_bytes()[:50])
    items = ImageList.from_paths([*files, short, broken], "/").with_bands((4, 1), (0, 40_000))
    data = items.split_by_idx([0, 1]).label_from_func(lambda f: f.parent.name).transform(size=32)
    with pytest.raises(ImageError, match=r"(?s)2 of 42 files.*short\.tif: it has 3 bands.*damaged"):
        data.databunch(device="cpu")
    with pytest.raises(SizeError, match="3 different sizes"):
        bunch(folder, size=None)


def test_what_a_file_hides_is_said_before_training(folder, tmp_path):
    for i in range(4):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        data = as_tiff(tile(0, i), *([tile(1, i)] if i else []))
        (tmp_path / "ab"[i % 2] / f"{i}.tif").write_bytes(data)
    items = ImageList.from_folder(tmp_path).with_bands().split_by_idx([0, 2]).label_from_folder()
    with pytest.warns(OnecycleWarning, match="3 of 4 images .* hold several images"):
        items.transform(size=32).databunch(bs=2, device="cpu")


def test_lists_that_are_read_otherwise_are_not_joined(folder):
    items = ImageList.from_folder(folder)
    for other in (items, items.with_bands((1, 2)), items.with_bands("all", (0, 5))):
        for pair in ((items.with_bands(), other), (other, items.with_bands())):
            with pytest.raises(UsageError, match="with_bands"):
                pair[0].add(pair[1])
    assert len(items.with_bands((1, 2)).add(items.with_bands((1, 2)))) == 80


def test_tiles_that_differ_in_one_band_are_no_copies(tmp_path):
    for i in range(4):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        values = tile(0, 5)
        values[:, :, 3] += np.uint16(900 * i)
        (tmp_path / "ab"[i % 2] / f"{i}.tif").write_bytes(as_tiff(values))
    items = ImageList.from_folder(tmp_path).with_bands("all", (0, 40_000))
    report = items.split_by_idx([0, 2]).label_from_folder().transform(size=32).check()
    assert not {"copy", "leak", "contradiction"} & {row.problem for row in report.rows}


def test_a_cache_gives_no_values_of_other_bands_or_another_range(folder, tmp_path):
    for file in folder.rglob("*.tif"):
        os.utime(file, (1e9, 1e9))  # what is written just now is not kept
    ways = [
        {"value_range": (0, 40_000)},
        {"bands": (4, 3, 2, 1), "value_range": (0, 40_000)},
        {"bands": (4,), "value_range": (0, 40_000)},
        {"value_range": (2000, 9000)},
    ]

    def batches(way, cache):
        items = split(ImageList.from_folder(folder).with_bands(**{"bands": "all", **way}))
        data = items.transform(get_transforms(), size=32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OnecycleWarning)  # of what is cut off
            made = data.databunch(
                bs=8, device="cpu", num_workers=0, find_copies=False, check=False, cache=cache
            )
        return torch.cat([x for x, _ in made.train_dl])

    for way in (*ways, *ways):
        assert torch.equal(batches(way, PixelCache(tmp_path)), batches(way, None))
    assert sum(f.stat().st_size for f in tmp_path.glob("*.pixels")) > 2e6


def test_a_check_sees_the_bands_and_the_range_it_is_asked_for_whatever_it_saw_before(tmp_path):
    for name in ("a", "b", "c", "d"):
        values = np.full((24, 24, 2), 60_000, np.uint16)
        values[:12, :, 0], values[:, :9, 1] = 100 * ord(name), 61_000
        file = tmp_path / "ab"[name in "bd"] / f"{name}.tif"
        file.parent.mkdir(exist_ok=True)
        tifffile.imwrite(file, values, photometric="minisblack", planarconfig="contig")
        os.utime(file, (1e9, 1e9))

    def found(bands, value_range):
        items = ImageList.from_folder(tmp_path).with_bands(bands, value_range=value_range)
        report = items.split_by_idx([1, 3]).label_from_folder().check()
        return {row.problem for row in report.rows}

    whole = (0, 65_535)
    assert "blank" not in found(1, whole)
    assert "blank" in found(1, (0, 1000))
    assert "leak" in found(2, (60_000, 61_000))
    assert "blank" not in found(1, whole)


# --- networks


def test_the_first_layer_is_widened_from_pretrained_weights():
    three = create_body(models.find("small"), "small").net
    four = create_body(models.Architecture("small", "onecycle", {"in_chans": 4}), "small").net
    one = create_body(models.Architecture("small", "onecycle", {"in_chans": 1}), "small").net
    rgb, wide, grey = (net.conv1[0].weight.detach() for net in (three, four, one))
    assert torch.allclose(wide[:, :3], rgb * 3 / 4)
    assert torch.allclose(wide[:, 3], rgb.mean(1) * 3 / 4)
    assert torch.allclose(grey[:, 0], rgb.sum(1), atol=1e-5)


@pytest.mark.parametrize("arch", [models.small, "resnet18"])
@pytest.mark.parametrize("make", [cnn_learner, unet_learner])
def test_learners_take_as_many_planes_as_there_are_bands(folder, arch, make):
    data = bunch(folder, bands=(4, 2), value_range=(0, 40_000)).normalize()
    if make is unet_learner:
        masks = SegmentationItemList.from_folder(folder).with_bands((4, 2), (0, 40_000))
        items = masks.split_by_idx(range(10)).label_from_func(_mask, classes=["low", "high"])
        data = items.transform(size=32).databunch(bs=8, device="cpu", num_workers=0).normalize()
    learn = make(data, arch, pretrained=False, silent=True)
    assert learn.model(torch.zeros(2, 2, 32, 32)).shape[:2] == (2, 2)


def _mask(file):
    from onecycle.runtime.inputs.band_files import read_tiff
    from onecycle.runtime.sources import Remarks

    values = read_tiff(Path(file).read_bytes(), "", Remarks())
    return (values[:, :, 3] > 30_000).astype(np.uint8)


def test_pretrained_weights_ask_for_measured_statistics(folder):
    with pytest.warns(OnecycleWarning, match=r"not normalised.*normalize\(\), which measures"):
        cnn_learner(bunch(folder), models.small, pretrained="small", silent=True)
    cnn_learner(bunch(folder).normalize(), models.small, pretrained="small", silent=True)


# --- drawing


def test_the_bands_in_rgb_are_drawn_as_red_green_and_blue(folder):
    for rgb, wanted in (((4, 1, 3), [3, 0, 2]), (None, [0, 1, 2])):
        items = ImageList.from_folder(folder).with_bands("all", (0, 40_000), rgb)
        first = np.asarray(tile(0, 0), np.float32) / 40_000
        assert np.allclose(items[0].data, first.transpose(2, 0, 1)[wanted], atol=1e-6)
    grey = ImageList.from_folder(folder).with_bands(4, (0, 40_000))[0]
    assert np.allclose(grey.data, np.repeat(first[:, :, 3][None], 3, 0), atol=1e-6)
    data = bunch(folder, rgb=(4, 2, 1)).normalize()
    shown = data.train_ds[0][0].data
    x = torch.from_numpy(data.train_ds.sample(0, None).x).permute(2, 0, 1)
    prepared = data.task.input.prepare(x[None])
    assert torch.allclose(data.task.input.as_item(prepared[0]).data, shown, atol=1e-5)
    with pytest.raises(UsageError, match="three of the bands"):
        ImageList.from_folder(folder).with_bands((1, 2), rgb=(1, 2, 3))


# --- the exported file, whoever asks it


def test_the_exported_file_answers_as_predict_does(learn, folder, exported):
    predictor = Predictor(exported)
    beyond = tile(1, 99, size=(77, 45))
    beyond[:3, :3] = 65_535
    beyond[-3:, :3] = 0
    for source in (*sorted(folder.rglob("*.tif"))[:9], beyond):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OnecycleWarning)  # of what is cut off
            answer, probabilities = learn.predict(source)[::2]
            found = predictor.predict(source)
        assert np.abs(found.probabilities - probabilities.numpy()).max() < 1e-5
        assert str(found.answer) == str(answer)
    about = predictor.about["task"]["input"]
    assert about["value_range"] == [list(pair) for pair in learn.task.input.value_range]
    assert predictor.about["input"]["type"] == "float32"


@pytest.mark.parametrize(
    ("method", "mode"),
    [
        *(("pad", "zeros"), ("pad", "reflection"), ("view", "zeros"), ("view", "border")),
        *(("squish", "border"), ("crop", "border")),
    ],
)
def test_every_way_of_resizing_is_in_the_file(folder, tmp_path, method, mode):
    tfms = ([], [augment.crop_pad(row_pct=0.1), augment.zoom(0.8)]) if method == "view" else None
    how = {} if method == "view" else {"resize_method": method}
    data = bunch(folder, tfms, 32, (4, 1, 2, 3, 4), padding_mode=mode, **how)
    learn = cnn_learner(data, body(5), pretrained=False, silent=True)
    learn.export(tmp_path / "a.onnx")
    predictor = Predictor(tmp_path / "a.onnx")
    for file in sorted(folder.rglob("*.tif"))[:6]:
        wanted = learn.predict(file)[2].numpy()
        assert np.abs(predictor.predict(file).probabilities - wanted).max() < 1e-5


@pytest.mark.slow
def test_a_mask_over_bands_is_that_of_the_file(folder, tmp_path):
    items = SegmentationItemList.from_folder(folder).with_bands("all")
    items = items.split_by_idx(range(10)).label_from_func(_mask, classes=["low", "high"])
    data = items.transform((get_transforms()[0], []), size=(32, 40))
    data = data.databunch(bs=8, device="cpu", num_workers=0).normalize()
    learn = unet_learner(data, models.small, pretrained=False, silent=True)
    learn.export(tmp_path / "m.onnx")
    predictor = Predictor(tmp_path / "m.onnx")
    for file in sorted(folder.rglob("*.tif"))[:3]:
        found, wanted = predictor.predict(file), learn.predict(file)
        assert np.abs(found.probabilities - wanted[2].numpy()).max() < 1e-4
        assert found.answer.data.shape[1:] == _mask(file).shape
    large = np.tile(tifffile.imread(file), (3, 2, 1))
    ours, theirs = (one.predict_tiled(large, (32, 40), 8) for one in (learn, predictor))
    assert ours.shape == large.shape[:2]
    assert (ours != theirs).mean() < 1e-3


def test_a_saved_learner_is_built_again_with_its_bands(folder, tmp_path):
    data = bunch(folder, bands=(4, 1, 2, 3)).normalize()
    learn = cnn_learner(data, models.small, pretrained="small", silent=True).fit_one_cycle(1, 1e-2)
    learn.save(tmp_path / "stage")
    again = load_cnn(next(tmp_path.glob("stage*")))
    file = sorted(folder.rglob("*.tif"))[3]
    assert torch.allclose(again.predict(file)[2], learn.predict(file)[2], atol=1e-6)


def test_a_server_takes_such_files_and_refuses_others(folder, exported, tmp_path):
    file = sorted(folder.rglob("*.tif"))[5]
    with TestClient(application(exported, Limits(pixels=10_000))) as client:
        reply = client.post("/api/predict", files={"file": file.read_bytes()})
        (found,) = reply.json()["predictions"]
        wanted = Predictor(exported).predict(file)
        assert found["answer"] == str(wanted.answer)
        for content, status, said in (
            (as_tiff(tile(0, 1, bands=3)), 422, "it has 3 bands"),
            (as_tiff(tile(0, 1, size=(120, 120))), 413, "120 x 120"),
            (b"hello", 422, "not an image"),
            (as_tiff(tile(0, 1))[:60], 422, "damaged"),
        ):
            reply = client.post("/api/predict", content=content)
            assert (reply.status_code, said in reply.json()["detail"]) == (status, True), reply.text
        page = client.get("/")
        assert page.status_code == 404
        assert "4 bands of files such as TIFF" in page.json()["detail"]
    with pytest.raises(ModelError, match="takes photos and the camera, which have three bands"):
        write_site(exported, tmp_path / "site")


def test_an_opened_photo_is_no_source_of_bands(learn, folder):
    photo = Image(torch.rand(3, 20, 20))
    with pytest.raises(ImageError, match="three bands of 8 bits"):
        learn.predict(photo)
    with pytest.raises(ImageError, match="with_bands"):
        open_image(sorted(folder.rglob("*.tif"))[0])


def test_a_window_of_dicom_is_its_value_range(tmp_path):
    for i in range(8):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        values = ramps(24, 30, 1, np.int16, seed=i)[:, :, 0] % 3000
        data = as_dicom(values, RescaleSlope=1, RescaleIntercept=-1024)
        (tmp_path / "ab"[i % 2] / f"{i}.dcm").write_bytes(data)
    items = ImageList.from_folder(tmp_path).with_bands(1, (-160, 240))
    data = items.split_by_idx([0, 5]).label_from_folder().transform(size=24)
    with pytest.warns(OnecycleWarning, match="8 of 8 images .* half of their values outside"):
        data = data.databunch(bs=2, device="cpu", find_copies=False)
    hounsfield = ramps(24, 30, 1, np.int16, seed=0)[:, 3:27] % 3000 - 1024.0
    wanted = ((hounsfield + 160) / 400).clip(0, 1)
    assert np.allclose(data.valid_ds.sample(0, None).x, wanted, atol=1e-6)


def test_the_page_of_a_list_is_that_of_its_samples_and_of_its_exported_file(tmp_path):
    for i in range(6):
        first, second = ramps(seed=i), ramps(seed=i + 10)
        (tmp_path / f"{i}.tif").write_bytes(as_tiff(first, second))
    items = ImageList.from_folder(tmp_path).with_bands(value_range=(0, 60_000), page=2)
    data = items.split_by_rand_pct(0.3, seed=0).label_empty().databunch(bs=2)
    given = data.train_ds.task.input
    for item in data.train_ds.items:
        wanted = ramps(seed=int(item.stem) + 10)
        assert np.array_equal(given.array(item), wanted)
    plain, _ = task_from_json(task_to_json(given, data.train_ds.task.target))
    assert np.array_equal(plain.array(tmp_path / "0.tif"), ramps(seed=10))
    with pytest.raises(UsageError, match="page"):
        ImageList.from_folder(tmp_path).with_bands(page=0)
