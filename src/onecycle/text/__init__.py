"""Texts: every name that a program on texts needs, by `from onecycle.text import *`."""

from onecycle.core.lazy import lazy_names
from onecycle.names import TEXT

__getattr__, __dir__, __all__ = lazy_names(__name__, TEXT)
