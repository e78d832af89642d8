"""A detector learns boxes; its loss is torchvision's, its figures are those of a count by hand."""

import re

import numpy as np
import pytest
import torch
from drawn_boxes import boxes_data, drawn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead

from onecycle.core.errors import ModelError, OnecycleWarning, UsageError
from onecycle.models.detector import assign, detection_losses, outputs_of, scores_of
from onecycle.vision.augment import get_transforms
from onecycle.vision.box_metrics import mean_ap, mean_ap50
from onecycle.vision.boxes import Boxes
from onecycle.vision.learner import cnn_learner, create_detector_model, detection_learner, load_cnn


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    return root, drawn(root, 64)


@pytest.fixture(scope="module")
def learned(shapes):
    """A detector before and after it was trained, and what it scored then."""
    torch.manual_seed(0)
    data = boxes_data(*shapes)
    learn = detection_learner(data, "small", width=64, metrics=[mean_ap, mean_ap50], silent=True)
    before = learn.validate()
    learn.unfreeze().fit_one_cycle(9, slice(2e-3, 1e-2))
    return learn, before


def test_a_detector_learns_to_find_drawn_shapes(learned):
    learn, (_, _, before) = learned
    _, whole, half = learn.validate()
    assert before < 0.1
    assert half > 0.4
    assert whole < half


# --- the loss and its figures ----------------------------------------------------------------

H, W = 128, 192
STRIDES = (8, 16, 32)
ACTUAL = [  # top, left, bottom, right in pixels, and class: large, small inside it, wide, none
    [[4, 6, 120, 180, 2], [20, 40, 48, 66, 0], [60, 8, 100, 184, 1]],
    [],
    [[0, 0, 18, 60, 1]],
]


def labels_of(rows):
    """y of boxes in pixels."""
    y = torch.full((len(rows), 3, 5), 0.0)
    y[:, :, 4] = -1
    for item, boxes in enumerate(rows):
        for i, (*edges, kind) in enumerate(boxes):
            y[item, i, :4] = torch.tensor(edges) / torch.tensor([H, W, H, W]) * 2 - 1
            y[item, i, 4] = kind
    return y


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return create_detector_model("small", 4 + 3, False, (H, W), 32).eval()


def heads(network, x):
    """What torchvision's heads give, and the anchors that torchvision makes of the maps."""
    first = network.body(x)[network.first :]
    maps = list(network.neck({str(i): m for i, m in enumerate(first)}).values())
    boxes, central = network.boxes(maps)
    found = {"cls_logits": network.classes(maps), "bbox_regression": boxes}
    make = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * len(maps))
    grids = make.grid_anchors([m.shape[2:] for m in maps], [torch.tensor([s, s]) for s in STRIDES])
    return found | {"bbox_ctrness": central}, torch.cat(grids), [len(grid) for grid in grids]


def test_the_loss_is_torchvisions(network):
    x, y = torch.randn(3, 3, H, W), labels_of(ACTUAL)
    with torch.no_grad():
        found, anchors, counts = heads(network, x)
        sums, places = detection_losses(network(x), y)
    targets = []
    for rows in ACTUAL:
        boxes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
        targets.append({"boxes": boxes[:, [1, 0, 3, 2]], "labels": boxes[:, 4].long()})
    stub = type("Stub", (), {"center_sampling_radius": 1.5, "head": FCOSHead(32, 1, 3)})
    parts = FCOS.compute_loss(stub, targets, found, [anchors] * 3, counts)
    assert places.tolist()[1] == 0
    assert len(set(places.tolist())) == 3
    wanted = float(sum(parts.values()))
    assert float(sums.sum() / places.sum()) == pytest.approx(wanted, rel=1e-4)
    target = Boxes(classes=("a", "b", "c"), count=3)
    with torch.no_grad():
        outputs = network(x)
        each = target.loss(outputs, y, reduction="none")
    assert float(target.loss(outputs, y)) == pytest.approx(wanted, rel=1e-4)
    for i in range(3):
        alone = target.loss(outputs[i : i + 1], y[i : i + 1])
        assert float(each[i]) == pytest.approx(float(alone), rel=1e-5)


