"""An exported file answers as the learner does, without torch, or it is not there at all."""

import io
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image as Pillow
from torch import nn
from trained_models import trained

from conftest import TASKS
from onecycle.core.errors import ExportError, ImageError, ModelError, UsageError
from onecycle.learn.learner import Learner
from onecycle.runtime import file as form
from onecycle.runtime.predictor import Predictor


@pytest.mark.parametrize("kind", TASKS)
def test_the_file_answers_as_the_learner_does(kind, learners, exported, images):
    learn, predictor = learners[kind], Predictor(exported[kind])
    for file in sorted(images[0].iterdir())[:8]:
        answer, data, probabilities = predictor.predict(file)
        wanted, _, ours = learn.predict(file)
        assert probabilities == pytest.approx(ours.numpy(), abs=1e-4)
        if kind in {"category", "numbers"}:
            assert answer.text == wanted.text or kind == "numbers"
        if kind == "multi":
            assert [
                c for c, p in zip(learn.data.classes, probabilities, strict=True) if p > 0.3
            ] == (answer.obj)
        if kind == "mask":
            assert data.shape == (1, *images[1][file.name][4].shape)


def test_on_equal_pixels_both_answer_to_1e_4(learners, exported):
    rng = np.random.default_rng(1)
    for kind, learn in learners.items():
        predictor = Predictor(exported[kind])
        for _ in range(5):
            image = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
            theirs = predictor.predict(image).probabilities.ravel()
            assert theirs == pytest.approx(learn.predict(image)[2].numpy().ravel(), abs=1e-4)


