"""Blocks of the U-Net beside loops over every pixel in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from onecycle.models.body import Body, Pyramid
from onecycle.models.unet import PixelShuffle, UNet, UpBlock, conv_layer


def conv(x, layer):
    """A convolution (c, h, w) of stride 1 with zeros around."""
    weight = layer.weight.detach().numpy()
    bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().numpy()
    out, pad = np.zeros((len(weight), *x.shape[1:])), weight.shape[2] // 2
    for o, row, col in np.ndindex(out.shape):
        total = bias[o]
        for i, dy, dx in np.ndindex(weight.shape[1:]):
            y, z = row + dy - pad, col + dx - pad
            if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                total += weight[o, i, dy, dx] * x[i, y, z]
        out[o, row, col] = total
    return out


def norm(images, layer):
    """Batch norm: by the batch's own mean and variance in training, else by the running ones."""
    out = [np.zeros_like(x) for x in images]
    gain, shift = (p.detach().numpy() for p in (layer.weight, layer.bias))
    for c in range(len(gain)):
        values = [float(v) for x in images for v in x[c].flatten()]
        mean, variance = float(layer.running_mean[c]), float(layer.running_var[c])
        if layer.training:
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / len(values)
        for x, to in zip(images, out, strict=True):
            to[c] = gain[c] * (x[c] - mean) / np.sqrt(variance + layer.eps) + shift[c]
    return out


def relu(x):
    return np.where(x > 0, x, 0.0)


def layers(images, block):
    """Convolution, ReLU and, where there is one, batch norm."""
    images = [relu(conv(x, block[0])) for x in images]
    return norm(images, block[2]) if len(block) > 2 else images


