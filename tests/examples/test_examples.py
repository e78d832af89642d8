"""The examples, in small, on drawn and generated data."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onecycle import planet_sample

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_example_has_at_most_sixty_lines():
    scripts = list((ROOT / "examples").glob("*.py"))
    assert scripts
    assert [p.name for p in scripts if len(p.read_text().splitlines()) > 60] == []


def test_planet_writes_a_row_for_each_test_picture(tmp_path):
    path = planet_sample(tmp_path / "planet", n=40, n_test=6, size=48)
    rows = example("planet_submission").main(path, epochs=1, size=48).read_text().splitlines()
    assert rows[0] == "image_name,tags"
    assert sorted(row.partition(",")[0] for row in rows[1:]) == [f"test_{i}" for i in range(6)]


def test_hummingbirds_come_from_lists_of_addresses(tmp_path):
    from web_helpers import serving

    from onecycle import Path as Listing
    from onecycle import load_learner

    rng = np.random.default_rng(0)
    with serving() as site:
        for name, colour in {"rufous": (200, 90, 40), "calliope": (60, 90, 160)}.items():
            for i in range(10):
                noisy = np.array(colour) + rng.integers(-30, 30, (40, 40, 3))
                picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
                picture.save(tmp_path / "p.png")
                site.files[f"/{name}{i}.png"] = (tmp_path / "p.png").read_bytes()
            lines = [f"{site.url}/{name}{i}.png" for i in range(11)]
            (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        (tmp_path / "p.png").unlink()
        file = example("hummingbirds").main(Listing(tmp_path), epochs=1, size=32)
    assert sorted(load_learner(file).data.classes) == ["calliope", "rufous"]
