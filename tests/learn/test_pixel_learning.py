"""Losses and metrics of masks against torch's, scikit-learn's, and what the formulas say."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score
from torch.nn import functional as F

from onecycle.learn.evaluate import evaluate
from onecycle.learn.losses import CombinedLoss, CrossEntropyFlat, DiceLoss, FocalLoss
from onecycle.learn.metric import name_of
from onecycle.learn.metrics import dice, foreground_acc, mean_iou, pixel_accuracy

VOID = 3


@pytest.fixture
def masks():
    """(outputs, y) of five small images with four classes, the last of which is void."""
    rng = torch.Generator().manual_seed(1)
    outputs = torch.randn(5, 4, 6, 7, generator=rng)
    return outputs, torch.randint(0, 4, (5, 1, 6, 7), generator=rng)


def in_batches(outputs, y):
    return [(outputs[:2], y[:2]), (outputs[2:3], y[2:3]), (outputs[3:], y[3:])]


def test_metrics_are_those_of_all_pixels_however_these_are_batched(masks):
    outputs, y = masks
    true, predicted = y.flatten().numpy(), outputs.argmax(1).flatten().numpy()
    seen = true != VOID
    wanted = [
        accuracy_score(true[seen], predicted[seen]),
        jaccard_score(true[seen], predicted[seen], labels=[0, 1, 2], average="macro"),
        accuracy_score(true, predicted),
        jaccard_score(true, predicted, average="macro"),
    ]
    metrics = [
        partial(foreground_acc, void_code=VOID),
        partial(mean_iou, void=VOID),
        pixel_accuracy,
        mean_iou,
    ]
    _, *found = evaluate(in_batches(outputs, y), None, metrics)
    assert found == pytest.approx(wanted)
    assert [float(metric(outputs, y)) for metric in metrics] == pytest.approx(wanted)
    assert name_of(metrics[0]) == "foreground_acc"


def test_dice_of_two_classes_is_that_of_the_foreground():
    y = torch.tensor([[[[1, 1, 0, 0]]]])
    outputs = F.one_hot(torch.tensor([[[1, 0, 1, 0]]]), 2).movedim(-1, 1).float()
    assert float(dice(outputs, y)) == pytest.approx(2 * 1 / (2 + 2))


def test_a_class_that_is_neither_actual_nor_predicted_is_no_part_of_the_mean():
    """Of four pixels of class 0 one is taken for class 1; class 2 is nowhere."""
    y = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    outputs = torch.zeros(1, 3, 2, 2)
    outputs[:, 0] = 1
    outputs[0, 1, 0, 0] = 2
    assert float(mean_iou(outputs, y)) == pytest.approx((3 / 4 + 0) / 2)
    assert float(mean_iou(outputs, y, only_actual=True)) == pytest.approx(3 / 4)
    assert float(dice(outputs, y)) == pytest.approx((6 / 7 + 0) / 2)


def test_pixels_outside_the_image_count_nowhere(masks):
    outputs, y = masks
    y = y.clone()
    y[:, :, 0] = -100
    inside = outputs[:, :, 1:], y[:, :, 1:]
    for metric in (pixel_accuracy, mean_iou, dice):
        assert float(metric(outputs, y)) == pytest.approx(float(metric(*inside)))
    for loss in (CrossEntropyFlat(), FocalLoss(), DiceLoss()):
        assert float(loss(outputs, y)) == pytest.approx(float(loss(*inside)))


def test_cross_entropy_is_torchs_with_weights_and_void(masks):
    outputs, y = masks
    weight = [0.5, 2.0, 1.0, 3.0]
    ours = CrossEntropyFlat(axis=1, ignore_index=VOID, weight=weight)
    options = {"weight": torch.tensor(weight), "ignore_index": VOID}
    assert float(ours(outputs, y)) == pytest.approx(
        float(F.cross_entropy(outputs, y[:, 0], **options))
    )
    each = [float(F.cross_entropy(o[None], t, **options)) for o, t in zip(outputs, y, strict=True)]
    assert ours(outputs, y, "none").tolist() == pytest.approx(each)


def test_focal_loss_is_cross_entropy_at_gamma_0_and_forgives_what_is_easy(masks):
    outputs, y = masks
    plain = CrossEntropyFlat()
    assert float(FocalLoss(0.0)(outputs, y)) == pytest.approx(float(plain(outputs, y)))
    easy = 6.0 * F.one_hot(y[:, 0], 4).movedim(-1, 1)
    hard = -easy
    ratio = [float(FocalLoss(2.0)(o, y) / plain(o, y)) for o in (easy, hard)]
    assert ratio[0] < 1e-3 < 0.9 < ratio[1]


@pytest.mark.parametrize(("options", "gamma"), [({}, 2), ({"gamma": 1.0}, 1), ({"gamma": 3}, 3)])
def test_focal_loss_multiplies_the_loss_of_a_pixel_by_one_minus_p_to_the_gamma(
    masks, options, gamma
):
    outputs, y = masks
    p = outputs.softmax(1).gather(1, y)
    wanted = (-((1 - p) ** gamma) * p.log()).mean()
    assert float(FocalLoss(**options)(outputs, y)) == pytest.approx(float(wanted), rel=1e-5)


def test_dice_loss_is_0_for_a_perfect_answer_and_1_for_a_wrong_one():
    y = torch.randint(0, 2, (3, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    right = 40.0 * F.one_hot(y[:, 0], 2).movedim(-1, 1)
    assert float(DiceLoss()(right, y)) == pytest.approx(0, abs=1e-6)
    assert float(DiceLoss()(-right, y)) == pytest.approx(1, abs=1e-6)
    assert DiceLoss()(right, y, "none").shape == (3,)


def test_losses_add_up(masks):
    both = CombinedLoss((CrossEntropyFlat(), 1.0), (DiceLoss(), 0.5))
    parts = CrossEntropyFlat()(*masks) + 0.5 * DiceLoss()(*masks)
    assert float(both(*masks)) == pytest.approx(float(parts))
    assert both(*masks, reduction="none").shape == (5,)


def test_gradients_of_every_loss_are_finite_where_all_is_void():
    outputs = torch.randn(2, 3, 4, 4, requires_grad=True)
    void = torch.full((2, 1, 4, 4), -100)
    for loss in (CrossEntropyFlat(), FocalLoss(), DiceLoss()):
        value = loss(outputs, void)
        value.backward()
        assert value.item() == 0
        assert np.isfinite(outputs.grad.numpy()).all()
