"""A U-Net on any pretrained body.

Sources: Ronneberger et al. 2015 (U-Net); Shi et al. 2016 (pixel shuffle); Aitken et al. 2017 (its
initialisation, and the blur of Sugawara et al. 2018); Zhang et al. 2018 (self-attention).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as recomputed

from onecycle.core.errors import UsageError
from onecycle.models.body import Pyramid
from onecycle.models.groups import Groups
from onecycle.models.head import init_layers

NORMS = (None, "batch", "weight", "spectral")


def conv_layer(
    n_in: int, n_out: int, size: int = 3, norm: str | None = None, stride: int = 1
) -> nn.Sequential:
    """Convolution, ReLU, and batch norm where `norm` asks for it; other norms act on weights."""
    conv = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=norm != "batch")
    layers = init_layers(nn.Sequential(conv, nn.ReLU(inplace=True)))
    if norm == "batch":
        layers.append(nn.BatchNorm2d(n_out))
    layers[0] = with_norm(conv, norm)
    return layers


def with_norm(conv: nn.Module, norm: str | None) -> nn.Module:
    """The layer with a norm on its weights."""
    if norm not in ("weight", "spectral"):
        return conv
    return getattr(nn.utils.parametrizations, f"{norm}_norm")(conv)


class PixelShuffle(nn.Sequential):
    """Twice the size, by a 1x1 convolution whose outputs become 2x2 pixels.

    The four pixels start out equal, so that no chequerboard is left; `blur` averages 2x2.
    """

    def __init__(self, n_in: int, n_out: int, blur: bool = False, norm: str | None = None) -> None:
        conv = nn.Conv2d(n_in, 4 * n_out, 1)
        kernel = nn.init.kaiming_normal_(torch.empty(n_out, n_in, 1, 1))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        conv.weight.data.copy_(kernel.repeat_interleave(4, 0))
        norm = None if norm == "batch" else norm
        layers = [with_norm(conv, norm), nn.ReLU(inplace=True), nn.PixelShuffle(2)]
        if blur:
            layers += [nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)]
        super().__init__(*layers)


class SelfAttention(nn.Module):
    """Every pixel looks at every other; begins as doing nothing (its share starts at 0)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        make = nn.utils.parametrizations.spectral_norm
        self.query, self.key, self.value = (
            make(nn.Conv1d(channels, n, 1, bias=False)) for n in (narrow, narrow, channels)
        )
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        flat = x.flatten(2)
        weights = (self.query(flat).transpose(1, 2) @ self.key(flat)).softmax(1)
        return x + self.share * (self.value(flat) @ weights).reshape(x.shape)


