"""Tiny encoders in folders, as a hub gives them: a config, weights and a trained tokenizer."""

import base64

import numpy as np
import pandas as pd
import pytest
import torch

WORDS = "film plot cast scene the was a very quite I He LOUD don't naïve Straße 電影 фильм".split()
GOOD, BAD = ["great", "wonderful", "schön"], ["awful", "dull", "langweilig"]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
}
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
}


def reviews(count, seed=3, longest=30):
    """Texts of random words, one of which tells the label; texts of very different lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        label = ("neg", "pos")[i % 2]
        words = list(rng.choice(WORDS, rng.integers(1, longest)))
        words.insert(rng.integers(len(words) + 1), rng.choice(GOOD if i % 2 else BAD))
        rows.append((label, " ".join(words)))
    return pd.DataFrame(rows, columns=["label", "text"])


def tokenizer(kind, texts):
    """A trained tokenizer in the way of each family, with its special tokens."""
    t = pytest.importorskip("tokenizers")
    normalizers, pre = t.normalizers, t.pre_tokenizers
    if kind in ("bert", "distilbert"):
        marks = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
        made = t.Tokenizer(t.models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre.BertPreTokenizer()
        trainer = t.trainers.WordPieceTrainer
    elif kind == "roberta":
        marks = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
        made = t.Tokenizer(t.models.BPE())
        made.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
        trainer = t.trainers.BpeTrainer
    else:
        marks = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "mask": "[MASK]"}
        made = t.Tokenizer(t.models.Unigram())
        made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
        made.pre_tokenizer, trainer = pre.Metaspace(), t.trainers.UnigramTrainer
    more = {"initial_alphabet": pre.ByteLevel.alphabet()} if kind == "roberta" else {}
    more |= {"unk_token": "[UNK]"} if kind == "deberta" else {}
    names = list(marks.values())
    sizes = {"vocab_size": 400, "show_progress": False}
    made.train_from_iterator(texts, trainer(special_tokens=names, **sizes, **more))
    ends = [(marks[name], made.token_to_id(marks[name])) for name in ("cls", "sep")]
    processors = t.processors
    made.post_processor = {
        "bert": lambda: processors.BertProcessing(ends[1], ends[0]),
        "roberta": lambda: processors.RobertaProcessing(ends[1], ends[0], add_prefix_space=False),
    }.get(
        kind,
        lambda: processors.TemplateProcessing(f"{ends[0][0]} $A {ends[1][0]}", special_tokens=ends),
    )()
    return made, {f"{name}_token": mark for name, mark in marks.items()}


def encoder(folder, kind="bert", seed=0, limit=64):
    """The folder of a tiny model of random weights, which takes `limit` tokens."""
    transformers = pytest.importorskip("transformers")
    made, marks = tokenizer(kind, reviews(400).text)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=limit, **marks
    )
    common = {"vocab_size": made.get_vocab_size(), "pad_token_id": fast.pad_token_id}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
        config = transformers.DistilBertConfig(max_position_embeddings=64, **sizes, **common)
    elif kind == "bert":
        config = transformers.BertConfig(**SIZES, **common)
    elif kind == "roberta":
        config = transformers.RobertaConfig(**SIZES, **common)
    else:
        config = transformers.DebertaV2Config(**SIZES, **DEBERTA, **common)
    torch.manual_seed(seed)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


RULES = {"①": "1", "ﬁ": "fi", "é": "e\u0301", "\t": " ", "\r": " ", "\u200b": "", "電": "电"}


def charsmap(rules):
    """SentencePiece's precompiled rules (base64): a Darts trie of bytes, and what they become."""
    strings, places = b"", {}
    for key, value in rules.items():
        places[key.encode()] = len(strings)
        strings += value.encode() + b"\0"
    units = {0: 0}

    def place(at, keys):
        """Put the children of the node at `at` where all of them are free."""
        labels = sorted({key[0] if key else 0 for key in keys})
        base = next(b for b in range(1, 1 << 20) if not any(b ^ label in units for label in labels))
        units[at] |= (at ^ base) << 10 | (0 in labels) << 8
        units.update({base ^ label: label for label in labels})
        if 0 in labels:
            units[base] = keys[b""] | 1 << 31
        for label in filter(None, labels):
            start = bytes([label])
            place(base ^ label, {k[1:]: v for k, v in keys.items() if k.startswith(start)})

    place(0, places)
    table = np.array([units.get(i, 1 << 8) for i in range(1 + (max(units) | 255))], "<u4").tobytes()
    return base64.b64encode(len(table).to_bytes(4, "little") + table + strings).decode()


def strange_texts(count, seed=0):
    """Random texts that are hard to split: letters of many scripts, marks, blanks, controls."""
    rng = np.random.default_rng(seed)
    letters = (
        "aAzZ09 .,!?'\"-_@#&;:/\\<>[](){}\t\n\r\u00a0\u2003\u3000\u200b\u200d\ufeff\x00\x07\x85\x1f"
        "éÉßıİΣςσŉǅﬁ①½²電影文化\U00020000한글ひらカタ\u0e01\u0e34ไทยहिन्दीשלוםمرحبا\u0301\u0308\u20dd"
        "😀👍🏽👨‍👩‍👧🇩🇪❤️\u202e\u2066\u2069\u2028\ufffd\ufdfa𝔘𝟙▁Ġ"  # noqa: RUF001
    )
    words = [*WORDS, *GOOD, *BAD, "[CLS]", "<s>", "[PAD]", "xxbos", "##ing", "naïve", "DON'T"]
    texts = ["", " ", "\n", "\x00", "\ufeff", "▁", "great" * 400, "great " * 400, "😀" * 300]
    while len(texts) < count:
        parts = []
        for _ in range(int(rng.integers(1, 12))):
            if rng.random() < 0.5:
                parts.append(str(rng.choice(words)))
            else:
                parts.append("".join(rng.choice(list(letters), int(rng.integers(1, 9)))))
        texts.append(("" if rng.random() < 0.3 else " ").join(parts))
    return texts[:count]
