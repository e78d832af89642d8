"""One callback for several trackers: read back by what each tracker itself reads with."""

import csv
import json
import sys
from pathlib import Path

import pytest
from learn_helpers import tiny_learner

from onecycle import Checkpoint, Predictor, SaveModel, Tracker
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.callback import Callback

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the trackers' own libraries
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Seen(Callback):
    """What a tracker should have seen: (step, name, value)."""

    def before_fit(self, run):
        self.rows, self.gap = getattr(self, "rows", []), int(hasattr(self, "rows"))

    def after_step(self, run):
        at = len([row for row in self.rows if row[1] == "step/loss"]) + self.gap
        self.rows.append((at, "step/loss", run.loss_value))
        self.rows.append((at, "step/lr", run.optimizer.rates()[-1]))


@pytest.fixture(scope="module", autouse=True)
def _no_service_stays():
    """W&B keeps a process for the runs to come."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in ("mlflow", "wandb")]


@pytest.fixture(params=["csv", "tensorboard", *LONG])
def place(request, tmp_path, monkeypatch):
    """A tracker by name, its reader, and options of a Tracker that writes below `tmp_path`."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    folder = {} if request.param == "mlflow" else {"folder": tmp_path / "runs"}
    reader = {"csv": of_csv, "tensorboard": of_board, "mlflow": of_mlflow, "wandb": of_wandb}
    return request.param, folder, lambda: reader[request.param](tmp_path)


def of_csv(root):
    folder = root / "runs/tags/first"
    rows = [*csv.DictReader((folder / "metrics.csv").open())]
    found = [(int(r["step"]), r["name"], float(r["value"])) for r in rows]
    return (
        found,
        json.loads((folder / "params.json").read_text()),
        [p.name for p in folder.glob("*.onnx")],
    )


def of_board(root):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(root / "runs/tags/first"), size_guidance={"scalars": 0})
    events.Reload()
    found = [
        (e.step, name, e.value) for name in events.Tags()["scalars"] for e in events.Scalars(name)
    ]
    text = events.Tensors("params/text_summary")[0].tensor_proto.string_val[0].decode()
    rows = [line.strip("| ").split(" | ", 1) for line in text.splitlines()[2:]]
    return found, dict(rows), []


def of_mlflow(root):
    from mlflow import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("tags").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    found = [
        (m.step, name, m.value)
        for name in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, name)
    ]
    return found, run.data.params, [a.path for a in client.list_artifacts(run.info.run_id)]


