"""CamVid with a U-Net on MobileNetV2: figures by stage, pretrained, from scratch, and the peer's.

    python benchmarks/camvid.py DATA --log runs.jsonl [--kinds pretrained,scratch] [--seeds 3]
    python benchmarks/camvid.py DATA --log runs.jsonl --kinds peer --peer PEER_PYTHON [--seeds 1]
    python benchmarks/camvid.py DATA --log runs.jsonl --kinds full,memory
    python benchmarks/camvid.py DATA --log runs.jsonl --out benchmarks/results/camvid.md

DATA holds `camvid/` (images, labels, codes.txt, valid.txt) and `weights/`. 10 epochs at 120 x 160,
of which the first 3 with a frozen body, and 10 at 180 x 240; the official split; 16-bit unless
`--precision fp32`. Every run is a process of its own and adds its figures to the log; runs that
the log holds are kept. `full` goes on at 360 x 480 with the weights of the first pretrained run,
`memory` measures three steps at that size, `peer` trains fastai on the same work
(`camvid_peer.py`). The last form makes the table.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import torch
from camvid_table import page
from torch import nn

from onecycle import (
    Mask,
    SegmentationInterpretation,
    SegmentationItemList,
    foreground_acc,
    get_transforms,
    mean_iou,
    models,
    unet_learner,
)
from onecycle.models.body import create_body
from onecycle.vision.input import half_stats

# name, size, frozen, epochs, rates
STAGES = (
    ("120 frozen", (120, 160), True, 3, slice(3e-3)),
    ("120 unfrozen", (120, 160), False, 7, slice(1e-4, 3e-3)),
    ("180 unfrozen", (180, 240), False, 10, slice(1e-4, 2e-3)),
)
FULL = (("360 unfrozen", (360, 480), False, 4, slice(5e-5, 1e-3)),)
SCRATCH_RATE = 3e-3
ARCH = partial(models.mobilenetv2_100, pad_type="same")
MEMORY = {"bs 8": (8, 1, False), "bs 8, checkpoint": (8, 1, True), "bs 2 x 4": (2, 4, False)}


def peak_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def data_at(source, size, seed, bs=8):
    changed = source.transform(get_transforms(max_warp=0.1), size=size, tfm_y=True)
    return changed.databunch(bs=bs, seed=seed).normalize(half_stats)


def source_of(root):
    codes = (root / "codes.txt").read_text().split()
    return (
        SegmentationItemList.from_folder(root / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(
            lambda file: root / "labels" / f"{file.stem}_P.png",
            classes=codes,
            label_cls=Mask(void="Void"),
        )
    )


def learner_on(data, weights, precision, **options):
    void = list(data.classes).index("Void")
    shared = partial(mean_iou, void=void, only_actual=True)  # as the peer's is computed
    metrics = [partial(foreground_acc, void_code=void), shared]
    more = {"pretrained": weights, "metrics": metrics, "bottle": True, "train_bn": False}
    learn = unet_learner(data, ARCH, silent=True, **more, **options)
    return learn.to_bf16() if precision == "bf16" else learn.to_fp32()


def train(learn, source, stages, kind, seed, bs, weights):
    """One line of figures per stage."""
    for name, size, frozen, epochs, rates in stages:
        wall, cpu = perf_counter(), process_time()
        learn.data = data_at(source, size, seed, bs)
        learn.freeze() if frozen and weights else learn.unfreeze()
        for module in learn.model.encoder.modules() if weights else ():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        learn.fit_one_cycle(epochs, rates if weights else SCRATCH_RATE)
        wall, cpu = perf_counter() - wall, process_time() - cpu
        found = SegmentationInterpretation.from_learner(learn).per_class()["IoU"]
        last = learn.history[-1]
        yield {
            "kind": kind,
            "seed": seed,
            "stage": name,
            "epochs": epochs,
            "accuracy": last["foreground_acc"],
            "mean IoU": last["mean_iou"],
            "IoU": {k: round(float(v), 4) for k, v in found.items() if k != "Void"},
            "seconds": round(wall),
            "cpu_s": round(cpu),
            "peak_mb": peak_mb(),
            "by epoch": [
                [round(row[k], 4) for k in ("foreground_acc", "mean_iou")]
                for row in learn.history[-epochs:]
            ],
        }


def trained(args, kind, seed):
    """A run of its own, or `full`, which goes on from the pretrained one."""
    source = source_of(args.data / "camvid")
    weights = False if kind == "scratch" else str(weights_of(args))
    kept = args.log.absolute().with_suffix("") / f"pretrained-{seed}"
    torch.manual_seed(seed)
    if kind == "full":
        data, options = data_at(source, FULL[0][1], seed, 4), {"checkpoint": True, "accumulate": 2}
        learn = learner_on(data, weights, args.precision, **options).load(kept, with_opt=False)
        yield from train(learn, source, FULL, kind, seed, 4, weights)
        return
    learn = learner_on(data_at(source, STAGES[0][1], seed), weights, args.precision)
    yield from train(learn, source, STAGES, kind, seed, 8, weights)
    if kind == "pretrained":
        kept.parent.mkdir(exist_ok=True)
        learn.save(kept, with_opt=False)


def memory(args, name):
    """Peak memory and seconds of three steps at full size."""
    bs, accumulate, checkpoint = MEMORY[name]
    data = data_at(source_of(args.data / "camvid"), FULL[0][1], 0, bs)
    options = {"checkpoint": checkpoint, "accumulate": accumulate}
    learn = learner_on(data, str(weights_of(args)), args.precision, **options).unfreeze()
    learn.model.train()
    before, cpu = peak_mb(), process_time()
    for _ in range(3 * accumulate):
        x, y = data.one_batch()
        learn.engine.backward(learn.loss_func(learn.engine.forward(learn.model, x), y))
    cpu = round((process_time() - cpu) / 3, 2)
    yield {"kind": "memory", "seed": 0, "stage": name, "cpu_s": cpu, "peak_mb": peak_mb()} | {
        "before_mb": before
    }


def weights_of(args):
    return args.data / "weights" / "mobilenet_v2_100.fp16.safetensors"


def peer(args, seed):
    """The peer's lines: the same weights under timm's names, the same stages."""
    plan = [
        [n, s, f, max(1, round(e * args.peer_epochs)), r.start, r.stop] for n, s, f, e, r in STAGES
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "body.pt"
        torch.save(create_body(ARCH, str(weights_of(args)), None, (64, 64)).net.state_dict(), file)
        script = Path(__file__).with_name("camvid_peer.py")
        work = json.dumps({"stages": plan, "seed": seed, "body": str(file)})
        command = [args.peer, str(script), str(args.data / "camvid"), work]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line) | {"kind": args.peer_kind, "seed": seed}


def lines_of(args, kind, seed):
    if kind == "peer":
        return peer(args, seed)
    return memory(args, list(MEMORY)[seed]) if kind == "memory" else trained(args, kind, seed)


def read(log):
    return [json.loads(row) for row in log.read_text().splitlines()] if log.exists() else []


def wanted(args):
    """The runs that the log does not hold: seed by seed, the kinds in their order."""
    last = {STAGES[-1][0], FULL[-1][0], *MEMORY}
    held = {(r["kind"], r["seed"]) for r in read(args.log) if r["stage"] in last}
    for seed in range(args.seeds):
        for kind in args.kinds.split(","):
            name = args.peer_kind if kind == "peer" else kind
            if kind in {"full", "memory"} and seed:
                continue
            for n in range(len(MEMORY)) if kind == "memory" else [seed]:
                if (name, n) not in held:
                    yield kind, n


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default="pretrained,scratch")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--peer", help="a Python with fastai 2.8 and timm")
    parser.add_argument("--peer-epochs", type=float, default=1.0, help="times our epochs")
    parser.add_argument("--peer-kind", default="peer", help="the peer's name in the log")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.out:
        return args.out.write_text(page(read(args.log)))
    if not args.one:
        for kind, seed in wanted(args):
            own = [sys.executable, *sys.argv, "--one", kind, str(seed)]
            subprocess.run(own, check=True)
        return None
    for row in lines_of(args, args.one[0], int(args.one[1])):
        with args.log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    return None


if __name__ == "__main__":
    main()
