"""Changed files of every kind are read or refused: no bare error, no hang, no gigabyte."""

import json
import re
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from mutations import KINDS, Model, fuzz, mutate_bytes, resealed
from PIL import Image as Pillow

from onecycle.core.errors import DataError, ModelError, OnecycleError
from onecycle.core.json_text import parse_json
from onecycle.runtime.inputs import band_files, pixels
from onecycle.runtime.predictor import Predictor


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


@pytest.mark.parametrize("form", ["jpg", "tif"])
def test_a_size_that_is_none_is_refused_with_the_name_of_the_file(form, tmp_path):
    """A turned JPEG of two thousand million pixels; a TIFF with two widths."""
    path, exif = tmp_path / f"odd.{form}", Pillow.Exif()
    exif[274] = 6
    more = {"exif": exif} if form == "jpg" else {}
    Pillow.fromarray(np.zeros((9, 7, 3), np.uint8)).save(path, **more)
    data = path.read_bytes()
    if form == "jpg":
        changed, count = re.subn(rb"(?s)(\xff\xc0...)....", rb"\1" + b"\xff\xff\x7f\xff", data)
    else:
        two = b"\0\1\3\0\2\0\0\0"
        changed, count = re.subn(rb"\x00\x01[\x03\x04]\x00\x01\x00\0\0", two, data)
    assert count == 1
    path.write_bytes(changed)
    readers = [pixels.open_size, pixels.open_indexes, pixels.open_pixels]
    if form == "tif":
        readers.append(lambda path: band_files.shape_of(BytesIO(path.read_bytes()), path.name))
    for read in readers:
        with pytest.raises(DataError, match=f"odd.{form}"):
            read(path)


@pytest.mark.parametrize("operator", ["Max", "Concat"])
def test_an_input_that_is_not_there_is_refused_before_the_runtime_reads_it(operator, tmp_path):
    """ONNX Runtime ends the whole process for some of these."""
    import onnx

    seen = 0
    for seed in Model(tmp_path).seeds:
        model = onnx.ModelProto.FromString(seed)
        for node in [node for node in model.graph.node if node.op_type == operator][:1]:
            node.input[1] = ""
            (tmp_path / "m.onnx").write_bytes(
                resealed(model, json.loads(model.metadata_props[0].value))
            )
            with pytest.raises(ModelError, match=f"a {operator} whose inputs are not all there"):
                Predictor(tmp_path / "m.onnx")
            seen += 1
    assert seen


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
