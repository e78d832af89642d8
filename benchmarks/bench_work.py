"""One piece of work in one library, for bench.py: a JSON line per figure, and the peak memory.

    PYTHON bench_work.py LIBRARY CASE ROOT [WORDS ...]

ROOT holds images/*.jpg with labels.csv (image_name, tags apart by blanks), streets/ (images,
labels, codes.txt) and texts.csv. Libraries are imported where they are used: an environment need
not have all. "limit" is no library but the bare work that none can do without.
"""

import json
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

warnings.simplefilter("ignore")
BS, SEED = 64, 42
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = (("frozen", 1e-2), ("unfrozen", 2e-3))


def say(**figures: Any) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak MB": round(peak)}), flush=True)


def passes(loader: Any, count: int = 3) -> None:
    """Images a second of a loader's passes; the first warms up."""
    for i in range(count):
        start, images = perf_counter(), 0
        for batch in loader:
            images += len(batch[0])
        if i:
            say(**{"images/s": images / (perf_counter() - start)})


def median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


# onecycle


def planet(root: Path, size: int) -> Any:
    from onecycle.vision import ImageList, get_transforms, imagenet_stats

    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    items = ImageList.from_csv(root, "labels.csv", folder="images", suffix=".jpg")
    sides = items.split_by_rand_pct(0.2, seed=SEED).label_from_df(label_delim=" ")
    return sides.transform(tfms, size=size).databunch(bs=BS).normalize(imagenet_stats)


def onecycle_import(root: Path) -> None:
    start = perf_counter()
    exec("from onecycle.vision import *")
    say(seconds=perf_counter() - start)


def onecycle_loader(root: Path, size: str) -> None:
    passes(planet(root, int(size)).train_dl)


def onecycle_epoch(root: Path, size: str, precision: str = "fp32") -> None:
    from onecycle.vision import accuracy_thresh, cnn_learner

    data = planet(root, int(size))
    learn = cnn_learner(data, "resnet18", pretrained=False, metrics=accuracy_thresh, silent=True)
    if precision == "bf16":
        learn.to_bf16()
    learn.freeze()
    for stage, rate in STAGES:
        start = perf_counter()
        learn.fit_one_cycle(1, rate)
        say(**{f"{stage} epoch, s": perf_counter() - start})
        learn.unfreeze()


def onecycle_unet(root: Path, count: str, precision: str = "fp32") -> None:
    from onecycle.vision import SegmentationItemList, get_transforms, imagenet_stats, unet_learner

    folder = root / "streets"
    files = sorted((folder / "images").iterdir())[: int(count)]
    codes = (folder / "codes.txt").read_text().split()
    sides = SegmentationItemList.from_paths(files, folder).split_by_rand_pct(0.2, seed=SEED)
    labelled = sides.label_from_func(
        lambda file: folder / "labels" / f"{file.stem}_P.png", classes=codes
    )
    data = labelled.transform(get_transforms(), size=(180, 240), tfm_y=True).databunch(bs=4)
    learn = unet_learner(
        data.normalize(imagenet_stats), "resnet34", pretrained=False, silent=True
    ).unfreeze()
    if precision == "bf16":
        learn.to_bf16()
    start = perf_counter()
    learn.fit_one_cycle(1, 1e-3)
    say(**{"epoch, s": perf_counter() - start})


def texts(root: Path, count: str) -> Any:
    import pandas as pd

    from onecycle.text import TextList

    rows = pd.read_csv(root / "texts.csv")[: int(count)]
    start = perf_counter()
    items = TextList.from_df(rows, cols="text", min_freq=3).split_by_rand_pct(0.1, seed=SEED)
    data = items.label_for_lm().databunch(bs=48)
    return data, len(rows) / (perf_counter() - start)


def onecycle_tokens(root: Path, count: str) -> None:
    say(**{"reviews/s": texts(root, count)[1]})


