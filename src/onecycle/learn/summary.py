"""The table of a model's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from onecycle.data.databunch import DatasetType
from onecycle.learn import loop
from onecycle.learn.predictions import OneBatch

if TYPE_CHECKING:
    from onecycle.learn.learner import Learner


def summary(learner: Learner) -> str:
    """Kind, output shape, parameters and trainability of every layer, for a batch of one.

    Runs one item in evaluation mode, and leaves the learner as it was.
    """
    rows: list[tuple[str, str, str, str]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        own = list(module.parameters())
        shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "-"
        trained = "yes" if any(p.requires_grad for p in own) else "no" if own else ""
        count = f"{sum(p.numel() for p in own):,}"
        rows.append((type(module).__name__, shape, count, trained))

    leaves = [m for m in learner.model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        x = learner.data.one_batch(DatasetType.Train)[0][:1].to(learner.data.device)
        list(loop.predict(learner.model, OneBatch(x), learner.engine))
    finally:
        for hook in hooks:
            hook.remove()
    return _table(learner, rows)


def _table(learner: Learner, rows: list[tuple[str, str, str, str]]) -> str:
    header = ("layer", "output", "parameters", "trained")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in [header, *rows]]
    parameters = list(learner.model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    loss = getattr(learner.loss_func, "__qualname__", type(learner.loss_func).__name__)
    about = [
        "",
        f"parameters: {total:,} in all, {trained:,} trained, {total - trained:,} frozen",
        f"layer groups: {len(learner.layer_groups)}, loss: {loss}",
        f"device: {learner.data.device}, precision: {learner.engine.precision}",
    ]
    return "\n".join([type(learner.model).__name__, *(line.rstrip() for line in lines), *about])
