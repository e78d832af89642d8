"""What is watched rises or falls as its metric says; where nobody says, that is asked for."""

from functools import partial

import pytest
import torch
from learn_helpers import Scripted, tiny_learner
from sklearn import metrics as sk

import onecycle
from onecycle.core.errors import UsageError
from onecycle.learn import metrics
from onecycle.learn import metrics as pixel_metrics
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import EarlyStopping, ReduceLROnPlateau, SaveModel
from onecycle.learn.checkpoint import checkpoint_path, read
from onecycle.learn.metric import (
    Metric,
    direction_of,
    directions_of,
    higher_is_better,
    lower_is_better,
    rises_by_name,
    whole_set,
)

FALLING = {"error_rate", "mse", "mae", "rmse", "perplexity"}


def scripted(name, *values):
    """A metric of given values, one for each batch: the validation set has two."""
    rest = iter([value for value in values for _ in range(2)])

    def metric(outputs, y):
        return next(rest)

    metric.__name__ = name
    return metric


def kept(data, tmp_path, metric, **options):
    """The epoch that SaveModel keeps of three."""
    learn = tiny_learner(data, metrics=[metric], path=tmp_path)
    name = learn.recorder.metric_names[0]
    learn.fit(3, 1e-3, callbacks=[SaveModel(learn, monitor=name, **options)])
    about, _ = read(checkpoint_path(learn.path, learn.model_dir, "bestmodel"))
    return about["history"][-1]["epoch"]


@pytest.mark.parametrize("name", ["kappa", "roc_auc", "map_at_3", "my_accuracy", "mean_iou"])
def test_an_established_name_that_should_rise_keeps_its_highest_epoch(multi, tmp_path, name):
    assert kept(multi, tmp_path, scripted(name, 0.1, 0.9, 0.5)) == 1


@pytest.mark.parametrize("name", ["rmse", "my_loss", "angular_error", "top5_error_rate", "wer"])
def test_an_established_name_that_should_fall_keeps_its_lowest_epoch(multi, tmp_path, name):
    assert kept(multi, tmp_path, scripted(name, 0.5, 0.9, 0.1)) == 2


@pytest.mark.parametrize(
    "name",
    ["figure", "score", "sharpe", "accuracy_drop", "neg_mean_squared_error", "one_minus_loss",
     "glossiness", "mirror", "auc_gap", "inverse_rmse", "lossless_share", "misses"],
)  # fmt: skip
def test_a_name_that_leaves_a_doubt_is_an_error_before_training_that_asks_for_the_mode(
    multi, tmp_path, name
):
    learn = tiny_learner(multi, metrics=[scripted(name, 1, 2, 3)], path=tmp_path)
    seen = At()
    for tracker in (SaveModel(learn, name), EarlyStopping(name), ReduceLROnPlateau(name)):
        with pytest.raises(UsageError, match=rf'{name}.*give {type(tracker).__name__} mode="max"'):
            learn.fit(3, 1e-3, callbacks=[tracker, seen])
    assert not seen.batches
    assert learn.history == []


class At(Callback):
    """Counts batches."""

    batches = 0

    def before_batch(self, run):
        self.batches += 1


@pytest.mark.parametrize(("mode", "epoch"), [("max", 1), ("min", 0)])
def test_the_mode_decides_whatever_the_name(multi, tmp_path, mode, epoch):
    assert kept(multi, tmp_path, scripted("figure", 0.1, 0.9, 0.5), mode=mode) == epoch
    assert kept(multi, tmp_path, scripted("accuracy", 0.1, 0.9, 0.5), mode=mode) == epoch


@pytest.mark.parametrize(("mark", "epoch"), [(higher_is_better, 1), (lower_is_better, 0)])
def test_a_mark_decides_against_the_name(multi, tmp_path, mark, epoch):
    marked = mark(scripted("figure", 0.1, 0.9, 0.5))
    assert kept(multi, tmp_path, marked) == epoch
    assert kept(multi, tmp_path, mark(scripted("my_loss", 0.1, 0.9, 0.5))) == epoch
    assert kept(multi, tmp_path, mark(scripted("accuracy", 0.1, 0.9, 0.5))) == epoch


class Counting(Scripted):
    """An object as torchmetrics has them: it says itself which way it improves."""

    higher_is_better = False

    def compute(self):
        return torch.tensor(self.value)


def test_an_object_of_torchmetrics_says_its_direction(multi, tmp_path):
    class Kappa(Counting):
        __name__ = "kappa"
        higher_is_better = None  # as for a confusion matrix, which has none

    class Upward(Counting):
        higher_is_better = True

    assert kept(multi, tmp_path, Counting(0.5, 0.9, 0.1)) == 2
    assert kept(multi, tmp_path, Upward(0.5, 0.9, 0.1)) == 1
    assert kept(multi, tmp_path, Kappa(0.5, 0.9, 0.1)) == 1  # its name leaves no doubt


def test_a_direction_goes_through_partials_marks_and_duplicates():
    def upside(outputs, y):
        return 0.0

    known = higher_is_better(upside)
    assert known is upside
    assert direction_of(partial(partial(known, a=1), b=2)) is True
    assert direction_of(whole_set(known)) is True
    assert direction_of(lower_is_better(whole_set(known))) is False
    assert isinstance(lower_is_better(whole_set(known)), Metric)
    assert isinstance(lower_is_better(metrics.accuracy), Metric)
    assert direction_of(metrics.accuracy) is True  # the mark made another one
    own = lower_is_better(partial(known, a=1))
    assert directions_of([known, own, metrics.mae]) == {"upside": True, "upside 2": False,
                                                        "mae": False}  # fmt: skip


