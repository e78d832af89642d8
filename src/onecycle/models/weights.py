"""Weights from files: read safely, matched by name, or else by order and shape."""

import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from onecycle.core.errors import WeightsError, listing
from onecycle.models.architectures import planes_of
from onecycle.runtime.hub import answering

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_CLASSIFIERS = ("fc.", "classifier.", "head.", "last_linear.")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_ORDER = {"weight": 0, "bias": 1, "running_mean": 2, "running_var": 3}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch file (read without running any code)."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file. Give the path of a .safetensors or .pth file with the weights "
            "of this architecture, or pretrained=False to start from scratch"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds on damaged or foreign files
        raise WeightsError(f"{path}: no weights that can be read safely ({error})") from error
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    pairs = found.items() if isinstance(found, Mapping) else ()
    tensors = {k.removeprefix("module."): v for k, v in pairs if isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors")
    return tensors


def weights_on_hub(repo: str) -> str:
    """The file of a repository's weights; WeightsError where these are pickled, so a program."""
    name, _, revision = repo.partition("@")
    with answering(f"the weights of hf-hub:{repo} cannot be had") as hub:
        try:
            return hub.hf_hub_download(name, _HUB_FILES[0], revision=revision or None)
        except hub.errors.RemoteEntryNotFoundError:
            raise WeightsError(
                f"hf-hub:{repo} has no {_HUB_FILES[0]}. Weights in another form "
                "(pytorch_model.bin) are pickled: loading them may run any program, so they are "
                "not loaded. Ask their maker for safetensors, or give pretrained=False"
            ) from None


def load_weights(net: nn.Module, path: str | Path) -> None:
    """Fill `net` from a file with the key names of timm or of torchvision, in any precision.

    Where `net` takes other than three planes, the first three of several keep the file's RGB
    filters, and others get their mean, at the size that keeps the answer to grey. A classifier
    that `net` does not have is left out. Where the names differ, layers are matched in their order,
    and every shape must agree. Raises WeightsError if anything is left over.
    """
    given = read_weights(path)
    wanted = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in given.items() if not k.endswith("num_batches_tracked")}
    if (planes := planes_of(net)) != 3:
        given = {k: _spread(v, planes) for k, v in given.items()}
    matched = {k: given[k] for k in wanted if k in given}
    lost = [k for k in wanted if k not in given and not k.startswith(_CLASSIFIERS)]
    extra = [k for k in given if k not in wanted and not k.startswith(_CLASSIFIERS)]
    if lost or extra:
        matched = _by_order(wanted, given, path)
    wrong = [k for k, v in matched.items() if v.shape != wanted[k].shape]
    if wrong:
        k = wrong[0]
        raise WeightsError(
            f"{path}: {len(wrong)} tensors have another shape, the first {k}: the file has "
            f"{tuple(matched[k].shape)}, the model {tuple(wanted[k].shape)}"
        )
    net.load_state_dict({k: v.to(wanted[k].dtype) for k, v in matched.items()}, strict=False)


def _spread(filters: Tensor, planes: int) -> Tensor:
    """The filters (out, 3, h, w) of a first convolution for other planes; others stay."""
    if filters.ndim != 4 or filters.shape[1] != 3:
        return filters
    spread = filters.float().mean(1, keepdim=True).repeat(1, planes, 1, 1)
    if planes > 3:
        spread[:, :3] = filters
    return spread * (3 / planes)


def _by_order(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: str | Path
) -> dict[str, Tensor]:
    """Match the n-th layer of the model with the n-th of the file."""
    ours, theirs = list(wanted), sorted(given, key=_natural)
    while len(theirs) > len(ours) and theirs[-1].startswith(_CLASSIFIERS):
        theirs.pop()
    pairs = list(zip(ours, theirs, strict=False))
    differ = [o for o, t in pairs if wanted[o].shape != given[t].shape or _leaf(o) != _leaf(t)]
    if len(ours) != len(theirs) or differ:
        lost = [k for k in ours if k not in given]
        raise WeightsError(
            f"{path}: these are not the weights of this model. {len(lost)} of {len(ours)} tensors "
            f"are missing ({listing(lost, 3)}), and the layers do not match in order and shape "
            f"either. The file has {listing(theirs, 3)}"
        )
    return {o: given[t] for o, t in pairs}


def _natural(key: str) -> tuple[Any, ...]:
    """Sort key: numbers as numbers, and within a layer weight, bias, mean, variance."""
    layer, _, leaf = key.rpartition(".")
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"\.", layer)]
    return (key.startswith(_CLASSIFIERS), parts, _ORDER.get(leaf, 9), leaf)


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def build_published(build: Callable[[], nn.Module], name: str) -> nn.Module:
    """Build with published weights; whatever goes wrong on the way says what to do instead."""
    try:
        _require_hub(name)
        return build()
    except Exception as error:  # hub, network, file system and timm each raise their own kinds
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise WeightsError(
            f"the pretrained weights of {name} could not be had ({reason}). Connect to the "
            'network, or give a file (pretrained="weights.safetensors"), or use the small '
            "network that comes with onecycle (models.small), or start from scratch "
            "(pretrained=False)"
        ) from error


def _require_hub(name: str) -> None:
    """Fail at once, not after a minute of retries, where the hub is out of reach."""
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    config = timm.get_pretrained_cfg(name)
    repo = getattr(config, "hf_hub_id", None)
    proxies = {key.lower() for key in os.environ} & {"https_proxy", "http_proxy", "all_proxy"}
    if not repo or proxies or constants.HF_HUB_OFFLINE:
        return
    if any(isinstance(try_to_load_from_cache(repo, file), str) for file in _HUB_FILES):
        return
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    with socket.create_connection((address.hostname or "", port), timeout=5):
        pass
