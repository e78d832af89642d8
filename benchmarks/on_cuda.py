"""Loader, training, language model and U-Net on a CUDA device, in 32 and 16 bits, and the peer's.

    python benchmarks/on_cuda.py DATA [--peer] [--rounds 2] [--out FILE]

DATA holds `satellite/` and, for the U-Net, `camvid/` (images, masks, codes.txt). With --peer the
same python has fastai 2.8. Each side runs in a fresh process, in turn; figures are medians of the
rounds. Networks begin with random weights: the work of a step is measured, not what is learnt.
Epochs follow one that warms up. `peak MB` is the device's memory in tensors.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import torch

PRECISIONS = ("fp32", "fp16", "bf16")
WORDS, TOKENS = 60_000, 400_000  # of the language model
REPEATED = 4  # each tile occurs so often, for epochs that are long enough
UNET_SIZE = (180, 240)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def say(name, value):
    print(json.dumps({"name": name, "value": round(value, 1)}), flush=True)


def timed(fit, items):
    """Items a second and peak memory of the second of two epochs."""
    fit()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    start = perf_counter()
    fit()
    torch.cuda.synchronize()
    return items / (perf_counter() - start), torch.cuda.max_memory_allocated() / 2**20


def at(learn, precision):
    return learn if precision == "fp32" else getattr(learn, f"to_{precision}")()


def tiles(root):
    frame = pd.read_csv(root / "satellite" / "tiles.csv")
    return pd.concat([frame] * REPEATED, ignore_index=True)


def token_ids():
    """Zipf's law over the vocabulary."""
    ranks = np.random.default_rng(0).zipf(1.2, TOKENS)
    return np.minimum(ranks, WORDS - 10)


def frames(root):
    return sorted((root / "camvid" / "images").glob("*"))


def mask_of(root, path):
    return root / "camvid" / "labels" / f"{path.stem}_P.png"


def ours(root, cases):
    from onecycle import (
        ImageList,
        SegmentationItemList,
        cnn_learner,
        get_transforms,
        imagenet_stats,
        unet_learner,
    )
    from onecycle.text import TextList, language_model_learner

    if {"loader", "train"} & set(cases):
        tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
        data = (
            ImageList.from_df(tiles(root), root / "satellite", folder="tiles")
            .split_by_rand_pct(0.2, seed=42)
            .label_from_df("tags", label_delim=" ")
            .transform(tfms, size=224)
            .databunch(bs=64)
            .normalize(imagenet_stats)
        )
        count = len(data.train_dl) * 64
    if "loader" in cases:
        say("loader 224 px, images/s", timed(lambda: [None for _ in data.train_dl], count)[0])
    for precision in PRECISIONS if "train" in cases else ():
        learn = cnn_learner(data, "resnet50", pretrained=False, silent=True)
        learn = at(learn, precision)
        learn.unfreeze()
        rate, peak = timed(lambda learn=learn: learn.fit(1, 1e-3), count)
        say(f"resnet50 224 px {precision}, images/s", rate)
        say(f"resnet50 224 px {precision}, peak MB", peak)
    if "lm" in cases:
        words = np.array([f"w{i}q" for i in range(WORDS)], object)
        texts = [" ".join(part) for part in np.array_split(words[token_ids()], 500)]
        texts[0] += " " + " ".join(words)  # every word is in the vocabulary
        data = (
            TextList.from_df(pd.DataFrame({"text": texts}), cols="text", min_freq=1)
            .split_by_idx(range(490, 500))
            .label_for_lm()
            .databunch(bs=64)
        )
    for precision in PRECISIONS if "lm" in cases else ():
        learn = at(language_model_learner(data, pretrained=False, silent=True), precision)
        rate, peak = timed(lambda learn=learn: learn.fit(1, 1e-3), data.train_dl.n_tokens)
        say(f"AWD-LSTM {precision}, tokens/s", rate)
        say(f"AWD-LSTM {precision}, peak MB", peak)
    if "unet" in cases:
        codes = np.loadtxt(root / "camvid" / "codes.txt", dtype=str)
        data = (
            SegmentationItemList.from_df(
                pd.DataFrame({"name": [path.name for path in frames(root)]}),
                root / "camvid" / "images",
            )
            .split_by_rand_pct(0.2, seed=42)
            .label_from_func(lambda path: mask_of(root, Path(path)), classes=codes)
            .transform(get_transforms(), size=UNET_SIZE, tfm_y=True)
            .databunch(bs=8)
            .normalize(imagenet_stats)
        )
    for precision in PRECISIONS if "unet" in cases else ():
        learn = at(unet_learner(data, "resnet34", pretrained=False, silent=True), precision)
        rate, peak = timed(lambda learn=learn: learn.fit(1, 1e-3), len(data.train_dl) * 8)
        say(f"U-Net resnet34 180 x 240 {precision}, images/s", rate)
        say(f"U-Net resnet34 180 x 240 {precision}, peak MB", peak)


