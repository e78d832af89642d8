"""Several looks at each image: how much each counts, and where what it says belongs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pixel_helpers import blob, smooth_noise
from test_geometry import FAMILY
from torch import nn
from torchvision.transforms import v2

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.databunch import DatasetType
from onecycle.data.targets import Numbers
from onecycle.learn.learner import Learner
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.boxes import Boxes
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.learner import ImageLearner
from onecycle.vision.lists import ImageList, ObjectItemList, PointsItemList, SegmentationItemList
from onecycle.vision.targets import Mask, Points
from onecycle.vision.transform import flatten
from onecycle.vision.tta import TTA
from onecycle.vision.warp import Plan, draw_plan, exact_plan, warp_maps


class Same(nn.Module):
    """Its own input, 20 times: a network that says of each pixel what it sees there."""

    def __init__(self, gain=20.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x):
        return x * self.gain


class Bright(nn.Module):
    """The centre (y, x) of each channel's brightest spot, in [-1, 1]; `None` where it is dark."""

    def __init__(self, channels=1, leftmost_first=False):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.channels, self.leftmost_first = channels, leftmost_first

    def forward(self, x):
        h, w = x.shape[-2:]
        rows = (torch.arange(h, device=x.device) + 0.5) / h * 2 - 1
        cols = (torch.arange(w, device=x.device) + 0.5) / w * 2 - 1
        weight = (x[:, : self.channels] * self.gain - 0.6).clamp(min=0)
        total = weight.sum((2, 3))
        y = (weight * rows[:, None]).sum((2, 3)) / total.clamp(min=1e-9)
        across = (weight * cols).sum((2, 3)) / total.clamp(min=1e-9)
        points = torch.where(total[..., None] > 0, torch.stack([y, across], -1), 0.9)
        if self.leftmost_first:
            order = points[..., 1].argsort(1)
            points = points.gather(1, order[..., None].expand_as(points))
        return points


def learner(kind, images, labels, model, tfms=None, size=None, valid=None, **options):
    """A learner on images in memory, the first of which trains and all others validate."""
    items = kind._make(list(images), ".")
    given = dict(zip(map(id, images), labels, strict=True))
    split = items.split_by_idx(range(1, len(images)))
    labelled = split.label_from_func(lambda item: given[id(item)], **options)
    changed = labelled.transform((tfms or [], valid or []), size=size)
    data = changed.databunch(bs=1, val_bs=2, num_workers=0, device="cpu")
    return ImageLearner(data, model, silent=True)


# --- answers without a place


def quarters(values):
    """A grey image of 32 x 32 whose quarters (row by row) have these values."""
    cells = np.array(values, np.uint8).reshape(2, 2)
    return np.repeat(np.kron(cells, np.ones((16, 16), np.uint8))[:, :, None], 3, 2)


class Mean(nn.Module):
    """The mean of the image, as one number."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None] * self.gain


def means(tfms=None):
    images = [quarters([0, 0, 0, 0]), quarters([10, 50, 90, 250]), quarters([200, 0, 0, 40])]
    return learner(ImageList, images, [0.0, 0.5, 0.25], Mean(), tfms, label_cls=Numbers)


def test_the_looks_are_the_four_corners_and_beta_is_the_share_of_the_plain_one():
    """A window of half the side shows one quarter: its mean is known. Twice the white quarter's."""

    class Square(Mean):
        def forward(self, x):
            return super().forward(x) ** 2

    learn = means()
    learn.model = Square()
    plain, mean, y = learn.TTA(beta=None, scale=2.0)
    shown = np.array([[10, 50, 90, 250], [200, 0, 0, 40]]) / 255
    assert plain[:, 0].tolist() == pytest.approx((shown.mean(1) ** 2).tolist(), abs=1e-5)
    assert mean[:, 0].tolist() == pytest.approx((shown**2).mean(1).tolist(), rel=0.05)
    assert y[:, 0].tolist() == [0.5, 0.25]
    mixed, _ = learn.TTA(beta=0.25, scale=2.0)
    torch.testing.assert_close(mixed, 0.25 * plain + 0.75 * mean)
    assert not torch.allclose(mixed, 0.75 * plain + 0.25 * mean, rtol=0.1)


