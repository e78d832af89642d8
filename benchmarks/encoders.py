"""Hugging Face encoders as files: size, seconds of one text, and what smaller numbers change.

    python benchmarks/encoders.py TRAIN_CSV [--reviews 3000] [--epochs 4] [--out FILE]

TRAIN_CSV has the columns label and text. Size and speed do not depend on what the weights are, so
that published architectures have random ones here; what 16 and 8 bits change is measured on a small
encoder that is trained on the reviews. One thread; medians of 20 runs on 128 tokens, the precisions
in turn.
"""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

TOKENS, RUNS, VOCAB = 128, 20, 30_522
TINY, READ = (2, 128, 2), 64  # what is trained, and how many tokens of a review it reads
SIZES = {  # layers, width, heads
    "BERT-mini": (4, 256, 4),
    "MiniLM-L6": (6, 384, 12),
    "DistilBERT-base": (6, 768, 12),
    "BERT-base": (12, 768, 12),
}
PRECISIONS = ("fp32", "fp16", "int8")


def config(layers, width, heads, vocab):
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocab,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )


def files(size):
    """The same network at each precision, as bytes."""
    import torch
    from transformers import AutoModel

    from onecycle.data.targets import Category
    from onecycle.export.graph import Answering, store_in_half, trace
    from onecycle.export.quantize import quantize
    from onecycle.models.head import TransformerClassifier

    body = AutoModel.from_config(config(*size, VOCAB))
    model = TransformerClassifier(body, size[1], 2, 0)
    answering = Answering(model, Category(("neg", "pos"))).eval()
    with torch.no_grad():
        whole = trace(answering, torch.randint(5, VOCAB, (1, 7)), longest=512)
    count = sum(p.numel() for p in model.parameters())
    data = whole.SerializeToString()
    small = quantize(whole, None).SerializeToString()
    return count, {"fp32": data, "fp16": store_in_half(whole).SerializeToString(), "int8": small}


def session(data):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def speeds(made):
    """Milliseconds of one text of 128 tokens."""
    ids = np.random.default_rng(0).integers(5, VOCAB, (1, TOKENS))
    runs = {name: session(data) for name, data in made.items()}
    found = {name: [] for name in runs}
    for turn in range(RUNS + 2):
        for name, run in runs.items():
            start = perf_counter()
            run.run(None, {"x": ids})
            if turn > 1:
                found[name].append(perf_counter() - start)
    return {name: 1000 * median(times) for name, times in found.items()}


def trained(path, reviews, epochs, folder):
    """A learner on a tiny encoder, trained from scratch on the beginnings of reviews."""
    import pandas as pd
    import tokenizers as t
    import transformers

    from onecycle.text import TextClasDataBunch, text_classifier_learner

    frame = pd.read_csv(path).sample(reviews, random_state=0)[["label", "text"]]
    made = t.Tokenizer(t.models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = (
        t.normalizers.BertNormalizer(),
        t.pre_tokenizers.BertPreTokenizer(),
    )
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = t.trainers.WordPieceTrainer(
        vocab_size=8000, special_tokens=names, show_progress=False
    )
    made.train_from_iterator(frame.text, trainer)
    ends = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = t.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    model = transformers.BertModel(config(*TINY, made.get_vocab_size()))
    model.save_pretrained(folder / "model")
    fast.save_pretrained(folder / "model")
    data = TextClasDataBunch.from_df(
        folder, frame, valid_pct=0.33, text_cols="text", label_cols="label", seed=0, bs=32
    )
    learn = text_classifier_learner(data, folder / "model", max_len=READ, path=folder, silent=True)
    return learn.unfreeze().fit_one_cycle(epochs, 5e-4)


def costs(learn):
    """By precision: megabytes, accuracy, the share of changed answers, and the largest change."""
    from onecycle.runtime.predictor import Predictor

    side = learn.data.valid_ds
    texts, labels = [str(text) for text in side.x.items], [str(label) for label in side.labels]
    rows, first = {}, None
    for precision in PRECISIONS:
        file = learn.export(f"{precision}.onnx", precision=precision)
        predictor = Predictor(file)
        shares = predictor.probabilities(texts)
        first = shares if first is None else first
        answers = [str(predictor.classes[i]) for i in shares.argmax(1)]
        right = np.mean([a == b for a, b in zip(answers, labels, strict=True)])
        changed = (shares.argmax(1) != first.argmax(1)).mean()
        size = file.stat().st_size / 1e6
        rows[precision] = (size, right, changed, np.abs(shares - first).max())
    return len(texts), rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("train")
    parser.add_argument("--reviews", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", default="benchmarks/results/encoders.md")
    given = parser.parse_args()
    lines = ["# Encoders as files: 32, 16 and 8 bits", ""]
    lines += ["| network | weights | fp32 | fp16 | int8 |", "|---|---|---|---|---|"]
    for name, size in SIZES.items():
        count, made = files(size)
        times = speeds(made)
        cells = [f"{len(made[p]) / 1e6:,.1f} MB, {times[p]:,.0f} ms" for p in PRECISIONS]
        lines.append(f"| {name} | {count / 1e6:.1f} M | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    with TemporaryDirectory() as folder:
        learn = trained(given.train, given.reviews, given.epochs, Path(folder))
        count, rows = costs(learn)
    lines += ["", f"One text of {TOKENS} tokens, one thread, medians of {RUNS} runs in turn.", ""]
    lines += ["| two layers, 128 wide, from scratch | MB | accuracy | changed | largest change |"]
    lines += ["|---|---|---|---|---|"]
    for precision, (size, right, changed, most) in rows.items():
        lines.append(f"| {precision} | {size:.1f} | {right:.3f} | {changed:.2%} | {most:.4f} |")
    lines += [
        "",
        f"{count} reviews validate, {given.reviews - count} train, {given.epochs} epochs.",
    ]
    lines += ["", "`python benchmarks/encoders.py TRAIN_CSV`", ""]
    Path(given.out).write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
