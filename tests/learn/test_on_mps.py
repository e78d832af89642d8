"""Apple's GPU is chosen by itself and knows no float64; where there is none it is acted out."""

from functools import partial

import pytest
import torch
from torch import Tensor, tensor

from onecycle import defaults
from onecycle.core.errors import UsageError
from onecycle.data.databunch import device_of
from onecycle.learn import metrics
from onecycle.learn.evaluate import evaluate


class OnMPS(Tensor):
    """Computes on the CPU, says that it is on MPS, and refuses float64 as MPS does."""

    device = property(lambda self: torch.device("mps"))

    def cpu(self):
        return self.as_subclass(Tensor)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        where = kwargs.get("device")
        if where is not None and torch.device(where).type == "mps":
            kwargs = {**kwargs, "device": "cpu"}
        found = super().__torch_function__(function, types, args, kwargs)
        if isinstance(found, OnMPS) and found.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def on_mps(values):
    return values.as_subclass(OnMPS)


def test_the_actor_refuses_what_the_device_refuses():
    with pytest.raises(TypeError, match="float64"):
        (on_mps(tensor([1.0])) + 1).sum().double()
    assert (on_mps(tensor([1.0])) + 1).cpu().double().tolist() == [2.0]


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(False, True, "mps"), (True, True, "cuda"), (False, False, "cpu")],
)
def test_the_first_of_cuda_apples_gpu_and_the_cpu_is_chosen(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(defaults, "device", None)
    assert device_of().type == chosen
    assert device_of("cpu").type == "cpu"
    monkeypatch.setattr(defaults, "device", "cpu")
    assert device_of().type == "cpu"
    with pytest.raises(UsageError, match="a device is"):
        device_of("metal")


CLASSES = (
    tensor([[2.0, 1, 0], [0, 3, 1], [1, 0, 2], [3, 0, 0], [0, 1, 4.0]]),
    tensor([0, 1, 0, 0, 2]),
)
TAGS = tensor([[2.0, -1], [-2, 3], [1, 1], [-1, -1.5]]), tensor([[1.0, 0], [1, 1], [0, 1], [0, 0]])
NUMBERS = tensor([[1.0], [2.5], [4]]), tensor([[1.5], [2], [3.0]])
MASKS = (
    torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)),
    torch.arange(90).reshape(3, 1, 5, 6) % 4,
)
TOKENS = MASKS[0].flatten(2), MASKS[1].flatten(1)


@pytest.mark.parametrize(
    ("name", "options", "pair"),
    [
        ("accuracy", {}, CLASSES),
        ("error_rate", {}, CLASSES),
        ("top_k_accuracy", {"k": 2}, CLASSES),
        ("perplexity", {}, TOKENS),
        ("f1", {"average": "macro"}, CLASSES),
        ("precision", {}, TAGS),
        ("recall", {}, TAGS),
        ("accuracy_thresh", {}, TAGS),
        ("fbeta", {}, TAGS),
        ("average_precision", {}, TAGS),
        ("auroc", {}, TAGS),
        ("rmse", {}, NUMBERS),
        ("r2", {}, NUMBERS),
        ("mae", {}, NUMBERS),
        ("pixel_accuracy", {}, MASKS),
        ("mean_iou", {}, MASKS),
        ("dice", {}, MASKS),
    ],
)
def test_metrics_are_there_what_they_are_on_the_cpu(name, options, pair):
    metric = partial(getattr(metrics, name), **options)
    loss = torch.nn.CrossEntropyLoss() if pair[1].ndim == 1 else None
    here = evaluate([pair, pair], loss, [metric])
    there = evaluate([tuple(map(on_mps, pair))] * 2, loss, [metric])
    assert there == pytest.approx(here)


def test_pixels_are_counted_there_too():
    assert torch.equal(metrics.confusion(*map(on_mps, MASKS)), metrics.confusion(*MASKS))


needs_mps = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs Apple's GPU")


@needs_mps
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_network_learns_on_it(precision):
    from onecycle import Learner, from_arrays, mlp

    x = torch.randn(96, 5, generator=torch.Generator().manual_seed(0))
    data = from_arrays(x.numpy(), ["up" if v > 0 else "down" for v in x[:, 0]], bs=16, device="mps")
    learn = Learner(data, mlp([5, 16, 2]), metrics=[metrics.accuracy, metrics.f1])
    if precision != "fp32":
        learn = learn.to_fp16() if precision == "fp16" else learn.to_bf16()
    learn.fit_one_cycle(4, 1e-2)
    assert next(learn.model.parameters()).device.type == "mps"
    assert learn.history[-1]["accuracy"] > 0.8
