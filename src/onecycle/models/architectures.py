"""From a name to a network: timm's models, torchvision's where timm has none, and our small one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from onecycle.core.errors import ModelError
from onecycle.runtime.hub import answering

# names that torchvision (and the course) uses for models that timm has under another name
_ALIASES = {"mobilenet_v2": "mobilenetv2_100"}
_HUB = ("hf-hub:", "hf_hub:")
_TORCHVISION = ("alexnet", "squeezenet1_0", "squeezenet1_1", "googlenet", "mnasnet1_0")
SMALL = Path(__file__).with_name("weights") / "small.safetensors"


@dataclass(frozen=True)
class Architecture:
    """A named network; calling it builds one. `options` are the constructor's own.

    Of one from the hub, `repo` is where its published weights are, `config` what is said of them.
    """

    name: str
    source: str = "timm"
    options: dict[str, Any] = field(default_factory=dict)
    repo: str | None = None
    config: dict[str, Any] | None = None

    def __call__(self, pretrained: bool = False, **options: Any) -> nn.Module:
        """The network without its classifier, with its published weights if asked for."""
        return _BUILDERS[self.source](self.name, pretrained, **{**self.options, **options})


def find(arch: Any) -> Architecture:
    """The architecture that a name, a constructor or a partial of one stands for."""
    if isinstance(arch, Architecture):
        return arch
    if isinstance(arch, partial):
        inner = find(arch.func if not arch.args else arch.args[0])
        options = {k: v for k, v in (arch.keywords or {}).items() if k != "pretrained"}
        return replace(inner, options={**inner.options, **options})
    if callable(arch) and getattr(arch, "__module__", "").startswith("torchvision."):
        return Architecture(arch.__name__, "torchvision")
    name = str(arch.__name__ if callable(arch) else arch)
    if name == "small":
        return Architecture("small", "onecycle")
    import timm

    if name.startswith(_HUB):
        return _on_hub(name.split(":", 1)[1])
    name = _ALIASES.get(name, name).removeprefix("timm/")
    if timm.is_model(name.partition(".")[0]):
        return Architecture(name)
    if name in _TORCHVISION:
        return Architecture(name, "torchvision")
    near = get_close_matches(name, [*timm.list_models(), *_TORCHVISION], 3)
    hint = f"; near are {', '.join(near)}" if near else ""
    raise ModelError(
        f"there is no model {name!r}{hint}. timm.list_models('*resnet*') lists the names"
    )


def _on_hub(repo: str) -> Architecture:
    """The network of timm that a repository of the hub describes in its config.json."""
    from timm.models import load_model_config_from_hf

    with answering(f"hf-hub:{repo} cannot be had"):
        config, name, options = load_model_config_from_hf(repo)
    ours = ("num_classes", "global_pool")
    options = {key: value for key, value in (options or {}).items() if key not in ours}
    return Architecture(name, options=options, repo=repo, config=config)


def _from_timm(name: str, pretrained: bool, **options: Any) -> nn.Module:
    import timm

    size = options.pop("img_size", None)
    flexible = [{"dynamic_img_size": True}, {}, {"img_size": size}] if size else [{}]
    unknown: list[TypeError] = []
    for more in flexible:
        try:
            net = timm.create_model(
                name, pretrained=pretrained, num_classes=0, global_pool="", **more, **options
            )
        except TypeError as error:  # the family does not know this option
            unknown.append(error)
            continue
        if not size or _accepts(net, size):
            return net
    if len(unknown) == len(flexible):
        plain = unknown[len(flexible) // 2]  # the attempt without an option of ours
        raise ModelError(f"{name} cannot be built: {plain}") from plain
    raise ModelError(f"{name} takes no images of {size}: give transform() another size")


def planes_of(net: nn.Module) -> int:
    """The planes that the first convolution takes."""
    return next((m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), 3)


def _accepts(net: nn.Module, size: tuple[int, int]) -> bool:
    """Whether the network runs on images of `size` (some are built for one size only)."""
    import torch

    try:
        with torch.inference_mode():
            net.eval().forward_features(torch.zeros(1, planes_of(net), *size))  # type: ignore[operator]
    except (AssertionError, RuntimeError):
        return False
    finally:
        net.train()
    return True


def _from_torchvision(name: str, pretrained: bool, **options: Any) -> nn.Module:
    import torchvision

    options.pop("img_size", None)
    return getattr(torchvision.models, name)(weights="DEFAULT" if pretrained else None, **options)


def _small(name: str, pretrained: bool, **options: Any) -> nn.Module:
    """A ResNet of 1.6 million parameters; its weights come with onecycle, see `weights/`."""
    from timm.models.resnet import BasicBlock, ResNet

    options.pop("img_size", None)
    net = ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm annotates an instance where it wants the class
        (2, 2, 2, 1),
        channels=(32, 64, 128, 256),
        stem_width=16,
        stem_type="deep",
        num_classes=0,
        global_pool="",
        **options,
    )
    net.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}  # type: ignore[assignment]
    return net


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "timm": _from_timm,
    "torchvision": _from_torchvision,
    "onecycle": _small,
}
