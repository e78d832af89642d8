"""The same work in onecycle, in its peers and bare, in turn, in one run: `make bench`.

    python benchmarks/bench.py --peer PYTHON [--full] [--rounds N] [--only CASE] [--data DATA]

PYTHON is of an environment with fastai, Keras and DALI (`make bench` makes it). Each piece of
work (`bench_work.py`) is a process of its own; those of a case take turns, and the figures are
medians with their range. Without DATA (satellite/, camvid/, imdb/) the sets are drawn. The quick
form takes about ten minutes: 300 images, two rounds; `--full` everything, five rounds, an hour.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

WORK = Path(__file__).with_name("bench_work.py")
PAGE = Path(__file__).with_name("results") / "bench.md"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
OURS, LOW, PEER, LIMIT = "onecycle", "onecycle, 16 or 8 bits", "fastai 2.8", "limit"


@dataclass
class Case:
    """One piece of work, who does it, and how its figures read."""

    name: str
    about: str
    words: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    low: str = ""
    limit: str = ""
    found: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def commands(self, root, peer):
        """{who: the command} of everyone."""

        def of(library, *words):
            python = sys.executable if library in {"onecycle", "limit"} else peer
            return [str(python), str(WORK), library, self.name, str(root), *self.words, *words]

        found = {OURS: of("onecycle")}
        if self.low:
            found[LOW] = of("onecycle", self.low)
        if self.name != "files":
            found[PEER] = of("fastai")
        found |= {name: of(name) for name in self.others}
        if self.limit:
            found[LIMIT] = of("limit")
        return found


def cases(full):
    count, reviews, texts = ("32", "1000", "5000") if full else ("16", "500", "1000")
    made = [
        Case("import", "import of everything for images", limit="torch and torchvision alone"),
        Case("loader", "batches of 128 px", ("128",), ("torch", "dali"), "", "decoding alone"),
        Case("epoch", "resnet18 at 128 px", ("128",), ("timm", "keras"), "bf16", "bare steps"),
        Case("unet", "U-Net on resnet34, 180 x 240", (count,), low="bf16"),
        Case("tokens", "reviews to batches", (texts,)),
        Case("lm", "AWD-LSTM steps", (reviews,), (), "bf16", "its matrix products at full speed"),
        Case("predict", "one exported file, asked", (), (), "int8"),
        Case("files", "a list of many files", (str(10**6 if full else 10**5),), limit="os.walk"),
    ]
    if full:
        made.insert(
            2, Case("loader", "batches of 224 px", ("224",), ("torch", "dali"), "", "decoding")
        )
    return made


def lay_out(root, data, full):
    """The sets in the folder that the work reads."""
    if data:
        with (data / "satellite/tiles.csv").open() as file:
            rows = [(row["file"], row["tags"]) for row in csv.DictReader(file)]
        source, streets = data / "satellite/tiles", data / "camvid"
        texts = data / "imdb/train.csv"
    else:
        from onecycle.samples.planet import planet_sample
        from onecycle.samples.reviews import reviews_sample
        from onecycle.samples.streets import streets_sample

        drawn = planet_sample(root / "planet", n=1000 if full else 300, n_test=1)
        with (drawn / "train_v2.csv").open() as file:
            rows = [(f"{row['image_name']}.jpg", row["tags"]) for row in csv.DictReader(file)]
        source = drawn / "train-jpg"
        streets = streets_sample(root / "drawn-streets", n=32, size=(360, 480))
        texts = reviews_sample(root / "reviews", n=5000) / "texts.csv"
    rows = rows if full else rows[:300]
    (root / "images").mkdir()
    for name, _ in rows:
        (root / "images" / name).symlink_to((source / name).resolve())
    with (root / "labels.csv").open("w", newline="") as file:
        made = csv.writer(file)
        made.writerow(["image_name", "tags"])
        made.writerows([name.removesuffix(".jpg"), tags] for name, tags in rows)
    (root / "streets").symlink_to(streets.resolve())
    (root / "texts.csv").symlink_to(texts.resolve())


def figures(command):
    """{name: value} of one process: of repeated figures the last, and the highest peak."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        print(f"  failed: {' '.join(command[1:])}: {last[:200]}", file=sys.stderr, flush=True)
        return None
    found = {}
    for line in lines:
        found |= line
    return found | {"peak MB": max(line["peak MB"] for line in lines)}


