"""What interpretations leave out is counted, what they cannot say is refused, by hand-made sets."""

import csv
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sk
from torch import nn

from onecycle.core.errors import EmptyDataError, OnecycleWarning, TableError, UsageError
from onecycle.course.tools import (
    DatasetFormatter,
    EarlyStoppingCallback,
    MixUpCallback,
    ReduceLROnPlateauCallback,
    SaveModelCallback,
    array,
    doc,
    tensor,
)
from onecycle.data.arrays import from_arrays
from onecycle.data.databunch import DatasetType
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    Interpretation,
    MultiLabelInterpretation,
    best_threshold,
    grad_cam,
)
from onecycle.interpret.cleaner import (
    application,
    earlier_answers,
    fingerprint,
    review,
    similar_pairs,
    write_cleaned,
)
from onecycle.interpret.words import WordScores
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.models.head import mlp


def predicted(make):
    """What is warned of, and what is made."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        made = make()
    assert all(issubclass(w.category, OnecycleWarning) for w in found)
    return [str(w.message) for w in found], made


# --- one class an item ---------------------------------------------------------------------------


def single(predicted, true, n=4):
    task = SimpleNamespace(target=Category(tuple("abcd"[:n])))
    y = torch.tensor(true)
    found = Predictions(torch.eye(n)[predicted], y, torch.zeros(len(y)), None, task)
    return ClassificationInterpretation(None, found)


def test_the_confusion_matrix_is_scikit_learns_with_classes_that_do_not_occur():
    rng = np.random.default_rng(0)
    predicted, true = (
        rng.choice([0, 2], 50),
        rng.choice([1, 2], 50, p=[0.7, 0.3]),
    )  # never the last
    found = single(predicted, true).confusion_matrix()
    np.testing.assert_array_equal(found, sk.confusion_matrix(true, predicted, labels=range(4)))
    assert found.sum(1).tolist() == np.bincount(true, minlength=4).tolist()


def test_a_class_without_items_has_no_shares():
    interp = single(predicted=[0, 1, 1, 3], true=[0, 0, 0, 1])
    figure = interp.plot_confusion_matrix(normalize=True)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:8] == ["0.33", "0.67", "0.00", "0.00", "0.00", "0.00", "0.00", "1.00"]
    assert texts[8:] == ["-"] * 8
    figure.canvas.draw()
    assert interp.plot_confusion_matrix().axes[0].texts[8].get_text() == "0"


def test_most_confused_is_sorted_by_count_and_leaves_out_what_is_right():
    interp = single(predicted=[1, 1, 1, 2, 2, 0, 0, 3], true=[0, 0, 0, 0, 0, 1, 3, 3])
    assert interp.most_confused() == [("a", "b", 3), ("a", "c", 2), ("b", "a", 1), ("d", "a", 1)]
    assert interp.most_confused(2) == [("a", "b", 3), ("a", "c", 2)]
    assert interp.most_confused(0) == interp.most_confused(1)
    assert interp.most_confused(4) == []


def numbers():
    task = SimpleNamespace(target=Numbers(("y",)))
    return Predictions(torch.ones(3, 1), torch.zeros(3, 1), torch.ones(3), None, task)


def test_other_answers_are_sent_to_what_is_for_them():
    for kind in (ClassificationInterpretation, MultiLabelInterpretation):
        with pytest.raises(UsageError, match="for numbers and points Interpretation"):
            kind(None, numbers())


# --- several labels ------------------------------------------------------------------------------


def several(p, y, thresh=0.5):
    task = SimpleNamespace(target=MultiCategory(("x", "y", "z"), thresh))
    found = Predictions(torch.tensor(p), torch.tensor(y), torch.zeros(len(y)), None, task)
    return MultiLabelInterpretation(None, found)


P = [[0.9, 0.2, 0.35], [0.6, 0.4, 0.35], [0.3, 0.3, 0.1]]
Y = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]


def test_labels_are_counted_by_the_tasks_threshold_or_another_one():
    table = several(P, Y, 0.25).per_label()
    assert table["actual"].tolist() == [1, 2, 2]
    assert table["predicted"].tolist() == [3, 2, 2]
    assert several(P, Y, 0.25).per_label(0.5)["predicted"].tolist() == [2, 0, 0]
    assert several(P, Y, 0.35).per_label()["predicted"].tolist() == [2, 1, 0]  # above, not at it
    for wrong in (35, -0.1, float("nan"), "0.5"):
        with pytest.raises(UsageError, match="thresh is a number from 0 to 1"):
            several(P, Y).per_label(wrong)


def test_the_best_threshold_is_the_lowest_of_the_best_and_follows_beta():
    rng = torch.Generator().manual_seed(0)
    y = (torch.rand(40, 3, generator=rng) < 0.4).float()
    p = (0.3 * y + 0.7 * torch.rand(40, 3, generator=rng)).clamp(max=0.99)
    for beta in (0.3, 1.0, 4.0):
        scores = [
            sk.fbeta_score(y, p > t / 100, beta=beta, average="samples", zero_division=0)
            for t in range(1, 100)
        ]
        assert best_threshold(p, y, beta) == (1 + int(np.argmax(scores))) / 100
    assert best_threshold(p, y, 4.0) < best_threshold(p, y, 0.3)


def test_without_a_label_no_threshold_is_the_best():
    interp = several(P, [[0.0] * 3] * 3)
    for ask in (interp.best_threshold, interp.plot_thresholds):
        with pytest.raises(UsageError, match="none of the 3 items has a label"):
            ask()
    with pytest.raises(UsageError, match="beta is a number from 0"):
        several(P, Y).best_threshold(-1)


# --- items ---------------------------------------------------------------------------------------


def test_an_item_is_told_with_the_share_of_the_class_that_is_true():
    x = np.random.default_rng(0).normal(size=(30, 2))
    torch.manual_seed(0)
    learn = Learner(from_arrays(x, [*"abc"] * 10, bs=5), mlp([2, 3]), silent=True)
    interp = ClassificationInterpretation.from_learner(learn)
    wrong = (interp.pred_class != interp.y_true).nonzero()[:, 0].tolist()
    assert len(wrong) > 2
    for i in wrong:
        share = float(interp.predictions.probabilities[i, interp.y_true[i]])
        predicted, true = interp.predictions.predicted(i), interp.predictions.actual(i)
        assert interp.line(i) == f"predicted {predicted}\nactual {true} ({share:.2f})"


@pytest.fixture(scope="module")
def learn():
    x = np.random.default_rng(0).normal(size=(40, 3))
    data = from_arrays(x, (x[:, 0] * 3).astype(np.float32), bs=8)
    return Learner(data, mlp([3, 1]), silent=True)


def test_numbers_are_shown_with_what_is_said_and_true_and_their_loss(learn):
    interp = Interpretation.from_learner(learn)
    losses, positions = interp.top_losses(2)
    figure = interp.plot_top_losses(2)
    for ax, loss, i in zip(figure.axes, losses, positions.tolist(), strict=True):
        found = interp.predictions
        near = float(found.probabilities[i, 0] - found.targets[i, 0]) ** 2
        assert float(loss) == pytest.approx(near, rel=1e-5)
        assert (
            ax.get_title()
            == f"predicted {found.predicted(i)}\nactual {found.actual(i)}\nloss {near:.2f}"
        )
    with pytest.raises(UsageError, match="heatmap=True is for images"):
        interp.plot_top_losses(2, heatmap=True)


def test_texts_have_no_heat_map():
    import pandas as pd

    from onecycle.text.learner import text_classifier_learner
    from onecycle.text.lists import TextClasDataBunch

    rows = pd.DataFrame({"label": ["a", "b"] * 10, "text": ["one two", "two three"] * 10})
    data = TextClasDataBunch.from_df(".", rows, text_cols="text", label_cols="label", bs=4, seed=0)
    sizes = {"emb_sz": 4, "n_hid": 5, "n_layers": 1}
    interp = ClassificationInterpretation.from_learner(
        text_classifier_learner(data, config=sizes, silent=True)
    )
    table = interp.plot_top_losses(3).columns
    losses, positions = interp.top_losses(3)
    assert table["note"] == [f"loss {float(loss):.2f}" for loss in losses]
    assert table["actual"] == [str(interp.predictions.actual(i)) for i in positions.tolist()]
    assert table["predicted"] == [str(interp.predictions.predicted(i)) for i in positions.tolist()]
    for wrong in ({"heatmap": True}, {"figsize": (3, 3)}):
        with pytest.raises(UsageError, match=r"heatmap=True is for|no figsize"):
            interp.plot_top_losses(3, **wrong)


def test_a_body_without_maps_has_no_heat_map(learn):
    found = learn.predictions()
    with pytest.raises(UsageError, match=r"puts out maps \(n, channels, h, w\), not \[1, 3\]"):
        grad_cam(learn, found, 0)
    learn = Learner(learn.data, nn.Flatten(), silent=True)
    with pytest.raises(UsageError, match="body and a head"):
        grad_cam(learn, found, 0)


def test_the_strongest_words_come_first_for_or_against():
    scores = WordScores(("a", "b", "c", "d"), (0.1, -0.4, 0.3, 0.0), "pos", 0.7)
    assert scores.top(2) == [("b", -0.4), ("c", 0.3)]
    with pytest.warns(OnecycleWarning, match="4 tokens, fewer than k=99"):
        assert len(scores.top(99)) == 4
    shown = scores._repr_html_()
    assert 'rgba(220, 50, 50, 1.00);padding:0 .15em;border-radius:.2em" title="-0.400">b' in shown
    assert 'rgba(0, 150, 90, 0.75);padding:0 .15em;border-radius:.2em" title="+0.300">c' in shown
    for wrong in (0, -1, 1.5):
        with pytest.raises(UsageError, match="k is a number of tokens"):
            scores.top(wrong)


# --- images that look alike, and the table of what is kept -------------------------------------


@pytest.fixture
def folder(tmp_path):
    """cat/0-3 and dog/0-1: cat 1 is cat 0 made smaller, dog 0 is cat 3 itself."""
    rng = np.random.default_rng(0)
    made = [
        Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((40, 40), 2)
        for _ in range(4)
    ]
    for name, i, image in (
        ("cat", 0, made[0]), ("cat", 1, made[0].resize((20, 20))), ("cat", 2, made[1]),
        ("cat", 3, made[2]), ("dog", 0, made[2]), ("dog", 1, made[3]),
    ):  # fmt: skip
        (tmp_path / name).mkdir(exist_ok=True)
        image.save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_pairs_are_all_that_are_alike_the_likest_first(folder):
    files = sorted(folder.glob("*/*.png"))
    prints = np.stack([fingerprint(file) for file in files])
    alike = np.corrcoef(prints)
    for least in (0.97, 0.2, 0.0):
        wanted = [(i, j) for i in range(6) for j in range(i + 1, 6) if alike[i, j] >= least]
        found = similar_pairs(files, least)
        assert sorted((i, j) for i, j, _ in found) == wanted
        assert [s for *_, s in found] == sorted((s for *_, s in found), reverse=True)
        for i, j, s in found:
            assert s == pytest.approx(alike[i, j], abs=1e-5)
    assert [pair[:2] for pair in similar_pairs(files, 0.97)] == [(3, 4), (0, 1)]


def test_pairs_beyond_the_most_are_counted(folder):
    files = sorted(folder.glob("*/*.png"))
    everything = similar_pairs(files, 0.0)
    messages, found = predicted(lambda: similar_pairs(files, 0.0, most=2))
    assert found == everything[:2]
    assert messages == [
        f"{len(everything)} pairs are as like as 0.0, of which the 2 likest are taken: raise "
        "least=, or most="
    ]
    for wrong in ({"least": 97}, {"least": float("nan")}, {"most": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            similar_pairs(files, **wrong)
    with pytest.raises(EmptyDataError, match="no images to compare"):
        similar_pairs([])


def test_images_without_a_class_are_counted(folder):
    for name in ("loose.png", "other.png"):
        Image.new("RGB", (9, 9)).save(folder / name)
    messages, found = predicted(lambda: review(folder))
    assert messages[0].startswith("2 of 8 images lie in no folder below")
    assert "'loose.png', 'other.png'" in messages[0]
    assert len(found.names) == 6


@pytest.mark.parametrize("name", ["NA", "None", "null", "n/a".replace("/", " ")])
def test_classes_that_a_table_would_take_for_nothing_are_told(tmp_path, name):
    for folder in (name, "cat"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / folder / "0.png")
    messages, _ = predicted(lambda: review(tmp_path))
    assert len(messages) == (name != "n a")
    assert all(f"'{name}' look like missing values" in message for message in messages)


def test_a_table_of_something_else_is_not_replaced(folder):
    found, to = review(folder), folder / "labels.csv"
    for content in (
        "id,text\n1,good\n",
        "name,label\ncat/99.png,cat\n",
        "name,label\ncat/0.png,cow",
    ):
        to.write_text(content)
        with pytest.raises(TableError):
            write_cleaned(found, {"0": "dog"}, to)
        assert to.read_text() == content
    to.unlink()
    assert write_cleaned(found, {"0": "dog", "3": None}, to) == 5
    assert write_cleaned(found, {"0": "cat"}, to) == 6
    assert earlier_answers(found, to) == {}
    assert len(list(csv.reader(to.read_text().splitlines()))) == 7


def test_what_another_program_wrote_meanwhile_is_not_replaced(folder):
    from starlette.testclient import TestClient

    found, to = review(folder), folder / "cleaned.csv"
    client = TestClient(application(found, to), base_url="http://localhost")
    key = {"x-key": client.get("/about").json()["key"]}
    assert client.post("/save", json={"0": "dog"}, headers=key).json()["kept"] == 6
    assert client.post("/save", json={"0": None}, headers=key).json()["kept"] == 5
    other = "name,label\ncat/0.png,dog\n"
    to.write_text(other)
    answer = client.post("/save", json={"1": "dog"}, headers=key)
    assert answer.status_code == 409
    assert "was changed by another program" in answer.json()["error"]
    assert to.read_text() == other
    to.unlink()
    assert client.post("/save", json={"1": "dog"}, headers=key).status_code == 409


# --- the course ----------------------------------------------------------------------------------


def test_a_formatter_gives_the_items_that_its_positions_count(learn):
    for side in (DatasetType.Train, DatasetType.Valid):
        items, order = DatasetFormatter.from_toplosses(learn, ds_type=side)
        losses = learn.predictions(side).losses
        assert order == losses.argsort(descending=True).tolist()
        assert items.items is learn.data.in_order(side).dataset.items
    with pytest.raises(UsageError, match="no test set"):
        DatasetFormatter.from_similars(learn, ds_type=DatasetType.Test)
    with pytest.raises(UsageError, match="n_pairs is a whole number"):
        DatasetFormatter.from_similars(learn, n_pairs=-1)


def test_callbacks_of_the_course_pass_on_what_they_are_told(learn):
    save = SaveModelCallback(learn, "val_loss", "max", name="best")
    assert (save.monitor, save.mode, save.name) == ("valid_loss", "max", "best")
    with pytest.raises(UsageError, match="every=\"improvement\", not 'epoch'"):
        SaveModelCallback(learn, every="epoch")
    stop = EarlyStoppingCallback(learn, "accuracy", "min", 0.25, 7)
    assert (stop.monitor, stop.mode, stop.min_delta, stop.patience) == ("accuracy", "min", 0.25, 7)
    rate = ReduceLROnPlateauCallback(learn, "val_loss", "auto", 3, 0.5, 0.125)
    found = (rate.monitor, rate.patience, rate.factor, rate.min_delta)
    assert found == ("valid_loss", 3, 0.5, 0.125)
    assert MixUpCallback(learn, 0.7).alpha == 0.7


def test_arrays_and_tensors_are_in_single_precision_unless_told_otherwise(capsys):
    assert array([1.5, 2]).dtype == np.float32
    assert array([1.5], dtype=np.float64).dtype == np.float64
    assert array(range(3)).tolist() == [0, 1, 2]
    assert tensor(np.array([1.5])).dtype == torch.float32
    assert tensor(3, 4).tolist() == [3, 4]
    doc(similar_pairs)
    messages = capsys.readouterr().out
    assert messages.startswith("onecycle.interpret.cleaner.similar_pairs(sources")
    assert "best first" in messages


def test_memory_of_a_gpu_is_told_in_megabytes(monkeypatch):
    from onecycle.course import tools as memory

    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda id: ((5 + (id or 0)) << 20, 16 << 20))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    assert memory.gpu_mem_get() == (16, 5, 11)
    assert memory.gpu_mem_get(2).free == 7
    assert memory.gpu_mem_get_free() == 5
    assert not emptied
    assert memory.gpu_mem_get_free_no_cache(1) == 6
    assert emptied
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert memory.gpu_mem_get() == (0, 0, 0)


def test_a_hook_keeps_what_comes_out_until_it_ends():
    from onecycle.course.layers import hook_output, hook_outputs

    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = torch.randn(4, 2)
    with hook_outputs(net) as hooks, hook_output(net[0], detach=False) as attached:
        net(x)
        assert torch.equal(hooks.stored[0], net[0].weight.new_tensor(attached.stored.tolist()))
        assert torch.equal(hooks.stored[1], hooks.stored[0].relu())
        assert (hooks.stored[0].requires_grad, attached.stored.requires_grad) == (False, True)
        kept = hooks.stored[1]
    net(2 * x)
    assert torch.equal(hooks.stored[1], kept)
    with hook_output(net[1], grad=True) as hook:
        net(x).sum().backward()
    assert torch.equal(hook.stored[0], torch.ones(4, 3))
