"""The page's modules, one by one in one open page: pure functions against Python's own answers."""

import csv
import io
import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
from folder_server import served
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from test_page import made, opened

from onecycle.cli.answers import write_csv
from onecycle.cli.predict import _Columns
from onecycle.core.display import as_text
from onecycle.core.errors import OnecycleWarning
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.inputs.series import as_series
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.boxes import BoxesSpec
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.runtime.task import task_to_json

MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    with served(write_site(made("category", folder), folder / "site")) as address:
        page = opened(browser, address)
        yield page
        assert page.faults == []
        page.context.close()


def decoded(page, spec, target, values, size=None):
    """What a target's module makes of outputs of the graph; `probabilities` as 32-bit floats."""
    return page.evaluate(
        """async ([{ input, target }, values, size]) => {
            const { decode } = await import(`./targets/${target.kind}.js`);
            const { fixedSize } = await import(`./inputs/${input.kind}.js`);
            const probabilities = Float32Array.from(values.probabilities ?? []);
            return decode(target, { ...values, probabilities }, size, fixedSize(input));
        }""",
        [task_to_json(spec, target), values, size],
    )


floats = st.floats(0, 1, width=32)


# --- targets ---------------------------------------------------------------------------------


@MANY
@given(st.lists(floats, min_size=2, max_size=7), st.none() | st.floats(0, 1), st.booleans())
def test_the_likeliest_class_is_pythons_or_neither_is_sure(page, shares, thresh, on):
    thresh = max(shares) if on else thresh  # exactly on it: not above
    target = CategorySpec((0, "", "b", 3.5, "<i>", "f", "g")[: len(shares)], thresh)
    classes, wanted = target.classes, target.decode(np.array(shares, np.float32))
    found = decoded(page, ImageSpec(), target, {"probabilities": shares})
    unsure = wanted.obj is None
    assert found["headline"] == ("Not sure" if unsure else str(wanted))
    assert unsure == bool(found["note"])
    assert unsure or not on
    order = np.argsort(-np.array(shares, np.float32), kind="stable")[:5]
    assert [name for name, _ in found["bars"]] == [classes[i] for i in order]
    assert [share for _, share in found["bars"]] == [shares[i] for i in order]