def test_boxes_and_scores_are_torchvisions(network):
    x = torch.randn(1, 3, H, W)
    with torch.no_grad():
        found, anchors, _ = heads(network, x)
        mine = scores_of(network(x))[0]
    boxes = FCOS(network_of(), 3).box_coder.decode(found["bbox_regression"][0], anchors)
    wanted = boxes[:, [1, 0, 3, 2]] / torch.tensor([H, W, H, W]) * 2 - 1
    assert torch.allclose(mine[:4].T, wanted.clamp(-1, 1), atol=1e-5)
    scores = (found["cls_logits"].sigmoid() * found["bbox_ctrness"].sigmoid()).sqrt()
    assert torch.allclose(mine[4:].T, scores[0], atol=1e-6)


def test_outputs_are_found_again_of_their_scores(network):
    with torch.no_grad():
        scores = scores_of(network(torch.randn(2, 3, H, W)))
    assert torch.allclose(scores_of(outputs_of(scores)), scores, atol=1e-5)


def network_of():
    body = torch.nn.Conv2d(3, 32, 1)
    body.out_channels = 32
    return body


@pytest.mark.parametrize("size", [(100, 75), (64, 96), (40, 140), (33, 65)])
def test_places_lie_as_far_apart_as_the_network_halves(network, size):
    with torch.no_grad():
        places = network(torch.zeros(1, 3, *size))[0, 4:8].T
    steps = (places[:, 2:] * torch.tensor(size) / 2).unique(dim=0)
    assert steps.tolist() == [[s, s] for s in STRIDES]
    assert places[:, :2].min() == -1
    assert places[:, :2].max() < 1


def test_the_smallest_box_of_the_right_size_is_answered_for(network):
    with torch.no_grad():
        places = network(torch.zeros(1, 3, H, W))[0, 4:8].T
    box = assign(places, labels_of(ACTUAL))[0].tolist()
    at = [tuple(p) for p in ((places[:, :2] + 1) / 2 * torch.tensor([H, W])).round().int().tolist()]
    fine, middle = (
        dict(zip(at[:384], box[:384], strict=False)),
        dict(zip(at[384:480], box[384:480], strict=False)),
    )
    assert fine[32, 56] == 1  # the small one, inside the large one
    assert fine[32, 72] == -1  # beside it
    assert fine[64, 96] == -1  # the large one is for a coarser map
    assert middle[80, 96] == 2
    assert middle[64, 96] == 2  # both: the smaller counts
    assert middle[48, 96] == 0  # above the wide one
    assert middle[48, 128] == -1  # far from any middle
    assert set(box[480:]) == {-1}


def test_a_network_for_other_answers_is_named(shapes):
    data = boxes_data(*shapes)
    learn = cnn_learner(data, "small", pretrained=False, silent=True)
    with pytest.raises(ModelError, match="detection_learner"):
        learn.validate()


def outputs_with(boxes, n_classes):
    """Outputs in which place i has box i (top, left, bottom, right, class, score) and no other."""
    outputs = torch.zeros(1, 9 + n_classes, max(1, len(boxes)))
    outputs[:, 8:] = -50.0
    for i, (*edges, kind, score) in enumerate(boxes):
        outputs[0, :4, i] = torch.tensor(edges)
        outputs[0, 8, i] = 50.0
        outputs[0, 9 + kind, i] = torch.tensor(score**2).logit()
    return outputs


