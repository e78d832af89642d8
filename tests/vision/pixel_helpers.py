"""Pictures of which one knows what should come out."""

import numpy as np
import torch
from torch.nn import functional as F


def blob(size, y, x, sigma):
    """A soft bright spot around pixel (y, x) of a black picture of `size` (h, w)."""
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
    """A picture like a photograph: no detail finer than a few pixels, values from 0 to 255."""
    coarse = torch.from_numpy(rng.random((1, channels, cells, cells)))
    fine = F.interpolate(coarse, size, mode="bicubic")[0].clamp(0, 1) * 255
    return fine.round().byte().permute(1, 2, 0).contiguous().numpy()
