"""What a request says reaches the model whole, and the reply is the predictor's answer."""

import io

import numpy as np
import pytest
from handmade import made_curve, made_order, made_text
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import NETS, made

from onecycle.runtime.http.body import Limits
from onecycle.runtime.http.requests import Room
from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.targets.multi_category import MultiCategorySpec


def png(colour, size=(40, 50)):
    buffer = io.BytesIO()
    Pillow.new("RGB", size[::-1], colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def reader(folder):
    with TestClient(application(made_text(folder))) as client:
        yield client


def share_of_good(client, **request):
    reply = client.post("/api/predict", **request)
    assert reply.status_code == 200, reply.text
    return [found["probabilities"]["pos"] for found in reply.json()["predictions"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_arrive_in_their_encoding_as_files_do(encoding, reader, folder):
    data = "good good bad".encode(encoding)
    wanted = [pytest.approx(0.6)]  # (2 + 1) of (3 + 2)
    assert Predictor(folder / "reader.onnx").predict(data).probabilities[1] == wanted[0]
    assert share_of_good(reader, content=data) == wanted
    assert share_of_good(reader, files={"file": ("a.txt", data, "text/plain")}) == wanted


def test_a_charset_is_followed_or_refused(reader):
    heads = {"Content-Type": "text/plain; charset=utf-16-le"}
    data = "good good bad".encode("utf-16-le")
    assert share_of_good(reader, content=data, headers=heads) == [pytest.approx(0.6)]
    for charset in ("klingon", "idna", '"utf\0"', "hex"):
        heads = {"Content-Type": f"text/plain; charset={charset}"}
        reply = reader.post("/api/predict", content=b"good.." * 99, headers=heads)
        assert reply.status_code == 415
        assert repr(charset.strip('"')) in reply.json()["detail"]


def test_several_texts_are_answered_in_their_order(reader):
    texts = ["good", "bad bad bad film", "", "good good good"]
    wanted = [2 / 3, 1 / 5, 1 / 2, 4 / 5]
    assert share_of_good(reader, json={"texts": texts}) == pytest.approx(wanted)
    assert share_of_good(reader, json={"text": texts[1]}) == [pytest.approx(0.2)]


def test_texts_of_other_lengths_are_padded_at_their_end(folder):
    """The first token is read where it stands; what fills a row up comes last."""
    with TestClient(application(made_order(folder, False))) as client:
        texts = ["good", "bad film a", "film bad good a bad"]
        rows = client.post("/api/predict", json={"texts": texts}).json()["predictions"]
    assert [row["answer"] for row in rows] == [[9, 2], [12, 2], [10, 2]]


def test_one_is_analyzed_and_more_are_refused_instead_of_dropped(folder, reader):
    assert reader.post("/analyze", json={"text": "good"}).json() == {"result": "pos"}
    assert reader.post("/analyze", json={"texts": ["good", "bad"]}).status_code == 400
    with TestClient(application(made("category", folder))) as client:
        files = [("file", (f"{c}.png", png(c))) for c in ("red", "blue")]
        reply = client.post("/analyze", files=files)
        assert (reply.status_code, reply.headers["content-type"]) == (
            *(400, "application/problem+json"),
        )
        assert "2 in one request" in reply.json()["detail"]
        assert client.post("/analyze", files=files[:1]).json() == {"result": "red"}


def test_channels_keep_their_order_and_series_theirs(folder):
    with TestClient(application(made_curve(folder))) as client:
        series = [[[1, 2, 3], [10, 20, 30]], [[5, 7], [50, 80]]]
        rows = client.post("/api/predict", json={"series": series}).json()["predictions"]
        assert [row["answer"] for row in rows] == [[3, 30, 3], [7, 80, 2]]
        assert rows[0]["text"] == "3;30;3"
        gap = client.post("/api/predict", json={"series": [[1, None, 3], [4, 4, 4.5]]})
        assert gap.json()["predictions"][0]["answer"] == [3, 4.5, 3]
        table = client.post(
            "/api/predict", content=b"a;b\n1;10\n2;20", headers={"Content-Type": "text/csv"}
        )
        assert table.json()["predictions"][0]["answer"] == [2, 20, 2]


def test_a_threshold_decides_for_its_own_request_only(folder):
    NETS["three"] = (MultiCategorySpec(("r", "g", "b"), 0.6), NETS["multicategory"][1])
    try:
        file = made("three", folder)
    finally:
        del NETS["three"]
    predictor, data = Predictor(file), png((140, 90, 200))
    red, green, blue = predictor.predict(data).probabilities.tolist()
    assert green < red < blue
    with TestClient(application(file)) as client:
        asked = {t: f"?thresh={t}" for t in ((green + red) / 2, (red + blue) / 2, 1, 0)}
        found = {
            t: client.post(f"/api/predict{query}", content=data).json()["predictions"][0]["answer"]
            for t, query in asked.items()
        }
        assert list(found.values()) == [["r", "b"], ["b"], [], ["r", "g", "b"]]
        plain = client.post("/api/predict", content=data).json()["predictions"][0]
        assert plain["answer"] == predictor.predict(data).answer.obj
        assert plain["probabilities"] == {"r": red, "g": green, "b": blue}
        for wrong in ("-0.1", "1.1", "nan", "x"):
            assert client.post(f"/api/predict?thresh={wrong}", content=data).status_code == 400


def test_limits_are_those_that_were_set_and_reached_ones_are_still_answered(folder):
    limits = Limits(body_bytes=3000, pixels=2000, items=2)
    with TestClient(application(made("category", folder), limits)) as client:

        def status(content):
            return client.post("/api/predict", content=content).status_code

        assert status(png("red", (40, 50))) == 200  # exactly 2,000 pixels
        assert status(png("red", (40, 51))) == 413
        assert status(b"x" * 3000) == 422  # as many bytes as allowed: no image
        assert status(b"x" * 3001) == 413
        files = [("file", (f"{i}.png", png("red", (4, 5)))) for i in range(3)]
        assert client.post("/api/predict", files=files[:2]).status_code == 200
        assert client.post("/api/predict", files=files).status_code == 400


def test_room_that_was_taken_is_given_back_also_after_an_error():
    from starlette.exceptions import HTTPException

    room = Room(100)
    with room.share() as take:
        take(60)
        take(40)
        assert room.held == 100
    assert room.held == 0

    def too_much():
        with room.share() as take:
            for count in (60, 41):
                take(count)

    with pytest.raises(HTTPException) as caught:
        too_much()
    assert caught.value.status_code == 503
    assert room.held == 0


def test_an_upload_is_turned_and_laid_on_white_as_everywhere(folder):
    pixels = np.zeros((40, 60, 4), np.uint8)  # all clear: white, which no colour wins
    pixels[:, :30] = (0, 0, 255, 255)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    file = made("numbers", folder)
    with TestClient(application(file)) as client:
        (found,) = client.post("/api/predict", content=buffer.getvalue()).json()["predictions"]
    wanted = Predictor(file).predict(buffer.getvalue()).answer
    assert wanted == found["answer"]
    assert found["answer"][2] == pytest.approx(2)  # blue everywhere: (1 - .5) / .25
    assert found["answer"][0] == pytest.approx(0, abs=0.1)  # red in the clear half only
