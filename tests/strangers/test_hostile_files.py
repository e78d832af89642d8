"""Files made by hand to take too much, to lead elsewhere, or to be something else."""

import json
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
from mutations import GOLDEN, resealed
from onnx import TensorProto, helper
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.core.errors import (
    CheckpointError,
    EmptyDataError,
    ImageError,
    ModelError,
    OnecycleError,
    TableError,
    UsageError,
    WeightsError,
)
from onecycle.data.tables import read_table
from onecycle.fetch.images import download_images
from onecycle.models.weights import read_weights
from onecycle.runtime.http.body import Limits, RequestError
from onecycle.runtime.inputs.pixels import open_indexes, open_pixels, open_size, verify
from onecycle.runtime.inputs.text import Vocab
from onecycle.runtime.kinds import TargetSpec
from onecycle.runtime.predictor import Predictor, load_learner
from onecycle.runtime.site import check_theme
from onecycle.runtime.targets.category import CategorySpec
from onecycle.vision.image import open_image

IMAGES, SERIES = GOLDEN / "format1_images.onnx", GOLDEN / "format1_series.onnx"
CURVE = np.sin(np.arange(40.0))


def png(side, kind, depth=8):
    """A black PNG of `side` x `side` pixels; a few megabytes, whatever its side."""
    bands = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    row, packer, data = bytes(1 + side * bands * depth // 8), zlib.compressobj(1), b""
    for _ in range(side):
        data += packer.compress(row)
    size = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", data + packer.flush()), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# --- images


def test_a_png_of_16k_by_16k_is_refused_by_its_header_wherever_it_is_given(tmp_path):
    file = tmp_path / "bomb.png"
    file.write_bytes(png(16_000, 2))
    assert file.stat().st_size < 5_000_000
    predictor = Predictor(IMAGES)
    for look in (open_pixels, open_indexes, open_image, predictor.predict):
        with pytest.raises(ImageError, match=r"bomb\.png: too many pixels.*save it smaller"):
            look(file)
    assert "too many pixels" in str(verify(file))
    with pytest.raises(ImageError):
        open_size(file)
    with pytest.raises(RequestError) as refused:
        predictor.input.read_upload(file.read_bytes(), Limits())
    assert refused.value.status in {413, 422}
    file.write_bytes(png(7000, 2))  # that it is allowed here, and more than a server takes
    with pytest.raises(RequestError, match=r"7000 x 7000 pixels; the limit is 40,000,000"):
        predictor.input.read_upload(file.read_bytes(), Limits())


MEMORY = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[3])
from memory import peak_bytes
from onecycle.runtime.inputs.pixels import open_pixels
data = open(sys.argv[1], "rb").read()
open_pixels(open(sys.argv[2], "rb").read())
before = peak_bytes()
h, w, _ = open_pixels(data).shape
print((peak_bytes() - before) / (h * w))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
@pytest.mark.parametrize(
    ("kind", "depth"), [(0, 8), (2, 8), (4, 8), (6, 8), (0, 16), (2, 16), (6, 16)]
)
@pytest.mark.parametrize("side", [4000, pytest.param(12_000, marks=pytest.mark.slow)])
def test_an_image_takes_less_than_eight_bytes_a_pixel(side, kind, depth, tmp_path):
    # Pillow holds colours as four bytes, the result takes three: at the limit a gigabyte.
    (tmp_path / "a.png").write_bytes(png(side, kind, depth))
    (tmp_path / "b.png").write_bytes(png(8, kind, depth))
    files = [tmp_path / "a.png", tmp_path / "b.png", Path(__file__).parents[1] / "helpers"]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *files], capture_output=True, text=True, check=True
    )
    assert 3 <= float(done.stdout) < 7.8


# --- models


def changed_model(tmp_path, change, golden=SERIES):
    """An exported file whose model and description `change` has changed, sealed again."""
    model = onnx.load(golden)
    about = json.loads(model.metadata_props[0].value)
    change(model, about)
    file = tmp_path / "changed.onnx"
    file.write_bytes(resealed(model, about))
    return file


def add_function(model, about):
    node = helper.make_node("Constant", [], ["y"], value_float=0.5)
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("", "Softmax", ["x"], ["y"], [node], opsets))


def set_external(tensor):
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    tensor.data_location = TensorProto.EXTERNAL


