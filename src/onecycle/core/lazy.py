"""Public names that load their module when they are first asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, where: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose `where` maps name to module."""

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(where[name])
        is_module = where[name].rpartition(".")[2] == name and name not in vars(module)
        return module if is_module else getattr(module, name)

    names = sorted(where)
    return get, lambda: names, names
