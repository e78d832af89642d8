"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from onecycle.learn import loop
from onecycle.learn.engine import Engine
from onecycle.learn.predictions import OneBatch


def summary(
    model: nn.Module, x: Tensor, engine: Engine, loss_func: Callable[..., Tensor], groups: int
) -> str:
    """Kind, output shape, parameters and trainability of every layer, for a batch `x` of one.

    Runs it in evaluation mode, and leaves the model as it was; `groups` are its layer groups.
    """
    rows = [("layer", "output", "parameters", "trained")]

    def note(module: nn.Module, _: Any, output: Any) -> None:
        own = list(module.parameters())
        shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "-"
        trained = "yes" if any(p.requires_grad for p in own) else "no" if own else ""
        count = f"{sum(p.numel() for p in own):,}"
        rows.append((type(module).__name__, shape, count, trained))

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        list(loop.predict(model, OneBatch(x), engine))
    finally:
        for hook in hooks:
            hook.remove()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    loss = getattr(loss_func, "__qualname__", type(loss_func).__name__)
    about = [
        "",
        f"parameters: {total:,} in all, {trained:,} trained, {total - trained:,} frozen",
        f"layer groups: {groups}, loss: {loss}",
        f"device: {engine.device}, precision: {engine.precision}",
    ]
    return "\n".join([type(model).__name__, *lines, *about])