def hide_external(model, about):
    """Weights elsewhere, inside a branch inside a branch."""
    inner = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    set_external(inner)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["q"], value=inner)],
        "g",
        [],
        [helper.make_tensor_value_info("q", TensorProto.FLOAT, None)],
    )
    for _ in range(2):
        node = helper.make_node("If", ["c"], ["q"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "g", [], list(graph.output))
    model.graph.node.append(graph.node[0])


def claim_more(model, about):
    model.graph.initializer[-1].dims[:] = [10**12]


CHANGES = {
    "functions of its own": add_function,
    "weights in other files": hide_external,
    "does not fit its own description.* and 3 of them": lambda m, a: a["task"]["target"].update(
        classes=["fast", "slow", "other"]
    ),
    "does not fit its own description.*'ids'": lambda m, a: a.update(
        task={**a["task"], "input": {"kind": "text", "vocab": ["xxunk", "xxpad", "a"]}}
    ),
    "its description lacks task": lambda m, a: a.pop("task"),
    "its description lacks library": lambda m, a: a.pop("library"),
    "classes=.*damaged": lambda m, a: a["task"]["target"].update(classes=[{"a": 1}, "b"]),
    "pixels='wide'.*damaged": lambda m, a: a["task"]["input"].update(pixels="wide"),
    "low=.*damaged": lambda m, a: a["task"]["input"].update(low=[[1]]),
    "channels=.*damaged": lambda m, a: a["task"]["input"].update(channels=True),
    r"damaged \(NaN is no number": lambda m, a: a.update(made={"cost": float("nan")}),
    "no kind of input 'pickle'": lambda m, a: a["task"]["input"].update(kind="pickle"),
    "has no field": lambda m, a: a["task"]["input"].update(path="../../x"),
    "cannot be run": claim_more,
}


@pytest.mark.parametrize("reported", CHANGES)
def test_a_model_file_is_refused_for_what_it_holds_before_it_answers(reported, tmp_path):
    with pytest.raises(OnecycleError, match=reported):
        Predictor(changed_model(tmp_path, CHANGES[reported]))


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ('["fast", "slow"]', "[" * 10**5 + "]" * 10**5, "nested too deep"),
        ('["fast", "slow"]', "9" * 5000, "damaged"),
        ('"fast"', '"\\ud800"', "damaged.*surrogate"),
    ],
)
def test_json_that_breaks_its_reader_is_damage(old, new, reported, tmp_path):
    model = onnx.load(SERIES)
    value = model.metadata_props[0].value
    model.metadata_props[0].value = value.replace(old, new)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=reported):
        Predictor(tmp_path / "m.onnx")


def test_ten_thousand_nodes_are_read_and_answer(tmp_path):
    def lengthen(model, about):
        last = model.graph.node[-1]
        name, last.output[0] = last.output[0], "0"
        for i in range(10_000):
            to = name if i == 9999 else str(i + 1)
            model.graph.node.append(helper.make_node("Abs", [str(i)], [to]))

    found = Predictor(changed_model(tmp_path, lengthen)).predict(CURVE)
    assert np.array_equal(found.probabilities, Predictor(SERIES).predict(CURVE).probabilities)


def test_what_fails_while_it_answers_is_a_model_error(tmp_path):
    def demand(model, about):  # more memory than any machine has
        last = model.graph.node[-1]
        name, last.output[0] = last.output[0], "before"
        many = helper.make_tensor("many", TensorProto.INT64, [2], [10**7, 10**7])
        model.graph.initializer.append(many)
        one = helper.make_node("ReduceSum", ["before"], ["one"], keepdims=0)
        large = helper.make_node("Expand", ["one", "many"], ["large"])
        small = helper.make_node("ReduceMax", ["large"], ["small"], keepdims=0)
        add = helper.make_node("Add", ["before", "small"], [name])
        model.graph.node.extend([one, large, small, add])

    predictor = Predictor(changed_model(tmp_path, demand))
    with pytest.raises(ModelError, match=r"changed\.onnx cannot answer an item of shape \(1, 40\)"):
        predictor.predict(CURVE)


def test_a_model_with_another_digest_is_refused_wherever_one_is_taken(tmp_path):
    right, wrong = sha256(IMAGES.read_bytes()).hexdigest(), "0" * 64
    for given in (right, right.upper(), None):
        assert Predictor(IMAGES, sha256=given).classes[0] == "agriculture"
        assert load_learner(IMAGES, sha256=given).data.classes[0] == "agriculture"
    for make in (Predictor, load_learner):
        with pytest.raises(ModelError, match=rf"SHA-256 {right}, not {wrong}.*not loaded"):
            make(IMAGES, sha256=wrong)
        with pytest.raises(UsageError, match="64 digits"):
            make(IMAGES, sha256=right[:-1])
    (tmp_path / "seen/cat").mkdir(parents=True)
    out = tmp_path / "out"
    for command in (
        ["predict", IMAGES, tmp_path / "seen", "--out", out.with_suffix(".csv")],
        ["site", IMAGES, out],
        ["deploy", IMAGES, out, "--to", "docker"],
        ["serve", IMAGES],
        ["clean", tmp_path / "seen", "--model", IMAGES],
    ):
        done = CliRunner().invoke(app, [*map(str, command), "--sha256", wrong])
        assert (done.exit_code, f"not {wrong}" in done.stderr) == (2, True), command
    done = CliRunner().invoke(app, ["clean", str(tmp_path / "seen"), "--sha256", right])
    assert "add --model" in done.stderr
    assert not out.exists()
    done = CliRunner().invoke(app, ["site", str(IMAGES), str(out), "--sha256", right])
    assert done.exit_code == 0 or "ONNX Runtime Web" in done.stderr