@MANY
@given(
    st.lists(floats, min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.integers(0, 5),
    st.booleans(),
)
def test_the_tags_above_the_threshold_are_pythons(page, shares, limits, at, several):
    at %= len(shares)
    shares[at] = float(np.float32(limits[at]))  # exactly on it: not above
    thresh = tuple(limits[: len(shares)]) if several else limits[at]
    target = MultiCategorySpec(tuple("uvwxyz"[: len(shares)]), thresh)
    wanted = target.decode(np.array(shares, np.float32))
    found = decoded(page, ImageSpec(), target, {"probabilities": shares})
    assert found["chips"] == wanted.obj
    assert bool(found["headline"]) == (not wanted.obj)


def test_a_tag_on_the_threshold_is_not_there_in_any_precision(page):
    for thresh in (0.5, 0.3, 0.1, 0.7, 1.0, 0.0):
        on = float(np.float32(thresh))
        above = float(np.nextafter(np.float32(thresh), np.float32(2)))
        target = MultiCategorySpec(("on", "above"), thresh)
        found = decoded(page, ImageSpec(), target, {"probabilities": [on, above]})
        assert found["chips"] == ["above"], thresh


def test_numbers_are_named_and_rounded_to_four_digits(page):
    target = NumbersSpec(("age", "height"))
    found = decoded(page, ImageSpec(), target, {"probabilities": [41.23456, -0.00012344]})
    assert found["headline"] == "age 41.23, height -0.0001234"


places = st.integers(0, 60)


@MANY
@given(
    st.lists(st.floats(-1.5, 1.5, width=32), min_size=4, max_size=4),
    st.tuples(places, places, st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from(["crop", "pad", "squish", "none", "view", "window"]),
)
@example([0.5, -0.5, 0.25, 1.0], (3, 5, 40, 60), "pad")
@example([0.5, -0.5, 0.25, 1.0], (3, 5, 40, 60), "none")
def test_points_lie_where_pythons_lie(page, numbers, box, method):
    spec = ImageSpec((30, 50), "crop" if method in {"view", "window"} else method)
    if method == "view":
        spec = ImageSpec((30, 50), "none", view=(0.0, 1.0, 1.0, 1.0, 0.0, 0.0))
    if method == "window":
        spec = ImageSpec(view=(0.0, 1.0, 1.0, 1.0, 0.0, 0.0), window=(30, 50))
    inner = (4, 7, 20, 33) if method == "pad" else (0, 0, 30, 50)
    inner = (0, 0, 70, 80) if method == "none" else inner
    values = {"probabilities": np.array([numbers], np.float32)}
    values |= {"box": np.array(box), "inner": np.array(inner)}
    target = PointsSpec(2)
    wanted = target.place(values, 0, (0, 0), spec.fixed_size).data
    messages = {"probabilities": numbers, "box": list(box), "inner": list(inner)}
    found = decoded(page, spec, target, messages, [100, 100])
    np.testing.assert_allclose(found["points"], wanted, rtol=1e-4, atol=1e-3)


@MANY
@given(
    st.integers(0, 2**31),
    st.integers(0, 40),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.floats(0, 1),
    st.integers(1, 6),
    st.sampled_from(["pad", "squish", "none"]),
)
@example(7, 40, 0.3, 0.5, 100, "pad")
def test_boxes_are_pythons_in_their_order(page, seed, count, thresh, overlap, most, method):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-1, 0.8, (2, count))
    given = np.concatenate([corner, corner + rng.uniform(0, 0.9, (2, count))]).clip(-1, 1)
    scores = rng.integers(0, 11, (3, count)) / 10  # of which many are equal, some on the threshold
    given = np.concatenate([given, scores]).astype(np.float32)
    spec, target = ImageSpec((30, 50), method), BoxesSpec(("<b>", 0, "c"), thresh, overlap, most)
    inner = {"pad": (4, 7, 20, 33), "squish": (0, 0, 30, 50), "none": (0, 0, 70, 80)}[method]
    values = {"probabilities": given[None], "box": np.array((3, -5, 60, 90))}
    values["inner"] = np.array(inner)
    wanted = target.place(values, 0, (70, 80), spec.fixed_size)
    messages = {"probabilities": given.ravel().tolist(), "box": [3, -5, 60, 90]}
    found = decoded(page, spec, target, messages | {"inner": list(inner)}, [70, 80])
    assert [box["name"] for box in found["boxes"]] == [str(name) for name in wanted.obj]
    rows = [[*box["box"], box["index"], box["score"]] for box in found["boxes"]]
    np.testing.assert_allclose(np.reshape(rows, (-1, 6)), wanted.data, rtol=1e-5, atol=1e-4)
    assert bool(found["headline"]) == (not wanted.obj)


boxes = st.tuples(*[st.integers(-6, 6)] * 2, *[st.integers(1, 8)] * 2)


@MANY
@given(boxes, st.integers(0, 2**31))
def test_masks_count_what_lies_on_the_image_as_python_does(page, box, seed):
    top, left, h, w = box
    size = (7, 5)
    if top >= 7 or left >= 5 or top + h <= 0 or left + w <= 0:
        return  # nothing of the image would be seen
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 4, (1, h, w)).astype(np.uint8)
    target = MaskSpec((0, "a", "b", "a "))
    whole = target.place({"mask": mask, "box": np.array(box)}, 0, size, None).data[0]
    messages = {"mask": mask.ravel().tolist(), "box": list(box)}
    found = decoded(page, ImageSpec((7, 5)), target, messages, list(size))
    seen = whole[whole != 255]
    counts = np.bincount(seen, minlength=4) / seen.size
    wanted = sorted(((i, target.classes[i], counts[i]) for i in range(4)), key=lambda r: -r[2])
    wanted = [[i, name, pytest.approx(share)] for i, name, share in wanted if share > 0.002]
    assert found["legend"] == wanted
    assert [found["mask"][k] for k in ("top", "left", "h", "w")] == list(box)


