"""A model that torch compiles: the same module with the same names, run as fused kernels.

Source: Ansel et al. 2024, "PyTorch 2" (ASPLOS).
"""

from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError


class Compiler:
    """Gives what runs in a model's place: weights, buffers and names stay the model's own.

    `mode` and `backend` are those of `torch.compile`. UsageError where it cannot compile on this
    machine, which is tried on one addition.
    """

    def __init__(self, device: torch.device, mode: str, backend: Any) -> None:
        self.how: dict[str, Any] = {"mode": mode, "backend": backend}
        _require_compiler(device, self.how)
        self._made: tuple[nn.Module, int, Any] | None = None  # of a model with so many hooks

    def runner(self, model: nn.Module) -> Any:
        """The compiled model, made when it first runs.

        The model itself while hooks hang on its layers that were not there when it was compiled (a
        summary, a heatmap): compiled code does not call them.
        """
        if self._made is None or self._made[0] is not model:
            self._made = model, _hooks(model), torch.compile(model, **self.how)
        _, hooks, compiled = self._made
        return compiled if _hooks(model) == hooks else model


def _hooks(model: nn.Module) -> int:
    """How many hooks hang on the layers."""
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
        for m in model.modules()
    )


def _require_compiler(device: torch.device, how: dict[str, Any]) -> None:
    def more(x: Tensor) -> Tensor:
        return x + 1

    try:
        torch.compile(more, **how)(torch.zeros(2, device=device))
    except Exception as error:  # torch, its back end, the C++ compiler: each has kinds of its own
        cause = next((line for line in str(error).splitlines() if line.strip()), "")
        needs = "a C++ compiler (g++ or clang++)"
        if device.type == "cuda":
            needs = "Triton, and a C compiler (gcc or clang)"
        raise UsageError(
            f"torch.compile cannot compile here ({type(error).__name__}: {cause}): it needs "
            f"{needs} on this machine. Without learn.compile() the same model trains, in more time"
        ) from error
