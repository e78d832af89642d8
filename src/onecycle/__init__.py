"""onecycle: from labelled files to a trained model in one cycle."""

from onecycle.core.lazy import lazy_names
from onecycle.names import EVERYTHING

__getattr__, __dir__, __all__ = lazy_names(__name__, EVERYTHING)
