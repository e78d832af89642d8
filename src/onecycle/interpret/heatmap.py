"""Where the model looked: Grad-CAM (Selvaraju et al. 2016, arXiv 1610.02391)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.models.modes import modes_kept


def grad_cam(learn: Learner, predictions: Predictions, index: int) -> np.ndarray:
    """Weights (h', w') of the last feature map for the model's answer on one item, 0-1.

    For several labels: of all labels that were said. The learner stays as it was.
    """
    model = learn.model
    if not isinstance(model, nn.Sequential) or len(model) < 2:
        raise UsageError("a heat map needs a model of a body and a head, as cnn_learner makes it")
    x, _ = next(iter(learn.data.single([predictions.items.items[index]])))
    with modes_kept(model):
        model.eval()
        with torch.no_grad():
            features = model[0](x).float()
        if features.ndim != 4:
            raise UsageError(
                f"a heat map needs a body that puts out maps (n, channels, h, w), not "
                f"{[*features.shape]}"
            )
        features.requires_grad_()
        with torch.enable_grad():
            outputs = model[1:](features)
            score = _score(outputs[0], predictions.said(index).data)
            (gradient,) = torch.autograd.grad(score, features)
    share = gradient.mean((2, 3), keepdim=True)
    looked = (features * share).sum(1)[0].detach().clamp(min=0)
    return (looked / looked.max().clamp(min=1e-8)).cpu().numpy()


def _score(outputs: Tensor, answer: Any) -> Tensor:
    """The outputs of the answer (a class, or marks of several) together, or else the largest."""
    chosen = torch.as_tensor(answer, device=outputs.device)
    said = outputs[chosen.bool().flatten() if chosen.ndim else chosen]
    return said.sum() if said.numel() else outputs.max()