def onecycle_lm(root: Path, count: str, precision: str = "fp32") -> None:
    from onecycle.text import language_model_learner

    data, _ = texts(root, count)
    learn = language_model_learner(data, pretrained=False, drop_mult=0.3, silent=True)
    if precision == "bf16":
        learn.to_bf16()
    model, loss_func = learn.model, learn.loss_func
    lm_steps(data.train_dl, model, lambda x, y: loss_func(learn.engine.forward(model, x), y))


def lm_steps(batches: Any, model: Any, loss_of: Any) -> None:
    """Tokens a second of five steps with Adam, after one that warms up."""
    import torch

    optimizer, tokens = torch.optim.Adam(model.parameters(), 1e-3), 0
    model.train()
    for i, (x, y) in zip(range(6), batches, strict=False):
        if i == 1:
            start, tokens = perf_counter(), 0
        loss_of(x, y).backward()
        optimizer.step()
        optimizer.zero_grad()
        tokens += x.numel()
    say(**{"tokens/s": tokens / (perf_counter() - start)})


def onecycle_predict(root: Path, precision: str = "fp32") -> None:
    """An exported file, asked in a process of its own as an app does."""
    import subprocess

    made = root / f"{precision}.onnx"
    if not made.exists():
        code = (
            "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
            "import torch; torch.manual_seed(0); "
            "from bench_work import *; from onecycle.vision import cnn_learner; "
            "data = planet(Path(sys.argv[2]), 128); "
            "learn = cnn_learner(data, 'resnet18', pretrained=False, silent=True); "
            "learn.export(sys.argv[3], precision=sys.argv[4])"
        )
        given = [str(Path(__file__).parent), str(root), str(made), precision]
        subprocess.run([sys.executable, "-c", code, *given], check=True)
    start = perf_counter()
    from onecycle.runtime.predictor import Predictor

    predictor = Predictor(made)
    ask_each(root, lambda file: predictor.predict(file), start)


def ask_each(root: Path, ask: Any, start: float) -> None:
    """Seconds to the first answer, then the median of forty in milliseconds."""
    files = sorted((root / "images").iterdir())[:40]
    ask(files[0])
    cold, seconds = perf_counter() - start, []
    for file in files:
        begin = perf_counter()
        ask(file)
        seconds.append(perf_counter() - begin)
    say(**{"first answer, s": cold, "answer, ms": 1000 * median(seconds)})


def onecycle_files(root: Path, count: str) -> None:
    from onecycle.vision import ImageList

    folder = many_files(root, int(count))
    start = perf_counter()
    ImageList.from_folder(folder)
    say(seconds=perf_counter() - start)


def many_files(root: Path, count: int) -> Path:
    """A folder of empty files in a hundred folders, drawn once."""
    folder = root / f"files-{count}"
    if not folder.exists():
        for c in range(100):
            (folder / f"c{c:02}").mkdir(parents=True)
            for i in range(count // 100):
                (folder / f"c{c:02}/image{i:06}.jpg").touch()
    return folder


# The limits


def limit_import(root: Path) -> None:
    start = perf_counter()
    import torch
    import torchvision  # noqa: F401

    say(seconds=perf_counter() - start)
    assert torch


def limit_loader(root: Path, size: str) -> None:
    """Files read and decoded by libjpeg-turbo on all cores, at the scale that `size` allows."""
    from concurrent.futures import ThreadPoolExecutor

    import simplejpeg

    least = int(int(size) * 1.1)

    def decode(file: Path) -> Any:
        with file.open("rb") as opened:
            return simplejpeg.decode_jpeg(opened.read(), min_height=least, min_width=least)

    files = sorted((root / "images").iterdir())
    for i in range(3):
        start = perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, files))
        if i:
            say(**{"images/s": len(files) / (perf_counter() - start)})


