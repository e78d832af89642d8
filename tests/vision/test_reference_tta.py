"""Test-time augmentation beside a program that takes one look at one image after the other.

Images are grids of plain cells, and the network sees the middles of some, so that each look is
known to the last bit: no pixel between two cells is ever asked for.
"""

from math import exp, log

import numpy as np
import pytest
import torch
from torch import nn

from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.vision import augment
from onecycle.vision.learner import ImageLearner
from onecycle.vision.lists import ImageList
from onecycle.vision.tta import TTA

CELLS, SIDE, SEEN = 8, 8, 4  # an image has 8 x 8 cells of 8 x 8 pixels; 4 x 4 are looked at


class Net(nn.Module):
    """`n` numbers of the squares of what is seen at every 16th pixel, none of them symmetric."""

    def __init__(self, n):
        super().__init__()
        rng = np.random.default_rng(3)
        weight = torch.tensor(rng.normal(0, 2, (n, SEEN, SEEN)), dtype=torch.float32)
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        seen = x[:, 1, 5::16, 5::16].square()
        return torch.einsum("nrc,krc->nk", seen, self.weight)


def made(kind, labels, tfms, n):
    rng = np.random.default_rng(4)
    grids = [rng.integers(0, 256, (CELLS, CELLS), dtype=np.uint8) for _ in labels]
    images = [np.kron(g, np.ones((SIDE, SIDE), np.uint8))[..., None].repeat(3, 2) for g in grids]
    given = dict(zip(map(id, images), labels, strict=True))
    split = ImageList._make(images, ".").split_by_idx(range(3, len(images)))
    labelled = split.label_from_func(lambda item: given[id(item)], label_cls=kind)
    data = labelled.transform((tfms, []), size=None).databunch(
        bs=1, val_bs=2, num_workers=0, device="cpu"
    )
    return ImageLearner(data, Net(n), silent=True), [g / 255 for g in grids[3:]]


def looks(grid, mirrors):
    """The cells seen plainly, and in each corner enlarged twice, mirrored or not."""
    plain = [[grid[2 * r, 2 * c] for c in range(SEEN)] for r in range(SEEN)]
    others = []
    for top in (0, 4):
        for left in (0, 4):
            corner = [[grid[top + r, left + c] for c in range(SEEN)] for r in range(SEEN)]
            others.append(corner)
            others.append([row[::-1] for row in corner] if mirrors else corner)
    return plain, others


def logits(cells, weight):
    return [
        sum(w[r][c] * cells[r][c] ** 2 for r in range(SEEN) for c in range(SEEN)) for w in weight
    ]


def softmax(values):
    powers = [exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


def sigmoid(values):
    return [1 / (1 + exp(-v)) for v in values]


KINDS = {
    "classes": (
        Category,
        ["a", "b", "c", "b", "a", "c", "b"],
        softmax,
        lambda p, y: -log(p[int(y)]),
    ),
    "tags": (
        MultiCategory,
        [["a"], ["b", "c"], ["c"], ["a", "b"], ["c"], [], ["b"]],
        sigmoid,
        lambda p, y: -sum(log(q if t else 1 - q) for q, t in zip(p, y, strict=True)) / len(p),
    ),
    "numbers": (
        Numbers,
        [[0.5, 1.0], [2.0, -1.0], [0.0, 0.25], [3.0, 1.0], [1.0, 1.5], [-2.0, 0.5], [0.0, 7.0]],
        list,
        lambda p, y: sum((a - b) ** 2 for a, b in zip(p, y, strict=True)) / len(p),
    ),
}


@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_losses_are_the_means_of_those_of_the_looks(kind, beta, mirrors):
    target, labels, activation, loss = KINDS[kind]
    n = 2 if kind == "numbers" else 3
    learn, grids = made(target, labels, [augment.flip_lr()] if mirrors else [], n)
    found, y, losses = TTA(learn, beta=beta, scale=2.0, with_loss=True)
    weight = learn.model.weight.detach().double().tolist()
    for i, grid in enumerate(grids):
        plain, others = looks(grid, mirrors)
        actual = y[i].tolist()
        answers = [activation(logits(cells, weight)) for cells in (plain, *others)]
        mean = [sum(column) / 8 for column in zip(*answers[1:], strict=True)]
        wanted = [beta * a + (1 - beta) * b for a, b in zip(answers[0], mean, strict=True)]
        assert found[i].tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        each = [loss(answer, actual) for answer in answers]
        assert float(losses[i]) == pytest.approx(
            beta * each[0] + (1 - beta) * sum(each[1:]) / 8, rel=1e-4
        )
