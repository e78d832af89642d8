"""Losses and metrics beside slow programs in float64: one item, one pixel, one class at a time."""

from math import exp, log

import numpy as np
import pytest
import torch
from learn_helpers import tiny_learner

from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import MixUp
from onecycle.learn.losses import (
    CombinedLoss,
    CrossEntropyFlat,
    DiceLoss,
    FocalLoss,
    LabelSmoothingCrossEntropy,
)
from onecycle.learn.metrics import dice, mean_iou, perplexity, pixel_accuracy

SEEDS = range(6)


def softmax(row):
    """The shares of a list of logits."""
    top = max(row)
    powers = [exp(v - top) for v in row]
    return [p / sum(powers) for p in powers]


def smoothed(row, y, eps):
    """Szegedy et al. 2015, section 7: cross-entropy against (1 - eps) one-hot + eps / classes."""
    total = 0.0
    for k, p in enumerate(softmax(row)):
        wanted = (1 - eps) * (k == y) + eps / len(row)
        total -= wanted * log(p)
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_label_smoothing(seed):
    rng = np.random.default_rng(seed)
    n, classes, eps = int(rng.integers(1, 9)), int(rng.integers(2, 7)), float(rng.uniform(0, 0.5))
    outputs, y = rng.normal(0, 3, (n, classes)), rng.integers(0, classes, n)
    wanted = [smoothed(list(row), label, eps) for row, label in zip(outputs, y, strict=True)]
    loss, given = LabelSmoothingCrossEntropy(eps), (torch.tensor(outputs), torch.tensor(y))
    assert loss(*given, reduction="none").tolist() == pytest.approx(wanted, rel=1e-10)
    assert float(loss(*given)) == pytest.approx(sum(wanted) / n, rel=1e-10)


# --- mixup: Zhang et al. 2017, each item's loss by both labels ------------------------------------


class Seen(Callback):
    """Each batch before MixUp, what it made of it, the outputs and the loss."""

    order = -1

    def __init__(self):
        self.rows, self.state = [], None

    def before_batch(self, run):
        self.state, self.plain = torch.get_rng_state(), (run.x.clone(), run.y.clone())

    def after_loss(self, run):
        blended = run.x.double().numpy(), run.outputs.detach().double().numpy()
        self.rows.append((self.state, *self.plain, *blended, run.loss_value))


def shares_and_partners(state, n, alpha):
    """What the callback draws from a state: the larger share of each item, and its partner."""
    kept = torch.get_rng_state()
    torch.set_rng_state(state)
    share = torch.distributions.Beta(alpha, alpha).sample((n,)).double()
    other = torch.randperm(n)
    torch.set_rng_state(kept)
    return [max(float(s), 1 - float(s)) for s in share], other.tolist()


@pytest.mark.parametrize("eps", [0.0, 0.2])
@pytest.mark.parametrize("alpha", [0.1, 0.4, 3.0])
def test_mixup(single, alpha, eps):
    seen = Seen()
    learn = tiny_learner(single, loss_func=LabelSmoothingCrossEntropy(eps))
    learn.fit(2, 1e-2, callbacks=[seen, MixUp(alpha)])
    assert len(seen.rows) == 6
    for state, x, y, blended, outputs, loss in seen.rows:
        share, other = shares_and_partners(state, len(x), alpha)
        total = 0.0
        for i, (s, j) in enumerate(zip(share, other, strict=True)):
            wanted = s * x[i].double().numpy() + (1 - s) * x[j].double().numpy()
            np.testing.assert_allclose(blended[i], wanted, atol=1e-5)
            own, partners = (smoothed(list(outputs[i]), int(y[k]), eps) for k in (i, j))
            total += s * own + (1 - s) * partners
        assert loss == pytest.approx(total / len(x), rel=1e-5)


# --- masks ----------------------------------------------------------------------------------------


