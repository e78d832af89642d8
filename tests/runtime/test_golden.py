"""Files that earlier versions exported are read, and answered as then."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from onecycle.runtime.file import FORMAT
from onecycle.runtime.predictor import Predictor

GOLDEN = Path(__file__).parent / "golden"
SCRIPT = Path(__file__).parents[2] / "scripts" / "golden_export.py"


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
@pytest.mark.parametrize("kind", ["images", "texts", "series"])
def test_a_file_of_each_format_answers_as_when_it_was_written(kind, number):
    _, named, _, made = runpy.run_path(str(SCRIPT))["KINDS"][kind]
    file = GOLDEN / f"format{number}_{kind}.onnx"
    assert file.stat().st_size < 100_000
    predictor = Predictor(file)
    assert predictor.about["format"] == number
    rows = json.loads((GOLDEN / f"format{number}.json").read_text())[kind]
    for row in rows:
        found = predictor.predict(made(row[named]))
        assert found.answer.obj == row["answer"]
        np.testing.assert_allclose(found.probabilities, row["probabilities"], atol=1e-4)
    assert len({str(row["answer"]) for row in rows}) > 1
