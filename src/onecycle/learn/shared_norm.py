"""Batch norm over the items of all processes: mean and spread are those of the whole batch.

On CUDA torch's own SyncBatchNorm does it; that has no CPU, where this one takes its place, so that
a program can be tried, and tested, without a GPU.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from onecycle.core.errors import UsageError

_BatchNorm = nn.modules.batchnorm._BatchNorm


def share_norms(model: nn.Module, device: torch.device) -> None:
    """Synchronize every batch norm in place: all modules and parameters stay the same objects.

    UsageError, before any is changed, for norms that do something of their own.
    """
    kinds = _kinds(device)
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and not isinstance(module, SharedNorm | nn.SyncBatchNorm)
    }
    for name, norm in found.items():
        if type(norm) not in kinds:
            raise UsageError(
                f"{name or 'the model'} is a {type(norm).__module__}.{type(norm).__name__}, and "
                "sync_bn=True knows torch's BatchNorm and timm's BatchNormAct2d only: leave "
                "sync_bn out (running statistics are averaged over the processes all the same)"
            )
    for norm in found.values():
        norm.__class__ = kinds[type(norm)]  # submodules, hooks and mode stay where they are
        if isinstance(norm, nn.SyncBatchNorm):
            norm.process_group = None


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


class SharedNorm(_BatchNorm):
    """Batch norm of (n, c, ...) that, in training, counts the items of all processes."""

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


class SharedNormAct2d(SharedNorm2d):
    """Of (n, c, h, w), with the dropout and the activation that timm puts into its norms."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, drop, activate."""
        return self.act(self.drop(super().forward(input)))


def _kinds(device: torch.device) -> dict[type[_BatchNorm], type[_BatchNorm]]:
    """What each kind of batch norm becomes on a device."""
    from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct

    if device.type != "cpu":
        plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        return {**dict.fromkeys(plain, nn.SyncBatchNorm), BatchNormAct2d: SyncBatchNormAct}
    return {
        nn.BatchNorm1d: SharedNorm1d,
        nn.BatchNorm2d: SharedNorm2d,
        nn.BatchNorm3d: SharedNorm3d,
        BatchNormAct2d: SharedNormAct2d,
    }
