"""Train the small convolutional body that the package ships, on generated images only.

The body learns to say, cell by cell, which textures and shapes a drawn scene holds and what colours
they had before the light changed, and to recognise two views of a scene. It sees no photograph.
"""

import argparse
import datetime
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pretrain_images as art
import timm
import torch
from safetensors.torch import save_file
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

TEXTURES, SHAPES = len(art.materials()), len(art.silhouettes()) + 1
ARCH = (
    "timm.models.resnet.ResNet(BasicBlock, [2, 2, 2, 1], channels=(32, 64, 128, 256), "
    "stem_width=16, stem_type='deep', num_classes=0)"
)
VERSIONS = f"torch {torch.__version__} timm {timm.__version__} opencv {cv2.__version__}"
Say = Callable[[str], None]


class Scenes(NamedTuple):
    """Images (n, 3, h, w) and, at every second pixel, texture and shape (n, 2, h/2, w/2)."""

    images: Tensor
    names: Tensor


def layout(rng: art.Random, count: int) -> art.Bytes:
    """Divide the canvas into regions numbered below `count`: blobs, cells, strips or streets."""
    form = rng.integers(4)
    if form == 0:
        grid = rng.standard_normal((int(rng.integers(2, 7)),) * 2 + (count,)).astype(np.float32)
        fields = cv2.resize(grid, (art.CANVAS, art.CANVAS), interpolation=cv2.INTER_CUBIC)
        return fields.reshape(art.CANVAS, art.CANVAS, count).argmax(2).astype(np.uint8)
    canvas = np.zeros((art.CANVAS, art.CANVAS), np.uint8)
    if form == 1:
        seeds = rng.random((int(rng.integers(count, 4 * count + 1)), 2, 1, 1)) * art.CANVAS
        apart = np.mgrid[: art.CANVAS, : art.CANVAS][None] - seeds
        return (np.square(apart).sum(1).argmin(0) % count).astype(np.uint8)
    for region in [*range(1, count)] * (1 if form == 2 else 2):
        ends = (rng.uniform(-0.1, 1.1, (3, 2)) * art.CANVAS).astype(np.int32)
        if form == 2:
            box = cv2.boxPoints((ends[0].tolist(), rng.uniform(15, 90, 2), rng.uniform(0, 90)))
            cv2.fillPoly(canvas, [box.astype(np.int32)], region)
        else:
            cv2.polylines(canvas, [ends], False, region, int(rng.integers(4, 30)))
    return canvas