def test_the_classes_of_a_mask_have_colours_of_their_own(page):
    colours = page.evaluate(
        """async () => {
            const { colour } = await import("./view.js");
            return Array.from({ length: 32 }, (_, i) => colour(i));
        }"""
    )
    assert len({tuple(c) for c in colours}) == 32
    assert all(0 <= v <= 255 and v == int(v) for c in colours for v in c)
    near = [np.abs(np.subtract(a, b)).sum() for a, b in pairwise(colours)]
    assert min(near) > 60


# --- what is drawn -------------------------------------------------------------------------

OVER = """async ([w, h, answer]) => {
    const kind = ["mask", "boxes"].find((name) => answer[name]) ?? "points";
    const { draw } = await import(`./targets/${kind}.js`);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, w, h);
    draw(canvas, answer);
    return Array.from(context.getImageData(0, 0, w, h).data);
}"""


def drawn(page, w, h, answer):
    return np.array(page.evaluate(OVER, [w, h, answer])).reshape(h, w, 4)[:, :, :3]


def mask_of(values, none, top=0, left=0):
    rows = np.array(values)
    box = {"top": top, "left": left, "h": rows.shape[0], "w": rows.shape[1]}
    return {"mask": {**box, "none": none, "values": rows.ravel().tolist()}}


def test_void_is_not_drawn_and_class_0_is(page):
    values = [[0, 1, 2], [2, 0, 1]]
    for none in (2, 0, None):
        found = drawn(page, 3, 2, mask_of(values, none))
        white = (found == 255).all(2)
        assert white.tolist() == [[v == none for v in row] for row in values], none
    kinds = {v: found[np.array(values) == v] for v in (0, 1, 2)}
    assert all((rows == rows[0]).all() for rows in kinds.values())
    assert len({tuple(rows[0]) for rows in kinds.values()}) == 3


def test_a_mask_lies_on_its_box_also_where_that_begins_outside(page):
    inside = drawn(page, 6, 4, mask_of([[1, 1], [1, 1]], None, top=1, left=3))
    assert np.argwhere((inside < 255).any(2)).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    beyond = drawn(page, 6, 4, mask_of([[0, 5, 9], [9, 5, 9]], 9, top=-1, left=-1))
    assert np.argwhere((beyond < 255).any(2)).tolist() == [[0, 0]]


def test_a_point_is_drawn_at_its_row_and_column(page):
    found = drawn(page, 40, 30, {"points": [[8, 27]]}).astype(int)
    red = (found[:, :, 0] - found[:, :, 2]).clip(0)
    rows, cols = np.indices(red.shape)
    assert (red * rows).sum() / red.sum() == pytest.approx(8, abs=0.3)
    assert (red * cols).sum() / red.sum() == pytest.approx(27, abs=0.3)


def test_a_box_is_drawn_around_its_object_with_a_name(page):
    box = {"index": 1, "name": "<i>", "score": 0.5, "box": [40, 20, 70, 90]}
    found = drawn(page, 120, 100, {"boxes": [box]}).astype(int)
    coloured = found.max(2) - found.min(2) > 40
    rows, cols = np.nonzero(coloured)
    assert [rows.min(), cols.min(), rows.max() + 1, cols.max() + 1] == pytest.approx(
        [40, 20, 70, 90], abs=1.5
    )
    assert (found[45:65, 25:85] == 255).all()  # nothing inside
    assert (found[30:39, 20:60] < 128).any()  # the name above it


