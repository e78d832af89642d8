"""A hundred odd images, every task: the file answers as the learner, the page as the file."""

import base64

import numpy as np
import pytest
import torch
from folder_server import served
from odd_images import odd_images
from test_page import opened

from conftest import TASKS
from onecycle.export.graph import session
from onecycle.export.image import image_prelude
from onecycle.runtime.inputs.pixels import open_pixels
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    files = odd_images(tmp_path_factory.mktemp("odd"))
    assert len(files) == 100
    return files


@pytest.fixture(scope="module")
def prepared(odd, learners):
    """What the exported preprocessing makes of each, float32 (3, h, w)."""
    run = session(image_prelude(learners["category"].task.input).SerializeToString())
    return [run.run(["x"], {"image": open_pixels(file)[None]})[0][0] for file in odd]


@pytest.mark.parametrize("kind", TASKS)
def test_on_equal_pixels_a_hundred_answers_are_the_learners(
    kind, learners, exported, odd, prepared
):
    learn, predictor = learners[kind], Predictor(exported[kind])
    learn.model.eval()
    with torch.no_grad():
        outputs = learn.model(torch.from_numpy(np.stack(prepared)))
        wanted = learn.task.target.activate(outputs).numpy()
    found = predictor.probabilities(odd)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_learner_sees_the_same_pixels(learners, odd, prepared):
    learn = learners["category"]
    for file, x in zip(odd, prepared, strict=True):
        (ours, _) = next(iter(learn.data.single([file])))
        assert np.abs(ours[0].numpy() - x).max() < 1e-5, file


@pytest.mark.parametrize("kind", TASKS)
def test_a_hundred_odd_images_are_answered_as_by_the_learner(kind, learners, exported, odd):
    """The whole way, resizing included."""
    learn, predictor = learners[kind], Predictor(exported[kind])
    for file in odd:
        wanted = learn.predict(file)[2].numpy()
        found = predictor.predict(file).probabilities
        np.testing.assert_allclose(found, wanted.reshape(found.shape), atol=1e-4, err_msg=file.name)


ASK = """async ([data, type]) => {
    const { open, read } = await import("./inputs/image.js");
    const { describe, load } = await import("./model.js");
    window.asking ??= await load(await describe());
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const image = read(await open(new Blob([bytes], { type })), document.createElement("canvas"));
    const found = await window.asking(image);
    const size = [image.height, image.width];
    return { probabilities: Array.from(found.probabilities), size };
}"""


@pytest.mark.parametrize("kind", TASKS)
def test_the_page_answers_a_hundred_images_as_python_does(kind, browser, exported, odd, tmp_path):
    predictor = Predictor(exported[kind])
    with served(write_site(exported[kind], tmp_path / "site")) as address:
        page = opened(browser, address)
        for file in odd:
            data = base64.b64encode(file.read_bytes()).decode()
            found = page.evaluate(ASK, [data, ""])
            wanted = predictor.predict(file).probabilities.ravel()
            assert found["size"] == list(open_pixels(file).shape[:2])
            lossy = file.suffix == ".jpg"  # other decoders may differ by a grey level
            probabilities = np.array(found["probabilities"])
            np.testing.assert_allclose(
                probabilities, wanted, atol=0.03 if lossy else 1e-3, err_msg=file.name
            )
            if kind == "category":
                assert probabilities.argmax() == wanted.argmax(), file.name
        page.context.close()