def peer(root, cases):
    import fastai.text.all as text
    import fastai.vision.all as vision

    def fitting(learn):
        def fit():
            with learn.no_bar(), learn.no_logging():
                learn.fit(1, 1e-3)

        return fit

    if {"loader", "train"} & set(cases):
        frame = tiles(root)
        dls = vision.ImageDataLoaders.from_df(
            frame,
            root / "satellite",
            folder="tiles",
            fn_col=0,
            label_col=1,
            label_delim=" ",
            valid_pct=0.2,
            seed=42,
            bs=64,
            device=DEVICE,
            item_tfms=vision.Resize(224),
            batch_tfms=[
                *vision.aug_transforms(
                    flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0
                ),
                vision.Normalize.from_stats(*vision.imagenet_stats),
            ],
        )
        count = len(dls.train) * 64
    if "loader" in cases:
        say("loader 224 px, images/s", timed(lambda: [None for _ in dls.train], count)[0])
    for precision in PRECISIONS if "train" in cases else ():
        learn = vision.vision_learner(
            dls,
            vision.resnet50,
            pretrained=False,
            n_out=dls.c,
            loss_func=vision.BCEWithLogitsLossFlat(),
        )
        learn = at(learn, precision)
        learn.unfreeze()
        rate, peak = timed(fitting(learn), count)
        say(f"resnet50 224 px {precision}, images/s", rate)
        say(f"resnet50 224 px {precision}, peak MB", peak)
    if "lm" in cases:
        ids = torch.as_tensor(token_ids())
        parts = [(part,) for part in ids.chunk(500)]
        loaders = [
            text.LMDataLoader(some, bs=64, seq_len=70, device=DEVICE, num_workers=0)
            for some in (parts[:490], parts[490:])
        ]
        dls = text.DataLoaders(*loaders, device=DEVICE)
    for precision in PRECISIONS if "lm" in cases else ():
        learn = text.Learner(
            dls,
            text.get_language_model(text.AWD_LSTM, WORDS),
            loss_func=text.CrossEntropyLossFlat(),
            cbs=[text.ModelResetter(), *text.rnn_cbs(alpha=2, beta=1)],
            splitter=text.awd_lstm_lm_split,
        )
        learn = at(learn, precision)
        tokens = sum(len(part) for (part,) in parts[:490])
        rate, peak = timed(fitting(learn), tokens)
        say(f"AWD-LSTM {precision}, tokens/s", rate)
        say(f"AWD-LSTM {precision}, peak MB", peak)
    if "unet" in cases:
        dls = vision.SegmentationDataLoaders.from_label_func(
            root / "camvid",
            bs=8,
            fnames=frames(root),
            label_func=lambda path: mask_of(root, path),
            codes=np.loadtxt(root / "camvid" / "codes.txt", dtype=str),
            valid_pct=0.2,
            seed=42,
            device=DEVICE,
            item_tfms=vision.Resize(UNET_SIZE),
            batch_tfms=[
                *vision.aug_transforms(),
                vision.Normalize.from_stats(*vision.imagenet_stats),
            ],
        )
    for precision in PRECISIONS if "unet" in cases else ():
        learn = at(vision.unet_learner(dls, vision.resnet34, pretrained=False), precision)
        rate, peak = timed(fitting(learn), len(dls.train) * 8)
        say(f"U-Net resnet34 180 x 240 {precision}, images/s", rate)
        say(f"U-Net resnet34 180 x 240 {precision}, peak MB", peak)


def measured(args, side):
    command = [sys.executable, __file__, str(args.data), "--side", side, "--cases", args.cases]
    found = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("{"):
                print(side, line.strip(), flush=True)
                entry = json.loads(line)
                found[entry["name"]] = entry["value"]
    if process.returncode:
        print(f"{side} ended with {process.returncode}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cases", default="loader,train,lm,unet")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {"ours": ours, "peer": peer}[args.side](args.data, args.cases.split(","))
    sides = ("ours", "peer") if args.peer else ("ours",)
    runs = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side in sides:
            runs[side].append(measured(args, side))
    lines = ["| work | onecycle | peer | ratio |", "|---|---|---|---|"]
    for name in runs["ours"][0]:
        found = {s: [run[name] for run in runs[s] if name in run] for s in sides}
        a, b = (median(found[s]) if found.get(s) else None for s in ("ours", "peer"))
        ratio = f"{a / b:.2f}" if b else ""
        lines.append(f"| {name} | {a:,.0f} | {(b and format(b, ',.0f')) or ''} | {ratio} |")
    card = f"{torch.cuda.get_device_name()}, {torch.get_num_threads()} CPU threads"
    text = "\n".join(lines)
    print(f"{text}\n{card}, torch {torch.__version__}", flush=True)
    if args.out:
        args.out.write_text(
            "# On a CUDA device\n\n"
            + text
            + f"\n\nMedians of {args.rounds} rounds, sides in turn; {card}, torch "
            f"{torch.__version__}. Rates: larger is better; peak MB: smaller.\n\n"
            "`python benchmarks/on_cuda.py DATA --peer`\n"
        )
    return None


if __name__ == "__main__":
    main()
