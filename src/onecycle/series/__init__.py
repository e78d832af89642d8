"""Series: every name that a program on series needs, by `from onecycle.series import *`."""

from onecycle.core.lazy import lazy_names
from onecycle.names import SERIES

__getattr__, __dir__, __all__ = lazy_names(__name__, SERIES)
