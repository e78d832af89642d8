"""What counts in a loss counts alike, however it is put into batches, steps and processes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from onecycle.data.arrays import from_arrays
from onecycle.learn.engine import Engine
from onecycle.learn.evaluate import evaluate
from onecycle.learn.learner import Learner
from onecycle.learn.loop import Accumulation, weight_of
from onecycle.learn.losses import CombinedLoss, CrossEntropyFlat, DiceLoss, FocalLoss
from onecycle.vision.targets import Mask

VOID = 2
WEIGHT = torch.tensor([1.0, 5.0, 0.0])
MASK = Mask(classes=("road", "car", "void"), void=VOID)


def masks(seed=0):
    """Five masks (5, 1, 4, 6); the first two are void but for a row, and but for a pixel."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (5, 1, 4, 6), generator=rng)
    y[0, :, 1:] = VOID
    y[1].view(-1)[1:] = VOID
    return torch.randn(5, 3, 4, 6, generator=rng), y


def classes():
    """Outputs (7, 3) and labels of the classes 0 and 1, the rare one at the end."""
    rng = torch.Generator().manual_seed(1)
    return torch.randn(7, 3, generator=rng), torch.tensor([0, 0, 0, 0, 0, 1, 1])


def parts(outputs, y, sizes):
    return list(zip(outputs.split(sizes), y.split(sizes), strict=True))


@pytest.mark.parametrize(
    "loss",
    [
        MASK.loss,
        CrossEntropyFlat(ignore_index=VOID),
        CrossEntropyFlat(ignore_index=VOID, weight=[1.0, 7.0, 1.0]),
        FocalLoss(ignore_index=VOID),
        DiceLoss(ignore_index=VOID),
    ],
)
def test_the_loss_of_a_set_of_masks_is_that_of_all_at_once(loss):
    outputs, y = masks()
    wanted = float(loss(outputs, y))
    for sizes in ([1] * 5, [2, 3], [4, 1]):
        (found,) = evaluate(parts(outputs, y, sizes), loss, [], MASK)
        assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=WEIGHT),
        nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=0),
        partial(F.cross_entropy, weight=WEIGHT),
        nn.CrossEntropyLoss(),
        F.cross_entropy,
    ],
)
def test_the_loss_of_a_set_of_classes_is_that_of_all_at_once(loss):
    outputs, y = classes()
    wanted = float(loss(outputs, y))
    for sizes in ([1] * 7, [5, 2], [4, 3]):
        (found,) = evaluate(parts(outputs, y, sizes), loss, [])
        assert found == pytest.approx(wanted, abs=1e-6)


def test_losses_that_divide_by_the_items_count_by_them():
    y = torch.tensor([0, 1, 1])
    shares = torch.eye(3)[y]
    one_hot = weight_of(nn.CrossEntropyLoss(weight=WEIGHT), len)
    both = CombinedLoss((CrossEntropyFlat(), 1.0), (DiceLoss(), 1.0))
    assert one_hot(shares) == 3
    assert weight_of(nn.CrossEntropyLoss(weight=WEIGHT), len)(y) == 11
    assert weight_of(nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"), len)(y) == 3
    assert weight_of(nn.MSELoss(), len)(y) == 3
    assert weight_of(both, len)(y) == 3


def test_a_set_in_which_nothing_counts_has_no_loss():
    outputs, y = masks()
    void = torch.full_like(y, VOID)
    (found,) = evaluate([(outputs, void)], MASK.loss, [], MASK)
    assert np.isnan(found)


def rare_at_the_end():
    """14 rows in the order of the file: seven batches of two, the rare class in the last three."""
    x = np.random.default_rng(2).normal(size=(15, 3))
    y = np.array([0] * 9 + [1] * 6)
    return x, y


def trained(bs, accumulate, loss):
    """The weights after one pass in the order of the rows, by plain gradient descent."""
    x, y = rare_at_the_end()
    data = from_arrays(x[:14], y[:14], x[14:], y[14:], bs=bs, device="cpu")
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    learn = Learner(
        data,
        model,
        opt_func=torch.optim.SGD,
        loss_func=loss,
        wd=0.0,
        accumulate=accumulate,
        silent=True,
    )
    learn.data.train_dl.train = False  # rows come in their order
    learn.fit(1, 0.3)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("loss", [None, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9.0]))])
def test_batches_that_are_put_together_move_the_weights_as_one_large_batch(loss):
    """Steps of 6, 6 and 2 rows: the last group is a part, and the rare class is in its own one."""
    x, y = (torch.as_tensor(v[:14]) for v in rare_at_the_end())
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for rows in (slice(0, 6), slice(6, 12), slice(12, 14)):
        optimizer.zero_grad()
        (loss or F.cross_entropy)(model(x[rows].float()), y[rows]).backward()
        optimizer.step()
    wanted = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.allclose(trained(2, 3, loss), wanted, atol=1e-6)
    assert not torch.allclose(trained(2, 1, loss), wanted, atol=1e-3)


class Several(Engine):
    """One of two processes: it knows what the other one's share of each batch weighs."""

    processes = 2

    def __init__(self, others):
        super().__init__(torch.device("cpu"))
        self.others = iter(others)

    def total(self, weight):
        return weight + next(self.others)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_shares_of_two_processes_count_as_one_batch(accumulate):
    """Gradients of all processes are averaged on the way back, whatever their shares hold."""
    outputs, y = masks()
    halves = [(outputs[i : i + 1], y[i : i + 1]) for i in range(4)]  # process 0: 0, 2; 1: 1, 3
    counts = [MASK.weight(labels) for _, labels in halves]
    assert len(set(counts[:3])) == 3, "an uneven example"
    found = []
    for rank in (0, 1):
        steps = Accumulation(Several(counts[1 - rank :: 2]), MASK.weight, accumulate, 2)
        weight = torch.zeros(3, requires_grad=True)
        optimizer = Groups(weight)
        for i, (out, labels) in enumerate(halves[rank::2]):
            steps.part(MASK.loss(out + weight[:, None, None], labels), labels, i).backward()
            if steps.ends(i) and accumulate == 2:
                steps.level(optimizer)
        found.append(weight.grad)
    weight = torch.zeros(3, requires_grad=True)
    for first in range(0, 4, 2 * accumulate):
        batch = slice(first, first + 2 * accumulate)
        MASK.loss(outputs[batch] + weight[:, None, None], y[batch]).backward()
    assert torch.allclose((found[0] + found[1]) / 2, weight.grad, atol=1e-6)


class Groups:
    """The one part of an optimizer that holds one parameter."""

    def __init__(self, parameter):
        self.param_groups = [{"params": [parameter]}]
