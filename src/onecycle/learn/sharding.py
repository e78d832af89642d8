"""Weights that several processes hold together: each keeps a part of every tensor (FSDP).

Source: Zhao et al. 2023 (arXiv 2304.11277). It is torch's `fully_shard`, which runs on CPUs too;
that of Accelerate is for GPUs alone (1.15: a plugin for FSDP has no effect on CPU processes).
"""

from copy import deepcopy
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from onecycle.core.errors import UsageError


def is_sharded(value: Tensor) -> bool:
    """Whether other processes hold parts of it."""
    if not dist.is_available() or not dist.is_initialized():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def refuse_shards(model: nn.Module, what: str) -> None:
    """UsageError where other processes hold parts of a model."""
    if any(map(is_sharded, model.parameters())):
        raise UsageError(f"{what} is not for distributed(shard=True): leave one of the two out")


def whole(value: Any) -> Tensor:
    """All of a tensor; of one that is sharded in every process at the same time."""
    return value.full_tensor() if is_sharded(value) else value


def placed(value: Tensor, like: Any) -> Tensor:
    """This process's part of `value`, where `like` is sharded; else the value."""
    if not is_sharded(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    on = value.to(like.device)
    return distribute_tensor(on, like.device_mesh, like.placements, src_data_rank=None)


def shard(learner: Any, processes: int) -> nn.Module:
    """Shard a learner's weights, the same in all processes; returns its model without any.

    Layer groups, names and modules stay; the parameters are other objects.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = learner.model
    empty = deepcopy(model).to("meta")
    names = {id(value): name for name, value in model.named_parameters()}
    groups = [[names[id(value)] for value in group] for group in learner.layer_groups]
    mesh = init_device_mesh(learner.data.device.type, (processes,))
    # Outputs may hold weights, as a language model's do: `Engine.rest` shards after evaluations.
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    now = dict(model.named_parameters())
    learner.layer_groups = [[now[name] for name in group] for group in groups]
    learner.opt = None
    return empty


def gathered(model: nn.Module, empty: nn.Module) -> nn.Module:
    """A copy on the CPU with all weights, made in every process at the same time."""
    copy = deepcopy(empty).to_empty(device="cpu")
    copy.load_state_dict({name: whole(value).cpu() for name, value in model.state_dict().items()})
    for name, value in model.named_buffers():  # also those that are not saved
        copy.get_buffer(name).copy_(value)
    return copy