class Masks:
    """Random logits and labels with void and outside pixels, and weights that float32 holds."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.n, self.classes = int(rng.integers(1, 4)), int(rng.integers(2, 5))
        h, w = (int(v) for v in rng.integers(1, 6, 2))
        self.outputs = rng.normal(0, 2, (self.n, self.classes, h, w))
        self.void = int(rng.integers(0, self.classes)) if rng.random() < 0.5 else None
        self.y = rng.integers(0, self.classes, (self.n, h, w))
        self.y[rng.random(self.y.shape) < 0.2] = -100
        self.y.flat[0] = next(k for k in range(self.classes) if k != self.void)
        self.weight = None if rng.random() < 0.5 else list(rng.integers(1, 9, self.classes) / 8)
        self.gamma = float(rng.choice([0.5, 1.0, 2.0, 3.0]))
        self.given = torch.tensor(self.outputs), torch.tensor(self.y)[:, None]
        self.options = {"ignore_index": -100 if self.void is None else self.void}
        self.options["weight"] = self.weight

    def pixels(self, item):
        """(logits, class, weight) of each pixel that counts."""
        for row, col in np.ndindex(self.y.shape[1:]):
            label = int(self.y[item, row, col])
            if label >= 0 and label != self.void:
                weight = 1.0 if self.weight is None else self.weight[label]
                yield [float(v) for v in self.outputs[item, :, row, col]], label, weight

    def per_pixel(self, each):
        """The weighted mean over all pixels, and over those of each item."""
        pairs = [[(w * each(row, y), w) for row, y, w in self.pixels(i)] for i in range(self.n)]
        whole = [pair for item in pairs for pair in item]
        return _mean(whole), [_mean(item) for item in pairs]

    def dice(self, item):
        """1 - 2 |A and B| / (|A| + |B|) of each class that the item holds, and their mean."""
        losses = []
        for k in range(self.classes):
            both = sizes = actual = 0.0
            for row, label, weight in self.pixels(item):
                share, true = weight * softmax(row)[k], weight * (label == k)
                both, sizes, actual = both + share * true, sizes + share + true, actual + true
            if actual:
                losses.append(1 - 2 * both / sizes)
        return sum(losses) / len(losses) if losses else 0.0

    def confusion(self):
        """Counts: rows are actual classes, columns predicted ones."""
        counts = [[0] * self.classes for _ in range(self.classes)]
        for item in range(self.n):
            for row, label, _ in self.pixels(item):
                counts[label][row.index(max(row))] += 1
        return counts


def _mean(pairs):
    return sum(value for value, _ in pairs) / max(sum(weight for _, weight in pairs), 1e-8)


def entropy(row, y):
    return -log(softmax(row)[y])


def close(loss, masks, mean, each):
    """The loss with both reductions."""
    assert float(loss(*masks.given)) == pytest.approx(mean, rel=1e-6, abs=1e-12)
    assert loss(*masks.given, reduction="none").tolist() == pytest.approx(each, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_losses_of_masks(seed):
    masks = Masks(seed)
    plain = masks.per_pixel(entropy)
    close(CrossEntropyFlat(**masks.options), masks, *plain)
    focal = lambda row, y: (1 - softmax(row)[y]) ** masks.gamma * entropy(row, y)  # noqa: E731
    close(FocalLoss(masks.gamma, **masks.options), masks, *masks.per_pixel(focal))
    each = [masks.dice(item) for item in range(masks.n)]
    close(DiceLoss(**masks.options), masks, sum(each) / masks.n, each)
    parts = (CrossEntropyFlat(**masks.options), 0.25), (DiceLoss(**masks.options), 3.0)
    both = [0.25 * a + 3 * b for a, b in zip(plain[1], each, strict=True)]
    close(CombinedLoss(*parts), masks, 0.25 * plain[0] + 3 * sum(each) / masks.n, both)


def overlaps(counts, k):
    """(both, actual, predicted) of a class."""
    return counts[k][k], sum(counts[k]), sum(row[k] for row in counts)


@pytest.mark.parametrize("seed", range(12, 24))
def test_metrics_of_masks(seed):
    masks = Masks(seed)
    counts = masks.confusion()
    right = sum(counts[k][k] for k in range(masks.classes)) / sum(map(sum, counts))
    assert float(pixel_accuracy(*masks.given, void=masks.void)) == pytest.approx(right)
    real = [k for k in range(masks.classes) if k != masks.void]
    for only_actual in (False, True):
        found = []
        for k in real:
            both, actual, predicted = overlaps(counts, k)
            if actual or (predicted and not only_actual):
                found.append(both / (actual + predicted - both))
        given = mean_iou(*masks.given, void=masks.void, only_actual=only_actual)
        assert float(given) == pytest.approx(np.mean(found))
    each = {}
    for k in real:
        both, actual, predicted = overlaps(counts, k)
        if actual + predicted:
            each[k] = 2 * both / (actual + predicted)
    wanted = each.get(real[1], 1.0) if len(real) == 2 else np.mean(list(each.values()))
    assert float(dice(*masks.given, void=masks.void)) == pytest.approx(wanted)


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_perplexity_is_the_inverse_geometric_mean_of_the_shares_of_the_right_words(seed):
    rng = np.random.default_rng(seed)
    n, words, t = (int(v) for v in rng.integers(2, 7, 3))
    logits, y = rng.normal(0, 3, (n, words, t)), rng.integers(0, words, (n, t))
    product = 1.0
    for i, j in np.ndindex(n, t):
        product *= softmax(list(logits[i, :, j]))[y[i, j]]
    found = float(perplexity(torch.tensor(logits), torch.tensor(y)))
    assert found == pytest.approx(product ** (-1 / (n * t)), rel=1e-5)
