"""A detector of boxes without anchors: a body, a pyramid of features, and FCOS heads.

Source: Tian, Shen, Chen & He 2019, FCOS (arXiv 1904.01355), with centre sampling as torchvision
has it.
"""

from itertools import accumulate, pairwise
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.core.errors import ModelError
from onecycle.models.body import Body, Pyramid

_FINEST = 8  # pixels between two places; finer maps cost more than small boxes gain
_CONVS = 2  # before each of the head's last layers
_SAMPLED = 1.5  # steps around the middle of a box whose places answer for it
_LEAST, _MOST = 4.0, 8.0  # steps from a place to the furthest edge of its box
_FIRST_CLASS = 9  # the row of an output with which the classes begin


class Detector(nn.Module):
    """Images (n, 3, h, w) to outputs (n, 9 + classes, places), float32.

    A place is one of a feature map. Its rows: the edges of its box (top, left, bottom, right),
    where it is (y, x) and how far it is to the next one (down, across), all in [-1, 1] from edge to
    edge of the image; a logit of how central it is in its box; the logit of each class.
    """

    def __init__(self, pyramid: Pyramid, classes: int, width: int) -> None:
        super().__init__()
        from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
        from torchvision.ops import FeaturePyramidNetwork

        wanted = [i for i, stride in enumerate(pyramid.reductions) if stride >= _FINEST]
        self.first = wanted[0] if wanted else len(pyramid.reductions) - 1
        self.body = pyramid
        self.neck = FeaturePyramidNetwork(pyramid.channels[self.first :], width)
        self.classes = FCOSClassificationHead(width, 1, classes, _CONVS)
        self.boxes = FCOSRegressionHead(width, 1, _CONVS)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs."""
        found = self.body(x)
        heights = (x.shape[2], *(m.shape[2] for m in found))
        # By rounded steps: of a map of 3 rows in 100 it is not known whether they lie 32 apart.
        strides = [*accumulate((round(a / b) for a, b in pairwise(heights)), mul)][self.first :]
        maps = self.neck({str(i): m for i, m in enumerate(found[self.first :])}).values()
        shares = 2 / torch.tensor(x.shape[2:], dtype=torch.float32, device=x.device)
        each = [self._of_map(*pair, shares) for pair in zip(maps, strides, strict=True)]
        return torch.cat(each, 2)

    def _of_map(self, features: Tensor, stride: int, shares: Tensor) -> Tensor:
        """(n, 9 + classes, places) of one map, whose places lie `stride` pixels apart."""
        boxes = self.boxes.conv(features)
        reach = self.boxes.bbox_reg(boxes).flatten(2).relu().float()  # left, top, right, bottom
        parts = [
            self.boxes.bbox_ctrness(boxes),
            self.classes.cls_logits(self.classes.conv(features)),
        ]
        axes = (torch.arange(n, device=features.device) * stride for n in features.shape[2:])
        at = torch.cartesian_prod(*axes).T * shares[:, None] - 1  # (2, places)
        step = (stride * shares)[:, None].expand_as(at)
        low, high = at - reach[:, [1, 0]] * step, at + reach[:, [3, 2]] * step
        known = torch.cat([at, step]).expand(features.shape[0], -1, -1)
        return torch.cat([low, high, known, *(part.flatten(2).float() for part in parts)], 1)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Early and late layers of the body; what was put on it."""
        known = {id(p) for p in self.body.parameters()}
        new = [p for p in self.parameters() if id(p) not in known]
        return [group for group in (*self.body.body.halves(), new) if group]


def create_detector(
    body: Body, classes: int, size: tuple[int, int] = (64, 64), width: int = 128
) -> Detector:
    """A detector on any body with feature maps of falling sizes; see `Detector`.

    `width`, a multiple of 32, is the number of channels in what is put on the body.
    """
    if width < 32 or width % 32:
        raise ModelError(f"width is a multiple of 32, not {width}: it is normalised in 32 groups")
    return Detector(Pyramid(body, size), classes, width)


def scores_of(outputs: Tensor) -> Tensor:
    """(n, 4 + classes, places) of outputs: edges within the image, and scores in 0-1.

    A score is the geometric mean of how sure the class is and how central the place.
    """
    central, classes = outputs[:, 8:9].sigmoid(), outputs[:, _FIRST_CLASS:].sigmoid()
    return torch.cat([outputs[:, :4].clamp(-1, 1), (central * classes).sqrt()], 1)


def outputs_of(scores: Tensor) -> Tensor:
    """Outputs whose `scores_of` these are, of places that are all in the middle of their boxes."""
    known = torch.zeros_like(scores[:, :5])
    known[:, 4] = torch.inf
    return torch.cat([scores[:, :4], known, torch.logit(scores[:, 4:].square(), 1e-12)], 1)


def detection_losses(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of the losses, number of places that answer for a box) of each item, both (n,).

    Of outputs (n, 9 + classes, places) and boxes (n, count, 5), whose class is -1 where there is
    none: focal loss of the classes (Lin et al. 2017, arXiv 1708.02002) at all places; at those that
    answer for a box also GIoU loss (Rezatofighi et al. 2019) and cross-entropy of centre-ness.
    """
    from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

    rows = outputs.transpose(1, 2)
    box = assign(rows[0, :, 4:8].detach(), y)
    item, place = (box >= 0).nonzero(as_tuple=True)
    actual = y[item, box[item, place]]
    logits = rows[:, :, _FIRST_CLASS:]
    wanted = torch.zeros_like(logits)
    wanted[item, place, actual[:, 4].long()] = 1
    sums = sigmoid_focal_loss(logits, wanted, reduction="none").sum((1, 2))
    found = rows[item, place]
    overlap = generalized_box_iou_loss(found[:, :4], actual[:, :4], reduction="none")
    reach = torch.stack([found[:, 4:6] - actual[:, :2], actual[:, 2:4] - found[:, 4:6]], 2)
    central = (reach.amin(2) / reach.amax(2)).prod(1).sqrt()
    apart = F.binary_cross_entropy_with_logits(found[:, 8], central, reduction="none")
    sums = sums.index_add(0, item, (overlap + apart).to(sums.dtype))
    return sums, torch.bincount(item, minlength=len(y))


def assign(places: Tensor, y: Tensor) -> Tensor:
    """The number (n, places) of the box that each place answers for, or -1.

    Of places (places, 4) as in outputs and boxes (n, count, 5): the smallest of the boxes in which
    it lies, near whose middle it lies, and whose furthest edge is neither too near nor too far for
    its map.
    """
    if not y.shape[1]:
        return torch.full((len(y), len(places)), -1, device=y.device)
    at, step = places[:, None, :2], places[:, None, 2:]
    low = (at - y[:, None, :, :2]) / step  # (n, places, count, 2), in steps
    high = (y[:, None, :, 2:4] - at) / step
    reach = torch.cat([low, high], 3)
    furthest, down = reach.amax(3), places[:, 2]
    least = torch.where(down > down.min(), _LEAST, 0.0)[:, None]
    most = torch.where(down < down.max(), _MOST, torch.inf)[:, None]
    near = (high - low).abs().amax(3) / 2 < _SAMPLED
    fits = near & (reach.amin(3) > 0) & (furthest > least) & (furthest < most)
    fits &= y[:, None, :, 4] >= 0
    area = (y[:, :, 2:4] - y[:, :, :2]).prod(2)[:, None]
    smallest = torch.where(fits, area, torch.inf).min(2)
    return torch.where(smallest.values < torch.inf, smallest.indices, -1)
