"""Small and slowly changing activations of a recurrent model: AR and TAR."""

from __future__ import annotations

from typing import Any

from onecycle.core.arguments import require_number
from onecycle.learn.callback import Callback, Run


class ActivationRegularization(Callback):
    """Adds alpha * mean(dropped^2) and beta * mean((raw_t+1 - raw_t)^2) to the training loss.

    Source: Merity et al. 2017 (arXiv 1708.02182), section 4.6.
    """

    def __init__(self, alpha: float = 2.0, beta: float = 1.0) -> None:
        self.alpha = require_number("alpha", alpha, 0)
        self.beta = require_number("beta", beta, 0)

    def claims(self) -> tuple[str, ...]:
        """Twice would count twice."""
        return ("add the size of activations to the loss",)

    def after_loss(self, run: Run) -> None:
        """On the encoder's last layer."""
        encoder: Any = run.model.encoder
        if run.loss is None:
            return
        if self.alpha and encoder.dropped is not None:
            run.loss = run.loss + self.alpha * encoder.dropped.float().square().mean()
        if self.beta and encoder.raw is not None and encoder.raw.shape[1] > 1:
            raw = encoder.raw.float()
            run.loss = run.loss + self.beta * (raw[:, 1:] - raw[:, :-1]).square().mean()
