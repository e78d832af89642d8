"""The page of figures that `camvid.py` makes of its log."""

from statistics import mean, stdev

KINDS = ("pretrained", "scratch", "full", "peer", "peer, equal minutes")
ABOUT = (
    "Official split (367 and 101 frames); accuracy and IoU leave void out, the loss too. U-Net on "
    "MobileNetV2 (input (x - .5) / .5, bottle), batches of 8, one thread. 3 epochs frozen and 7 "
    "unfrozen at 120 x 160, 10 at 180 x 240; from scratch the same epochs, nothing frozen, at "
    "3e-3. The commonest class covers .295 of the pixels. Seconds of the processor, which another "
    "process beside it does not change; the peer (fastai 2.8) knows 16-bit on CUDA only, so it "
    "computes in 32 bits here."
)


def page(rows):
    """The whole page."""
    latest = {(r["kind"], r["seed"], r["stage"]): r for r in rows}  # a run that was broken off
    stages = [r for r in latest.values() if r["kind"] != "memory"]
    stages.sort(key=lambda r: KINDS.index(r["kind"]))
    parts = ["# CamVid (11 classes), by stage", ABOUT, figures(stages)]
    parts += ["## IoU of each class", classes(stages)]
    parts += ["## Memory", memory([r for r in latest.values() if r["kind"] == "memory"])]
    parts.append("`python benchmarks/camvid.py DATA --log runs.jsonl`, then with `--out`; CPU")
    return "\n\n".join(parts) + "\n"


def grouped(rows):
    found = {}
    for row in rows:
        found.setdefault((row["kind"], row["stage"]), []).append(row)
    return found.items()


def table(head, lines):
    rule = "|---" * len(head) + "|"
    return "\n".join(["| " + " | ".join(line) + " |" for line in (head,)] + [rule, *lines])


def spread(values):
    """Mean, and the standard deviation where there are several."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def figures(rows):
    head = ["stage", "seeds", "epochs", "accuracy", "mean IoU", "CPU s", "peak MB"]
    lines = []
    for (kind, stage), runs in grouped(rows):
        cells = [f"{kind}, {stage}", str(len(runs)), str(runs[0]["epochs"])]
        cells += [spread([r[k] for r in runs]) for k in ("accuracy", "mean IoU")]
        cells += [f"{mean(r[k] for r in runs):.0f}" for k in ("cpu_s", "peak_mb")]
        lines.append("| " + " | ".join(cells) + " |")
    return table(head, lines)


def classes(rows):
    names = list(rows[0]["IoU"])
    lines = []
    for (kind, stage), runs in grouped(rows):
        cells = [f"{mean(r['IoU'][name] for r in runs):.2f}" for name in names]
        lines.append(f"| {kind}, {stage} | " + " | ".join(cells) + " |")
    return table(["stage", *names], lines)


def memory(rows):
    head = ["a step at 360 x 480", "CPU s", "peak MB", "of these before the step"]
    lines = [
        f"| {r['stage']} | {r['cpu_s']:.1f} | {r['peak_mb']} | {r['before_mb']} |" for r in rows
    ]
    return table(head, lines)
