"""What an exported model costs to start, to ask and to serve, against the peer library, in one run.

    python benchmarks/shipping.py --peer PEER_PYTHON [--quick] [--out FILE]

PEER_PYTHON has fastai 2.8. Both sides get a resnet18 at 128 pixels with the same labels (weights
do not matter here). Ours is asked in a clean virtual environment made from the folder that
`onecycle deploy --to docker` writes; processes of both sides take turns.
"""

import argparse
import asyncio
import os
import re
import shlex
import subprocess
import tempfile
import threading
import time
import venv
from pathlib import Path
from statistics import median
from time import perf_counter

from clients import closed, opened

PEER_MAKE = """from fastai.vision.all import *
import pandas as pd, sys
root = sys.argv[1]
df = pd.read_csv(f"{root}/train_v2.csv")
dls = ImageDataLoaders.from_df(df, root, folder="train-jpg", suff=".jpg", label_delim=" ",
    valid_pct=.2, seed=42, bs=16, item_tfms=Resize(128),
    batch_tfms=[Normalize.from_stats(*imagenet_stats)])
learn = vision_learner(dls, resnet18, pretrained=False, n_out=dls.c,
    loss_func=BCEWithLogitsLossFlat())
learn.export(f"{root}/export.pkl")
"""
PEER_ASK = """import sys
from fastai.vision.all import *
learn = load_learner(sys.argv[1])
with learn.no_bar():
    learn.predict(sys.argv[2])
"""
OUR_ASK = """import sys
from onecycle.runtime.predictor import Predictor
predictor = Predictor(sys.argv[1])
predictor.predict(sys.argv[2])
"""
TIMED = """
import time, contextlib
ask = predictor.predict if "predictor" in globals() else learn.predict
with contextlib.nullcontext() if "predictor" in globals() else learn.no_bar():
    seconds = []
    for file in sys.argv[2:]:
        start = time.perf_counter()
        ask(file)
        seconds.append(time.perf_counter() - start)
print("median", sorted(seconds)[len(seconds) // 2])
"""


def ours(root):
    """Both files, from a learner that never trained."""
    from onecycle.vision import ImageList, cnn_learner, imagenet_stats

    data = (
        ImageList.from_csv(root, "train_v2.csv", folder="train-jpg", suffix=".jpg")
        .split_by_rand_pct(0.2, seed=42)
        .label_from_df(label_delim=" ")
        .transform(None, size=128)
        .databunch(bs=16, num_workers=0)
        .normalize(imagenet_stats)
    )
    learn = cnn_learner(data, "resnet18", pretrained=False, silent=True)
    learn.fit_one_cycle(1, 1e-3)  # so that int8 has figures that mean something
    for precision in ("fp32", "int8"):
        learn.export(root / f"{precision}.onnx", precision=precision)


def environment(folder, model):
    """A clean environment with the container's own commands; its python and its bytes."""
    from onecycle.export.hosts import write_recipe

    write_recipe(model, "docker", folder / "app")
    venv.create(folder / "venv", with_pip=True)
    python, before = str(folder / "venv/bin/python"), size_of(folder / "venv")
    docker = (folder / "app/Dockerfile").read_text()
    for command in re.findall(r"^RUN ((?:pip|python) .*)$", docker, re.M):
        words = shlex.split(command)
        command = [python, "-m", *words] if words[0] == "pip" else [python, *words[1:]]
        subprocess.run(command, cwd=folder / "app", check=True, stdout=subprocess.DEVNULL)
    return python, size_of(folder / "venv") - before + size_of(folder / "app") - size_of(model)


def size_of(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file() and not f.is_symlink())


def run(python, code, *arguments, cwd=None):
    """Seconds of a whole process, and what it printed."""
    start = perf_counter()
    command = [python, "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    return perf_counter() - start, done.stdout


class Server:
    """The container folder's main.py, and the most memory that its worker held."""

    def __init__(self, python, app, port):
        self.port, self.most = port, 0
        env = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([python, "main.py"], cwd=app, env=env, **quiet)

    def __enter__(self):
        for _ in range(300):
            try:
                asyncio.run(asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 1))
                break
            except OSError:
                time.sleep(0.1)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def _watch(self):
        import psutil

        while self.process.poll() is None:
            try:
                children = psutil.Process(self.process.pid).children(True)
                self.most = max([self.most, *(p.memory_info().rss for p in children)])
            except psutil.Error:
                return
            time.sleep(0.05)

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(30)