SHOW = """async ([kind, answer, smiley]) => {
    const { show } = await import(`./targets/${kind}.js`);
    const place = document.createElement("section");
    document.body.append(place);
    const companion = { node: document.createElement("i"), show() {} };
    place.append(...show(answer, smiley ? companion : null).filter(Boolean));
    const text = (name) => [...place.querySelectorAll(name)].map((node) => node.textContent);
    const wide = [...place.querySelectorAll("rect")].map((node) => node.getAttribute("width"));
    place.remove();
    return { headline: text(".headline"), bars: text(".bars li"), chips: text(".chips li"), wide };
}"""


def shown(page, kind, smiley=False, **answer):
    return page.evaluate(SHOW, [kind, answer, smiley])


def test_shares_are_written_as_people_read_them(page):
    bars = [["a", 0.987], ["b", 0.0995], ["c", 0.05123], ["d", 0.00099], ["e", 0.001]]
    found = shown(page, "category", headline="a", bars=bars)
    assert found["bars"] == ["a99 %", "b10.0 %", "c5.1 %", "d<0.1 %", "e0.1 %"]
    assert found["wide"] == ["98.7%", "10.0%", "5.1%", "0.1%", "0.1%"]
    assert found["headline"] == ["a"]
    assert shown(page, "category", smiley=True, headline="a", bars=bars)["bars"] == [
        "a99 %",
        "b10.0 %",
        "c5.1 %",
    ]


def test_what_is_there_stands_as_chips_and_a_legend_has_colours(page):
    found = shown(page, "multicategory", headline="", chips=["x", "<b>"], bars=[])
    assert (found["headline"], found["chips"]) == ([], ["x", "<b>"])
    legend = [[3, "road", 0.75], [0, "sky", 0.25]]
    html = page.evaluate(
        """async (legend) => {
            const { show } = await import("./targets/mask.js");
            const place = document.createElement("section");
            place.append(...show({ headline: "", legend }));
            return place.innerHTML;
        }""",
        legend,
    )
    assert re.findall(r"<span>(.*?)</span>", html) == ["road 75 %", "sky 25 %"]
    fills = re.findall(r'fill="(rgb\([^"]*\))"', html)
    colours = page.evaluate(
        """async () => {
            const { colour } = await import("./view.js");
            return [3, 0].map((i) => `rgb(${colour(i)})`);
        }"""
    )
    assert fills == colours


# --- images --------------------------------------------------------------------------------

READ = """async (bytes) => {
    const { open, read } = await import("./inputs/image.js");
    const blob = new Blob([Uint8Array.from(bytes)]);
    const found = read(await open(blob), document.createElement("canvas"));
    return { ...found, data: Array.from(found.data) };
}"""


def read(page, img):
    buffer = io.BytesIO()
    img.save(buffer, "PNG")
    found = page.evaluate(READ, list(buffer.getvalue()))
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 3)


def test_transparency_lies_on_white(page):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 1] = (200, 30, 60, 255)
    pixels[1, 2] = (200, 30, 60, 128)
    found = read(page, Pillow.fromarray(pixels))
    assert found[0].tolist() == [[255] * 3, [200, 30, 60], [255] * 3]
    assert found[1, :2].tolist() == [[255] * 3] * 2
    assert np.abs(found[1, 2].astype(int) - [227, 142, 157]).max() <= 2


def test_pixels_are_red_green_blue_row_by_row(page):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 9
    assert np.array_equal(read(page, Pillow.fromarray(pixels)), pixels)
    rgb = page.evaluate(
        """async () => {
            const { withoutAlpha } = await import("./inputs/image.js");
            return Array.from(withoutAlpha(Uint8ClampedArray.from([1, 2, 3, 4, 5, 6, 7, 8])));
        }"""
    )
    assert rgb == [1, 2, 3, 5, 6, 7]


