"""Whether a whole network for masks, as segmentation_models_pytorch has them, fits the data."""

from typing import Any

import torch
from torch import nn

from onecycle.core.errors import ModelError


def require_fit(model: Any, classes: int, size: tuple[int, int] | None) -> None:
    """ModelError for a network that does not answer with outputs (n, classes, h, w) as loss wants.

    That is one with another number of classes, with an activation or a second head, or one that
    takes no images of `size`.
    """
    name = type(model).__name__
    if getattr(model, "classification_head", None) is not None:
        raise ModelError(f"{name} has a second head, for classes of images: leave aux_params out")
    activation = getattr(model.segmentation_head[-1], "activation", None)
    if activation is not None and not isinstance(activation, nn.Identity):
        raise ModelError(
            f"{name} ends with {type(activation).__name__}, which loss and export add by "
            "themselves: leave its activation= out"
        )
    found = next((m for m in model.segmentation_head if isinstance(m, nn.Conv2d)), None)
    if found is not None and found.out_channels != classes:
        raise ModelError(
            f"{name} has {found.out_channels} classes, the data {classes}: classes=data.c"
        )
    if size is not None and hasattr(model, "check_input_shape"):
        try:
            model.check_input_shape(torch.empty(1, 3, *size))
        except RuntimeError as error:
            raise ModelError(f"{name} takes no images of {size}: {error}") from error
