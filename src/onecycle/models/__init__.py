"""Architectures by name: `models.resnet34` is any model of timm (or of torchvision)."""

from onecycle.models.architectures import Architecture, find
from onecycle.models.head import mlp


def __getattr__(name: str) -> Architecture:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return find(name)
    except ValueError as error:
        raise AttributeError(str(error)) from None


__all__ = ["Architecture", "find", "mlp"]
