"""What happens to gradients between backward and step."""

from __future__ import annotations

from torch.nn.utils import clip_grad_norm_

from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback, Run


class GradientClipping(Callback):
    """Keeps the norm of all gradients together at or below `clip`."""

    def __init__(self, clip: float = 1.0) -> None:
        if not clip > 0:
            raise UsageError(f"clip is a norm above 0, not {clip!r}: 0 would leave no gradient")
        self.clip = clip

    def after_backward(self, run: Run) -> None:
        """Scale the gradients in place."""
        clip_grad_norm_([p for p in run.model.parameters() if p.grad is not None], self.clip)