def test_a_image_too_large_for_a_phone_is_made_smaller_and_says_so(page):
    sizes = page.evaluate(
        """async () => {
            const { read } = await import("./inputs/image.js");
            const canvas = document.createElement("canvas");
            return [[8200, 2000], [4000, 4000]].map(([w, h]) => {
                const { width, height, shrunk } = read(new OffscreenCanvas(w, h), canvas);
                return [width, height, shrunk];
            });
        }"""
    )
    (w, h, shrunk), whole = sizes
    assert whole == [4000, 4000, False]
    assert shrunk
    assert w * h <= 16_010_000
    assert w / h == pytest.approx(4.1, abs=0.01)


# --- texts and series ----------------------------------------------------------------------

VOCAB = (*SPECIAL, "the", "film", "the", "xxfake", "good", "!")


def test_texts_are_numbered_as_in_python_from_either_end(page):
    texts = ["The film, good!", "xxpad film", "unseen", "", "film film good"]
    for backwards in (False, True):
        spec = TextSpec(VOCAB, backwards=backwards)
        found = page.evaluate(
            """async ([vocab, backwards, texts]) => {
                const { numbering } = await import("./inputs/text.js");
                const number = numbering(vocab, backwards);
                return texts.map((text) => Array.from(number(text), Number));
            }""",
            [list(VOCAB), backwards, texts],
        )
        assert found == [spec.ids(text).tolist() for text in texts]
    assert found[4] == [13, 10, 10, 2]  # backwards: xxbos comes last


@MANY
@given(
    st.lists(
        st.lists(st.none() | st.floats(-1e6, 1e6, width=32), min_size=5, max_size=5),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_gaps_are_filled_as_in_python(page, rows, shift):
    for row in rows:
        row[1] = 2.5 if row[1] is None else row[1]  # each channel holds a number
    x = np.array([[np.nan if v is None else v for v in row] for row in rows])
    if np.flatnonzero(~np.isnan(x).all(0))[-1] < 1:
        return  # one step is no series
    found = page.evaluate(
        """async ([rows, shift]) => {
            const { fill } = await import("./inputs/series.js");
            const whole = fill(rows.map((row) => row.map((v) => v ?? NaN)), shift);
            return whole.map((row) => Array.from(row));
        }""",
        [rows, shift],
    )
    wanted = as_series(x, shift=shift)
    scale = np.abs(wanted).max() or 1
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * scale)


def test_a_first_row_of_names_is_left_out_and_columns_are_channels(page):
    parse = """async ([text, channels]) => {
        const { parse } = await import("./inputs/series.js");
        return parse(text, channels);
    }"""
    assert page.evaluate(parse, ["up,down\n1,10\n2,20\n3,30", 2]) == [[1, 2, 3], [10, 20, 30]]
    assert page.evaluate(parse, ["1,10\n2,20\n3,30", 3]) == [[1, 10], [2, 20], [3, 30]]
    assert page.evaluate(parse, ["1;2;3", 1]) == [[1, 2, 3]]


# --- the whole way of an answer ------------------------------------------------------------

names = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
    unique=True,
)


def table_row(target, answer, probabilities):
    """What `onecycle predict` writes of an answer, read back from its CSV file.

    Texts that a spreadsheet would compute have an apostrophe before them, which is taken away here.
    """
    columns, file = _Columns(target, None), io.StringIO(newline="")
    row = ("x", str(answer), columns.of(answer.data, probabilities))
    plain = ["file", "answer", *columns.names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnecycleWarning)
        write_csv(file, plain, [row])
    header, found = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert header == [as_text(name) for name in plain]
    assert found[1] == as_text(str(answer))
    header, found[1] = plain, str(answer)
    return header, found[1], np.array(found[2:], np.float32)


@MANY
@given(names, st.data())
def test_a_category_survives_encoding_decoding_tables_json_and_the_page(page, classes, data):
    target = CategorySpec().fit(classes)
    label = data.draw(st.sampled_from(classes))
    probabilities = np.eye(len(classes), dtype=np.float32)[target.encode(label)]
    answer = target.decode(probabilities)
    assert answer == label == json.loads(json.dumps(answer.to_dict()))["answer"]
    header, written, shares = table_row(target, answer, probabilities)
    assert written == label
    assert header[2 + shares.argmax()] in {label, f"{label} (class)"}
    found = decoded(page, ImageSpec(), target, {"probabilities": probabilities.tolist()})
    assert answer == found["headline"]


