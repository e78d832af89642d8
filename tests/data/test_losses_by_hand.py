"""What each kind of label costs and how outputs become answers, by formulas written out."""

from math import exp, log

import pytest
import torch

from onecycle.data.targets import Category, MultiCategory, Numbers


def sigmoid(x):
    return 1 / (1 + exp(-x))


CASES = {
    # class 2 of three, then class 0
    "category": (
        Category(("a", "b", "c")),
        [[1.0, -1.0, 2.0], [0.5, 0.0, -3.0]],
        [2, 0],
        [
            -log(exp(2) / (exp(1) + exp(-1) + exp(2))),
            -log(exp(0.5) / (exp(0.5) + 1 + exp(-3))),
        ],
        [[exp(v) / (exp(1) + exp(-1) + exp(2)) for v in (1, -1, 2)], None],
    ),
    "multi": (
        MultiCategory(("a", "b")),
        [[2.0, -1.0], [0.0, 3.0]],
        [[1.0, 0.0], [1.0, 0.0]],
        [
            (-log(sigmoid(2)) - log(1 - sigmoid(-1))) / 2,
            (-log(sigmoid(0)) - log(1 - sigmoid(3))) / 2,
        ],
        [[sigmoid(2), sigmoid(-1)], [0.5, sigmoid(3)]],
    ),
    "numbers": (
        Numbers(("x", "y")),
        [[3.0, 1.0], [0.0, -2.0]],
        [[1.0, 1.5], [0.0, 1.0]],
        [(4 + 0.25) / 2, 9 / 2],
        [[3.0, 1.0], [0.0, -2.0]],
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_loss_and_answer_are_those_of_the_formula(kind):
    target, outputs, y, losses, answers = CASES[kind]
    outputs, y = torch.tensor(outputs), torch.tensor(y)
    assert target.loss(outputs, y, "none").tolist() == pytest.approx(losses)
    assert float(target.loss(outputs, y)) == pytest.approx(sum(losses) / 2)
    for found, wanted in zip(target.activate(outputs).tolist(), answers, strict=True):
        assert wanted is None or found == pytest.approx(wanted)
