"""What programs import stays where it is: a stored list, which only grows."""

import importlib
import json
from pathlib import Path

import pytest

STORED = json.loads((Path(__file__).parent / "stored/public_names.json").read_text())


@pytest.mark.parametrize("module", STORED)
def test_no_public_name_has_gone(module):
    names = STORED[module] if isinstance(STORED[module], list) else STORED["onecycle.course"]
    assert set(names) - set(importlib.import_module(module).__all__) == set()


@pytest.mark.parametrize(
    "module", ["onecycle", "onecycle.vision", "onecycle.text", "onecycle.series"]
)
def test_every_public_name_can_be_had(module):
    found = importlib.import_module(module)
    for name in found.__all__:
        assert getattr(found, name) is not None
