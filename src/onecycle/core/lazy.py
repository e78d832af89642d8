"""Public names that load their module when they are first asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from onecycle.core.errors import UsageError

# What trains: the package onecycle-runtime, which answers from exported files, comes without it.
TRAINING = frozenset(
    ("torch", "torchvision", "timm", "pandas", "yaml", "cv2", "safetensors", "matplotlib", "onnx")
)


@contextmanager
def training_half() -> Iterator[None]:
    """UsageError, which says what to install, where something of TRAINING is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in TRAINING:
            raise
        raise UsageError(
            f"{missing} is not installed, and what trains needs it: pip install onecycle. "
            "Without it there is what answers from exported files: Predictor, and the commands "
            "predict, serve, site and deploy"
        ) from error


def require_training() -> None:
    """UsageError, at once, where a program would only later find that it cannot train."""
    if find_spec("torch") is None:
        with training_half():
            import_module("torch")


def lazy_names(
    package: str, where: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose `where` maps name to module."""

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with training_half():
            module = import_module(where[name])
        is_module = where[name].rpartition(".")[2] == name and name not in vars(module)
        return module if is_module else getattr(module, name)

    names = sorted(where)
    return get, lambda: names, names
