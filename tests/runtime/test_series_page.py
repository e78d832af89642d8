"""The page and the server of a model of series: the answers are Python's."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from folder_server import served
from test_page import opened, until
from typer.testing import CliRunner

from onecycle import models
from onecycle.cli.main import app
from onecycle.core.errors import DataError
from onecycle.runtime.inputs.series import as_series
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList

TABLES = Path(__file__).with_name("tables.json")


def trained(folder, channels, arch=None):
    """Rising and falling series, hardly trained: what counts is that both sides agree."""
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    slope = (2.0 * kind - 1)[:, None, None] * np.linspace(0, 3, 30)
    x = slope + rng.normal(0, 0.3, (40, channels, 30))
    torch.manual_seed(0)
    items = SeriesList.from_array(x, np.array(["down", "up"])[kind], path=folder, by="train")
    data = items.split_by_rand_pct(0.2, seed=0).label_from_df("label").transform(None, size=16)
    how = {"arch": arch} if arch else {"base_arch": models.small, "pretrained": False}
    learn = series_learner(data.databunch(bs=8, device="cpu"), silent=True, **how)
    return learn.fit_one_cycle(3, 3e-3).export(f"trend{channels}{arch or ''}.onnx")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    return {channels: trained(folder, channels) for channels in (1, 2)}


@pytest.fixture(scope="module", params=[1, 2])
def page(request, files, browser, tmp_path_factory):
    """The page, and the predictor of the same file."""
    site = write_site(files[request.param], tmp_path_factory.mktemp("site") / "out")
    with served(site) as address:
        yield opened(browser, address), Predictor(files[request.param])


def answered(page):
    return int(page.evaluate("document.body.dataset.answered ?? 0"))


def test_the_page_answers_a_csv_file_as_the_predictor(page, tmp_path):
    page, predictor = page
    channels = predictor.task[0].channels
    rng = np.random.default_rng(3)
    for t in (2, 30, 47, 400):
        x = rng.normal(size=(t, channels)).cumsum(0)
        x[t // 2, 0] = np.nan if t > 2 else x[t // 2, 0]
        file = tmp_path / f"{t}.csv"
        names = ",".join("ab"[:channels])
        rows = [",".join("" if np.isnan(v) else f"{v:.6g}" for v in row) for row in x]
        rows = [row or "?" for row in rows]
        file.write_text("\n".join([names, *rows]))
        before = answered(page)
        page.set_input_files("#csv", file)
        until(page, f"Number(document.body.dataset.answered ?? 0) > {before}")
        found, wanted = page.evaluate("window.lastAnswer"), predictor.predict(file)
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-3)
        assert found["headline"] == str(wanted)
        given = page.evaluate("window.lastSeries")
        np.testing.assert_allclose(given, predictor.input.array(file), rtol=1e-6)
    assert not page.is_visible("#stage")
    assert page.inner_text("#subtitle") == "Runs on this device. No number leaves it."
    assert page.faults == []


@pytest.fixture(scope="module", params=["inception_time"])
def of_network(request, tmp_path_factory):
    """The file of a network for series."""
    return trained(tmp_path_factory.mktemp("network"), 3, request.param)


def test_page_and_server_answer_by_a_network_for_series(of_network, browser, tmp_path):
    from starlette.testclient import TestClient

    from onecycle.runtime.http.server import application

    predictor = Predictor(of_network)
    series = [np.random.default_rng(t).normal(size=(t, 3)).cumsum(0).round(4) for t in (2, 30, 75)]
    wanted = [predictor.predict(x.T).probabilities for x in series]
    assert np.ptp(wanted, axis=0).max() > 0.01
    tables = ["\n".join(",".join(map(str, row)) for row in x.tolist()) for x in series]
    with served(write_site(of_network, tmp_path / "site")) as address:
        page = opened(browser, address)
        np.testing.assert_allclose(page.evaluate(ASK, tables), wanted, atol=1e-3)
        assert page.faults == []
    with TestClient(application(of_network)) as client:
        found = client.post("/api/predict", json={"series": [x.T.tolist() for x in series[1:2]]})
        shares = found.json()["predictions"][0]["probabilities"]
        np.testing.assert_allclose([shares[c] for c in predictor.classes], wanted[1], atol=1e-5)


ASK = """async (tables) => {
    const { describe, load } = await import("./model.js");
    const { fill, parse } = await import("./inputs/series.js");
    const about = await describe();
    const { channels, by } = about.task.input;
    const ask = await load(about);
    const found = [];
    for (const text of tables) {
        const rows = fill(parse(text, channels), by === "series");
        found.push(Array.from((await ask(rows)).probabilities));
    }
    return found;
}"""


def test_a_hundred_series_and_a_long_one_are_answered_as_by_the_predictor(page):
    """Through the page's own modules: the file field is tried above."""
    page, predictor = page
    rng = np.random.default_rng(4)
    walks = [
        rng.normal(size=(t, predictor.task[0].channels)).cumsum(0)
        for t in (*range(2, 102), 150_000)
    ]
    tables = ["\n".join(",".join(f"{v:.6g}" for v in row) for row in x) for x in walks]
    wanted = [predictor.predict(table.encode()).probabilities for table in tables]
    np.testing.assert_allclose(page.evaluate(ASK, tables), wanted, atol=1e-3)
    assert page.faults == []


