"""Keeps the running statistics of batch norm in frozen groups as the weights have them."""

from __future__ import annotations

from torch import nn

from onecycle.learn.callback import Callback, Run


class FrozenNorm(Callback):
    """Puts batch norm without trainable parameters into evaluation mode for training."""

    def before_epoch(self, run: Run) -> None:
        """The loop has just put the whole model into training mode."""
        for module in run.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                own = list(module.parameters())
                if own and not any(parameter.requires_grad for parameter in own):
                    module.eval()