def by_hand(found, actual, overlap):
    """Average precision of one class over 101 recalls: (score, right) in order, count of actual."""
    found = sorted(found, key=lambda row: -row[1])
    taken, right = set(), []
    for item, _, box in found:
        best, which = overlap, None
        for number, other in enumerate(actual.get(item, [])):
            low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
            inner = np.prod((high - low).clip(0))
            iou = inner / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - inner)
            if (item, number) not in taken and iou >= best:
                best, which = iou, number
        taken |= {(item, which)} if which is not None else set()
        right.append(which is not None)
    hits, count = np.cumsum(right), sum(map(len, actual.values()))
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / count
    points = [max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)]
    return float(np.mean(points))


def test_mean_ap_is_the_one_of_a_count_by_hand():
    rng = np.random.default_rng(5)
    every = []
    for _ in range(7):  # of unequal numbers of boxes, some a little off, some twice, some nowhere
        actual, found = [], []
        for _ in range(int(rng.integers(0, 5))):
            corner, side = rng.uniform(-1, 0.3, 2), rng.uniform(0.2, 0.7, 2)
            kind = int(rng.choice(3, p=[0.7, 0.2, 0.1]))
            actual.append([*corner, *(corner + side), kind])
            for _ in range(int(rng.integers(0, 3))):
                moved = np.r_[corner, corner + side] + rng.normal(0, 0.04, 4)
                wrong = kind if rng.random() < 0.8 else (kind + 1) % 3
                found.append([*moved.clip(-1, 1), wrong, float(rng.uniform(0.1, 0.99))])
        every.append((actual, found))
    outputs = torch.cat([pad(outputs_with(found, 3)) for _, found in every])
    y = torch.tensor([a + [[0, 0, 0, 0, -1]] * (5 - len(a)) for a, _ in every]).float()
    kept = Boxes(classes=(0, 1, 2), thresh=0.05).decide(scores_of(outputs).numpy())
    wanted = {}
    for overlap in np.arange(0.5, 0.96, 0.05):
        figures = []
        for kind in range(3):
            actual = {
                i: [np.array(b[:4]) for b in a if b[4] == kind] for i, (a, _) in enumerate(every)
            }
            found = [(i, b[5], b[:4]) for i, rows in enumerate(kept) for b in rows if b[4] == kind]
            if any(actual.values()):
                figures.append(by_hand(found, actual, overlap))
        wanted[round(overlap, 2)] = np.mean(figures)
    assert mean_ap50(outputs, y) == pytest.approx(wanted[0.5], abs=1e-6)
    assert mean_ap(outputs, y) == pytest.approx(np.mean(list(wanted.values())), abs=1e-6)
    assert 0.05 < mean_ap(outputs, y) < mean_ap50(outputs, y) < 0.95


def pad(outputs, places=10):
    """With places that say nothing."""
    rest = torch.full((1, outputs.shape[1], places), -50.0)
    return torch.cat([outputs, rest], 2)[:, :, :places]


def test_mean_ap_without_any_box_is_no_number_and_misses_are_nought():
    y = torch.tensor([[[-0.5, -0.5, 0.5, 0.5, 1]]])
    nothing = outputs_with([], 2)
    assert mean_ap50(nothing, y) == 0
    assert np.isnan(mean_ap50(nothing, y * 0 - 1))


# --- the learner -----------------------------------------------------------------------------


def test_metrics_of_a_set_are_those_of_its_batches_together(learned):
    learn, _ = learned
    outputs, y = [], []
    with torch.no_grad():
        for x, labels in learn.data.valid_dl:
            outputs.append(learn.model.eval()(x))
            y.append(labels)
    assert learn.validate()[1] == pytest.approx(float(mean_ap(torch.cat(outputs), torch.cat(y))))


def test_layers_are_frozen_and_have_rates_by_depth(learned):
    learn, _ = learned
    assert len(learn.layer_groups) == 3
    count = sum(p.numel() for group in learn.layer_groups for p in group)
    assert count == sum(p.numel() for p in learn.model.parameters())
    learn.freeze()
    body = list(learn.model.body.parameters())
    assert not any(p.requires_grad for p in body if p.ndim > 1)
    assert all(p.requires_grad for p in learn.model.boxes.parameters())
    learn.unfreeze()


