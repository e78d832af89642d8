"""A transformer's encoder with a head for classes, for modules called as Hugging Face's are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from onecycle.core.errors import ModelError
from onecycle.models.awd_lstm import text_head
from onecycle.models.groups import Groups


class TransformerClassifier(nn.Module):
    """Token ids (n, t), filled up with `padding`, to logits (n, classes).

    The head sees the first feature, and maximum and mean over all tokens that are no padding.
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        n_outputs: int,
        padding: int,
        lin_ftrs: Sequence[int] = (50,),
        ps: Sequence[float] = (0.1, 0.1),
    ) -> None:
        super().__init__()
        self.body, self.padding = body, padding
        self.head = text_head([3 * width, *lin_ftrs, n_outputs], ps)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of each text."""
        real = ids != self.padding
        real[:, 0] = True  # an empty text is its first token
        x = self.body(input_ids=ids, attention_mask=real.long()).last_hidden_state
        seen = real[..., None]
        top = x.masked_fill(~seen, -torch.inf).amax(1)
        mean = (x * seen).sum(1) / seen.sum(1)
        return self.head(torch.cat([x[:, 0], top, mean], 1))

    def layer_groups(self) -> Groups:
        """Embeddings, lower half and upper half of the layers (and what follows them), head."""
        stacks = [m for m in self.body.modules() if isinstance(m, nn.ModuleList)]
        if not stacks:
            raise ModelError(f"{type(self.body).__name__} has no list of layers to be grouped")
        layers = max(stacks, key=lambda stack: sum(p.numel() for p in stack.parameters()))
        half, within = len(layers) // 2, {id(p) for p in layers.parameters()}
        lower, upper = ([*part.parameters()] for part in (layers[:half], layers[half:]))
        own = list(self.body.parameters())
        first = next(i for i, p in enumerate(own) if id(p) in within)
        after = [p for p in own[first:] if id(p) not in within]
        groups = [own[:first], lower, [*upper, *after], list(self.head.parameters())]
        return [group for group in groups if group]
