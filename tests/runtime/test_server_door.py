"""Who is let in, how often, what is written down about it, and which other sites may ask."""

import base64
import hmac
import io
import json
import logging

import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient
from test_page import made
from test_server import png

from onecycle.core.errors import UsageError
from onecycle.runtime.http.guard import Rate, client_of
from onecycle.runtime.http.log import JsonLines, logger
from onecycle.runtime.http.server import application
from onecycle.runtime.http.settings import Settings

ONE, OTHER = "kiwi-7f3a9c2e41b8", "plum-0123456789ab"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made("category", tmp_path_factory.mktemp("door"))


@pytest.fixture
def lines():
    """What the log says from here on, a dict a line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def asking(model, **settings):
    return TestClient(application(model, settings=Settings(**settings)))


def basic(token, user="anyone"):
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


# --- tokens ---------------------------------------------------------------------------------


def test_without_a_token_nothing_but_the_probes_is_answered(model):
    with asking(model, tokens=(ONE,)) as client:
        for path in ("/", "/index.html", "/model.json", "/api/model", "/metrics", "/openapi.json"):
            assert client.get(path).status_code == 401, path
        for path in ("/healthz/", "//healthz", "/healthz/../api/model", "/HEALTHZ", "/readyz/x"):
            assert client.get(path).status_code == 401, path
        for path in ("/api/predict", "/analyze"):
            reply = client.post(path, content=png())
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert reply.headers["content-type"] == "application/problem+json"
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/").headers["www-authenticate"].startswith("Basic ")  # a browser asks


def test_each_token_opens_as_bearer_and_as_a_browsers_password(model):
    with asking(model, tokens=(ONE, OTHER)) as client:

        def status(authorization):
            heads = {"Authorization": authorization}
            return client.post("/api/predict", content=png(), headers=heads).status_code

        for token in (ONE, OTHER):
            assert status(f"Bearer {token}") == 200
            assert status(f"bearer  {token} ") == 200
            assert status(basic(token)) == 200
        for wrong in (
            *("", ONE, "Bearer", "Bearer ", f"Bearer {ONE[:-1]}", f"Bearer {ONE}x", f"Basic {ONE}"),
            *(f"Bearer {ONE.upper()}", f"Token {ONE}", f"Bearer {ONE} {OTHER}", "Basic é"),
            *(basic(""), basic(ONE[1:]), basic("", user=ONE), "Basic " + "=" * 9, "Basic "),
            "Bearer é" + ONE,
        ):
            assert status(wrong.encode("latin-1")) == 401, wrong


def test_every_token_is_compared_in_constant_time_whichever_fits(model, monkeypatch):
    """Compared are digests of one length, all of them, so that time says nothing of any."""
    seen, compare = [], hmac.compare_digest

    def counted(one, other):
        seen.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    with asking(model, tokens=(ONE, OTHER)) as client:
        for given in (ONE, OTHER, "x", "y" * 5000):
            seen.clear()
            client.get("/api/model", headers={"Authorization": f"Bearer {given}"})
            assert seen == [(32, 32), (32, 32)], given


def test_a_token_that_can_be_guessed_is_refused_and_none_is_shown():
    for weak in ("", "short", "with blanks in it, long enough", "é" * 20, "a\n" + "b" * 20):
        with pytest.raises(UsageError, match="16 to 200") as caught:
            Settings(tokens=(ONE, weak))
        assert ONE not in str(caught.value)
        assert not weak or weak not in str(caught.value)
    assert ONE not in repr(Settings(tokens=(ONE,)))


# --- rate -----------------------------------------------------------------------------------


def test_a_bucket_holds_a_minutes_requests_and_refills_steadily():
    now = [100.0]
    rate = Rate(6, clock=lambda: now[0])  # one in ten seconds
    assert [rate.wait("a") for _ in range(7)] == [0] * 6 + [10]
    now[0] += 4
    assert rate.wait("a") == pytest.approx(6)  # asking does not put it off
    assert rate.wait("b") == 0  # another's is full
    now[0] += 6
    assert rate.wait("a") == 0
    assert rate.wait("a") == pytest.approx(10)
    now[0] += 3600
    assert [rate.wait("a") > 0 for _ in range(8)] == [False] * 6 + [True] * 2  # never more


def test_clients_beyond_the_bound_push_out_those_that_asked_longest_ago():
    now = [0.0]
    rate = Rate(1, most=3, clock=lambda: now[0])
    for client in "abca":  # a asked last
        rate.wait(client)
    rate.wait("d")
    assert list(rate.buckets) == ["c", "a", "d"]
    for client in range(10_000):
        rate.wait(str(client))
    assert len(rate.buckets) == 3


@pytest.mark.parametrize(
    ("forwarded", "proxies", "found"),
    [
        ([], 0, "10.0.0.7"),
        (["1.2.3.4"], 0, "10.0.0.7"),  # anybody can write that
        (["6.6.6.6, 1.2.3.4"], 1, "1.2.3.4"),  # what stands before the proxy's entry, too
        (["6.6.6.6", "1.2.3.4"], 1, "1.2.3.4"),
        (["6.6.6.6, 1.2.3.4, 10.0.0.9"], 2, "1.2.3.4"),
        (["1.2.3.4"], 2, "10.0.0.7"),  # it did not come by both
        ([], 1, "10.0.0.7"),
        (["1.2.3.4:5678"], 1, "1.2.3.4"),
        (["[2001:db8:1:2:3::4]:99"], 1, "2001:db8:1:2::/64"),
        (["2001:db8:1:2:ffff::9"], 1, "2001:db8:1:2::/64"),
        (["::ffff:1.2.3.4"], 1, "1.2.3.4"),
        (["not an address" * 1000], 1, "10.0.0.7"),
        (["unknown"], 1, "10.0.0.7"),
    ],
)
def test_a_client_is_who_the_own_proxies_saw(forwarded, proxies, found):
    headers = Headers(raw=[(b"x-forwarded-for", line.encode()) for line in forwarded])
    assert client_of(headers, "10.0.0.7", proxies) == found


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_answered(model):
    with asking(model, rate=3, proxies=1, tokens=(ONE,)) as client:

        def ask(address, path="/api/model", token=ONE):
            heads = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}"}
            return client.get(path, headers=heads)

        statuses = [ask("1.1.1.1", token=t).status_code for t in (ONE, "guess", ONE, ONE, "guess")]
        assert statuses == [200, 401, 200, 429, 429]  # guesses count
        reply = ask("1.1.1.1")
        assert 1 <= int(reply.headers["retry-after"]) <= 20
        assert reply.headers["content-type"] == "application/problem+json"
        assert "3 requests a minute" in reply.json()["detail"]
        assert ask("2.2.2.2").status_code == 200
        assert {ask("1.1.1.1", "/healthz").status_code for _ in range(9)} == {200}
    with asking(model) as client:
        assert {client.get("/api/model").status_code for _ in range(300)} == {200}


# --- ids and the log ------------------------------------------------------------------------


def test_an_id_that_is_well_formed_is_taken_over_and_any_other_is_made_anew(model, lines):
    with asking(model, log_requests=True) as client:
        for given, taken in (
            ("order-2024.11_x", True),
            ("a" * 8, True),
            ("a" * 64, True),
            ("a" * 7, False),
            ("a" * 65, False),
            ("with blank in", False),
            ('quote"quote"', False),
            ("Zoë-Zoë-Zoë", False),
            ("", False),
        ):
            heads = {"X-Request-ID": given.encode("latin-1")}
            found = client.get("/api/model", headers=heads).headers["x-request-id"]
            assert (found == given) == taken, given
            assert taken or len(found) == 32
            assert lines()[-1]["id"] == found
        made_ones = {client.get("/healthz").headers["x-request-id"] for _ in range(50)}
        assert len(made_ones) == 50


def test_a_line_a_request_says_what_happened_and_nothing_that_was_sent(model, lines):
    with asking(model, log_requests=True) as client:
        form = {"secret-field": ("secret-name.png", png(), "image/png")}
        client.post("/api/predict?secret=secret", files=form, headers={"Cookie": "secret"})
        client.post("/api/predict", content=b"secret text")
        client.get("/secret/../secret.html?secret")
        client.request("SECRET", "/healthz")
        client.get("/api/predict/secret")
    found = lines()
    assert "secret" not in json.dumps(found).lower()
    keys = {"time", "level", "event", "id", "method", "route", "status", "ms"}
    assert all(set(line) == keys | {"bytes_in", "bytes_out"} for line in found)
    rows = [(line["method"], line["route"], line["status"]) for line in found]
    assert rows == [
        ("POST", "/api/predict", 200),
        ("POST", "/api/predict", 422),
        ("GET", "page", 404),
        ("other", "/healthz", 405),
        ("GET", "page", 404),
    ]
    assert found[1]["bytes_in"] == len(b"secret text")
    assert found[0]["bytes_in"] > len(png())
    assert found[1]["bytes_out"] > 50


def test_what_fails_inside_is_500_and_the_log_says_where_but_not_what_was_sent(
    model, lines, monkeypatch
):
    from onecycle.runtime.predictor import Predictor

    def broken(self, items, thresh=None):
        raise ValueError("cannot read 'secret text'")

    with asking(model) as client:
        monkeypatch.setattr(Predictor, "answers", broken)
        reply = client.post("/api/predict", content=png())
        monkeypatch.undo()
        assert reply.status_code == 500
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "secret" not in reply.text
        (line,) = lines()
        assert (line["level"], line["error"]) == ("error", "ValueError")
        assert line["id"] == reply.headers["x-request-id"]
        assert "broken" in line["at"][-1]
        assert "secret" not in json.dumps(line)
        assert client.post("/api/predict", content=png()).status_code == 200
        assert 'onecycle_replies_total{status="500"} 1.0' in client.get("/metrics").text


# --- other sites ----------------------------------------------------------------------------


def test_listed_sites_may_ask_and_no_others(model):
    mine = "https://shop.example"
    asked = {"Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization, x-request-id"
    with asking(model, origins=(mine,), tokens=(ONE,)) as client:
        before = client.options("/api/predict", headers={"Origin": mine, **asked})
        assert before.status_code == 200  # a browser sends no token with it
        assert before.headers["access-control-allow-origin"] == mine
        assert "access-control-allow-credentials" not in before.headers
        for origin in ("https://shop.example.evil", "http://shop.example", "null"):
            heads = {"Origin": origin, **asked}
            assert "access-control-allow-origin" not in client.options("/x", headers=heads).headers
            reply = client.get("/api/model", headers={"Origin": origin})
            assert "access-control-allow-origin" not in reply.headers
        heads = {"Origin": mine, "Authorization": f"Bearer {ONE}"}
        reply = client.post("/api/predict", content=png(), headers=heads)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, mine)
        refused = client.post("/api/predict", content=png(), headers={"Origin": mine})
        assert refused.headers["access-control-allow-origin"] == mine  # so that it can be read
    for wrong in ("shop.example", "https://shop.example/", "https://a b", "file:///x", "**"):
        with pytest.raises(UsageError, match="no origin"):
            Settings(origins=(wrong,))
    assert Settings(origins=("*", "http://localhost:3000")).origins


# --- the environment ------------------------------------------------------------------------


def test_settings_come_from_the_environment_unless_they_are_given():
    env = {
        "ONECYCLE_TOKENS": f"{ONE} {OTHER}",
        "ONECYCLE_RATE": "120",
        "ONECYCLE_PROXIES": "1",
        "ONECYCLE_ORIGINS": "https://a.example  https://b.example",
        "ONECYCLE_LOG_REQUESTS": "yes",
    }
    found = Settings.from_environment(env=env)
    assert found == Settings((ONE, OTHER), 120, 1, ("https://a.example", "https://b.example"), True)
    given = {"rate": 0, "tokens": (OTHER,), "proxies": None}
    assert Settings.from_environment(given, env) == Settings(
        (OTHER,), 0, 1, found.origins, log_requests=True
    )
    assert Settings.from_environment(env={}) == Settings()
    for name, value in {"RATE": "many", "PROXIES": "-1", "LOG_REQUESTS": "perhaps"}.items():
        with pytest.raises(UsageError, match=f"ONECYCLE_{name}"):
            Settings.from_environment(env={f"ONECYCLE_{name}": value})


def test_the_description_says_that_a_token_is_wanted(model):
    with asking(model, tokens=(ONE,), rate=99) as client:
        found = client.get("/openapi.json", headers={"Authorization": f"Bearer {ONE}"}).json()
    assert found["security"] == [{"bearer": []}]
    assert found["paths"]["/readyz"]["get"]["security"] == []
    assert {"401", "429"} <= set(found["paths"]["/api/predict"]["post"]["responses"])
    with asking(model) as client:
        found = client.get("/openapi.json").json()
    assert "security" not in found
    assert not {"401", "429"} & set(found["paths"]["/api/predict"]["post"]["responses"])