def test_predictions_are_boxes_in_each_images_own_shares(learned, shapes):
    learn, _ = learned
    root, labels = shapes
    name = next(n for n in sorted(labels, reverse=True) if len(labels[n][0]) == 2)
    answer, data, probabilities = learn.predict(root / name, thresh=0.3)
    assert tuple(data.shape) == (len(answer.obj), 6)
    assert probabilities.shape[0] == 4 + 2
    assert all(f"{name} " in answer.text for name in answer.obj)
    scores = data[:, 5].tolist()
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.3


@pytest.mark.parametrize("zoom", [1.8, 2.5, 4.0])
def test_boxes_that_augmentation_loses_are_counted_as_the_first_epoch_will_lose_them(shapes, zoom):
    root, labels = shapes
    tfms = get_transforms(max_zoom=zoom, max_rotate=30, p_affine=1)
    data = boxes_data(root, labels, (tfms[0], []))
    with pytest.warns(OnecycleWarning, match="in training") as seen:
        detection_learner(data, "small", pretrained=False, width=32)
    (message,) = [str(each.message) for each in seen]
    assert "validation" not in message
    lost, count = map(int, re.search(r"(\d+) of (\d+) in training", message).groups())
    assert count == sum(len(boxes) for boxes, _ in (labels[f] for f in sorted(labels)[:-16]))
    left = sum(int((y[:, :, 4] >= 0).sum()) for _, y in data.train_dl)
    assert count - lost == left < count


def test_validation_counts_what_a_crop_cuts_away(shapes):
    data = boxes_data(*shapes, size=(64, 20), resize_method="crop")
    with pytest.warns(OnecycleWarning, match="in validation.*resize_method"):
        detection_learner(data, "small", pretrained=False, width=32)


def test_a_saved_detector_answers_as_before(learned, shapes, tmp_path):
    learn, _ = learned
    root, labels = shapes
    learn.path = tmp_path
    file = learn.save("boxes", return_path=True)
    again = load_cnn(file)
    name = sorted(labels)[-1]
    assert again.predict(root / name)[0] == learn.predict(root / name)[0]


def test_the_worst_items_and_results_are_drawn(learned):
    from onecycle.interpret.classification import Interpretation

    learn, _ = learned
    found = Interpretation.from_learner(learn)
    figure = found.plot_top_losses(3)
    titles = [ax.get_title() for ax in figure.axes]
    assert sum("loss" in title for title in titles) == 3
    worst = int(found.top_losses(1)[1][0])
    assert len(figure.axes[0].patches) == len(found.predictions.actual(worst).obj)
    assert len(figure.axes[1].patches) == len(found.predictions.predicted(worst).obj)
    assert learn.show_results(rows=2) is not None


def test_a_width_that_cannot_be_normalised_is_named(shapes):
    with pytest.raises(ModelError, match="multiple of 32, not 40"):
        create_detector_model("small", 6, False, (64, 80), 40)


def test_boxes_are_in_no_pairs_for_metrics_of_other_libraries():
    with pytest.raises(UsageError, match="mean_ap"):
        Boxes(classes=("a",)).decisions(torch.zeros(1, 10, 4), torch.zeros(1, 2, 5))


@pytest.mark.slow
def test_augmentation_and_stages_learn_too(shapes):
    """As a user would: frozen, a rate by the range test, unfrozen with rates by depth."""
    torch.manual_seed(0)
    data = boxes_data(*shapes, get_transforms(max_rotate=0, max_zoom=1, max_warp=0))
    learn = detection_learner(data, "small", width=64, metrics=mean_ap50, silent=True)
    (before,) = learn.validate()[1:]
    assert learn.lr_find(num_it=30).suggestion > 0
    learn.fit_one_cycle(4, 5e-3)
    learn.unfreeze().fit_one_cycle(10, slice(2e-3, 1e-2))
    after = learn.validate()[1]
    assert before < 0.1
    assert after > 0.4, after