def starts_and_answers(root, python, app, peer, rounds, files):
    """Rows of cold starts and of medians of `predict`."""
    found = {name: [] for name in ("cold", "peer cold", "fp32", "int8", "peer")}
    for _ in range(rounds):
        found["cold"].append(run(python, OUR_ASK, root / "fp32.onnx", files[0], cwd=app)[0])
        found["peer cold"].append(run(peer, PEER_ASK, root / "export.pkl", files[0])[0])
        for name in ("fp32", "int8"):
            output = run(python, OUR_ASK + TIMED, root / f"{name}.onnx", *files, cwd=app)[1]
            found[name].append(float(output.split("median")[1]))
        output = run(peer, PEER_ASK + TIMED, root / "export.pkl", *files)[1]
        found["peer"].append(float(output.split("median")[1]))
    mid = {name: median(values) for name, values in found.items()}
    return [
        row("cold start, s", mid["cold"], mid["peer cold"], 0.15),
        row("predict fp32, ms", 1e3 * mid["fp32"], 1e3 * mid["peer"], 0.5),
        row("predict int8, ms", 1e3 * mid["int8"], 1e3 * mid["peer"], 0.2),
    ]


def row(name, own, other, bar):
    kept = "kept" if own / other <= bar else "**missed**"
    return f"| {name} | {own:.2f} | {other:.2f} | {own / other:.3f} | {bar} | {kept} |"


def under_load(python, app, body, seconds):
    """Rows of 1, 16 and 256 clients, of four times too many requests, and of the time after."""
    rows = []
    with Server(python, app, 8765) as server:
        asyncio.run(closed(8765, body, 1, 1))
        for clients in (1, 16, 256):
            seen = asyncio.run(closed(8765, body, clients, seconds))
            if clients == 16:
                rate = seen.rate()
            rows.append(row_of(f"{clients} clients", seen, server))
        seen = asyncio.run(opened(8765, body, 4 * rate, seconds))
        rows.append(row_of(f"4 x {rate:.0f} requests a second", seen, server))
        time.sleep(2)
        rows.append(row_of("1 client, 2 s later", asyncio.run(closed(8765, body, 1, 3)), server))
        alive = server.process.poll() is None
    return [*rows, "", f"The server was {'alive' if alive else '**dead**'} at the end."]


def row_of(name, seen, server):
    return (
        f"| {name} | {seen.rate():.0f} | {1e3 * seen.quantile(0.5):.0f} | "
        f"{1e3 * seen.quantile(0.99):.0f} | {seen.count(503)} | {seen.broken} | "
        f"{server.most / 1e6:.0f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default=".peer/bin/python")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    from onecycle.samples import planet_sample

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = planet_sample(folder / "set", n=48, n_test=1, size=256)
        ours(root)
        run(args.peer, PEER_MAKE, root)
        python, size = environment(folder, root / "fp32.onnx")
        files = sorted((root / "train-jpg").iterdir())[:40]
        rounds, seconds = (1, 3) if args.quick else (5, 10)
        rows = starts_and_answers(root, python, folder / "app", args.peer, rounds, files)
        kept = "kept" if size < 200e6 else "**missed**"
        rows.append(f"| on disk, MB | {size / 1e6:.0f} | | | 200 | {kept} |")
        loads = under_load(python, folder / "app", files[0].read_bytes(), seconds)
    text = report(rows, loads, rounds, seconds)
    print(text)
    if args.out:
        args.out.write_text(text)


def report(rows, loads, rounds, seconds):
    return "\n".join(
        [
            "# Shipping: an exported resnet18 at 128 pixels against fastai 2.8",
            "",
            "| | onecycle | peer | ratio | bar | |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Medians of {rounds} alternating processes, 40 JPEG files of 256 x 256. Cold start:",
            "from the start of the process to the first answer. On disk: packages, server and page",
            "of the container folder, without Python itself and the model.",
            "",
            "The server with one worker, and its clients on the same machine:",
            "",
            "| load | answers/s | median ms | p99 ms | 503s | broken | most MB |",
            "|---|---|---|---|---|---|---|",
            *loads,
            "",
            f"{seconds} s each. A client that gets a 503 waits a second, as Retry-After says;",
            f"answers are those with status 200. {os.cpu_count()} CPU cores.",
            "",
            "`python benchmarks/shipping.py --peer PYTHON --out benchmarks/results/shipping.md`",
            "",
        ]
    )


if __name__ == "__main__":
    main()
