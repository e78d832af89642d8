"""Changed files of every kind are read or refused: no bare error, no hang, no gigabyte."""

import json
from collections import Counter

import numpy as np
import pytest
from mutations import KINDS, Model, fuzz, mutate_bytes

from onecycle.core.errors import OnecycleError
from onecycle.core.json_text import parse_json


@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("count", [40, pytest.param(3000, marks=pytest.mark.slow)])
def test_whatever_is_changed_in_a_file_it_is_read_or_refused(name, count, tmp_path):
    if name == "7z":
        pytest.importorskip("py7zr")
    if name == "tokenizer":
        pytest.importorskip("tokenizers")
    found = Counter(what for _, what in fuzz(name, tmp_path, count))
    assert set(found) <= {"read", "refused"}, found.most_common(9)
    assert found["refused"] > count / 20  # some changes were seen


@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_model_whose_bytes_are_damaged_answers_as_before_or_not_at_all(count, tmp_path):
    kind, path = Model(tmp_path), tmp_path / "m.onnx"
    whole = []
    for seed in kind.seeds:
        path.write_bytes(seed)
        whole.append(kind.read(path))
    refused = 0
    for i in range(count):
        rng, at = np.random.default_rng(i), i % len(whole)
        path.write_bytes(mutate_bytes(rng, kind.seeds[at], kind.seeds[at - 1]))
        try:
            assert kind.read(path) in whole, i
        except OnecycleError:
            refused += 1
    assert refused > 0.8 * count


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', '"\\ud800"', "[" * 10**5, "", "9" * 5000]
)
def test_what_others_could_not_read_again_is_no_json(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_is_what_python_reads(tmp_path):
    whole = {"a": [1, 2.5, None, True, "é\u202e", {}], "b": np.pi}
    assert parse_json(json.dumps(whole)) == whole
    assert parse_json(json.dumps(whole).encode("utf-16")) == whole
