"""Examples that do more than build a site, in small; others: `runtime/test_gallery.py`."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onecycle.core.errors import UsageError
from onecycle.runtime.web_runtime import runtime_folder

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


@pytest.fixture(scope="module", autouse=True)
def _runtime():
    try:
        runtime_folder()
    except UsageError as error:
        pytest.skip(str(error))


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_planet_writes_a_row_for_each_test_image_and_a_page(tmp_path):
    site = example("planet_submission").main(out=tmp_path, quick=True)
    rows = (tmp_path / "submission.csv").read_text().splitlines()
    assert rows[0] == "image_name,tags"
    assert sorted(row.partition(",")[0] for row in rows[1:]) == sorted(
        f"test_{i}" for i in range(8)
    )
    target = json.loads((site / "model.json").read_text())["task"]["target"]
    assert target["thresh"] == 0.2
    for row in rows[1:]:
        assert set(row.partition(",")[2].split()) <= set(target["classes"])


def test_hummingbirds_come_from_lists_of_addresses(tmp_path):
    from web_helpers import serving

    rng = np.random.default_rng(0)
    birds = tmp_path / "birds"
    birds.mkdir()
    with serving() as web:
        for name, colour in {"rufous": (200, 90, 40), "calliope": (60, 90, 160)}.items():
            for i in range(10):
                noisy = np.array(colour) + rng.integers(-30, 30, (40, 40, 3))
                image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
                image.save(tmp_path / "p.png")
                web.files[f"/{name}{i}.png"] = (tmp_path / "p.png").read_bytes()
            web.files[f"/{name}10.png"] = b"<html>gone</html>"
            lines = [f"{web.url}/{name}{i}.png" for i in range(12)]
            (birds / f"{name}.csv").write_text("\n".join(lines))
        site = example("hummingbirds").main(birds, tmp_path / "out", quick=True)
    messages = json.loads((site / "model.json").read_text())
    assert sorted(messages["task"]["target"]["classes"]) == ["calliope", "rufous"]
    assert len(list((birds / "rufous").iterdir())) == 10
