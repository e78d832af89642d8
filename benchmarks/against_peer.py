"""Import, loader, epoch and memory of onecycle against the peer library, in turn, in one run.

    python benchmarks/against_peer.py DATA --peer PEER_PYTHON --script PEER_SCRIPT [--out FILE]

DATA holds `satellite/`; PEER_PYTHON has fastai 2.8 and timm; PEER_SCRIPT prints one JSON line per
figure for `loader DIR SIZE`, `train DIR SIZE` and `import`. Each case runs in a fresh process,
ours and the peer's alternating, `--rounds` times; the ratios are of the medians.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

CASES = (
    ("import",),
    ("loader", "128"),
    ("loader", "224"),
    ("train", "128"),
    ("train", "128", "bf16"),  # 16-bit on our side only: the peer's has no bf16 on a CPU
)
TORCH = (
    "from time import perf_counter; s = perf_counter(); import torch, torchvision; "
    "print('{\"seconds\":', perf_counter() - s, ', \"peak_mb\": 0}')"
)
FIGURES = {"import": "seconds", "loader": "images_per_s", "train": "epoch_s"}


def layout(source, target):
    """The tiles as images/*.jpg and labels.csv, which both sides read."""
    (target / "images").symlink_to((source / "tiles").resolve())
    with (source / "tiles.csv").open() as given, (target / "labels.csv").open("w") as made:
        rows = csv.writer(made)
        rows.writerow(["image_name", "tags"])
        rows.writerows(
            [row["file"].removesuffix(".jpg"), row["tags"]] for row in csv.DictReader(given)
        )


def say(**figures):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak_mb": round(peak)}), flush=True)


def ours(case, root, size, precision="fp32"):
    """The same work as the peer's script does, in onecycle."""
    start = perf_counter()
    from onecycle.vision import (
        ImageList,
        accuracy_thresh,
        cnn_learner,
        get_transforms,
        imagenet_stats,
    )

    if case == "import":
        exec("from onecycle.vision import *")
        return say(seconds=perf_counter() - start)
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    data = (
        ImageList.from_csv(root, "labels.csv", folder="images", suffix=".jpg")
        .split_by_rand_pct(0.2, seed=42)
        .label_from_df(label_delim=" ")
        .transform(tfms, size=size)
        .databunch(bs=64)
        .normalize(imagenet_stats)
    )
    if case == "loader":
        for rep in range(3):
            start, count = perf_counter(), 0
            for x, _ in data.train_dl:
                count += len(x)
            say(rep=rep, size=size, images_per_s=count / (perf_counter() - start))
        return None
    learn = cnn_learner(data, "resnet18", pretrained=False, metrics=accuracy_thresh, silent=True)
    if precision == "bf16":
        learn.to_bf16()
    learn.freeze()
    for stage, rate in (("frozen", 1e-2), ("unfrozen", slice(1e-5, 2e-3))):
        start = perf_counter()
        learn.fit_one_cycle(1, rate)
        say(stage=stage, size=size, epoch_s=perf_counter() - start)
        learn.unfreeze()
    return None


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def figures(case, lines):
    """{name: value} of one process; of repeated passes the last, warm one."""
    found = {"peak MB": max(line["peak_mb"] for line in lines)}
    for line in lines:
        found[f"{line.get('stage', '')} {FIGURES[case]}".strip()] = line[FIGURES[case]]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer")
    parser.add_argument("--script")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ours", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        case, size, *precision = [*args.ours, "0"][: max(2, len(args.ours))]
        return ours(case, args.data, int(size), *precision)
    rows = ["| case | figure | onecycle | peer | ratio |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        layout(args.data / "satellite", root)
        for case, *size in CASES:
            sides = {"ours": [], "peer": []}
            for _ in range(args.rounds):
                own = [sys.executable, __file__, str(root), "--ours", case, *size]
                sides["ours"].append(figures(case, run(own)))
                sides["peer"].append(
                    figures(case, run([args.peer, args.script, case, str(root), *size[:1]]))
                )
            for name in sides["ours"][0]:
                a, b = (median(f[name] for f in sides[s]) for s in ("ours", "peer"))
                rows.append(
                    f"| {case} {' '.join(size)} | {name} | {a:.2f} | {b:.2f} | {a / b:.2f} |"
                )
                print(rows[-1], flush=True)
        alone = median(run([sys.executable, "-c", TORCH])[0]["seconds"] for _ in range(args.rounds))
        rows.append(f"| import | torch and torchvision alone, seconds | {alone:.2f} | | |")
        print(rows[-1], flush=True)
    if args.out:
        import torch

        args.out.write_text(
            "# onecycle against fastai 2.8, same work, alternating processes\n\n"
            + "\n".join(rows)
            + f"\n\nMedians of {args.rounds} rounds; torch {torch.__version__}, "
            f"{torch.get_num_threads()} CPU threads. images_per_s: larger is better; the rest: "
            "smaller is better.\n\n`python benchmarks/against_peer.py DATA --peer PEER_PYTHON "
            "--script PEER_SCRIPT`\n"
        )
    return None


if __name__ == "__main__":
    main()
