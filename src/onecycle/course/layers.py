"""Looking at layers: what a module puts out, and the sizes of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError
from onecycle.course.table import course_names
from onecycle.models.groups import modes_kept


class Hook:
    """Keeps what `module` puts out in `stored` (or its gradient); a context that ends the hook."""

    def __init__(self, module: nn.Module, detach: bool = True, grad: bool = False) -> None:
        self.stored: Any = None
        self.detach = detach
        register = module.register_full_backward_hook if grad else module.register_forward_hook
        self.handle = register(self._keep)

    def _keep(self, module: nn.Module, given: Any, out: Any) -> None:
        self.stored = out.detach() if self.detach and isinstance(out, Tensor) else out

    def remove(self) -> None:
        """Stop keeping."""
        self.handle.remove()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """Several hooks; `stored` has one entry per module."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self.hooks = list(hooks)

    @property
    def stored(self) -> list[Any]:
        """What each module put out."""
        return [hook.stored for hook in self.hooks]

    def remove(self) -> None:
        """Stop keeping."""
        for hook in self.hooks:
            hook.remove()

    def __enter__(self) -> Hooks:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def hook_output(module: nn.Module, detach: bool = True, grad: bool = False) -> Hook:
    """A hook on one module."""
    return Hook(module, detach, grad)


def hook_outputs(modules: Iterable[nn.Module], detach: bool = True, grad: bool = False) -> Hooks:
    """A hook on each module."""
    return Hooks(Hook(module, detach, grad) for module in modules)


def model_sizes(model: nn.Module, size: tuple[int, int] | int = (64, 64)) -> list[torch.Size]:
    """The shape of each child's output for one RGB image of `size` (h, w)."""
    first = next(model.parameters(), None)
    device = "cpu" if first is None else first.device
    size = (size, size) if isinstance(size, int) else size
    parts = list(model.children())
    while True:
        with hook_outputs(parts) as hooks, modes_kept(model), torch.no_grad():
            model.eval()(torch.zeros(1, 3, *size, device=device))
        found = [out.shape for out in hooks.stored if isinstance(out, Tensor)]
        parts = [child for part in parts for child in part.children()]
        if found or not parts:  # a body may call its network's layers one by one
            return found


def num_features_model(model: nn.Module) -> int:
    """Channels that come out of the last child."""
    for side in (64, 128, 256, 512):
        try:
            return int(model_sizes(model, (side, side))[-1][1])
        except RuntimeError:
            continue
    raise UsageError("the model takes no square image of 64 to 512 pixels")


__getattr__, __dir__, __all__ = course_names(__name__)