def test_the_default_is_two_fifths_of_the_plain_look():
    class Middle(Mean):
        def forward(self, x):
            return super().forward(x[..., 12:16, 12:16])

    learn = means()
    learn.model = Middle()
    plain, mean, _ = TTA(learn, beta=None)
    assert float((plain - mean).abs().min()) > 0.01
    for found in (TTA(learn), learn.TTA()):
        torch.testing.assert_close(found[0], 0.4 * plain + 0.6 * mean)


def test_a_mirrored_look_is_taken_only_where_training_mirrors():
    class Left(Mean):
        def forward(self, x):
            return super().forward(x[..., : x.shape[3] // 2])

    seen = []
    for tfms in ([], [augment.flip_lr(p=0.5)], [augment.dihedral()]):
        learn = means(tfms)
        learn.model = Left()
        seen.append(learn.TTA(beta=0.0, scale=1.0)[0][0, 0])
    left, both = (10 + 90) / 2 / 255, (10 + 50 + 90 + 250) / 4 / 255
    assert [float(v) for v in seen] == pytest.approx([left, both, both], abs=0.01)


def test_losses_are_mixed_as_the_answers_are():
    learn = means()
    plain, _, y = learn.TTA(beta=None, scale=2.0)
    shown = np.array([[10, 50, 90, 250], [200, 0, 0, 40]]) / 255
    _, _, losses = learn.TTA(beta=0.25, scale=2.0, with_loss=True)
    of_plain = ((plain - y) ** 2)[:, 0].numpy()
    of_looks = ((shown - y.numpy()) ** 2).mean(1)
    assert losses.tolist() == pytest.approx((0.25 * of_plain + 0.75 * of_looks).tolist(), rel=0.05)


def test_wrong_shares_are_refused():
    learn = means()
    with pytest.raises(UsageError, match=r"from 0 to 1, not 1\.5"):
        learn.TTA(beta=1.5)
    with pytest.raises(UsageError, match="no one loss"):
        learn.TTA(beta=None, with_loss=True)


# --- masks


def masks(image_size, tfms, size, valid=None, seed=0, gain=20.0, **options):
    rng = np.random.default_rng(seed)
    images = [smooth_noise(rng, image_size, 4) for _ in range(2)]
    labels = [image.argmax(2).astype(np.uint8) for image in images]
    options = {"classes": ["red", "green", "blue"], **options}
    model = Same(gain)
    return learner(SegmentationItemList, images, labels, model, tfms, size, valid, **options)


GEOMETRIC = sorted(set(FAMILY) - {"rand_pad"})


@settings(deadline=None, derandomize=True, max_examples=25, database=None)
@given(
    names=st.lists(st.sampled_from(GEOMETRIC), max_size=2),
    image_size=st.tuples(st.integers(40, 60), st.integers(40, 60)),
    size=st.sampled_from([None, 36, (30, 44)]),
    seed=st.integers(0, 999),
)
def test_a_network_that_says_what_it_sees_says_the_same_from_every_look(
    names, image_size, size, seed
):
    """Each look is mapped back by its matrix; where none covers a pixel, the plain one answers."""
    tfms = [FAMILY[name]() for name in names]
    learn = masks(image_size, tfms, size, seed=seed, gain=3.0)
    plain, mean, _ = learn.TTA(beta=None, scale=1.2)
    apart = (plain - mean).abs()
    assert float(apart.mean()) < 0.03
    assert float(apart.flatten().kthvalue(int(0.98 * apart.numel())).values) < 0.15


def test_the_shares_hold_for_masks_as_well():
    class Column(Same):
        def forward(self, x):
            ramp = torch.linspace(0, 2, x.shape[3]).expand_as(x[:, :1])
            return torch.cat([ramp, 0 * ramp, 0 * ramp], 1)

    learn = masks((20, 32), [], None)
    learn.model = Column()
    plain, mean, _ = learn.TTA(beta=None, scale=2.0)
    assert float((plain - mean).abs().max()) > 0.05
    mixed, _ = learn.TTA(beta=0.25, scale=2.0)
    torch.testing.assert_close(mixed, 0.25 * plain + 0.75 * mean)


def test_masks_are_as_good_from_all_looks_as_from_one():
    learn = masks((48, 60), get_transforms(flip_vert=True, max_lighting=0)[0], (40, 50))
    plain, mean, y = learn.TTA(beta=None)
    right = [float((p.argmax(1) == y[:, 0]).float().mean()) for p in (plain, mean)]
    assert min(right) > 0.95
    assert float((plain.argmax(1) == mean.argmax(1)).float().mean()) > 0.96


def test_a_look_counts_only_where_it_covers_a_pixel():
    """Four windows of a quarter each, of a network that says where in its window a pixel is."""

    class Place(Same):
        def forward(self, x):
            ramp = torch.linspace(0, 1, x.shape[3]).expand_as(x[:, :1])
            return torch.cat([ramp, 0 * ramp, 0 * ramp], 1)

    learn = masks((32, 32), [], None)
    learn.model = Place()
    _, mean, _ = learn.TTA(beta=None, scale=2.0)
    logits = (mean[0, 0] / mean[0, 1]).log()
    once = torch.linspace(0, 1, 32)[torch.arange(16) * 2]
    assert float((logits[5, :16] - once).abs().max()) < 0.05  # 0 to 1 in the left half ...
    assert float((logits[5, 16:] - once).abs().max()) < 0.05  # ... and again in the right one


def test_losses_of_masks_are_those_of_the_mixed_answer():
    learn = masks((30, 40), [augment.flip_lr(p=0.5)], None, label_cls=Mask(void="green"), gain=2.0)
    mixed, y, losses = learn.TTA(beta=0.3, with_loss=True)
    for p, labels, loss in zip(mixed.numpy(), y[:, 0].numpy(), losses.tolist(), strict=True):
        rows, cols = np.nonzero(labels != 1)
        wanted = -np.log(p[labels[rows, cols], rows, cols]).mean()
        assert loss == pytest.approx(wanted, rel=1e-4)


def test_a_map_is_covered_up_to_its_edges_and_not_behind_the_eye():
    maps = torch.arange(12.0).reshape(1, 3, 4)
    moved, covered = warp_maps(
        maps, Plan((3, 4), (3, 4), np.array([[1.0, 0, 1], [0, 1, -1], [0, 0, 1]]))
    )
    assert covered[0].tolist() == [[False] * 4, [True] * 3 + [False], [True] * 3 + [False]]
    assert moved[0, 1:, :3].tolist() == [[1, 2, 3], [5, 6, 7]]
    through = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 2.5]])  # the eye stands at x = 2.5
    assert not warp_maps(maps, Plan((3, 4), (3, 4), through))[1][0, :, 3].any()
    with pytest.raises(Exception, match=r"maps of \(3, 4\) for images of \(6, 8\)"):
        warp_maps(maps, Plan((6, 8), (6, 8), np.eye(3)))