def run(case, root, peer, rounds):
    for _ in range(rounds):
        for who, command in case.commands(root, peer).items():
            if found := figures(command):
                case.found.setdefault(who, []).append(found)
                print(case.about, "|", who, found, flush=True)


def middle(case, who, figure):
    values = [found[figure] for found in case.found.get(who, ()) if figure in found]
    return median(values) if values else None


def cell(case, who, figure):
    """The median with its range."""
    values = [found[figure] for found in case.found.get(who, ()) if figure in found]
    if not values:
        return ""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(case, who, other, figure):
    a, b = middle(case, who, figure), middle(case, other, figure)
    return f"{a / b:.2f}" if a and b else ""


def rows_of(case):
    """The lines of the table of one case."""
    names = list(dict.fromkeys(name for found in case.found.get(OURS, ()) for name in found))
    for figure in names:
        others = "; ".join(
            f"{name} {cell(case, name, figure)}, ratio {ratio(case, OURS, name, figure)}"
            for name in case.others
            if cell(case, name, figure)
        )
        limit = cell(case, LIMIT, figure)
        if limit:
            limit = f"{case.limit} {limit}, ratio {ratio(case, OURS, LIMIT, figure)}"
        yield [
            case.about,
            figure,
            cell(case, OURS, figure),
            cell(case, LOW, figure),
            cell(case, PEER, figure),
            ratio(case, OURS, PEER, figure),
            ratio(case, LOW, PEER, figure),
            others,
            limit,
        ]


def page(made, args, rounds):
    """The results as Markdown."""
    heads = ["work", "figure", OURS, LOW, PEER, "ratio", "ratio, 16 or 8 bits", "others", "limit"]
    lines = [heads, ["---"] * len(heads), *(row for case in made for row in rows_of(case))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    import torch

    return f"""# onecycle, its peers and the limits: the same work in turn

Medians of {rounds} rounds and their range, each a process of its own, with nothing beside;
{os.cpu_count()} cores ({processor()}), torch {torch.__version__}.
A ratio is onecycle's figure over the other's: of rates (images/s, reviews/s, tokens/s) more is
better, of the rest less. An epoch trains on four fifths and validates on one; networks begin with
random weights. The peers have no 16-bit training on a CPU that is faster: ours stands against their
32 bits. The limits do only what nobody can do without: decode the files, step on a batch that is
there, multiply the matrices.

{table}

`make bench{" FULL=1" if args.full else ""}{f" DATA={args.data}" if args.data else ""}`
"""


def processor():
    """The model's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def write_readme(made):
    """The ratios alone, between two marks of the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{README} has no lines {BEGIN} and {END}")
    lines = ["| onecycle's figure over fastai 2.8's | 32 bits | 16 or 8 bits |", "|---|---|---|"]
    for case in made:
        for row in rows_of(case):
            if row[5] and row[1] != "peak MB":
                lines.append(f"| {row[0]}, {row[1]} | {row[5]} | {row[6]} |")
    text = "\n".join(lines)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", help="a case: its name")
    parser.add_argument("--log", type=Path, help="a file for the figures; kept ones are not redone")
    parser.add_argument("--write", action="store_true", help="results/bench.md and README's table")
    args = parser.parse_args()
    rounds = args.rounds or (5 if args.full else 2)
    kept = json.loads(args.log.read_text()) if args.log and args.log.exists() else {}
    made = [case for case in cases(args.full) if args.only in {None, case.name}]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lay_out(root, args.data, args.full)
        for case in made:
            if case.about in kept:
                case.found = kept[case.about]
                continue
            run(case, root, args.peer, rounds)
            kept[case.about] = case.found
            if args.log:
                args.log.write_text(json.dumps(kept))
    text = page(made, args, rounds)
    print(text)
    if args.write:
        PAGE.write_text(text, encoding="utf-8")
        write_readme(made)


if __name__ == "__main__":
    main()
