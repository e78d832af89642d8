"""What is left when programs are killed, and disks are full: `python scripts/survive.py`.

`training`: fits of every kind are killed (kill -9) at random moments and begun again until they
end; the end has to be that of a fit that nobody killed, bit for bit. `writes`: processes that write
one kind of file again and again are killed; the file has to be whole, an older or a newer one.
`full`: the same files are written where there is room for 100 bytes; the old one has to be there
still, the error has to be one of the library's, and nothing else may be left behind.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HELPERS = ROOT / "tests" / "helpers"
KINDS = ("images", "masks", "language", "classifier", "series")


# --- training ---------------------------------------------------------------------------------


def run_training(kind: str, folder: Path, after: float | None) -> str | None:
    """The program's last line, or None where it was killed `after` so many seconds."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(HELPERS)])}
    env |= {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HELPERS / "resumable.py"), kind, str(folder)]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, errors = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return None
    if process.returncode:
        raise SystemExit(errors)
    return out.splitlines()[-1]


def kill_trainings(times: int, rng: random.Random) -> int:
    """Kill each kind so often; returns how many ends were another one."""
    wrong = 0
    print("| training | killed | begun again | ends that differ |\n|---|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as root:
            begin = time.perf_counter()
            whole = run_training(kind, Path(root) / "whole", None)
            seconds = time.perf_counter() - begin
            killed, begun, differ, ends = 0, 0, 0, 0
            while killed < times:
                begun += 1
                end = run_training(kind, Path(root) / f"cut{ends}", rng.uniform(0.3, 1.0) * seconds)
                if end is None:
                    killed += 1
                    continue
                differ, ends = differ + (end != whole), ends + 1
            last = run_training(kind, Path(root) / f"cut{ends}", None)
            differ += last != whole
        print(f"| {kind} | {killed} | {begun + 1} | {differ} of {ends + 1} |", flush=True)
        wrong += differ
    return wrong


# --- writes -----------------------------------------------------------------------------------


@dataclass
class Write:
    """One kind of file: writes content number `i`, and says whether what is there is whole."""

    name: str
    write: Callable[[int], Any]
    check: Callable[[], Any]


def writes(folder: Path) -> list[Write]:
    """All kinds, each in a place of its own, written once."""
    sys.path[:0] = [str(HELPERS)]
    import numpy as np
    import pandas as pd
    import torch
    from resumable import learner

    from onecycle.cli.answers import Answers
    from onecycle.core.display import write_html
    from onecycle.core.plot import axes, save_figure
    from onecycle.interpret.cleaner import Review, write_cleaned
    from onecycle.learn import checkpoint
    from onecycle.learn.resume import Checkpoint
    from onecycle.runtime.predictor import Predictor
    from onecycle.text.saved import load_data

    torch.set_num_threads(1)
    learn, texts = learner("images", folder / "images"), learner("classifier", folder / "texts")
    learn.fit(1, 1e-3)
    files = [str(file) for file in sorted((folder / "images").glob("??.png"))]
    names = tuple(Path(file).name for file in files)
    review = Review(folder / "images", names, ("a",) * len(names), ("a", "b"), (), ())
    sheet, kept, page = folder / "cleaned.csv", folder / "answers.csv", folder / "page.html"

    def save(i: int) -> None:
        learn.save("saved", with_opt=i % 2 == 0)

    def answer(i: int) -> None:
        with Answers(kept, ["file", "answer", "a"], {"i": 0}) as answers:
            rest, _ = answers.skip(iter([(f"{n}.png", None) for n in range(300)]))
            answers.add((name, "a", [0.5]) for name, _ in rest)
            answers.finish([True])

    def answered() -> None:
        if kept.is_file():
            assert len(pd.read_csv(kept)) == 300
        part = kept.with_name("answers.csv.part")
        if part.is_file():
            for line in part.read_bytes().split(b"\n")[:-1]:
                json.loads(line)

    def train(i: int) -> None:
        learn.fit(1, 1e-3, callbacks=[Checkpoint(f"fit{os.getpid()}", minutes=None, steps=1)])

    def trained() -> None:
        for newest in (folder / "images" / "models").glob("fit*.resume.safetensors"):
            older = newest.with_suffix(".1.safetensors")
            checkpoint.read(newest if newest.is_file() else older)
        for path in (folder / "images" / "models").glob("*fit*"):
            path.unlink()

    def figure(i: int) -> None:
        ax = axes(None)
        ax.plot(np.arange(9 + i % 7))
        save_figure(ax, folder / "figure.png")

    def drawn() -> None:
        from PIL import Image

        with Image.open(folder / "figure.png") as image:
            image.load()

    def paged() -> None:
        assert page.read_text("utf-8").endswith("x\n")

    def exported() -> None:
        Predictor(folder / "images" / "model.onnx").predict(files[0])

    texts_file = folder / "texts" / "data.safetensors"
    found = [
        Write("learn.save", save, lambda: learn.load("saved", with_opt=False)),
        Write("checkpoints of a fit", train, trained),
        Write("learn.export", lambda i: learn.export("model.onnx"), exported),
        Write(
            "data.save of texts",
            lambda i: texts.data.save(texts_file.name),
            lambda: load_data(folder / "texts", texts_file.name),
        ),
        Write("predict --out", answer, answered),
        Write(
            "the cleaner's table",
            lambda i: write_cleaned(review, {str(i % 20): "b"}, sheet),
            lambda: pd.read_csv(sheet).set_index("name").loc[names[0]],
        ),
        Write("plots", figure, drawn),
        Write(
            "pages",
            lambda i: write_html(page, "x" * 200_000),
            paged,
        ),
    ]
    learn.silent = True
    for each in found:
        each.write(0)
        each.check()
    return found


def in_a_process(work: Callable[[], None]) -> int:
    """The process that does it, forked, so that nothing has to be imported again."""
    child = os.fork()
    if child:
        return child
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        work()
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


def kill_writes(times: int, rng: random.Random) -> int:
    """Kill each kind of write so often; returns how many files were not whole."""
    wrong = 0
    print("| what is written | killed | not whole |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as root:
        for each in writes(Path(root)):

            def again_and_again(write: Callable[[int], Any] = each.write) -> None:
                for i in range(10**6):
                    write(i)

            begin = time.perf_counter()
            each.write(1)
            seconds, broken = time.perf_counter() - begin, 0
            for _ in range(times):
                child = in_a_process(again_and_again)
                time.sleep(rng.uniform(0.0, 2.5) * seconds + 0.002)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                try:
                    each.check()
                except Exception as error:
                    broken += 1
                    print(f"{each.name}: {error}", file=sys.stderr)
            print(f"| {each.name} | {times} | {broken} |", flush=True)
            wrong += broken
    return wrong


def fill_disk() -> int:
    """Write each kind where half of it has room; returns how many old files were lost."""
    wrong = 0
    print(
        "| what is written | its error | the old file is whole | left behind |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as root:
        for each in writes(Path(root)):
            before = {path for path in Path(root).rglob("*") if path.is_file()}

            def short(write: Callable[[int], Any] = each.write) -> None:
                from onecycle.core.errors import OnecycleError

                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
                try:
                    write(1)
                except OnecycleError:
                    os._exit(7)

            _, status = os.waitpid(in_a_process(short), 0)
            code = os.waitstatus_to_exitcode(status)
            left = [p.name for p in Path(root).rglob("*") if p.is_file() and p not in before]
            left = [name for name in left if name.endswith(".tmp")]
            try:
                each.check()
                whole = True
            except Exception:
                whole = False
            said = "said" if code == 7 else f"exit status {code}"
            print(f"| {each.name} | {said} | {whole} | {left or 'nothing'} |", flush=True)
            wrong += not whole or bool(left) or code != 7
    return wrong


def main() -> None:
    """Read the command line."""
    warnings.simplefilter("ignore")
    about = argparse.ArgumentParser(description=__doc__)
    about.add_argument("what", nargs="?", choices=["training", "writes", "full"], default="writes")
    about.add_argument("--times", type=int, default=0, help="10 for training, 100 for writes")
    about.add_argument("--seed", type=int, default=0)
    given = about.parse_args()
    rng = random.Random(given.seed)
    work = {
        "training": partial(kill_trainings, given.times or 10, rng),
        "writes": partial(kill_writes, given.times or 100, rng),
        "full": fill_disk,
    }
    raise SystemExit(bool(work[given.what]()))


if __name__ == "__main__":
    main()
