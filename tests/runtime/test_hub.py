"""An exported file goes to a hub of our own and comes back; nothing else does."""

import shutil
import traceback
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hub_stub import hub_stub

from onecycle.core.errors import HubError, ModelError, UsageError
from onecycle.learn.learner import Learner
from onecycle.runtime.hub import _quoted, card_of, from_hub, push_to_hub
from onecycle.runtime.predictor import Predictor

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # httpx's
TOKEN = "hf_thisIsASecretOfTheUser"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_stub(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def exported():
    return Path(__file__).parent / "golden/format1_images.onnx"


def test_nothing_is_asked_of_the_hub_without_the_users_call(hub, exported):
    Predictor(exported)
    card_of(exported, "ada/flags")
    for name in ("flags", "https://hub/ada/flags", "ada/flags/deeper", "../ada"):
        for call in (from_hub, lambda name: push_to_hub(exported, name)):
            with pytest.raises(UsageError, match='named "user/name"'):
                call(name)
    assert hub.requests == []


def test_a_file_that_was_sent_comes_back_and_answers_as_it_did(hub, exported):
    address = push_to_hub(exported, "ada/flags", token=TOKEN)
    assert address == f"{hub.url}/ada/flags/commit/{'c' * 40}"
    assert sorted(hub.files) == [("ada/flags", "README.md"), ("ada/flags", "model.onnx")]
    assert hub.files["ada/flags", "model.onnx"] == exported.read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    found = from_hub("ada/flags").predict(image)
    assert (found.probabilities == Predictor(exported).predict(image).probabilities).all()
    assert not hub.private["ada/flags"]
    push_to_hub(exported, "ada/own", private=True, token=TOKEN)
    assert hub.private["ada/own"]


def test_a_learner_exports_and_sends_what_it_exported(hub, exported, tmp_path):
    class Exported:
        def export(self, name):
            return shutil.copy(exported, tmp_path / name)

    given = {"token": TOKEN, "data": "Flags of my street.", "limits": "No pennants."}
    assert "ada/flags/commit" in Learner.push_to_hub(Exported(), "ada/flags", True, **given)
    assert hub.private["ada/flags"]
    card = hub.files["ada/flags", "README.md"].decode()
    assert "Flags of my street." in card.partition("## Metrics")[0]
    assert "No pennants." in card.partition("## Limits")[2].partition("## How")[0]
    assert card.count("No pennants.") == 1


def test_the_card_says_data_metrics_limits_and_how(exported):
    card, about = card_of(exported, "ada/flags"), Predictor(exported).about
    assert card.startswith("---\nlibrary_name: onecycle\n")
    for name in Predictor(exported).classes:
        assert f"`{name}`" in card
    assert f'from_hub("ada/flags", sha256="{sha256(exported.read_bytes()).hexdigest()}")' in card
    trained = about.get("trained")
    assert (f"Trained on {trained['items']} items" if trained else "unknown number") in card
    for part in ("## Data", "## Metrics", "## Limits", "## How to use it"):
        assert card.count(part) == 1


def test_names_of_classes_are_no_markup():
    assert _quoted("a`<b>\n# x") == "`a'<b> # x`"


def test_the_token_goes_to_the_hub_and_nowhere_else(hub, exported, tmp_path):
    push_to_hub(exported, "ada/flags", token=TOKEN)
    from_hub("ada/flags", token=TOKEN)
    sent = [headers.get("authorization") for _, path, headers in hub.requests if "/api/" in path]
    assert set(sent) == {f"Bearer {TOKEN}"}
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()
    assert all(TOKEN.encode() not in content for content in hub.files.values())


def test_a_refusal_is_told_without_the_token_and_its_cause(hub, exported):
    hub.refuse = 403, f"no rights for {TOKEN}"
    with pytest.raises(HubError, match="ada/flags cannot be written") as found:
        push_to_hub(exported, "ada/flags", token=TOKEN)
    told = "".join(traceback.format_exception(found.value))
    assert TOKEN not in told
    assert "***" in told
    assert "403" in told


def test_what_is_not_there_or_another_file_is_refused(hub, exported):
    with pytest.raises(HubError, match=r"model\.onnx of ada/none cannot be had"):
        from_hub("ada/none")
    push_to_hub(exported, "ada/flags", token=TOKEN)
    with pytest.raises(ModelError, match="it is another file"):
        from_hub("ada/flags", sha256="0" * 64)