@dataclass(frozen=True)
class Anything(TargetSpec):
    """A kind from outside, whose fields have types that JSON has not, or that nobody knows here."""

    kind: ClassVar[str] = "anything"
    where: Path = Path()
    rows: list = ()
    table: dict[str, int] = None
    odd: "NowhereDefined" = None  # noqa: F821
    count: int = 0


def test_fields_of_kinds_from_outside_may_have_any_type():
    given = {"where": "a/b", "rows": [1, "x"], "table": {"a": 1}, "odd": [None]}
    made = Anything.from_json({"kind": "anything", **given})
    assert (made.where, made.rows, made.table, made.odd) == ("a/b", (1, "x"), {"a": 1}, (None,))
    del Anything.__annotations__["odd"]
    with pytest.raises(CheckpointError, match=r"count='many'.*damaged"):
        Anything.from_json({"kind": "anything", **given, "count": "many"})


# --- weights, tables, vocabularies, themes


def tensors(header, body=b"\0" * 32):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def one(start, end, shape=(8,)):
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "data",
    [
        tensors({"a": one(0, 32), "b": one(16, 48)}, bytes(48)),  # one over the other
        tensors({"a": one(0, 2**62, [2**60])}),
        tensors({"a": one(2**63, 2**63 + 32)}),
        tensors({"a": one(32, 0)}),
        tensors({"a": one(0, 32, [2**32, 2**32])}),
        tensors({"a": one(0, 32)}, bytes(31)),
        (2**63).to_bytes(8, "little") + b"{}",
        (10**9).to_bytes(8, "little") + b"{}",
        tensors(b"[" * 10**5),
        tensors({"a": {**one(0, 32), "dtype": "O"}}),
        b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    ],
)
def test_safetensors_whose_numbers_lie_are_refused(data, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        read_weights(tmp_path / "w.safetensors")


def test_weights_that_would_run_code_are_refused_and_run_nothing(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    for name in ("w.pth", "w.bin", "w.npy", "w.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Evil()}))
        with pytest.raises(WeightsError):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_no_line_of_the_library_loads_a_pickle():
    source = Path(__file__).parents[2] / "src/onecycle"
    loads = re.compile(
        r"\b(pickle|dill|joblib|shelve|marshal)\.(load|loads|open)\b|np\.load\(|read_pickle|"
        r"allow_pickle=True|weights_only=False|torch\.load\((?!.*weights_only=True)"
    )
    found = [
        f"{file.name}: {line.strip()}"
        for file in source.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if loads.search(line)
    ]
    assert found == []
    assert loads.search("torch.load(path)")
    assert not loads.search('torch.load(path, map_location="cpu", weights_only=True)')


def test_tables_that_no_reader_should_take_are_said(tmp_path):
    file = tmp_path / "t.csv"
    wide = ",".join(f"c{i}" for i in range(100_001))
    file.write_text(f"{wide}\n{wide}\n")
    for header in ("infer", None):
        with pytest.raises(TableError, match=r"100,001 columns, more than 100,000"):
            read_table(file, header=header)
    file.write_text("x" * 200_000)
    with pytest.raises(TableError, match="header cannot be read"):
        read_table(file)
    with pytest.raises(TableError, match="no list of addresses"):
        download_images(file, tmp_path / "images")
    file.write_text("name,label\n" + "x" * 10_000_000 + ",a\n")
    assert read_table(file)["name"].str.len().tolist() == [10_000_000]
    file.write_bytes(b"name,label\na\0b,c\n")
    assert read_table(file)["name"].tolist() == ["a\0b"]
    file.write_text('name,label\na,"b\n' + "c,d\n" * 1000)
    with pytest.raises(TableError, match="inside string"):
        read_table(file)
    file.write_bytes(b"")
    with pytest.raises(EmptyDataError):
        read_table(file)


@pytest.mark.parametrize("text", ["[" * 10**5, '["a", NaN]', '["\\ud800"]', '{"a": 1}', "[1]"])
def test_what_is_no_vocabulary_is_said(text, tmp_path):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(OnecycleError, match=r"v\.json"):
        Vocab.load(tmp_path / "v.json")


@pytest.mark.parametrize(
    "look",
    [
        {"colour": "#fff;background:url(//evil.example)"},
        {"colour": "#ffd54a\n"},
        {"colour": "red"},
        {"background": "url(//evil.example/x.png)"},
        {"mouth": 10**400},
        {"mouth": "1;}</style>"},
        {"url": "https://evil.example"},
        "https://evil.example/smiley.svg",
        "\ud800",
    ],
)
def test_a_theme_is_numbers_a_colour_or_an_emoji_and_nothing_else(look, tmp_path):
    (tmp_path / "theme.json").write_text(json.dumps({"glad": look}))
    for theme in ({"glad": look}, tmp_path / "theme.json"):
        with pytest.raises(UsageError):
            check_theme(theme, CategorySpec(("glad", "sad")))