def test_odd_images_come_out_as_in_the_learner(learners, exported, tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    turned = Pillow.fromarray(np.ascontiguousarray(np.rot90(pixels)))
    exif = Pillow.Exif()
    exif[274] = 6
    variants = {
        "grey.png": Pillow.fromarray(pixels).convert("L"),
        "alpha.png": Pillow.fromarray(pixels).convert("RGBA"),
        "cmyk.jpg": Pillow.fromarray(pixels).convert("CMYK"),
        "palette.gif": Pillow.fromarray(pixels).convert("P"),
    }
    for name, image in variants.items():
        image.save(tmp_path / name)
    turned.save(tmp_path / "turned.jpg", exif=exif)
    predictor = Predictor(exported["category"])
    files = sorted(tmp_path.iterdir())
    ours = torch.stack([learners["category"].predict(f)[2] for f in files]).numpy()
    assert predictor.probabilities(files) == pytest.approx(ours, abs=1e-4)
    from_bytes = predictor.predict(files[0].read_bytes()).probabilities
    assert from_bytes == pytest.approx(ours[0], abs=1e-4)
    with Pillow.open(files[0]) as image:
        assert predictor.predict(image).probabilities == pytest.approx(ours[0], abs=1e-4)
    with pytest.raises(ImageError, match="not an image"):
        predictor.predict(b"hello, I am text")


def test_points_are_given_in_pixels_of_the_whole_image(learners, exported):
    image = np.zeros((100, 75, 3), np.uint8)  # crop shows 50 rows of 75 columns from row 25 on
    found = Predictor(exported["points"]).predict(image)
    raw = found.probabilities.reshape(-1, 2)
    wanted = (raw + 1) / 2 * [50, 75] + [25, 0] - 0.5
    assert found.answer.data == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("method", ["crop", "pad", "squish"])
def test_masks_lie_over_the_whole_image(method, images, tmp_path):
    learn = trained("mask", images, method)
    learn.unfreeze().fit_one_cycle(12, 3e-3)
    predictor = Predictor(learn.export(tmp_path / "m.onnx"))
    both = apart = 0
    for name, (_, _, _, _, mask) in images[1].items():
        predicted = predictor.predict(images[0] / name).answer.data[0]
        assert predicted.shape == mask.shape
        seen = predicted != 255
        assert seen.all() or method == "crop"
        both += int(((predicted == 1) & (mask == 1) & seen).sum())
        apart += int((((predicted == 1) != (mask == 1)) & seen).sum())
    assert both / (both + apart) > 0.4  # intersection over union; 0.08 by chance


def test_the_threshold_travels_and_can_be_replaced(exported, learners):
    predictor = Predictor(exported["multi"])
    assert predictor.thresh == 0.3
    image = np.zeros((20, 20, 3), np.uint8)
    assert predictor.predict(image, thresh=1.0).answer.obj == []
    assert len(predictor.predict(image, thresh=0.0).answer.obj) == len(predictor.classes)
    with pytest.raises(UsageError, match="no threshold"):
        Predictor(exported["numbers"]).predict(image, thresh=0.5)


def test_likeliest_classes_come_first(exported):
    found = Predictor(exported["category"]).predict(np.zeros((20, 20, 3), np.uint8))
    shares = [share for _, share in found.top(3)]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert found.top(1)[0][0] == found.answer.obj


def test_batches_of_mixed_sizes_keep_their_order(exported, images):
    predictor = Predictor(exported["category"])
    files = sorted(images[0].iterdir())
    together = predictor.probabilities(files)
    apart = np.stack([predictor.predict(file).probabilities for file in files])
    assert together == pytest.approx(apart, abs=1e-5)
    streamed = [found.probabilities for found in predictor.stream(iter(files), batch=5)]
    assert np.stack(streamed) == pytest.approx(apart, abs=1e-5)


def test_the_predictor_runs_where_torch_is_not_installed(exported, images):
    file = sorted(images[0].iterdir())[0]
    code = f"""
import sys
for gone in ("torch", "torchvision", "timm", "pandas", "cv2", "onnx", "matplotlib"):
    sys.modules[gone] = None
from onecycle.runtime.predictor import Predictor
print(Predictor({str(exported["category"])!r}).predict({str(file)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(Predictor(exported["category"]).predict(file)), done.stderr


def test_smaller_files_say_what_they_cost(learners, tmp_path, exported):
    learn = learners["category"]
    whole = exported["category"].stat().st_size
    half = learn.export(tmp_path / "half.onnx", precision="fp16")
    small = learn.export(tmp_path / "small.onnx", precision="int8")
    assert half.stat().st_size < 0.55 * whole
    assert small.stat().st_size < 0.35 * whole
    made = Predictor(small).about["made"]
    assert made["precision"] == "int8"
    assert made["validation_fp32"] - made["validation_int8"] <= 0.01
    image = np.random.default_rng(3).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    ours = learn.predict(image)[2].numpy()
    assert Predictor(half).predict(image).probabilities == pytest.approx(ours, abs=0.02)
    with pytest.raises(UsageError, match="fp32, fp16, int8"):
        learn.export(tmp_path / "x.onnx", precision="int4")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("kind", TASKS)
def test_every_task_says_what_a_smaller_file_costs(kind, precision, learners, exported, tmp_path):
    learn = learners[kind]
    file = learn.export(tmp_path / "small.onnx", precision=precision)
    predictor = Predictor(file)
    made = predictor.about["made"]
    assert made["validation_fp32"] - made[f"validation_{precision}"] <= 0.01
    assert file.stat().st_size < exported[kind].stat().st_size
    if kind == "category":  # the figure is the accuracy of the file itself
        side = learn.data.valid_ds
        predicted = [predictor.predict(source).answer.obj for source in side.x.items]
        true = [str(side.y[i]) for i in range(len(side))]
        share = np.mean([a == b for a, b in zip(predicted, true, strict=True)])
        assert made[f"validation_{precision}"] == pytest.approx(share)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_smaller_file_that_loses_more_than_a_point_is_refused(
    precision, learners, tmp_path, monkeypatch
):
    def ruined(model, *_):
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) > 1000 and tensor.data_type == onnx.TensorProto.FLOAT:
                tensor.raw_data = bytes(len(tensor.raw_data))
        return model

    monkeypatch.setattr("onecycle.export.quantize.quantize", ruined)
    monkeypatch.setattr("onecycle.export.graph.store_in_half", ruined)
    with pytest.raises(ExportError, match=f"{precision} costs .* points"):
        learners["numbers"].export(tmp_path / "small.onnx", precision=precision)
    assert list(tmp_path.iterdir()) == []


def test_the_learner_is_as_before_after_an_export(learners, tmp_path):
    learn = learners["category"]
    learn.model.train()
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.export(tmp_path / "a.onnx")
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())
    assert all(module.training for module in learn.model.modules())


def test_a_file_that_answers_otherwise_is_not_kept(images, tmp_path):
    class Moody(nn.Module):
        """Its answer depends on how often it was asked."""

        def __init__(self):
            super().__init__()
            self.asked = 0
            self.net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))

        def forward(self, x):
            self.asked += 1
            return self.net(x) * self.asked

    learn = Learner(trained("category", images).data, Moody(), silent=True)
    with pytest.raises(ExportError, match="answers otherwise"):
        learn.export(tmp_path / "moody.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cannot_export_is_an_error_that_says_so(images, tmp_path):
    class Branching(nn.Module):
        def forward(self, x):
            pooled = x.mean((2, 3))
            return pooled if float(pooled.sum()) > 0 else -pooled

    learn = Learner(trained("category", images).data, Branching(), silent=True)
    learn.model.weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(ExportError, match="ONNX"):
        learn.export(tmp_path / "b.onnx")
    assert list(tmp_path.iterdir()) == []


# --- files that cannot be trusted ----------------------------------------------------------


def refused(data, tmp_path, match):
    file = tmp_path / "bad.onnx"
    file.write_bytes(data)
    with pytest.raises(ModelError, match=match):
        Predictor(file)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(share, exported, tmp_path):
    data = exported["category"].read_bytes()
    refused(data[: int(share * len(data))], tmp_path, "cut off|not written|damaged")


def test_a_changed_weight_is_noticed(exported, tmp_path):
    model = onnx.load(exported["category"])
    weights = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    weights.raw_data = bytes([weights.raw_data[0] ^ 1]) + weights.raw_data[1:]
    refused(model.SerializeToString(deterministic=True), tmp_path, "changed or damaged")


def test_changed_classes_are_noticed(exported, tmp_path):
    data = exported["category"].read_bytes()
    refused(data.replace(b'"red"', b'"rod"'), tmp_path, "changed or damaged")


def test_foreign_files_are_refused(tmp_path, exported):
    model = onnx.load(exported["category"])
    del model.metadata_props[:]
    refused(model.SerializeToString(), tmp_path, "not written by onecycle")
    refused(b"\x80\x04\x95 this is a pickle", tmp_path, "cut off|no ONNX")
    refused(b"<html>not found</html>", tmp_path, "cut off|no ONNX")
    with pytest.raises(ModelError, match="cannot be read"):
        Predictor(tmp_path / "nowhere.onnx")


def resealed(model, **changes):
    about = json.loads({p.key: p.value for p in model.metadata_props}[form.KEY]) | changes
    del model.metadata_props[:]
    graph = model.graph.SerializeToString(deterministic=True)
    entry = model.metadata_props.add()
    about["sha256"] = form.digest(graph, about)
    entry.key, entry.value = form.KEY, json.dumps(about)
    return model.SerializeToString(deterministic=True)


def test_a_newer_format_asks_for_an_update(exported, tmp_path):
    refused(resealed(onnx.load(exported["category"]), format=99), tmp_path, "update onecycle")


def test_weights_in_other_files_are_refused_at_any_depth(exported, tmp_path):
    model = onnx.load(exported["category"])
    tensor = model.graph.initializer[0]
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    tensor.data_location = onnx.TensorProto.EXTERNAL
    refused(resealed(model), tmp_path, "other files")
    model = onnx.load(exported["category"])
    constant = next(n for n in model.graph.node if n.op_type == "Constant")
    constant.attribute[0].t.data_location = onnx.TensorProto.EXTERNAL
    refused(resealed(model), tmp_path, "other files")


def test_operators_of_unknown_libraries_are_refused(exported, tmp_path):
    model = onnx.load(exported["category"])
    model.graph.node[0].domain = "evil.custom"
    refused(resealed(model), tmp_path, "evil.custom")


def test_the_file_holds_no_path_of_the_machine_that_made_it(exported):
    for file in exported.values():
        data = file.read_bytes()
        assert b"site-packages" not in data
        assert b"/src/" not in data
        assert b"stack_trace" not in data


def test_a_damaged_upload_is_an_image_error_not_a_crash(exported):
    predictor = Predictor(exported["category"])
    buffer = io.BytesIO()
    Pillow.new("RGB", (40, 40)).save(buffer, "PNG")
    with pytest.raises(ImageError):
        predictor.predict(buffer.getvalue()[:60])