def add_shape(rng: art.Random, bank: art.Bank, image: art.Bytes, names: art.Bytes) -> art.Bytes:
    """Put one textured shape on the scene, with a shadow, an outline and shading by chance."""
    kind, texture = int(rng.integers(SHAPES - 1)), int(rng.integers(TEXTURES))
    stamp = bank.shapes[kind][rng.integers(art.VARIANTS)]
    scale = math.exp(rng.uniform(math.log(0.3), math.log(1.0)))
    mask = art.place(stamp, rng, scale, 0.38, cv2.BORDER_CONSTANT)
    if rng.random() < 0.4:
        shadow = cv2.GaussianBlur(np.roll(mask, rng.integers(-6, 7, 2), (0, 1)), (0, 0), 2.5)
        image = (image * (1 - shadow[..., None] * (0.6 / 255))).astype(np.uint8)
    fill = art.surface(rng, bank, texture) if rng.random() < 0.6 else art.palette(rng)[mask // 2]
    if rng.random() < 0.4:
        depth = np.minimum(cv2.distanceTransform(mask, cv2.DIST_L2, 3) / 14, 1)
        fill = (fill * (0.45 + 0.55 * depth[..., None])).astype(np.uint8)
    if rng.random() < 0.3:
        line = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 127
        fill = np.where(line[..., None], art.palette(rng)[rng.integers(256)], fill)
    weight = mask[..., None] / np.float32(255)
    names[1][mask > 127] = kind + 1
    return (image + (fill - image.astype(np.float32)) * weight).astype(np.uint8)


def scene(bank: art.Bank, seed: list[int]) -> tuple[art.Bytes, art.Bytes]:
    """Draw one scene; also name the texture and the shape of every second pixel."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    kinds = rng.integers(TEXTURES, size=count)
    regions = layout(rng, count)
    image = art.surface(rng, bank, kinds[0])
    for region in range(1, count):
        image = np.where(
            (regions == region)[..., None], art.surface(rng, bank, kinds[region]), image
        )
    if rng.random() < 0.25:
        edge = cv2.morphologyEx(regions, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        image = np.where(edge[..., None], art.palette(rng)[rng.integers(256)], image)
    names = np.stack([kinds[regions].astype(np.uint8), np.zeros_like(regions)])
    for _ in range(rng.choice(4, p=[0.25, 0.35, 0.25, 0.15])):
        image = add_shape(rng, bank, image, names)
    return art.spoil(rng, image), names[:, ::2, ::2]


def draw_scenes(bank: art.Bank, seed: list[int], count: int, threads: int) -> Scenes:
    """Draw `count` scenes, each from its own random numbers."""
    with ThreadPoolExecutor(threads) as pool:
        drawn = list(pool.map(lambda index: scene(bank, [*seed, index]), range(count)))
    images = np.stack([image for image, _ in drawn]).transpose(0, 3, 1, 2)
    return Scenes(torch.from_numpy(images), torch.from_numpy(np.stack([n for _, n in drawn])))


class View(NamedTuple):
    """The image, and per cell: shares of textures and shapes, mean and spread of colour."""

    image: Tensor
    textures: Tensor
    shapes: Tensor
    colours: Tensor


def look(scenes: Scenes, size: int, chance: torch.Generator, plain: bool = False) -> View:
    """Crop, turn and flip the scenes, take the answers, then change the colours."""
    count, draw = len(scenes.images), partial(torch.rand, generator=chance)
    zoom = 0.75 if plain else 0.45 + 0.55 * draw(count, 1, 1)
    turn = (draw(count, 1, 1) - 0.5) * (0 if plain else 0.6)
    rows = torch.cat([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], 2).view(count, 2, 2)
    flip = torch.where(draw(count, 1, 2) < 0.5, -1.0, 1.0) * zoom
    shift = (2 * draw(count, 2, 1) - 1) * (1 - zoom)
    matrix = torch.cat([rows * flip, 0 * shift if plain else shift], 2)
    seen = partial(F.grid_sample, padding_mode="reflection", align_corners=False)
    grid = F.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    image = seen(scenes.images.float() / 255, grid)
    fine = F.affine_grid(matrix, [count, 2, size // 4, size // 4], align_corners=False)
    names = seen(scenes.names.float(), fine, mode="nearest").long()
    textures = F.one_hot(names[:, 0], TEXTURES).permute(0, 3, 1, 2).float()
    shapes = F.one_hot(names[:, 1], SHAPES).permute(0, 3, 1, 2).float()
    mean = F.avg_pool2d(image, 32)
    spread = (F.avg_pool2d(image**2, 32) - mean**2).clamp(min=0).sqrt()
    image = image if plain else recolour(image, chance)
    return View(image, textures, F.avg_pool2d(shapes, 8), torch.cat([mean, spread], 1))


def recolour(image: Tensor, chance: torch.Generator) -> Tensor:
    """Change contrast, brightness, tint and saturation; add noise."""
    shape = (len(image), 1, 1, 1)
    normal = partial(torch.randn, generator=chance)
    gain = (0.2 * normal(shape) + 0.1 * normal((len(image), 3, 1, 1))).exp()
    image = (image - 0.5) * gain + 0.5 + 0.08 * normal(shape)
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * (0.3 * normal(shape)).exp()
    return (image + 0.02 * normal(image.shape)).clamp(0, 1)


class Student(nn.Module):
    """The body to ship, with the heads that only pretraining needs."""

    def __init__(self) -> None:
        super().__init__()
        shape = {"channels": (32, 64, 128, 256), "stem_width": 16, "stem_type": "deep"}
        self.body = ResNet(BasicBlock, [2, 2, 2, 1], num_classes=0, **shape)
        self.textures = nn.Conv2d(256, TEXTURES, 1)
        self.fine_textures = nn.Conv2d(128, TEXTURES, 1)
        self.shapes = nn.Conv2d(256, SHAPES, 1)
        self.colours = nn.Conv2d(256, 6, 1)
        self.codes = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Answer for every cell of 32 (and 16) pixels, and code each whole view."""
        body = self.body
        fine = body.maxpool(body.act1(body.bn1(body.conv1((image - 0.5) / 0.5))))
        fine = body.layer3(body.layer2(body.layer1(fine)))
        cells = body.layer4(fine)
        codes = F.normalize(self.codes(cells.mean((2, 3))), dim=1)
        names = self.textures(cells), self.fine_textures(fine), self.shapes(cells)
        return *names, self.colours(cells), codes


def loss_of(student: Student, views: list[View], contrast: float) -> Tensor:
    """Sum of the losses of all heads on two views of each scene."""
    view = View(*(torch.cat(parts) for parts in zip(*views, strict=True)))
    seen = view.image.contiguous(memory_format=torch.channels_last)
    textures, fine_textures, shapes, colours, codes = student(seen)
    rare = torch.ones(1, SHAPES, 1, 1)
    rare[:, 0] = 0.3
    loss = F.cross_entropy(textures, F.avg_pool2d(view.textures, 8))
    loss = loss + 0.3 * F.cross_entropy(fine_textures, F.avg_pool2d(view.textures, 4))
    loss = loss + F.cross_entropy(shapes, view.shapes * rare)
    loss = loss + 5 * F.mse_loss(colours, view.colours)
    alike = codes @ codes.T / 0.2
    alike.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(alike)).roll(len(alike) // 2)
    return loss + contrast * F.cross_entropy(alike, partner)


@torch.no_grad()
def cell_accuracy(student: Student, scenes: Scenes, size: int) -> float:
    """Share of cells of unseen scenes whose most widespread texture is named right."""
    student.eval()
    view = look(scenes, size, torch.Generator().manual_seed(0), plain=True)
    predicted = student(view.image.contiguous(memory_format=torch.channels_last))[0].argmax(1)
    student.train()
    return float((predicted == F.avg_pool2d(view.textures, 8).argmax(1)).float().mean())


def batches(bank: art.Bank, options: argparse.Namespace) -> Iterator[Scenes]:
    """Batches of scenes without end: draw a pool, go through it a few times, draw the next."""
    chance, turn = torch.Generator().manual_seed(options.seed), 0
    while True:
        scenes = draw_scenes(bank, [options.seed, 2, turn], 3072, options.threads)
        for _ in range(3):
            for rows in torch.randperm(3072, generator=chance).split(options.batch):
                yield Scenes(scenes.images[rows], scenes.names[rows])
        turn += 1


def train(student: Student, options: argparse.Namespace, say: Say) -> int:
    """One cycle of AdamW over the steps, hurried so that the clock's limit is kept."""
    began, bank, average = time.monotonic(), art.draw_bank(options.seed), 0.0
    optimizer = torch.optim.AdamW(student.parameters(), lr=0, weight_decay=0.02)
    chance = torch.Generator().manual_seed(options.seed + 1)
    unseen = draw_scenes(bank, [options.seed, 3], 512, options.threads)
    for step, scenes in enumerate(batches(bank, options)):
        minutes = (time.monotonic() - began) / 60
        done = max(step / options.steps, minutes / options.minutes)
        if step % 250 == 0 or done >= 1:
            save(student, options)
            cells = cell_accuracy(student, unseen, options.size)
            say(f"step {step:6d}  {minutes:5.1f} min  loss {average:.4f}  cells {cells:.4f}")
        if done >= 1:
            return step
        fall = (1 + math.cos(math.pi * done)) / 2
        optimizer.param_groups[0]["lr"] = options.rate * fall * min(1, done / 0.1)
        size = options.size if done > 0.7 else options.first_size
        loss = loss_of(student, [look(scenes, size, chance) for _ in range(2)], options.contrast)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average += (loss.item() - average) * max(0.02, 1 / (step + 1))
    raise RuntimeError("the batches ended")


def save(student: Student, options: argparse.Namespace) -> None:
    """Write the body in half precision, with what one must know to use it."""
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in student.body.state_dict().items()
    }
    notes = {"arch": ARCH, "input": "RGB in [0, 1], then (x - mean) / std", "mean": "0.5 0.5 0.5"}
    notes |= {"std": "0.5 0.5 0.5", "command": options.command, "seed": str(options.seed)}
    notes |= {"licence": "that of onecycle; trained on generated images only"}
    notes |= {"versions": VERSIONS}
    save_file(state, options.out, notes)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add, weights = parser.add_argument, Path("src/onecycle/models/weights/small.safetensors")
    add("--steps", type=int, default=100_000, help="length of the cycle")
    add("--minutes", type=float, default=30, help="limit; hurries the cycle if need be")
    add("--seed", type=int, default=0)
    add("--first-size", type=int, default=64, help="pixels for the first 70 per cent")
    add("--size", type=int, default=96, help="pixels after that")
    add("--batch", type=int, default=64, help="scenes; each is seen twice")
    add("--rate", type=float, default=3e-3)
    add("--contrast", type=float, default=0.3, help="weight of telling scenes apart")
    add("--threads", type=int, default=2)
    add("--out", type=Path, default=weights)
    options = parser.parse_args()
    options.command = " ".join(["python", *sys.argv])
    return options


def main() -> None:
    """Train, and write the weights and their log."""
    options, lines = parse(), []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line + "\n")
        options.out.with_suffix(".log.txt").write_text("".join(lines), "utf-8")

    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    say(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC  {options.command}")
    say(VERSIONS)
    steps = train(Student().to(memory_format=torch.channels_last), options, say)
    say(f"{steps} steps of {options.batch} scenes, each seen twice")


if __name__ == "__main__":
    main()