def test_the_second_column_of_a_name_is_watched_by_its_own_direction(multi, tmp_path):
    down = lower_is_better(scripted("figure", 0.5, 0.9, 0.1))
    up = higher_is_better(scripted("figure", 0.5, 0.9, 0.1))
    learn = tiny_learner(multi, metrics=[up, down], path=tmp_path)
    save = [SaveModel(learn, "figure", name="a"), SaveModel(learn, "figure 2", name="b")]
    learn.fit(3, 1e-3, callbacks=save)
    assert last_epoch(learn, "a") == 1
    assert last_epoch(learn, "b") == 2


def last_epoch(learn, name):
    return read(checkpoint_path(learn.path, learn.model_dir, name))[0]["history"][-1]["epoch"]


def built_in():
    """Every public metric of onecycle."""
    for name in (*vars(metrics), *vars(pixel_metrics)):
        if name in vars(onecycle.names)["PROGRAMS"] and name not in _NO_METRICS:
            yield name


_NO_METRICS = {"whole_set", "higher_is_better", "lower_is_better"}


def test_every_metric_of_ours_has_a_direction():
    found = {name: direction_of(getattr(onecycle, name)) for name in built_in()}
    assert len(found) >= 21
    wrong = {name: rises for name, rises in found.items() if rises is None}
    assert wrong == {}
    falling = {name for name, rises in found.items() if not rises}
    long = {"mean_squared_error", "mean_absolute_error", "root_mean_squared_error"}
    assert falling == FALLING | long


def test_functions_of_scikit_learn_follow_its_convention():
    rising = [sk.f1_score, sk.cohen_kappa_score, sk.r2_score, sk.d2_absolute_error_score]
    falling = [sk.log_loss, sk.hamming_loss, sk.max_error, sk.mean_tweedie_deviance]
    assert [direction_of(metric) for metric in rising] == [True] * 4
    assert [direction_of(partial(metric)) for metric in falling] == [False] * 4
    assert direction_of(sk.matthews_corrcoef) is None
    assert direction_of(whole_set(sk.brier_score_loss)) is False


@pytest.mark.parametrize(
    ("name", "rises"),
    [("accuracy_of_mine", True), ("f1", True), ("fbeta 2", True), ("Dice", True),
     ("log_loss", False),
     ("valid_loss", False), ("l1loss", False), ("HuberLoss", False), ("mae_of_mine", False),
     ("loss2", False), ("precision_loss", False), ("negloss", None), ("no_error", None),
     ("non_loss", None), ("terror_rate", None), ("time_to_accuracy", None), ("", None), ("2", None),
     ("mse_accuracy", None), ("map50", None), ("top5_accuracy", True)],
)  # fmt: skip
def test_what_a_name_tells(name, rises):
    assert rises_by_name(name) is rises


def test_what_is_not_there_is_said_before_training_with_what_is(multi, tmp_path, tiles, make_bunch):
    learn = tiny_learner(multi, metrics=[metrics.fbeta], path=tmp_path)
    with pytest.raises(UsageError, match=r"no 'f2'.*\['train_loss', 'valid_loss', 'fbeta'\]"):
        learn.fit(1, 1e-3, callbacks=[EarlyStopping("f2")])
    assert learn.history == []


def test_without_validation_there_is_no_validation_loss_to_watch(tiles, make_bunch):
    from onecycle.vision.lists import ImageList

    root, frame = tiles
    whole = ImageList.from_df(frame, root).split_none().label_from_df("kind")
    learn = tiny_learner(make_bunch(whole.transform(None, size=32)), metrics=metrics.accuracy)
    for name in ("valid_loss", "accuracy"):
        with pytest.raises(UsageError, match=rf"no '{name}' to watch; there are \['train_loss'\]"):
            learn.fit(1, 1e-3, callbacks=[EarlyStopping(name)])
    assert learn.history == []
    learn.fit(2, 1e-3, callbacks=[EarlyStopping("train_loss", patience=2)])


def test_a_figure_of_a_callback_can_be_watched_where_the_mode_is_given(multi, tmp_path):
    class Writes(Callback):
        order = -1

        def after_epoch(self, run):
            run.row["mine"] = [3.0, 1.0, 2.0][run.epoch]

    learn = tiny_learner(multi, path=tmp_path)
    learn.fit(3, 1e-3, callbacks=[Writes(), SaveModel(learn, "mine", mode="min")])
    assert last_epoch(learn, "bestmodel") == 1
    with pytest.raises(UsageError, match=r"no 'mine' to watch.*give mode=\"max\" or mode=\"min\""):
        learn.fit(3, 1e-3, callbacks=[Writes(), SaveModel(learn, "mine")])


def test_a_metric_called_as_a_column_of_the_loop_does_not_take_its_place(multi):
    learn = tiny_learner(multi, metrics=[scripted("valid_loss", 7.0), scripted("epoch", 8.0)])
    assert learn.fit(1, 1e-3).history[0]["valid_loss"] < 2
    assert learn.history[0]["valid_loss 2"] == 7
    assert (learn.history[0]["epoch"], learn.history[0]["epoch 2"]) == (0, 8)


@pytest.mark.parametrize(
    "wrong",
    [{"patience": -1}, {"patience": 1.5}, {"min_delta": -0.1}, {"min_delta": float("nan")},
     {"mode": "up"}],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(wrong):
    for kind in (EarlyStopping, ReduceLROnPlateau):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            kind(**wrong)
    for factor in (0, 1, 1.5, -0.1):
        with pytest.raises(UsageError, match="factor"):
            ReduceLROnPlateau(factor=factor)