@MANY
@given(names, st.data())
def test_tags_survive_encoding_decoding_tables_json_and_the_page(page, classes, data):
    classes = [re.sub('[;"]', ",", name) for name in classes]  # those are quoted
    target = MultiCategorySpec(tuple(sorted(set(classes))), 0.5)
    label = data.draw(st.lists(st.sampled_from(target.classes), unique=True))
    probabilities = target.encode(label)
    answer = target.decode(probabilities)
    assert sorted(answer.obj) == sorted(label)
    assert answer == json.loads(json.dumps(answer.to_dict()))["answer"]
    _, written, shares = table_row(target, answer, probabilities)
    assert [name for name in written.split(";") if label] == (answer.obj if label else [])
    assert shares.tolist() == probabilities.tolist()
    found = decoded(page, ImageSpec(), target, {"probabilities": probabilities.tolist()})
    assert answer == found["chips"]


@MANY
@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=4))
def test_numbers_survive_encoding_decoding_tables_json_and_the_page(page, values):
    target = NumbersSpec(tuple(f"y{i}" for i in range(len(values))))
    encoded = target.encode(values)
    answer = target.decode(encoded)
    assert answer == (values if len(values) > 1 else values[0])
    assert answer == json.loads(json.dumps(answer.to_dict()))["answer"]
    _, _, written = table_row(target, answer, encoded)
    assert written.tolist() == values
    found = decoded(page, ImageSpec(), target, {"probabilities": values})
    shown_numbers = [float(part.split(" ")[1]) for part in found["headline"].split(", ")]
    assert shown_numbers == pytest.approx(values, rel=6e-4)


@MANY
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_points_survive_encoding_decoding_tables_and_json(page, count, seed):
    rng = np.random.default_rng(seed)
    label = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    target = PointsSpec(count)
    answer = target.decode(label.ravel())
    assert answer == label
    assert answer == json.loads(json.dumps(answer.to_dict()))["answer"]
    header, _, written = table_row(target, answer, label.ravel())
    assert header[2:4] == ["y0", "x0"]
    assert written.tolist() == label.ravel().tolist()


LATE = """
const model = new Response(new Uint8Array(8));
const later = () => new Promise((found) => setTimeout(found, 300));
const match = (url) => (url.endsWith("m.onnx") ? Promise.resolve(model) : later());
Object.defineProperty(globalThis, "caches", { value: { match } });
await import("./worker.js");
postMessage("ready");
"""
HEARD = """([model, runtime]) => new Promise((ended, failed) => {
    const [worker, heard] = [new Worker("late.js", { type: "module" }), []];
    setTimeout(() => failed(new Error(`no reply after ${JSON.stringify(heard)}`)), 10_000);
    worker.onmessage = ({ data }) => {
        const files = { model, runtime, served: true, threads: 1 };
        if (data === "ready") worker.postMessage({ id: 1, files });
        else if (data.id === 1) ended([heard, data.error ?? ""]);
        else heard.push(data);
    };
})"""


def test_progress_is_told_once_it_is_known_what_is_fetched(browser, tmp_path):
    """The model lies in the browser's cache; whether the runtime does is answered later."""
    site = write_site(made("category", tmp_path), tmp_path / "site")
    (site / "late.js").write_text(LATE)
    model = {"file": "m.onnx", "bytes": 8, "packed": 8}
    runtime = {"folder": "ort/", "script": "no.mjs", "file": "no.wasm", "bytes": 4, "packed": 4}
    with served(site) as address:
        page = opened(browser, address)
        heard, error = page.evaluate(HEARD, [model, runtime])
        page.context.close()
    assert "no" in error  # neither file of the runtime is there
    assert all(0 <= one["done"] <= one["total"] and one["total"] > 0 for one in heard), heard
