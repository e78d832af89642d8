"""What nobody means is answered, by the model of every kind of input, and never with a 5xx."""

from collections import Counter

import pytest
from handmade import made_curve, made_text
from starlette.testclient import TestClient
from strange_uploads import corpus, strange
from test_page import made

from onecycle.runtime.http.server import application

REFUSALS = {400, 408, 413, 415, 422}


@pytest.fixture(params=["image", "text", "series"])
def client(request, tmp_path):
    make = {"image": lambda folder: made("category", folder), "text": made_text}
    with TestClient(application(make.get(request.param, made_curve)(tmp_path))) as client:
        yield client


@pytest.mark.filterwarnings("default")  # of what images hold; a server has nobody to tell it to
@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_upload_is_a_5xx_and_each_refusal_says_why(client, count):
    assert count > len(corpus())
    seen = Counter()
    for i, (body, kind) in enumerate(strange(count)):
        headers = {"Content-Type": kind.encode("latin-1")} if kind else {}
        reply = client.post(("/api/predict", "/analyze")[i % 2], content=body, headers=headers)
        seen[reply.status_code] += 1
        assert reply.status_code in REFUSALS | {200}, (kind, body[:200], reply.text)
        if reply.status_code != 200:
            assert len(reply.json()["detail"]) > 10, (kind, body[:200])
            assert "object at 0x" not in reply.text
    assert seen[200] > 0
    assert seen[400] > count / 20
    assert seen[422] > count / 100


def test_the_corpus_holds_forms_json_and_bodies_of_many_types():
    kinds = Counter(kind.partition(";")[0] for _, kind in corpus())
    assert min(kinds["multipart/form-data"], kinds["application/json"]) > 15
    assert len(kinds) > 15
    assert len({body for body, _ in corpus()}) > 80
