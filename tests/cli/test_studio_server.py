"""Who may ask the studio, and what it says to what makes no sense."""

import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from helpers.hostile import NAMES
from onecycle.cli.studio import jobs
from onecycle.cli.studio.server import application
from onecycle.cli.studio.start import make_studio, start, usual_home
from onecycle.core.errors import UsageError

HERE = "http://127.0.0.1:8020"


def client(studio, token="secret"):
    found = TestClient(application(studio, "secret"), base_url=HERE)
    found.get(f"/?token={token}")
    return found


def png(colour=(9, 8, 7)):
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def own(tmp_path):
    """A project whose classes are made in the studio."""
    asking = client(make_studio(None, "images", tmp_path / "home", None))
    for name in ("cat", "dog"):
        assert asking.post("/api/classes", json={"name": name}).status_code == 200
    return asking


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/project", "/thumbnail/0", "/site/1/"])
def test_nobody_is_let_in_without_the_token(tmp_path, path):
    studio = make_studio(None, "images", tmp_path / "home", None)
    stranger = client(studio, "wrong")
    assert stranger.get(path).status_code == 403
    known = client(studio)
    assert known.get("/app.js").status_code == 200
    assert known.get("/app.js", headers={"host": "evil.example"}).status_code == 400
    assert known.get("/api/project", headers={"origin": "http://evil.example"}).status_code == 403
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}
    assert known.get("/thumbnail/0", headers=cross).status_code == 403