@pytest.mark.parametrize("smaller", [(60, 90), (33, 41)])
def test_the_way_back_of_a_plan_undoes_it_whatever_the_size_at_which_it_was_read(smaller):
    tfms = flatten([augment.rotate(25.0), augment.zoom(1.3, 0.2, 0.9), augment.flip_lr()])
    plan = draw_plan(tfms, ImageSpec((40, 50)), (120, 180), np.random.default_rng(0))
    kept = exact_plan((120, 180), ImageSpec((32, 64), "pad"))
    back = plan.for_source(smaller).back_to(kept)
    place = np.array([17.0, 11.0, 1])
    in_image = kept.matrix @ place
    in_look = np.linalg.inv(plan.matrix) @ (in_image / in_image[2])
    again = back.matrix @ place
    np.testing.assert_allclose(again[:2] / again[2], in_look[:2] / in_look[2], atol=1e-9)
    assert (back.source, back.out, back.mirrored) == ((40, 50), (32, 64), True)


# --- points


def spots(size, *places):
    """A black image with a spot at each (y, x), the n-th in channel n."""
    image = np.zeros((*size, 3), np.uint8)
    for channel, (y, x) in enumerate(places):
        image[:, :, channel] = blob(size, y, x, 2.5)[:, :, 0]
    return image


def points_of(size, *places):
    return ImagePoints(FlowField(size, torch.tensor(places, dtype=torch.float32)))


def test_points_come_back_to_their_place_from_every_look():
    size, place = (60, 80), (19, 52)
    image = spots(size, place)
    tfms = get_transforms(max_lighting=0, max_rotate=25)[0]
    labels = [points_of(size, place)] * 2
    learn = learner(PointsItemList, [image, image], labels, Bright(), tfms, (45, 60))
    plain, mean, y = learn.TTA(beta=None)
    assert float((plain - y).abs().max()) < 0.04
    assert float((mean - y).abs().max()) < 0.04  # a pixel is 2 / 45