def drawn(page, heights):
    """Draw through (share of the width, share of the height) with the mouse; what was asked."""
    box = page.locator("#curve").bounding_box()
    before = answered(page)
    for i, (x, y) in enumerate(heights):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    until(page, f"Number(document.body.dataset.answered ?? 0) > {before}")
    return np.array(page.evaluate("window.lastSeries"))


def test_a_drawn_curve_is_answered_as_by_the_predictor(page):
    page, predictor = page
    spec = predictor.task[0]
    rising = [(0.1, 0.9), (0.3, 0.5), (0.5, 0.6), (0.9, 0.1)]
    for heights, word in ((rising, "up"), ([(1 - x, y) for x, y in rising], "down")):
        for channel in range(spec.channels):
            if spec.channels > 1:
                page.select_option("#channel", str(channel))
            x = drawn(page, heights)
        assert x.shape[0] == spec.channels
        assert abs(x.shape[1] - 0.8 * 600) < 12
        ends = x[0, [0, -1]]
        assert (ends[1] > ends[0]) == (word == "up")
        assert np.abs(ends - (spec.low[0], spec.high[0])[:: 1 if word == "up" else -1]).max() < 0.5
        found, wanted = page.evaluate("window.lastAnswer"), predictor.predict(x)
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-3)
        assert found["headline"] == str(wanted)
    ink = "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v)"
    assert page.locator("#curve").evaluate(ink)
    page.click("#clear")
    assert not page.locator("#curve").evaluate(ink)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.faults == []


def test_the_page_reads_tables_as_python_does(page):
    page, _ = page
    cases = json.loads(TABLES.read_text(encoding="utf-8"))
    found = page.evaluate(
        """async (cases) => {
            const { parse } = await import("./inputs/series.js");
            const gaps = (rows) => rows.map((row) => row.map((v) => Number.isNaN(v) ? null : v));
            return cases.map(({ text, channels }) => {
                try { return gaps(parse(text, channels)); } catch { return null; }
            });
        }""",
        cases,
    )
    for case, rows in zip(cases, found, strict=True):
        assert rows == case["rows"], case["text"]


def test_the_page_keeps_what_varies_on_a_high_level(page):
    page, _ = page
    high = [[1e8 + 0.5, None, 1e8 - 0.25, None], [1001, 1002, 1000.5, None]]
    small = [[1.5e-12, None, 3e-12, -7e-12], [1 + 1e-5, 1 + 3e-5, 1.0, None], [5e-324, 0, 0, 0]]
    for rows, shift in ((high, True), (high, False), (small, True), (small[:2], False)):
        found = page.evaluate(
            """async ([rows, shift]) => {
                const { fill } = await import("./inputs/series.js");
                const gaps = rows.map((row) => row.map((v) => v ?? NaN));
                return fill(gaps, shift).map((row) => Array.from(row));
            }""",
            [rows, shift],
        )
        np.testing.assert_array_equal(found, as_series(np.array(rows, float), shift=shift))


def test_what_is_no_series_is_said(page, tmp_path):
    page, predictor = page
    file = tmp_path / "words.csv"
    file.write_text("a,b,c\nd,e,f\n")
    page.set_input_files("#csv", file)
    until(page, "document.querySelector('#status').classList.contains('error')")
    assert "Line 2" in page.inner_text("#status")
    row = "1" + ",1" * (predictor.task[0].channels - 1)
    file.write_text(f"{row}\n{row}\n{row.replace('1', '2e15', 1)}")
    page.set_input_files("#csv", file)
    until(page, "document.querySelector('#status').textContent.includes('1e15')")
    with pytest.raises(DataError, match="beyond 1e"):
        predictor.predict(file)


