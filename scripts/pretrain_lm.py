"""Train the small language model that the package ships, on texts with a clean licence only.

    python scripts/pretrain_lm.py WIKITEXT_FOLDER --packages FOLDER --out small_lm

WIKITEXT_FOLDER holds WikiText's .txt files; the other texts are public-domain ones of Debian's
packages, fetched with apt-get into FOLDER. Every 25th document is held out; perplexity on these is
the log's figure. Only every fourth chapter of the Bible is read, so that it does not set the tone.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from pretrain_texts import corpus

from onecycle.learn.callback import Callback, Run
from onecycle.learn.metrics import accuracy
from onecycle.text.learner import language_model_learner
from onecycle.text.learners import TextLearner
from onecycle.text.lists import TextList
from onecycle.text.pretrained import SMALL, write_encoder

HELD_OUT = 25
VOCAB = 12_000


class KeepEachEpoch(Callback):
    """Writes the encoder after each epoch, and a line of the log."""

    def __init__(self, learner: TextLearner, out: Path, log: Callable[[str], None]) -> None:
        self.learner, self.out, self.log = learner, out, log
        self.start = time.monotonic()

    def after_epoch(self, run: Run) -> None:
        """Keep what there is, so that an end by force loses an epoch at most."""
        model = self.learner.model
        write_encoder(self.out, model.encoder, self.learner.vocab, model.bias, half=True)
        loss = float(run.row["valid_loss"])
        self.log(
            f"epoch {run.epoch + 1}: train loss {run.row['train_loss']:.3f}, held out "
            f"{loss:.3f}, perplexity {math.exp(loss):.1f}, {time.monotonic() - self.start:.0f} s"
        )


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wikitext", type=Path)
    parser.add_argument("--packages", type=Path, default=Path("lm-texts"))
    parser.add_argument("--out", type=Path, default=Path("small_lm"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--drop-mult", type=float, default=0.3)
    parser.add_argument("--share", type=float, default=1.0, help="of the documents, for a trial")
    args = parser.parse_args()
    out = args.out.with_suffix(".safetensors")
    out.parent.mkdir(parents=True, exist_ok=True)
    record = args.out.with_suffix(".log.txt").open("w", encoding="utf-8")

    def log(line: str) -> None:
        print(line, flush=True)
        print(line, file=record, flush=True)

    chosen = {k: v for k, v in vars(args).items() if not isinstance(v, Path)}
    log(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {chosen}")
    texts = []
    for name, documents in corpus(args.wikitext, args.packages).items():
        kept = documents[:: 4 if name.startswith("sword") else 1]
        kept = kept[: max(HELD_OUT, int(args.share * len(kept)))]
        log(f"{name}: {len(kept)} documents, {sum(map(len, kept))} characters")
        texts += kept
    frame = pd.DataFrame({"text": texts})
    held = [i for i in range(len(texts)) if i % HELD_OUT == 0]
    options = {"max_vocab": VOCAB, "min_freq": 3}
    data = (
        TextList.from_df(frame, cols="text", **options)
        .split_by_idx(held)
        .label_for_lm()
        .databunch(bs=args.bs)
    )
    learner = language_model_learner(
        data,
        config=SMALL,
        drop_mult=args.drop_mult,
        pretrained=False,
        metrics=[accuracy],
        silent=True,
    )
    count = sum(p.numel() for p in learner.model.parameters())
    log(
        f"{count} parameters, vocabulary {len(learner.vocab)}, tokens of training "
        f"{data.train_dl.n_tokens}, held out {data.valid_dl.n_tokens}"
    )
    keep = KeepEachEpoch(learner, out, log)
    learner.fit_one_cycle(args.epochs, args.lr, moms=(0.8, 0.7), callbacks=[keep])
    log(f"{out.name}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