def test_a_look_that_does_not_show_a_point_has_no_say_in_it():
    """In the far corner: three of four windows are dark, and answer (.9, .9) of their own."""
    size, place = (64, 64), (8, 8)
    image = spots(size, place)
    learn = learner(PointsItemList, [image] * 2, [points_of(size, place)] * 2, Bright())
    plain, mean, _ = learn.TTA(beta=None, scale=2.0)
    assert float((plain - mean).abs().max()) < 0.02


def test_pairs_change_places_on_the_way_back_from_a_mirror():
    """The network names the left spot first, whichever of the two it is."""
    size, left, right = (50, 70), (12, 15), (38, 60)
    image, labels = spots(size, left, right), [points_of(size, left, right)] * 2
    options = {"tfms": [augment.flip_lr(p=0.5)]}
    model = Bright(2, leftmost_first=True)
    found = {}
    for pairs in ((), ((0, 1),)):
        target = Points(flip_pairs=pairs)
        learn = learner(PointsItemList, [image] * 2, labels, model, label_cls=target, **options)
        plain, mean, _ = learn.TTA(beta=None, scale=1.0)
        found[pairs] = float((plain - mean).abs().max())
    assert found[((0, 1),)] < 0.02
    assert found[()] > 0.3


def test_losses_of_points_are_those_of_the_mixed_answer():
    size, place = (40, 40), (10, 25)
    labels = [points_of(size, (30, 5))] * 2  # wrong on purpose
    learn = learner(PointsItemList, [spots(size, place)] * 2, labels, Bright())
    mixed, y, losses = learn.TTA(beta=0.5, scale=1.3, with_loss=True)
    wanted = ((mixed - y) ** 2).mean((1, 2))
    assert losses.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
    assert float(wanted[0]) == pytest.approx(((10 - 30) ** 2 + (25 - 5) ** 2) / 800, rel=0.1)


def test_large_jpegs_that_are_read_smaller_come_back_all_the_same(tmp_path):
    size, place = (333, 451), (95, 303)
    for name in "ab":
        Pillow.fromarray(blob(size, *place, 14)).save(tmp_path / f"{name}.jpg", quality=95)
    data = (
        PointsItemList.from_folder(tmp_path)
        .split_by_idx([1])
        .label_from_func(lambda file: points_of(size, place))
        .transform(get_transforms(max_lighting=0), size=64)
        .databunch(bs=1, num_workers=0, device="cpu")
    )
    plain, mean, y = TTA(Learner(data, Bright(), silent=True), beta=None)
    assert float((plain - y).abs().max()) < 0.04
    assert float((mean - y).abs().max()) < 0.04


# --- what cannot be merged


def test_boxes_are_refused():
    image = np.full((20, 30, 3), 9, np.uint8)
    labels = [[[[2, 3, 9, 12]], ["cat"]]] * 2
    learn = learner(ObjectItemList, [image, image.copy()], labels, Mean(), label_cls=Boxes)
    with pytest.raises(UsageError, match="looks at boxes cannot be merged"):
        learn.TTA()


def test_foreign_transforms_are_left_out_of_looks_at_masks_with_a_warning():
    learn = masks((24, 24), [v2.RandomHorizontalFlip(1.0), augment.rotate(20.0)], None)
    with pytest.warns(OnecycleWarning, match="1 training transforms .*'RandomHorizontalFlip'"):
        plain, mean, _ = learn.TTA(beta=None, scale=1.1)
    assert float((plain - mean).abs().mean()) < 0.1
    held = masks((24, 24), [], None, valid=[v2.RandomHorizontalFlip(1.0)])
    with pytest.raises(UsageError, match="'RandomHorizontalFlip' are of another library"):
        held.TTA()


def test_a_test_set_without_labels_has_looks_and_no_losses():
    rng = np.random.default_rng(0)
    images = [smooth_noise(rng, (20, 20), 4) for _ in range(3)]
    labelled = (
        SegmentationItemList._make(images[:2], ".")
        .split_by_idx([1])
        .label_from_func(lambda image: image.argmax(2).astype(np.uint8), classes=["r", "g", "b"])
    )
    data = labelled.add_test(images[2:]).transform(None).databunch(bs=1, num_workers=0)
    learn = ImageLearner(data, Same(), silent=True)
    mixed, _, losses = learn.TTA(ds_type=DatasetType.Test, with_loss=True)
    assert losses.tolist() == [0]
    assert float((mixed[0].argmax(0) == torch.from_numpy(images[2].argmax(2))).float().mean()) > 0.9