def shuffle(x):
    """Four channels become 2 x 2 pixels, row by row (Shi et al. 2016, equation 4)."""
    out = np.zeros((len(x) // 4, 2 * x.shape[1], 2 * x.shape[2]))
    for c, row, col in np.ndindex(out.shape):
        out[c, row, col] = x[4 * c + 2 * (row % 2) + col % 2, row // 2, col // 2]
    return out


def blurred(x):
    """The mean of each pixel, its left, its upper and its upper left one; edges are repeated."""
    out = np.zeros_like(x)
    for c, row, col in np.ndindex(x.shape):
        up, left = max(row - 1, 0), max(col - 1, 0)
        out[c, row, col] = (x[c, row, col] + x[c, up, col] + x[c, row, left] + x[c, up, left]) / 4
    return out


def doubled(x, up, blur):
    x = shuffle(relu(conv(x, up[0])))
    return blurred(x) if blur else x


def fitted(x, h, w):
    """Cut, or continued by the last row and column."""
    rows = [min(r, x.shape[1] - 1) for r in range(h)]
    cols = [min(c, x.shape[2] - 1) for c in range(w)]
    return x[:, rows][:, :, cols]


def block(coarse, skips, module, blur):
    """An UpBlock of a batch."""
    ups = [fitted(doubled(x, module.up, blur), *s.shape[1:]) for x, s in zip(coarse, skips)]  # noqa: B905
    normal = norm(skips, module.skip_norm)
    joined = [relu(np.concatenate(pair)) for pair in zip(ups, normal, strict=True)]
    return layers(layers(joined, module.convs[0]), module.convs[1])


def random(module, seed):
    """The module in float64, with weights and statistics that are nowhere 0 or 1."""
    rng = torch.Generator().manual_seed(seed)
    for value in [*module.parameters(), *module.buffers()]:
        if value.is_floating_point():
            value.data = torch.rand(value.shape, generator=rng) * 0.8 - 0.3
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_var.abs_().add_(0.5)
    return module.double()


def same(found, wanted):
    np.testing.assert_allclose(found.detach().numpy(), np.stack(wanted), atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("blur", [False, True])
def test_a_doubling(blur, seed):
    rng = np.random.default_rng(seed)
    n_in, n_out, h, w = (int(v) for v in rng.integers(1, 6, 4))
    up = random(PixelShuffle(n_in, n_out, blur), seed)
    x = rng.normal(size=(2, n_in, h, w))
    same(up(torch.tensor(x)), [doubled(image, up, blur) for image in x])


@pytest.mark.parametrize("n_in", [1, 3, 16])
def test_a_doubling_begins_as_one_convolution_of_kaiming_he_repeated_four_times(n_in):
    """Aitken et al. 2017: without a chequerboard, and scaled for a ReLU by the inputs alone."""
    torch.manual_seed(n_in)
    weight = PixelShuffle(n_in, 500)[0].weight.detach().numpy()
    for c, k in np.ndindex(500, 4):
        np.testing.assert_array_equal(weight[4 * c + k], weight[4 * c])
    one = weight[::4].flatten()
    assert one.std() == pytest.approx(np.sqrt(2 / n_in), rel=0.1)
    assert np.abs(PixelShuffle(n_in, 5)[0].bias.detach().numpy()).max() == 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", [None, "batch"])
def test_a_layer(kind, training):
    layer = random(conv_layer(3, 4, norm=kind), 5).train(training)
    x = np.random.default_rng(5).normal(size=(3, 3, 4, 5))
    same(layer(torch.tensor(x)), layers(list(x), layer))


@pytest.mark.parametrize("seed", range(8))
def test_a_block_with_its_skip(seed):
    """Also where the skip is smaller or larger than twice the coarse map, in training or not."""
    rng = np.random.default_rng(seed)
    n_coarse, n_skip, h, w = (int(v) for v in rng.integers(2, 5, 4))
    last, blur, kind = bool(seed & 1), bool(seed & 2), [None, "batch"][seed >> 2]
    module = random(UpBlock(n_coarse, n_skip, last, blur, False, kind), seed).train(bool(seed % 3))
    coarse = rng.normal(size=(2, n_coarse, h, w))
    skips = rng.normal(size=(2, n_skip, 2 * h + int(rng.integers(-1, 2)), 2 * w - 1))
    wanted = block(list(coarse), list(skips), module, blur)
    assert len(wanted[0]) == ((n_coarse // 2 + n_skip) // (2 if last else 1))
    same(module(torch.tensor(coarse), torch.tensor(skips)), wanted)


def encoder():
    """Maps of a half and a quarter of the size, of 3 and 4 channels."""
    steps = [nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.Conv2d(3, 4, 3, stride=2, padding=1)]
    return Pyramid(Body(nn.Sequential(*steps), (16, 16)), (16, 16))


OPTIONS = [
    {},
    {"blur": True},
    {"blur": True, "blur_final": False, "bottle": True, "norm": "batch"},
    {"last_cross": False, "y_range": (-2.0, 3.0), "blur": True},
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_network_behind_its_encoder(options, training):
    """Middle, block by block, the doublings to full size, the image joined in, the last layer."""
    model = random(UNet(encoder(), 2, **options), 3).train(training)
    x = np.random.default_rng(1).normal(size=(2, 3, 11, 14))
    fine, coarse = (m.detach().numpy() for m in model.encoder(torch.tensor(x)))
    y = [relu(image) for image in norm(list(coarse), model.middle[0])]
    y = layers(layers(y, model.middle[2]), model.middle[3])
    soft = options.get("blur", False) and options.get("blur_final", True)
    y = block(y, list(fine), model.blocks[0], soft)
    y = [fitted(doubled(image, model.ups[0], False), 11, 14) for image in y]
    if options.get("last_cross", True):
        y = [np.concatenate(pair) for pair in zip(y, x, strict=True)]
        crossed = layers(layers(y, model.cross[0]), model.cross[1])
        y = [a + b for a, b in zip(y, crossed, strict=True)]
    y = [conv(image, model.out[0]) for image in y]
    if "y_range" in options:
        y = [5 / (1 + np.exp(-image)) - 2 for image in y]
    same(model(torch.tensor(x)), y)
