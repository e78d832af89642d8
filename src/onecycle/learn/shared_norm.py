"""Batch norm over the items of all processes: mean and spread are those of the whole batch.

On CUDA torch's own SyncBatchNorm does it; that has no CPU, where this one takes its place, so
that a program can be tried, and tested, without a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def synchronized(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with every batch norm synchronized; its parameters stay the same objects."""
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return _converted(model)


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class SharedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm of (n, c, ...) that, in training, counts the items of all processes."""

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> SharedNorm:
        """One with the same parameters, buffers, options and mode."""
        made = cls(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        made._parameters, made._buffers = norm._parameters, norm._buffers
        return made.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; eval mode is torch's own."""
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        axes = [i for i in range(input.ndim) if i != 1]
        x = input.float()
        wide = (1, -1, *[1] * (input.ndim - 2))
        n = x.new_tensor([x.numel() / x.shape[1]])
        total, count = _Sum.apply(torch.cat([x.sum(axes), n])).split([x.shape[1], 1])
        centred = x - (total / count).reshape(wide)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._note((total / count).detach(), (variance * count / (count - 1)).detach())
        normal = centred * (variance + self.eps).rsqrt().reshape(wide)
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight.reshape(wide) + self.bias.reshape(wide)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        """Into the running statistics."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class SharedNorm1d(SharedNorm, nn.BatchNorm1d):
    """Of (n, c) or (n, c, length)."""


class SharedNorm2d(SharedNorm, nn.BatchNorm2d):
    """Of (n, c, h, w)."""


class SharedNorm3d(SharedNorm, nn.BatchNorm3d):
    """Of (n, c, d, h, w)."""


_KINDS = {
    nn.BatchNorm1d: SharedNorm1d,
    nn.BatchNorm2d: SharedNorm2d,
    nn.BatchNorm3d: SharedNorm3d,
}


def _converted(module: nn.Module) -> nn.Module:
    for plain, shared in _KINDS.items():
        if isinstance(module, plain):
            how = module.eps, module.momentum, module.affine, module.track_running_stats
            made = shared(module.num_features, *how).train(module.training)
            made._parameters, made._buffers = module._parameters, module._buffers
            return made
    for name, child in module.named_children():
        module.add_module(name, _converted(child))
    return module