def of_wandb(root):
    """What was written offline, which `wandb sync` sends: its records, by its own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    found, params, files, ids = [], {}, [], set()
    for path in sorted(root.glob("runs/wandb/offline-run-*/run-*.wandb")):
        for data in records(path.read_bytes()):
            record = Record.FromString(data)
            values = {(i.key or "/".join(i.nested_key)): i.value_json for i in record.history.item}
            found += [
                (int(values["_step"]), name, float(value))
                for name, value in values.items()
                if not name.startswith("_")
            ]
            for update in [*record.run.config.update, *record.config.update]:
                params[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
            request = record.request.log_artifact.artifact
            files += [e.path for a in (record.artifact, request) for e in a.manifest.contents]
            if record.run.run_id:
                ids.add((record.run.run_id, record.run.project))
    assert len(ids) == 1
    assert ids.pop()[1] == "tags"
    return found, params, files


def records(data):
    """The records of a log of blocks of 32 KiB (LevelDB's format), after a header of 7 bytes."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        size, part = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if part in {1, 4}:  # a whole record, or the last part of one
            yield whole
            whole = b""


def test_what_is_sent_is_what_the_tracker_has(place, single, tmp_path):
    to, folder, read = place
    learn, seen = tiny_learner(single, path=tmp_path), Seen()
    file = {} if to == "tensorboard" else {"export": "model.onnx"}
    tracker = Tracker(to, "tags", "first", params={"note": "by hand"}, **folder, **file)
    learn.fit_one_cycle(2, 1e-2, callbacks=[seen, tracker])
    learn.fit(1, 1e-3, callbacks=[seen, tracker])  # another fit of the same run
    found, params, files = read()
    wanted = [*seen.rows]
    for row, step in zip(learn.history, (3, 6, 10), strict=True):
        wanted += [(step, f"epoch/{k}", row[k]) for k in ("train_loss", "valid_loss", "seconds")]
    assert [r[:2] for r in sorted(found)] == [r[:2] for r in sorted(wanted)]
    for ours, theirs in zip(sorted(found), sorted(wanted), strict=True):
        assert ours[2] == pytest.approx(theirs[2], rel=1e-5)
    about = {"note": "by hand", "bs": "8", "train items": "28", "fit1/length": "2 epochs"}
    assert about.items() <= params.items()
    if to not in {"tensorboard", "wandb"}:
        assert params["fit2/length"] == "1 epochs"
    assert set(files) == ({"model.onnx"} if file else set())


class CutOffError(Exception):
    """What ends a fit here."""


class Cut(Callback):
    order = 10**7

    def __init__(self, *at):
        self.where = at

    def state_dict(self):
        return {}

    def after_step(self, run):
        if run.step in self.where:
            raise CutOffError


@pytest.mark.parametrize("place", ["csv", "tensorboard"], indirect=True)
def test_a_fit_that_goes_on_has_each_step_once(place, single, tmp_path):
    to, folder, read = place
    cut = Cut(4)

    def fit():
        learn = tiny_learner(single.with_task(single.task), path=tmp_path)
        kept = Checkpoint("night", minutes=None, steps=2)
        learn.fit(3, 1e-2, callbacks=[Tracker(to, "tags", "first", **folder), kept, cut])
        return learn

    with pytest.raises(CutOffError):
        fit()
    cut.where = ()
    learn = fit()
    found = read()[0]
    steps = [step for step, name, _ in found if name == "step/loss"]
    assert steps == [*range(9)]
    ends = [(step, value) for step, name, value in found if name == "epoch/valid_loss"]
    wanted = [(3 * i + 3, row["valid_loss"]) for i, row in enumerate(learn.history)]
    assert [v for end in ends for v in end] == pytest.approx([v for end in wanted for v in end])


def test_the_file_is_that_of_the_best_weights(single, tmp_path):
    learn = tiny_learner(single, path=tmp_path)
    tracker = Tracker("csv", name="best", folder=tmp_path / "runs", export="m.onnx")
    best = SaveModel(monitor="valid_loss")
    learn.fit(4, 0.2, callbacks=[best, tracker])
    item = learn.data.valid_ds.items[0]
    sent = Predictor(tmp_path / "runs/onecycle/best/m.onnx").predict(item)
    assert sent.probabilities == pytest.approx(learn.predict(item)[2].numpy(), abs=1e-4)
    loss = min(row["valid_loss"] for row in learn.history)
    assert learn.validate()[0] == pytest.approx(loss, rel=1e-4)


def test_a_tracker_that_goes_away_does_not_end_the_training(single, tmp_path):
    learn = tiny_learner(single, path=tmp_path)
    tracker = Tracker("csv", name="gone", folder=tmp_path / "runs")

    class Gone(Callback):
        def after_step(self, run):
            if run.step == 3:
                tracker.backend.file.close()

    with pytest.warns(OnecycleWarning, match="csv did not take what it was sent at step 3") as seen:
        learn.fit(3, 1e-2, callbacks=[tracker, Gone()])
    assert len(seen) == 1
    assert len(learn.history) == 3


def test_a_run_of_that_name_is_not_written_over(single, tmp_path):
    for message in (None, "is of another run"):
        learn = tiny_learner(single.with_task(single.task), path=tmp_path)
        tracker = Tracker("csv", name="one", folder=tmp_path)
        if message is None:
            learn.fit(1, 1e-3, callbacks=[tracker])
            continue
        with pytest.raises(UsageError, match=message):
            learn.fit(1, 1e-3, callbacks=[tracker])


@pytest.mark.parametrize(
    ("how", "message"),
    [(("comet",), "mlflow, wandb, tensorboard, csv, not 'comet'"),
     (("mlflow", "p", "n", "folder"), "MLFLOW_TRACKING_URI"),
     (("tensorboard", "p", "n", None, None, "m.onnx"), "keeps no files")],
)  # fmt: skip
def test_what_a_tracker_cannot_do_is_said_at_once(how, message):
    with pytest.raises(UsageError, match=message):
        Tracker(*how)


@pytest.mark.parametrize(
    ("to", "module"),
    [("mlflow", "mlflow"), ("wandb", "wandb"), ("tensorboard", "torch.utils.tensorboard")],
)
def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    single, monkeypatch, tmp_path, to, module
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    learn = tiny_learner(single)
    with pytest.raises(UsageError, match=rf"pip install 'onecycle\[{to}\]'"):
        learn.fit(1, 1e-3, callbacks=[Tracker(to)])
    assert learn.history == []
    assert not [*Path(tmp_path).rglob("*.wandb")]