def limit_epoch(root: Path, size: str, precision: str = "fp32") -> None:
    """The bare steps and validation batches of an epoch, on one batch that is there already."""
    import timm
    import torch

    count = len((root / "labels.csv").read_text().splitlines()) - 1
    model = timm.create_model("resnet18", num_classes=17)
    x = torch.randn(BS, 3, int(size), int(size)).to(memory_format=torch.channels_last)
    y = (torch.rand(BS, 17) > 0.5).float()
    optimizer = torch.optim.AdamW(model.parameters())
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    half = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    train, valid = int(count * 0.8) // BS, -(-int(count * 0.2) // BS)
    for i in range(2):
        start = perf_counter()
        for _ in range(train if i else 1):
            with half:
                loss = bce(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad(), half:
            for _ in range(valid if i else 1):
                model(x)
    say(**{"unfrozen epoch, s": perf_counter() - start})


def limit_lm(root: Path, count: str, precision: str = "fp32") -> None:
    """The matrix products of three LSTM layers and the decoder, there and back, as large ones.

    The real ones with the state are 48 rows high, one step after another, and slower.
    """
    import pandas as pd
    import torch

    from onecycle.text import TextList  # the vocabulary decides the last product

    rows = pd.read_csv(root / "texts.csv")[: int(count)]
    items = TextList.from_df(rows, cols="text", min_freq=3).split_by_rand_pct(0.1, seed=SEED)
    words = len(items.label_for_lm().databunch(bs=48).vocab)
    kind, tokens = torch.bfloat16 if precision == "bf16" else torch.float32, 48 * 70
    products = [(i + h, 4 * h) for i, h in ((400, 1152), (1152, 1152), (1152, 400))]
    pairs = [
        (torch.randn(tokens, a, dtype=kind), torch.randn(b, a, dtype=kind))
        for a, b in (*products, (400, words))
    ]
    seconds = []
    for _ in range(4):
        start = perf_counter()
        for given, weights in pairs:
            for _ in range(3):  # forward, and two of the backward pass
                torch.nn.functional.linear(given, weights)
        seconds.append(perf_counter() - start)
    say(**{"tokens/s": tokens / min(seconds)})


def limit_files(root: Path, count: str) -> None:
    folder = many_files(root, int(count))
    start = perf_counter()
    sum(len(names) for _, _, names in os.walk(folder))
    say(seconds=perf_counter() - start)


# fastai 2.8


def fastai_import(root: Path) -> None:
    start = perf_counter()
    exec("from fastai.vision.all import *")
    say(seconds=perf_counter() - start)


def fastai_planet(root: Path, size: int) -> Any:
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, aug_transforms

    tfms = aug_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    return ImageDataLoaders.from_df(
        pd.read_csv(root / "labels.csv"), root, folder="images", suff=".jpg", label_delim=" ",
        valid_pct=0.2, seed=SEED, bs=BS, item_tfms=Resize(size),
        batch_tfms=[*tfms, Normalize.from_stats(MEAN, STD)],
    )  # fmt: skip


def fastai_loader(root: Path, size: str) -> None:
    passes(fastai_planet(root, int(size)).train)


def fastai_learner(root: Path, size: int) -> Any:
    from fastai.vision.all import accuracy_multi, resnet18, vision_learner

    dls = fastai_planet(root, size)
    return vision_learner(dls, resnet18, pretrained=False, metrics=accuracy_multi, n_out=dls.c)


def fastai_epoch(root: Path, size: str) -> None:
    learn = fastai_learner(root, int(size))
    learn.freeze()
    with learn.no_bar(), learn.no_logging():
        for stage, rate in STAGES:
            start = perf_counter()
            learn.fit_one_cycle(1, rate)
            say(**{f"{stage} epoch, s": perf_counter() - start})
            learn.unfreeze()


def fastai_unet(root: Path, count: str) -> None:
    import numpy as np
    from fastai.vision.all import (
        Normalize,
        Resize,
        SegmentationDataLoaders,
        aug_transforms,
        resnet34,
        unet_learner,
    )

    folder = root / "streets"
    files = sorted((folder / "images").iterdir())[: int(count)]
    dls = SegmentationDataLoaders.from_label_func(
        folder, bs=4, fnames=files, label_func=lambda o: folder / "labels" / f"{o.stem}_P.png",
        codes=np.loadtxt(folder / "codes.txt", dtype=str), valid_pct=0.2, seed=SEED,
        item_tfms=Resize((180, 240)),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(MEAN, STD)],
    )  # fmt: skip
    learn = unet_learner(dls, resnet34, pretrained=False)
    with learn.no_bar(), learn.no_logging():
        start = perf_counter()
        learn.fit_one_cycle(1, 1e-3)
    say(**{"epoch, s": perf_counter() - start})


