"""Layer groups: parameters from the input to the output, for freezing and for rates by depth."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from onecycle.core.errors import UsageError
from onecycle.models.body import split_by_children

Groups = list[list[nn.Parameter]]
NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.instancenorm._InstanceNorm,
)


def layer_groups(
    model: nn.Module,
    split_on: Callable[[nn.Module], Iterable[nn.Module]] | Iterable[nn.Module] | None = None,
) -> Groups:
    """The model's parameters in groups.

    `split_on` gives the modules at which a new group begins (or a function of the model that
    does). Without it the model's own `layer_groups()` are taken; a body and a head make three
    groups: early layers, late layers, head; likewise an encoder, and decoder and head together.
    """
    if split_on is not None:
        starts = split_on(model) if callable(split_on) else split_on
        return _split_at(model, list(starts))
    if hasattr(model, "layer_groups"):
        return model.layer_groups()  # type: ignore[operator]
    if is_segmenter(model):
        encoder: Any = model.encoder
        known = {id(parameter) for parameter in encoder.parameters()}
        new = [parameter for parameter in model.parameters() if id(parameter) not in known]
        return [group for group in (*split_by_children(encoder), new) if group]
    if isinstance(model, nn.Sequential) and hasattr(model[0], "halves"):
        head = [p for part in model[1:] for p in part.parameters()]
        return [group for group in (*model[0].halves(), head) if group]  # type: ignore[operator]
    return [list(model.parameters())]


def is_segmenter(model: Any) -> bool:
    """Whether a module is a whole network for masks, as segmentation_models_pytorch has them."""
    parts = ("encoder", "decoder", "segmentation_head")
    return isinstance(model, nn.Module) and all(hasattr(model, part) for part in parts)


def _split_at(model: nn.Module, starts: Sequence[nn.Module]) -> Groups:
    inside = {id(module) for module in model.modules()}
    if any(id(module) not in inside for module in starts):
        raise UsageError("split_on names a module that is not part of the model")
    first = {id(next(m.parameters())) for m in starts if any(True for _ in m.parameters())}
    groups: Groups = [[]]
    for parameter in model.parameters():
        if id(parameter) in first and groups[-1]:
            groups.append([])
        groups[-1].append(parameter)
    return groups


def norm_parameters(model: nn.Module, batch_only: bool = False) -> set[int]:
    """The ids of the parameters of normalisation layers (or of batch norm alone)."""
    kinds: Any = NORMS[0] if batch_only else NORMS
    return {id(p) for m in model.modules() if isinstance(m, kinds) for p in m.parameters()}


# Training and evaluation mode of every module, kept through whatever happens.


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Each module comes out in the mode it had, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def train_from(groups: Groups, n: int, always: set[int]) -> None:
    """Freeze the groups before the `n`-th (-1: the last), but for parameters of ids in `always`."""
    count = len(groups)
    if not -count <= n < count:
        raise UsageError(f"there are {count} layer groups, so n lies in {-count}..{count - 1}")
    for index, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(index >= n % count or id(parameter) in always)
