"""A kind of item added from outside: trained, exported, served, answered by the page."""

from pathlib import Path

import pytest
from folder_server import served
from starlette.testclient import TestClient
from test_page import opened

from onecycle.runtime.http.server import application
from onecycle.runtime.site import write_site

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "own_items.py"
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """What the page of the documentation has made, in a folder of its own."""
    folder = tmp_path_factory.mktemp("sounds")
    source = HOW_TO.read_text(encoding="utf-8").replace("n = 240", "n = 120")
    names = {"__name__": "own_items"}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr("onecycle.defaults.progress", False)
        exec(compile(source, HOW_TO, "exec"), names)
        names["SoundSpec"].page = (folder / "sound.js").absolute()
    return folder, names


@pytest.fixture(scope="module")
def some(sounds):
    folder, _ = sounds
    return [*sorted(folder.glob("sounds/rising/*.wav"))[:3], *folder.glob("sounds/falling/2*.wav")]


def test_it_learns_and_the_file_answers_as_the_learner(sounds, some):
    _, names = sounds
    assert names["learn"].history[-1]["accuracy"] > 0.9
    for file in some:
        answer, _, shares = names["learn"].predict(file)
        found = names["predictor"].predict(file)
        assert found.answer == answer
        assert found.probabilities == pytest.approx(shares.numpy(), abs=1e-4)


def test_the_server_answers_uploads_and_says_what_it_takes(sounds, some):
    folder, names = sounds
    with TestClient(application(folder / "sounds.onnx")) as client:
        files = [("file", (file.name, file.read_bytes(), "audio/wav")) for file in some]
        replies = client.post("/api/predict", files=files).json()["predictions"]
        for file, reply in zip(some, replies, strict=True):
            wanted = names["predictor"].predict(file)
            assert reply["answer"] == wanted.answer
            assert [*reply["probabilities"].values()] == pytest.approx([*wanted.probabilities])
        refused = client.post("/api/predict", content=b"no sound")
        assert refused.status_code == 422
        assert "no WAV file" in refused.json()["detail"]
        form = client.get("/openapi.json").json()["paths"]["/api/predict"]["post"]["requestBody"]
        assert "audio/wav" in form["content"]


def test_the_page_answers_as_python_does(sounds, some, browser, web_runtime, tmp_path):
    folder, names = sounds
    with served(write_site(folder / "sounds.onnx", tmp_path / "site")) as address:
        page = opened(browser, address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        for number, file in enumerate(some[2:5], 1):
            page.set_input_files("#sound", str(file))
            page.wait_for_selector(f"body[data-answered='{number}']", timeout=60_000)
            wanted = names["predictor"].predict(file)
            assert page.evaluate("lastAnswer.probabilities") == pytest.approx(
                wanted.probabilities, abs=2e-3
            )
            assert page.evaluate("lastAnswer.headline") == wanted.answer
        (tmp_path / "no.wav").write_text("no sound at all, but some text")
        page.set_input_files("#sound", str(tmp_path / "no.wav"))
        page.wait_for_selector("#status.error")
        assert "no WAV file" in page.inner_text("#status")
        assert page.faults == []
        page.context.close()