class UpBlock(nn.Module):
    """Coarse features, doubled in size, joined by the encoder's features of that size."""

    def __init__(
        self, n_coarse: int, n_skip: int, last: bool, blur: bool, attention: bool, norm: str | None
    ) -> None:
        super().__init__()
        self.up = PixelShuffle(n_coarse, n_coarse // 2, blur, norm)
        self.skip_norm = nn.BatchNorm2d(n_skip)
        joined = n_coarse // 2 + n_skip
        self.channels = joined // 2 if last else joined
        self.convs = nn.Sequential(
            conv_layer(joined, self.channels, norm=norm),
            conv_layer(self.channels, self.channels, norm=norm),
        )
        if attention:
            self.convs.append(SelfAttention(self.channels))

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """(n, n_coarse, h, w) and (n, n_skip, 2h, 2w) to (n, channels, 2h, 2w)."""
        up = match_size(self.up(coarse), skip)
        return self.convs(F.relu(torch.cat([up, self.skip_norm(skip)], 1)))


class UNet(nn.Module):
    """Images (n, 3, h, w) of any size to maps (n, n_outputs, h, w).

    `blur` smooths after each doubling (`blur_final` also the last), `self_attention` goes into
    the third-last block, `last_cross` joins the image itself before the last block, which
    `bottle` makes narrower inside; `y_range` (low, high) bounds the outputs by a sigmoid; `norm`
    is None, "batch", "weight" or "spectral", for the convolutions of the decoder. `checkpoint`
    computes activations anew in the backward pass: a third more time, far less memory.
    """

    def __init__(
        self,
        encoder: Pyramid,
        n_outputs: int,
        blur: bool = False,
        blur_final: bool = True,
        self_attention: bool = False,
        y_range: tuple[float, float] | None = None,
        last_cross: bool = True,
        bottle: bool = False,
        norm: str | None = None,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UsageError(f"the norm is one of {NORMS}, not {norm!r}")
        if bottle and not last_cross:
            raise UsageError(
                "bottle=True narrows the last block, which last_cross=False leaves out"
            )
        if self_attention and len(encoder.channels) < 4:
            raise UsageError(
                f"self_attention goes into the third-last of {len(encoder.channels) - 1} blocks"
            )
        self.encoder, self.y_range, self.checkpoint = encoder, y_range, checkpoint
        *skips, n = encoder.channels
        self.middle = nn.Sequential(
            nn.BatchNorm2d(n),
            nn.ReLU(),
            conv_layer(n, 2 * n, norm=norm),
            conv_layer(2 * n, n, norm=norm),
        )
        self.blocks = nn.ModuleList()
        for left, n_skip in zip(reversed(range(len(skips))), reversed(skips), strict=True):
            soft = blur and (left > 0 or blur_final)
            attend = self_attention and left == 2
            self.blocks.append(UpBlock(n, n_skip, left == 0, soft, attend, norm))
            n = self.blocks[-1].channels  # type: ignore[assignment]
        doublings = (encoder.reductions[0] - 1).bit_length()
        self.ups = nn.Sequential(*(PixelShuffle(n, n, norm=norm) for _ in range(doublings)))
        crossed = n + encoder.planes * last_cross
        self.cross = _cross(crossed, bottle, norm) if last_cross else None
        self.out = init_layers(nn.Sequential(nn.Conv2d(crossed, n_outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """One output per pixel and class."""
        *skips, y = self._run(self.encoder, x)
        y = self._run(self.middle, y)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            y = self._run(block, y, skip)
        y = self._run(self._finish, y, x)
        if self.y_range is None:
            return y
        low, high = self.y_range
        return y.sigmoid() * (high - low) + low

    def _finish(self, y: Tensor, x: Tensor) -> Tensor:
        y = match_size(self.ups(y), x)
        if self.cross is not None:
            y = torch.cat([y, x.to(y.dtype)], 1)  # 16-bit stays 16-bit: three times less copying
            y = y + self.cross(y)
        return self.out(y)

    def _run(self, part: Callable[..., Any], *inputs: Tensor) -> Any:
        if not (self.checkpoint and self.training and torch.is_grad_enabled()):
            return part(*inputs)
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return recomputed(
            part, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _hold(norms))
        )

    def layer_groups(self) -> Groups:
        """Early and late layers of the encoder, and the decoder."""
        known = {id(p) for p in self.encoder.parameters()}
        decoder = [p for p in self.parameters() if id(p) not in known]
        return [group for group in (*self.encoder.body.halves(), decoder) if group]


def match_size(x: Tensor, like: Tensor) -> Tensor:
    """`x` cut, or continued by its last row and column, to the height and width of `like`."""
    h, w = like.shape[-2:]
    x = x[..., :h, :w]
    missing = (0, w - x.shape[-1], 0, h - x.shape[-2])
    return F.pad(x, missing, mode="replicate") if any(missing) else x


def _cross(n: int, bottle: bool, norm: str | None) -> nn.Sequential:
    inner = n // 2 if bottle else n
    return nn.Sequential(conv_layer(n, inner, norm=norm), conv_layer(inner, n, norm=norm))


@contextmanager
def _hold(norms: list[Any]) -> Iterator[None]:
    """Batch norm does not count a batch twice when its activations are computed anew."""
    before = [(m, m.momentum, m.num_batches_tracked.clone()) for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum, count in before:
            m.momentum = momentum
            m.num_batches_tracked.copy_(count)
