"""Images: every name that a program on images needs, by `from onecycle.vision import *`."""

from onecycle.core.lazy import lazy_names
from onecycle.names import VISION

__getattr__, __dir__, __all__ = lazy_names(__name__, VISION)