def fastai_texts(root: Path, count: str) -> Any:
    import pandas as pd
    from fastai.text.all import TextDataLoaders

    rows = pd.read_csv(root / "texts.csv")[: int(count)]
    start = perf_counter()
    dls = TextDataLoaders.from_df(
        rows, text_col="text", is_lm=True, valid_pct=0.1, seed=SEED, bs=48, seq_len=70
    )
    return dls, len(rows) / (perf_counter() - start)


def fastai_tokens(root: Path, count: str) -> None:
    say(**{"reviews/s": fastai_texts(root, count)[1]})


def fastai_lm(root: Path, count: str) -> None:
    from fastai.text.all import AWD_LSTM, language_model_learner

    dls, _ = fastai_texts(root, count)
    learn = language_model_learner(dls, AWD_LSTM, pretrained=False, drop_mult=0.3)
    lm_steps(dls.train, learn.model, lambda x, y: learn.loss_func(learn.model(x)[0], y))


def fastai_predict(root: Path) -> None:
    start = perf_counter()  # with the import, as the first answer of ours
    learn = fastai_learner(root, 128)
    with learn.no_bar(), learn.no_logging():
        ask_each(root, learn.predict, start)


# Plain torch with torchvision's transforms, timm, Keras and DALI


def rows_of(root: Path) -> tuple[list[tuple[str, list[float]]], list[tuple[str, list[float]]]]:
    """(file, tags as 0 and 1) of training and of validation."""
    import csv
    import random

    with (root / "labels.csv").open() as file:
        rows = [(row["image_name"], row["tags"].split()) for row in csv.DictReader(file)]
    tags = sorted({tag for _, found in rows for tag in found})
    named = [
        (f"{root}/images/{name}.jpg", [float(tag in found) for tag in tags]) for name, found in rows
    ]
    random.Random(SEED).shuffle(named)
    cut = len(named) // 5
    return named[cut:], named[:cut]


def torch_loaders(root: Path, size: int, transforms: Any = None) -> Any:
    """Torch's loaders over both sides, with as many processes as cores."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision.io import decode_image
    from torchvision.transforms import v2

    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    train = v2.Compose([
        v2.Resize(size, antialias=True), v2.CenterCrop(size), v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(), v2.RandomAffine(10, scale=(1.0, 1.05)),
        v2.ColorJitter(0.1, 0.1), *last,
    ])  # fmt: skip
    valid = v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size), *last])

    class Files(Dataset):  # type: ignore[type-arg]
        def __init__(self, rows: Any, tfms: Any) -> None:
            self.rows, self.tfms = rows, tfms

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, i: int) -> Any:
            file, tags = self.rows[i]
            return self.tfms(decode_image(file, mode="RGB")), torch.tensor(tags)

    workers = os.cpu_count() or 1
    return [
        DataLoader(
            Files(rows, tfms), BS, shuffle=training, drop_last=training, num_workers=workers,
            persistent_workers=True,
        )
        for rows, tfms, training in zip(rows_of(root), (train, valid), (True, False), strict=True)
    ]  # fmt: skip


def torch_loader(root: Path, size: str) -> None:
    passes(torch_loaders(root, int(size))[0])


def timm_epoch(root: Path, size: str) -> None:
    """An epoch as timm's training script runs one: its loss, optimizer, schedule and averages."""
    import timm
    import torch
    from timm.loss import BinaryCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import AverageMeter

    train, valid = torch_loaders(root, int(size))
    model = timm.create_model("resnet18", num_classes=len(train.dataset[0][1]))
    model = model.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=2e-3)
    schedule, _ = create_scheduler_v2(optimizer, "cosine", num_epochs=1, step_on_epochs=False,
                                      updates_per_epoch=len(train))  # fmt: skip
    loss_func, losses = BinaryCrossEntropy(smoothing=0.0), AverageMeter()
    start = perf_counter()
    model.train()
    for i, (x, y) in enumerate(train):
        x = x.to(memory_format=torch.channels_last)
        loss = loss_func(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(x))
        schedule.step_update(i + 1, metric=losses.avg)
    model.eval()
    with torch.inference_mode():
        for x, y in valid:
            losses.update(loss_func(model(x.to(memory_format=torch.channels_last)), y).item())
    say(**{"unfrozen epoch, s": perf_counter() - start})