def test_the_server_answers_series(files):
    from starlette.testclient import TestClient

    from onecycle.runtime.http.server import application

    predictor = Predictor(files[2])
    x = np.random.default_rng(5).normal(size=(3, 2, 25)).round(3).tolist()
    with TestClient(application(files[2])) as client:
        messages = client.post("/api/predict", json={"series": x}).json()["predictions"]
        for one, found in zip(x, messages, strict=True):
            shares = [found["probabilities"][c] for c in predictor.classes]
            np.testing.assert_allclose(shares, predictor.predict(one).probabilities, atol=1e-5)
        alone = client.post("/api/predict", json={"series": x[1]}).json()["predictions"]
        assert alone[0]["answer"] == messages[1]["answer"]
        table = "\n".join(f"{a},{b}" for a, b in zip(*x[1], strict=True))
        reply = client.post(
            "/analyze", content=table.encode(), headers={"Content-Type": "text/csv"}
        )
        assert reply.json() == {"result": alone[0]["text"]}
        form = {"file": ("s.csv", table.encode(), "text/csv")}
        reply = client.post("/api/predict", files=form)
        assert reply.json()["predictions"][0]["answer"] == alone[0]["answer"]
        x[1][0][7] = None
        gap = client.post("/api/predict", json={"series": x[1]}).json()["predictions"][0]
        assert gap["answer"] == str(predictor.predict(np.array(x[1], float)))
        for body, status in (
            ({}, 422),
            ({"series": [[1, 2], [3, 4]], "more": 1}, 422),
            ({"series": [[True, 2], [3, 4]]}, 422),
            ({"series": [[1, 2e15], [3, 4]]}, 422),
            ({"series": []}, 400),
            ({"series": "name.csv"}, 422),
            ({"series": ["name.csv"]}, 422),
            ({"series": [[[1, 2], [3, 4]], str(files[2])]}, 422),
            ({"series": [1, 2, 3]}, 422),
            ({"series": [[1, 2], [3]]}, 422),
            ({"series": [[1, 10**400], [3, 4]]}, 422),
            ({"series": [[None, None], [3, 4]]}, 422),
            ({"series": [[[1, 2], [3, 4]]] * 17}, 400),
        ):
            reply = client.post("/api/predict", json=body)
            assert reply.status_code == status, body
            assert reply.headers["content-type"] == "application/problem+json"
        schema = client.get("/openapi.json").json()["paths"]["/api/predict"]["post"]
        kinds = schema["requestBody"]["content"]
        assert {"application/json", "text/csv"} == set(kinds)
        assert kinds["text/csv"]["schema"]["minLength"] == len("1\n2")
        for text in ("", "1", "1,2\n3", "a,b\n", "?,?\n?,?", "1,2,3\n4,5,6\n7,8,9"):
            head = {"Content-Type": "text/csv"}
            assert client.post("/analyze", content=text, headers=head).status_code in {400, 422}
        assert "422" in schema["responses"]


def test_series_are_predicted_from_files_by_the_command_line(files, tmp_path):
    predictor = Predictor(files[1])
    x = np.random.default_rng(5).normal(size=(3, 25)).round(3)
    (tmp_path / "one.csv").write_text("\n".join(map(str, x[0])))
    (tmp_path / "bad.csv").write_text("1\na\n3")
    rows = ["\t".join(["up", *map(str, row)]) for row in x]
    (tmp_path / "many.tsv").write_text("\n".join(rows))
    out = tmp_path / "out.csv"
    given = ["predict", files[1], *sorted(tmp_path.glob("*.?sv")), "--out", out]
    done = CliRunner().invoke(app, list(map(str, given)), catch_exceptions=False)
    assert "4 of 5 answers written" in done.output
    assert f"{tmp_path / 'bad.csv'}: line 2" in done.output
    messages = list(csv.DictReader(out.read_text().splitlines()))
    names = [Path(row["file"]).name for row in messages]
    assert names == ["bad.csv", *(f"many.tsv, series {i}" for i in (1, 2, 3)), "one.csv"]
    for row, series in zip(messages[1:], [*x, x[0]], strict=True):
        shares = [float(row[c]) for c in predictor.classes]
        np.testing.assert_allclose(shares, predictor.predict(series).probabilities, atol=1e-5)