def test_the_token_does_not_stay_in_the_address(tmp_path):
    studio = make_studio(None, "images", tmp_path / "home", None)
    asking = TestClient(application(studio, "secret"), base_url=HERE)
    found = asking.get("/?token=secret", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/")
    cookie = found.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_what_cannot_be_opened_is_named_and_the_rest_is_kept(own):
    files = [
        ("files", ("good.png", png())),
        ("files", ("bad.png", b"\x89PNG\r\n\x1a\nbroken")),
        ("files", ("../../page.html", b"<html><script>")),
        ("files", ("again.png", png())),
    ]
    found = own.post("/api/files", data={"label": "cat"}, files=files).json()
    assert (found["added"], found["again"]) == (1, 1)
    assert [why.split(":")[0] for why in found["refused"]] == ["bad.png", "page.html"]
    assert own.get("/api/project").json()["counts"]["cat"] == {"train": 1}
    assert own.get("/thumbnail/0").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/change", {}),
        ("/api/change", {"changes": [{"i": 5}]}),
        ("/api/classes", {"name": "cat"}),
        ("/api/runs", {"minutes": 1}),
        ("/api/look", {"max_zoom": 0.5}),
        ("/api/look", {"max_rotate": "much"}),
        ("/api/jobs/rm", {}),
        ("/api/runs/7/stop", {}),
        ("/api/runs/7/decisions", {}),
        ("/api/runs/7/jobs/ship", {}),
    ],
)
def test_what_makes_no_sense_is_one_sentence(own, path, body):
    found = own.post(path, json=body)
    assert found.status_code == 400
    assert "\n" not in found.json()["error"]
    assert found.json()["error"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"minutes": -1}, "minutes"),
        ({"minutes": "5"}, "minutes"),
        ({"password": "x"}, "password"),
        ({"arch": {"a": 1}}, "arch"),
        ({"size": 3}, "size"),
        ({"flip_vert": "no"}, "flip_vert"),
        ({"max_rotate": 1000}, "max_rotate"),
        ({"start": "../.."}, "start"),
        ({"start": 7}, "training 7"),
        ({"lr": 0}, "learning rate"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(own, asked, named):
    found = own.post("/api/runs", json=asked)
    assert found.status_code == 400
    assert named in found.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(own, body):
    assert own.post("/api/change", content=body).status_code == 400


def test_windows_of_items_join_to_the_whole(tmp_path):
    for i in range(30):
        path = tmp_path / "photos" / f"class {i % 3}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png((i, 0, 0)))
    asking = client(make_studio(tmp_path / "photos", "images", tmp_path / "home", None))
    whole = asking.get("/api/items?count=1000").json()
    assert whole["total"] == 30
    parts = [asking.get(f"/api/items?from={n}&count=7").json()["rows"] for n in range(0, 30, 7)]
    assert [row for part in parts for row in part] == whole["rows"]
    some = asking.get("/api/items?label=class 1&text=/1").json()["rows"]
    assert [row["name"] for row in some] == [f"class 1/{n}.png" for n in (10, 13, 16, 19)]
    i = some[0]["i"]
    asking.post("/api/change", json={"changes": [{"i": i, "out": True}]})
    assert [row["i"] for row in asking.get("/api/items?state=out").json()["rows"]] == [i]
    assert asking.get("/api/items?from=-1").status_code == 400


def test_names_come_as_they_are_and_files_of_others_do_not_come(tmp_path):
    for n, name in enumerate(name for name in NAMES if "/" not in name):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "x.png").write_bytes(png((n, 1, 1)))
    (tmp_path / "secret.txt").write_text("secret")
    asking = client(make_studio(tmp_path / "photos", "images", tmp_path / "home", None))
    found = asking.get("/api/items").json()["rows"]
    assert {row["label"] for row in found} == {name for name in NAMES if "/" not in name}
    (tmp_path / "home/runs/1/site").mkdir(parents=True)
    (tmp_path / "home/runs/1/site/index.html").write_text("page")
    assert asking.get("/site/1/").text == "page"
    for path in ("../../../../secret.txt", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret.txt", "..%2ftrain"):
        assert asking.get(f"/site/1/{path}").status_code == 404
    assert asking.get("/../project.json").status_code == 404


def begun(asking):
    """A training of six images that runs; its folder."""
    for name, colour in (("cat", 0), ("dog", 99)):
        files = [("files", (f"{i}.png", png((i, colour, 0)))) for i in range(3)]
        asking.post("/api/files", data={"label": name}, files=files)
    assert asking.post("/api/runs", json={"epochs": 1}).json() == {"run": 1}
    return Path(asking.get("/api/project").json()["home"]) / "runs/1"


def test_two_tabs_begin_one_training(tmp_path, monkeypatch):
    studio = make_studio(None, "images", tmp_path / "home", None)
    monkeypatch.setattr(studio.project, "fault", lambda: time.sleep(0.2))  # it takes a while

    def begin():
        try:
            return studio.runs.begin({"epochs": 1})
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        begun = [one.result() for one in [pool.submit(begin) for _ in range(3)]]
    jobs.stop(tmp_path / "home/runs/1", "train")
    assert begun.count(1) == 1
    assert sum("training 1 runs" in str(one) for one in begun) == 2
    assert studio.runs.numbers() == [1]


def test_what_works_on_a_model_works_alone(own):
    begun(own)
    refused = own.post("/api/runs/1/jobs/ship", json={})
    own.post("/api/runs/1/stop", json={})
    assert "works on this model" in refused.json()["error"]


def test_who_begins_with_weights_keeps_what_they_saw(own):
    """Else a model trained at one size would go on at another without a word."""
    folder = begun(own)
    own.post("/api/runs/1/stop", json={})
    waited(lambda: jobs.state(folder, "train") != jobs.RUNNING)
    args = json.loads((folder / "train.args.json").read_text())
    args["how"] = {"arch": "resnet18", "size": 32, "max_zoom": 1.5}
    (folder / "train.args.json").write_text(json.dumps(args))
    (folder / "model.safetensors").touch()
    for number, asked in ((2, {}), (3, {"size": 64})):
        assert own.post("/api/runs", json={"epochs": 1, "start": 1, **asked}).status_code == 200
        own.post(f"/api/runs/{number}/stop", json={})
        other = folder.parent / str(number)
        waited(lambda other=other: jobs.state(other, "train") != jobs.RUNNING)
        found = json.loads((other / "train.args.json").read_text())
        assert found["how"] == {"arch": "resnet18", "size": 32} | asked
        assert found["fit"]["start"] == str(folder / "model.safetensors")


def test_a_training_that_never_began_hides_no_other(own):
    """The studio was killed, or the disk full, once its folder was made."""
    folder = begun(own)
    own.post("/api/runs/1/stop", json={})
    (folder.parent / "2").mkdir()
    assert [one["run"] for one in own.get("/api/runs").json()["runs"]] == [1]


@pytest.mark.parametrize("path", ["report/9", "seen/9/0", "heat/9/0", "site/9/", "site/9/a%00b"])
def test_what_there_is_none_of_is_not_found(own, path):
    assert own.get(f"/{path}").status_code == 404


def test_a_home_below_the_source_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    """Else its own small images would be found as data at the next start."""
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(UsageError, match="another --home"):
        start(photos, "images", photos / "here", None, 8020, False)
    assert [*photos.iterdir()] == []
    monkeypatch.chdir(tmp_path)
    assert usual_home(photos) == Path("onecycle-studio/photos")
    monkeypatch.chdir(photos)
    for source in (Path(), Path("../photos"), photos):
        assert usual_home(source) == tmp_path / "onecycle-studio/photos"


def test_mistakes_come_in_slices_of_the_whole(own):
    """By their losses; what was relabelled or left out is said, and what differs from before."""
    home, names = begun(own).parents[1], [row["name"] for row in items(own)]
    own.post("/api/runs/1/stop", json={})
    answers = {1: "cdcddc", 2: "cdddcc"}  # of images 0 to 5, the last of which has no label
    actual, losses = "cccdd", [0.1, 3.0, float("nan"), 0.2, 2.0]
    for run, said in answers.items():
        folder = home / f"runs/{run}"
        folder.mkdir(exist_ok=True)
        rows = [
            {"side": "train" if i == 4 else "valid", "index": i, "name": names[i]}
            | {"actual": actual[i], "predicted": said[i], "loss": losses[i], "doubt": i > 2}
            for i in range(5)
        ]
        about = {"relabel": True, "classes": ["c", "d"], "rows": rows, "heats": []}
        (folder / "mistakes.json").write_text(json.dumps(about))
        (folder / "train.args.json").write_text("{}")
        waited(lambda folder=folder: jobs.state(folder, "train") != jobs.RUNNING)
        (folder / "train.json").write_text("{}")
    found = own.get("/api/runs/2/mistakes").json()
    assert "rows" not in found
    assert found["views"] == {"worst": 2, "doubt": 2, "all": 4}
    assert found["matrix"] == [[1, 2], [0, 1]]
    assert found["against"] == {"run": 1, "both": 4, "better": 0, "worse": 1}
    assert own.get("/api/runs/1/mistakes").json()["against"] is None

    def slice(**asked):
        rows = own.get("/api/runs/2/mistakes/rows", params=asked).json()["rows"]
        return [row["index"] for row in rows]

    assert slice(view="all") == [2, 1, 3, 0]  # no number is as bad as any
    assert slice(view="all", **{"from": 1}, count=2) == [1, 3]
    assert slice(view="worst") == slice(cell="0,1") == [2, 1]
    assert slice(view="doubt") == [4, 3]
    assert own.get("/api/runs/2/mistakes/rows?view=best").status_code == 400
    own.post("/api/change", json={"changes": [{"i": 1, "label": "dog"}, {"i": 3, "out": True}]})
    rows = {r["index"]: r for r in own.get("/api/runs/2/mistakes/rows").json()["rows"]}
    assert [rows[i]["now"] for i in (0, 1, 3)] == ["cat", "dog", None]
    assert [rows[i]["label"] for i in (0, 1, 3)] == ["cat", "dog", "dog"]
    assert [rows[i]["i"] for i in range(4)] == [0, 1, 2, 3]


def test_the_server_holds_no_torch():
    """Half a gigabyte, and seconds until the page is there; jobs load it in their own processes."""
    code = "import sys, onecycle.cli.studio.start; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def items(asking):
    return asking.get("/api/items").json()["rows"]


def waited(done, seconds=60):
    for _ in range(10 * seconds):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_a_training_goes_on_with_the_labels_that_it_began_with(own):
    """What is relabelled meanwhile is for the next one."""
    begun(own)
    own.post("/api/runs/1/stop", json={})
    home = Path(own.get("/api/project").json()["home"])
    before = (home / "labels.csv").read_text()
    own.post("/api/change", json={"changes": [{"i": 0, "label": "dog"}]})
    assert (home / "labels.csv").read_text() != before
    assert (home / "runs/1/labels.csv").read_text() == before
    told = json.loads((home / "runs/1/train.args.json").read_text())["where"]
    assert told["source"] == str(home / "runs/1/labels.csv")
    images = {path.name for path in (home / "images").iterdir()}
    assert images == {path.name for path in (home / "runs/1" / told["folder"]).iterdir()}