def keras_epoch(root: Path, size: str) -> None:
    """Keras 3 on torch: a resnet18 of its own layers, by `fit`; torch's loaders."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    from keras import layers

    keras.config.set_image_data_format("channels_first")

    def block(x: Any, width: int, stride: int) -> Any:
        kept = x
        if stride > 1 or x.shape[1] != width:
            kept = layers.Conv2D(width, 1, stride, use_bias=False)(x)
            kept = layers.BatchNormalization(axis=1)(kept)
        x = layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
        x = layers.BatchNormalization(axis=1)(layers.Conv2D(width, 3, 1, "same", use_bias=False)(x))
        return layers.ReLU()(layers.Add()([x, kept]))

    given = x = keras.Input((3, int(size), int(size)))
    x = layers.Conv2D(64, 7, 2, "same", use_bias=False)(x)
    x = layers.MaxPooling2D(3, 2, "same")(layers.ReLU()(layers.BatchNormalization(axis=1)(x)))
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, width, stride), width, 1)
    train, valid = torch_loaders(root, int(size))
    tags = len(train.dataset[0][1])
    model = keras.Model(given, layers.Dense(tags)(layers.GlobalAveragePooling2D()(x)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(2e-3), loss)
    start = perf_counter()
    model.fit(train, validation_data=valid, epochs=1, verbose=0)
    say(**{"unfrozen epoch, s": perf_counter() - start})


def dali_loader(root: Path, size: str) -> None:
    """DALI's pipeline on the processor alone."""
    from nvidia.dali import fn, pipeline_def

    files, side = [file for file, _ in rows_of(root)[0]], int(size)

    @pipeline_def(batch_size=BS, num_threads=os.cpu_count(), device_id=None)
    def pipe() -> Any:
        data, label = fn.readers.file(files=files, random_shuffle=True, name="r")
        x = fn.resize(fn.decoders.image(data), resize_x=side, resize_y=side)
        x = fn.rotate(x, angle=fn.random.uniform(range=(-10.0, 10.0)), keep_size=True)
        x = fn.brightness_contrast(
            x, brightness=fn.random.uniform(range=(0.9, 1.1)),
            contrast=fn.random.uniform(range=(0.9, 1.1)),
        )  # fmt: skip
        coin = fn.random.coin_flip
        x = fn.flip(x, horizontal=coin(), vertical=coin())
        mean, std = [255 * v for v in MEAN], [255 * v for v in STD]
        return fn.crop_mirror_normalize(x, mean=mean, std=std, output_layout="CHW"), label

    made = pipe()
    made.build()

    def batches() -> Iterator[Any]:
        for _ in range(len(files) // BS):
            yield made.run()

    for i in range(3):
        start = perf_counter()
        count = sum(len(batch[0]) for batch in batches())
        if i:
            say(**{"images/s": count / (perf_counter() - start)})


if __name__ == "__main__":
    library, case, root, *words = sys.argv[1:]
    globals()[f"{library}_{case}"](Path(root), *words)
