"""What only the course's programs use: small helpers, hooks on layers, callbacks by their names."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError, require_whole
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import extremes
from onecycle.interpret.cleaner import similar_pairs
from onecycle.learn.callbacks import EarlyStopping, MixUp, ReduceLROnPlateau, SaveModel
from onecycle.models.groups import modes_kept


def array(values: Any, *args: Any, **options: Any) -> np.ndarray:
    """A numpy array of anything, also of an iterator; real numbers become float32."""
    found = values if isinstance(values, np.ndarray | list | tuple | str) else list(values)
    made = np.array(found, *args, **options)
    single = made.dtype == np.float64 and "dtype" not in options and not args
    return made.astype(np.float32) if single else made


def tensor(values: Any, *more: Any) -> Tensor:
    """A tensor of a list, an array, or of the arguments: `tensor(3., 2)`."""
    made = torch.tensor([values, *more]) if more else torch.as_tensor(values)
    return made.float() if made.dtype == torch.float64 else made


def doc(thing: Any) -> None:
    """Print where a function or class comes from, how it is called, and what it does."""
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    module = getattr(thing, "__module__", None) or type(thing).__module__
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = ""
    print(f"{module}.{name}{signature}\n\n{inspect.getdoc(thing) or 'not documented'}")


class DatasetFormatter:
    """The course's way to the items worth a second look: (dataset, positions)."""

    @classmethod
    def from_toplosses(
        cls, learn: Any, n_imgs: int | None = None, ds_type: DatasetType = DatasetType.Train
    ) -> tuple[Any, list[int]]:
        """Training items in the order of their loss, largest first."""
        _, order = extremes(learn.predictions(ds_type).losses, n_imgs)
        return _side(learn, ds_type), order.tolist()

    @classmethod
    def from_similars(
        cls, learn: Any, n_pairs: int = 100, ds_type: DatasetType = DatasetType.Train
    ) -> tuple[Any, list[int]]:
        """Training items in pairs that look alike, the most alike first."""
        require_whole("n_pairs", n_pairs)
        pairs = similar_pairs(_side(learn, ds_type).items)[:n_pairs]
        return _side(learn, ds_type), [index for pair in pairs for index in pair[:2]]


def _side(learn: Any, ds_type: DatasetType) -> Any:
    """The items of that side, as they are; UsageError where there is no such side."""
    train = DatasetType(ds_type) in (DatasetType.Train, DatasetType.Fix)
    return learn.data.train_ds if train else learn.data.dl(ds_type).dataset


# Looking at layers: what a module puts out, and the sizes of all of them.


class _Removed:
    """A context that ends with `remove`."""

    def remove(self) -> None:
        """Stop keeping."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hook(_Removed):
    """Keeps what `module` puts out in `stored`; a context that ends the hook.

    With `grad` it keeps the gradient of that, as (gradient,), once there is one.
    """

    def __init__(self, module: nn.Module, detach: bool = True, grad: bool = False) -> None:
        self.stored: Any = None
        self.detach = detach
        self.handle = module.register_forward_hook(self._watch if grad else self._keep)

    def _keep(self, module: nn.Module, given: Any, out: Any) -> None:
        self.stored = out.detach() if self.detach and isinstance(out, Tensor) else out

    def _watch(self, module: nn.Module, given: Any, out: Any) -> None:
        if not isinstance(out, Tensor):
            raise UsageError(
                f"{type(module).__name__} puts out no single tensor: hook a part of it"
            )
        if out.requires_grad:  # a hook of the module would forbid layers that act in place
            out.register_hook(lambda gradient: self._keep(module, given, (gradient,)))

    def remove(self) -> None:
        """Stop keeping."""
        self.handle.remove()


class Hooks(_Removed):
    """Several hooks; `stored` has one entry per module."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self.hooks = list(hooks)

    @property
    def stored(self) -> list[Any]:
        """What each module put out."""
        return [hook.stored for hook in self.hooks]

    def remove(self) -> None:
        """Stop keeping."""
        for hook in self.hooks:
            hook.remove()


def hook_output(module: nn.Module, detach: bool = True, grad: bool = False) -> Hook:
    """A hook on one module."""
    return Hook(module, detach, grad)


def hook_outputs(modules: Iterable[nn.Module], detach: bool = True, grad: bool = False) -> Hooks:
    """A hook on each module."""
    return Hooks(Hook(module, detach, grad) for module in modules)


def model_sizes(model: nn.Module, size: tuple[int, int] | int = (64, 64)) -> list[torch.Size]:
    """The shape of each child's output for one RGB image of `size` (h, w)."""
    first = next(model.parameters(), None)
    device = "cpu" if first is None else first.device
    size = (size, size) if isinstance(size, int) else size
    parts = list(model.children())
    while True:
        with hook_outputs(parts) as hooks, modes_kept(model), torch.no_grad():
            model.eval()(torch.zeros(1, 3, *size, device=device))
        found = [out.shape for out in hooks.stored if isinstance(out, Tensor)]
        parts = [child for part in parts for child in part.children()]
        if found or not parts:  # a body may call its network's layers one by one
            return found


def num_features_model(model: nn.Module) -> int:
    """Channels that come out of the last child."""
    for side in (64, 128, 256, 512):
        try:
            return int(model_sizes(model, (side, side))[-1][1])
        except RuntimeError:
            continue
    raise UsageError("the model takes no square image of 64 to 512 pixels")


# The course's callbacks under their names and with their arguments: the learner comes first.


def SaveModelCallback(  # noqa: N802 - the course's name, as are those below
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    every: str = "improvement",
    name: str | Path = "bestmodel",
) -> SaveModel:
    """Save at each improvement of `monitor`, and load the best at the end."""
    if every != "improvement":
        raise UsageError(f'SaveModelCallback saves every="improvement", not {every!r}')
    return SaveModel(learn, _our_monitor(monitor), mode, name)


def EarlyStoppingCallback(  # noqa: N802
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    min_delta: float = 0.0,
    patience: int = 0,
) -> EarlyStopping:
    """Stop after `patience` epochs without an improvement."""
    return EarlyStopping(_our_monitor(monitor), mode, min_delta, patience)


def ReduceLROnPlateauCallback(  # noqa: N802
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    patience: int = 0,
    factor: float = 0.2,
    min_delta: float = 0.0,
) -> ReduceLROnPlateau:
    """Lower the rates after `patience` epochs without an improvement."""
    return ReduceLROnPlateau(_our_monitor(monitor), mode, min_delta, patience, factor)


def MixUpCallback(learn: Any, alpha: float = 0.4) -> MixUp:  # noqa: N802
    """Train on blends of two images."""
    return MixUp(alpha)


def _our_monitor(monitor: str) -> str:
    return "valid_loss" if monitor == "val_loss" else monitor


# Free memory of the GPU in MB, as the course's programs read it to choose a batch size.


class GPUMemory(NamedTuple):
    """In MB; all zero where there is no GPU."""

    total: int
    free: int
    used: int


def gpu_mem_get(id: int | None = None) -> GPUMemory:
    """Memory of GPU `id`, or of the current one."""
    if not torch.cuda.is_available():
        return GPUMemory(0, 0, 0)
    free, total = (number >> 20 for number in torch.cuda.mem_get_info(id))
    return GPUMemory(total, free, total - free)


def gpu_mem_get_free(id: int | None = None) -> int:
    """Free MB."""
    return gpu_mem_get(id).free


def gpu_mem_get_free_no_cache(id: int | None = None) -> int:
    """Free MB, after torch has given back what it keeps for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return gpu_mem_get_free(id)
