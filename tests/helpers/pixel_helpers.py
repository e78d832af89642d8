"""Images of which one knows what should come out."""

import numpy as np
import torch
from torch.nn import functional as F

from onecycle.vision.warp import shrink

BLACK = 1e-3  # of 1: black and white stay this far from the ends, where logits are infinite


def blob(size, y, x, sigma):
    """A soft bright spot around pixel (y, x) of a black image of `size` (h, w)."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    value = 255 * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * sigma**2))
    return np.repeat(value.round().astype(np.uint8)[:, :, None], 3, 2)


def brightest(pixels):
    """The centre (y, x) of what is brighter than 0.6 of the maximum."""
    value = pixels[:, :, 0].astype(float)
    weight = np.where(value > 0.6 * value.max(), value, 0)
    rows, cols = np.mgrid[: value.shape[0], : value.shape[1]]
    return np.array([(rows * weight).sum(), (cols * weight).sum()]) / weight.sum()


def encoded(y, x, size):
    """A point on pixel (y, x) as a PointsSpec stores it: [-1, 1] from edge to edge."""
    return np.array([[(y + 0.5) / size[0], (x + 0.5) / size[1]]], np.float32) * 2 - 1


def on_pixels(points, size):
    """The way back: (y, x) in pixels."""
    return ((points + 1) / 2 * np.array(size) - 0.5)[0]


def smooth_noise(rng, size, cells=9, channels=3):
    """An image like a photograph: no detail finer than a few pixels, values from 0 to 255."""
    coarse = torch.from_numpy(rng.random((1, channels, cells, cells)))
    fine = F.interpolate(coarse, size, mode="bicubic")[0].clamp(0, 1) * 255
    return fine.round().byte().permute(1, 2, 0).contiguous().numpy()


def sampled(pixels, plan):
    """An image (h, w, 3) through its plan by `grid_sample` and exact logits: float 0-255."""
    small, plan = shrink(pixels, plan)
    h, w = small.shape[:2]
    y, x = np.mgrid[: plan.out[0], : plan.out[1]].astype(np.float64)
    u, v, d = np.einsum("ij,jhw->ihw", plan.matrix, np.stack([x, y, np.ones_like(x)]))
    grid = np.stack([(2 * u / d + 1) / w - 1, (2 * v / d + 1) / h - 1], -1)[None]
    image = torch.from_numpy(small).permute(2, 0, 1)[None].double()
    mode = {"padding_mode": plan.padding_mode, "align_corners": False}
    out = F.grid_sample(image, torch.from_numpy(grid), "bilinear", **mode)[0].permute(1, 2, 0)
    if plan.lighting != (1.0, 0.0):
        factor, summand = plan.lighting
        logits = torch.logit((out / 255).clamp(BLACK, 1 - BLACK))
        out = torch.sigmoid(logits * factor + summand) * 255
    return out.numpy()
