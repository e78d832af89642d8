"""More than 256 classes: their numbers arrive whole in Python, in the server's PNG, in the page."""

import base64
import io

import numpy as np
import onnx
import pytest
import torch
from folder_server import served
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import asked, opened
from torch import nn

from onecycle.core.errors import LabelError
from onecycle.export.graph import _join, _seal
from onecycle.export.image import HEADER, image_prelude
from onecycle.learn.learner import Learner
from onecycle.runtime import file as form
from onecycle.runtime.http.server import application
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.task import task_to_json
from onecycle.vision.lists import SegmentationItemList

SIZE = (6, 10)
SPEC = ImageSpec(SIZE, "crop", "reflection", (0.0,) * 3, (1 / 255,) * 3)


def made(folder, count=400, void=None, spec=SPEC):
    """A file that says of each pixel the class red + green."""
    target = MaskSpec(tuple(f"c{i}" for i in range(count)), void)
    numbers = ", ".join(str(float(i)) for i in range(count))
    net = onnx.parser.parse_model(f"""{HEADER}
        net (float[n, 3, h, w] x) => (float[n, {count}, h, w] probabilities) {{
        classes = Constant <value = float[1, {count}, 1, 1] {{{numbers}}}> ()
        axis = Constant <value = int64[1] {{1}}> ()
        sum = ReduceSum <keepdims = 1> (x, axis)
        apart = Sub (classes, sum)
        far = Abs (apart)
        probabilities = Neg (far)
    }}""")
    whole = _join(image_prelude(spec), net, True, dtype=target.mask_dtype)
    about = {"format": form.FORMAT, "library": "test", "task": task_to_json(spec, target)}
    file = folder / "wide.onnx"
    file.write_bytes(_seal(whole, about))
    return file


def image_of(numbers):
    """An image whose red and green are these class numbers."""
    numbers = np.asarray(numbers)
    red = numbers.clip(0, 255)
    return np.stack([red, numbers - red, np.zeros_like(numbers)], 2).astype(np.uint8)


NUMBERS = np.array([[0, 1, 44, 255, 256, 257, 300, 301, 398, 399]] * 5 + [[256] * 10])


def test_the_predictor_gives_every_class_its_own_number(tmp_path):
    predictor = Predictor(made(tmp_path))
    found = predictor.predict(image_of(NUMBERS)).answer.data
    assert found.dtype == np.uint16
    assert np.array_equal(found[0], NUMBERS)
    tall = np.zeros((16, 10), int)  # a crop of 6 rows from row 5 on is seen
    tall[5:11] = NUMBERS
    cut = predictor.predict(image_of(tall)).answer.data[0]
    assert np.array_equal(cut[5:11], NUMBERS)
    assert (cut[:5] == 65535).all()
    assert (cut[11:] == 65535).all()


@pytest.mark.parametrize(
    ("count", "void", "outside"),
    [(256, None, 65535), (256, 255, 255), (256, 7, 7), (255, None, 255)],
)
def test_what_lies_outside_is_told_from_the_last_class(count, void, outside, tmp_path):
    predictor = Predictor(made(tmp_path, count, void))
    tall = np.full((16, 10), count - 1)
    found = predictor.predict(image_of(tall)).answer.data[0]
    assert (found[5:11] == count - 1).all()
    assert (found[:5] == outside).all()


def test_the_servers_png_holds_16_bits(tmp_path):
    file = made(tmp_path)
    buffer = io.BytesIO()
    Pillow.fromarray(image_of(NUMBERS)).save(buffer, "PNG")
    with TestClient(application(file)) as client:
        (reply,) = client.post("/api/predict", content=buffer.getvalue()).json()["predictions"]
    with Pillow.open(io.BytesIO(base64.b64decode(reply["mask"]))) as mask:
        assert np.array_equal(np.asarray(mask), NUMBERS)


def test_the_page_counts_and_names_every_class(browser, tmp_path):
    file = made(tmp_path)
    Pillow.fromarray(image_of(NUMBERS)).save(tmp_path / "p.png")
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        found = asked(page, tmp_path / "p.png")
        assert page.faults == []
        page.context.close()
    assert np.array_equal(np.reshape(found["mask"]["values"], SIZE), NUMBERS)
    (first, *rest) = found["legend"]
    assert first == [256, "c256", pytest.approx(15 / 60)]
    assert {(i, name) for i, name, _ in rest} == {(i, f"c{i}") for i in {*NUMBERS[0]} - {256}}


def test_a_learner_of_300_classes_exports_their_numbers(tmp_path):
    """A network whose last layer weighs class 299 most, wherever it looks."""
    Pillow.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    Pillow.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "b.png")
    mask = np.full((8, 8), 290)
    items = SegmentationItemList.from_folder(tmp_path).split_by_idx([1])
    labels = items.label_from_func(lambda _: mask, classes=[f"c{i}" for i in range(300)])
    data = labels.transform(None, size=(8, 8)).databunch(bs=1, num_workers=0, device="cpu")
    net = nn.Conv2d(3, 300, 1)
    nn.init.zeros_(net.weight)
    net.bias.data = torch.arange(300.0)
    learn = Learner(data, net, silent=True)
    file = learn.export(tmp_path / "m.onnx")
    assert (Predictor(file).predict(tmp_path / "a.png").answer.data == 299).all()


def test_more_classes_than_a_mask_can_number_are_refused():
    with pytest.raises(LabelError, match="up to 65,535"):
        _ = MaskSpec(tuple(range(70_000))).mask_dtype
