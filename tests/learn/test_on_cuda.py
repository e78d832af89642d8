"""What only a CUDA device shows: real 16-bit floats, its memory, its ways to move pixels."""

import copy

import numpy as np
import pytest
import torch
from learn_helpers import differences, tiny_learner, weights
from torch import nn

from onecycle.core.errors import TrainingError
from onecycle.learn.callback import Callback
from onecycle.learn.engine import Engine
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.models.awd_lstm import Undecoded
from onecycle.runtime.predictor import Predictor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
PRECISIONS = ("fp32", "fp16", "bf16")


def at(learn, precision):
    return learn if precision == "fp32" else getattr(learn, f"to_{precision}")()


@pytest.fixture
def on_cuda(single_src, make_bunch):
    return lambda src=single_src, **options: make_bunch(src, device="cuda", **options)


class Recorded(Callback):
    """The loss of every step and the scale after it."""

    def __init__(self):
        self.losses, self.scales = [], []

    def after_step(self, run):
        self.losses.append(run.loss_value)
        self.scales.append(run.engine.scaler.get_scale())


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_sixteen_bits_descend_as_thirty_two_do(on_cuda, precision):
    def losses(precision):
        seen = Recorded()
        at(tiny_learner(on_cuda()), precision).fit(8, 1e-2, callbacks=[seen])
        return np.array(seen.losses)

    exact, half = losses("fp32"), losses(precision)
    assert half[0] == pytest.approx(exact[0], abs=0.01)
    for found in (exact, half):
        assert found[-6:].mean() < found[:3].mean() - 0.1


def test_an_overflow_leaves_its_step_out_and_halves_the_scale(on_cuda):
    class Overflow(Callback):
        def __init__(self):
            self.before = None

        def before_batch(self, run):
            if run.step == 1:
                self.before = copy.deepcopy(run.model.state_dict())
                run.loss_func = lambda outputs, y: outputs.sum() * 1e4

        def after_step(self, run):
            if run.step == 1:
                moved = [n for n, p in run.model.named_parameters() if (p != self.before[n]).any()]
                self.moved = moved

    learn, seen, overflow = tiny_learner(on_cuda(), wd=0).to_fp16(), Recorded(), Overflow()
    learn.fit(2, 1e-3, callbacks=[overflow, seen])
    before, after, later = seen.scales[:3]
    assert 2**12 <= before <= 2**16
    assert after == later == before / 2
    assert overflow.moved == []
    assert all(torch.isfinite(p).all() for p in learn.model.parameters())


def test_the_scale_doubles_after_a_thousand_good_steps():
    engine = Engine(torch.device("cuda"), "fp16")
    weight = nn.Parameter(torch.ones(1, device="cuda"))
    optimizer = torch.optim.SGD([weight], 1e-9)
    for step in range(1001):
        assert engine.scaler.get_scale() == 2**16 * (1 + (step >= 1000))
        engine.backward(weight.sum())
        engine.step(optimizer)
        optimizer.zero_grad()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_finds_a_rate_and_answers_in_float32(on_cuda, precision):
    learn = at(tiny_learner(on_cuda(), metrics=accuracy), precision)
    before = weights(learn)
    found = learn.lr_find(num_it=20)
    assert len(found.losses) > 5
    assert differences(weights(learn), before) == []
    outputs, y = learn.get_preds()
    assert outputs.dtype == torch.float32
    assert len(outputs) == len(y) == 12


def test_sixteen_bits_take_less_memory(on_cuda):
    def peak(precision):
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
        for _ in range(6):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
        net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 3))
        learn = at(Learner(on_cuda(), net, silent=True), precision)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        learn.fit(1, 1e-3)
        return torch.cuda.max_memory_allocated() - before

    exact = peak("fp32")
    assert peak("fp16") < 0.8 * exact
    assert peak("bf16") < 0.8 * exact


def test_too_large_a_batch_says_what_to_try_and_the_learner_goes_on(on_cuda):
    learn = tiny_learner(on_cuda())

    class Greedy(Callback):
        def before_batch(self, run):
            free, _ = torch.cuda.mem_get_info()
            torch.empty(2 * free, dtype=torch.uint8, device="cuda")

    with pytest.raises(TrainingError, match="out of memory with batches of 8: use bs=4"):
        learn.fit(1, 1e-3, callbacks=[Greedy()])
    learn.fit(1, 1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_learner_of_the_device_is_exported_and_read_back_on_the_cpu(
    on_cuda, single_src, make_bunch, precision, tmp_path, tiles
):
    learn = at(tiny_learner(on_cuda(), path=tmp_path), precision)
    learn.fit(2, 1e-2)
    image = tiles[0] / "03.png"
    _, _, answer = learn.predict(image)
    _, _, messages = Predictor(learn.export("model.onnx")).predict(image)
    np.testing.assert_allclose(messages, answer.cpu(), atol=1e-4 if precision == "fp32" else 1e-2)
    learn.save("kept")
    elsewhere = tiny_learner(make_bunch(single_src), seed=1, path=tmp_path)
    elsewhere.load("kept")
    ours, theirs = ({k: v.cpu() for k, v in weights(one).items()} for one in (elsewhere, learn))
    assert differences(ours, theirs) == []


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(on_cuda, tmp_path):
    whole = tiny_learner(on_cuda(), path=tmp_path)
    whole.fit(1, 1e-2)
    whole.save("middle")
    whole.fit(1, 1e-2)
    again = tiny_learner(on_cuda(), seed=5, path=tmp_path)
    again.load("middle")
    again.data.train_dl.restore(1)
    again.fit(1, 1e-2)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(again)[name], value, atol=1e-4, rtol=1e-3)


def test_normalised_batches_lie_on_the_device(multi_src, make_bunch):
    x, y = next(iter(make_bunch(multi_src, device="cuda").train_dl))
    there, _ = next(iter(make_bunch(multi_src).train_dl))
    assert x.device.type == y.device.type == "cuda"
    assert x.cpu().std() == pytest.approx(float(there.std()), rel=0.2)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_the_loss_over_a_vocabulary_is_that_of_exact_logits(kind):
    torch.manual_seed(0)
    x = torch.randn(30, 70, 40, device="cuda", dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3000, 40, device="cuda", dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3000, device="cuda", dtype=torch.float64, requires_grad=True)
    y = torch.randint(3000, (30, 70), device="cuda")
    exact = nn.functional.cross_entropy((x @ weight.t() + bias).flatten(0, 1), y.flatten())
    wanted = torch.autograd.grad(exact, (x, weight, bias))
    given = [x.detach().to(kind), weight.detach().float(), bias.detach().float()]
    given = [value.requires_grad_() for value in given]
    loss = Undecoded(*given).cross_entropy(y)
    close = 1e-4 if kind == torch.float32 else 2e-2
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=close)
    for found, true in zip(torch.autograd.grad(loss, given), wanted, strict=True):
        assert (found.double() - true).norm() / true.norm() < close


def test_weights_of_convolutions_lie_as_the_batches_do(on_cuda):
    learn = tiny_learner(on_cuda())
    learn.fit(1, 1e-3)
    x, _ = next(iter(learn.data.train_dl))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert learn.model[0][0].weight.is_contiguous(memory_format=torch.channels_last)
