"""Tokens that are parts of words, for any language: tokenizers of the `tokenizers` package as JSON.

The JSON holds everything (pieces, rules, what is added, where to cut), and travels in files.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from onecycle.core.errors import DataError, UsageError, warn
from onecycle.runtime.inputs.words import BOS, PAD, SPECIAL, UNK

_MOST_GAPS = 1_000_000  # numbers without a token; published vocabularies have some hundred


@lru_cache(maxsize=8)
def tokenizer_of(definition: str) -> Any:
    """The tokenizer that the JSON describes; UsageError where it cannot be made."""
    library = _library()
    try:
        made = library.Tokenizer.from_str(definition)
    except Exception as error:  # the library raises bare Exceptions
        raise UsageError(f"the tokenizer's JSON cannot be read: {error}") from error
    made.no_padding()
    return made


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise UsageError(
            "subword tokenizers need the package tokenizers: pip install 'onecycle[text]'"
        ) from error
    return tokenizers


def train_subwords(texts: Iterable[str], vocab_sz: int = 8000, model: str = "unigram") -> str:
    """A tokenizer of these texts as JSON: SentencePiece's "unigram" model, or "bpe" on bytes.

    A warning says how many pieces there are where the texts do not give as many as were asked for.

    Sources: Kudo 2018 (arXiv 1804.10959); Sennrich et al. 2016 (arXiv 1508.07909). Characters that
    the texts lack are split into bytes by "bpe", and are unknown to "unigram".
    """
    if not isinstance(vocab_sz, int) or vocab_sz <= len(SPECIAL):
        raise UsageError(f"vocab_sz is above {len(SPECIAL)}, not {vocab_sz!r}")
    if isinstance(texts, str):
        raise UsageError("a list of texts is wanted, not one text")
    made, trainer = _untrained(model, vocab_sz)
    try:
        made.train_from_iterator((_check(text, i) for i, text in enumerate(texts)), trainer)
    except UsageError:
        raise
    except Exception as error:  # the library raises bare Exceptions
        raise UsageError(f"no tokenizer of {vocab_sz} pieces: {error}") from error
    if made.get_vocab_size() < vocab_sz:
        warn(
            f"the texts give {made.get_vocab_size():,} pieces, not {vocab_sz:,}: there are no more "
            "that occur often enough",
            2,
        )
    begin = [(BOS, made.token_to_id(BOS))]
    processors = _library().processors
    made.post_processor = processors.TemplateProcessing(f"{BOS} $A", special_tokens=begin)
    made.enable_padding(pad_id=made.token_to_id(PAD), pad_token=PAD)
    return str(made.to_str())


def _untrained(model: str, vocab_sz: int) -> tuple[Any, Any]:
    """A tokenizer of the kind `model`, and what trains it."""
    t = _library()
    common = {"vocab_size": vocab_sz, "special_tokens": list(SPECIAL), "show_progress": False}
    if model == "unigram":
        made = t.Tokenizer(t.models.Unigram())
        made.pre_tokenizer, made.decoder = t.pre_tokenizers.Metaspace(), t.decoders.Metaspace()
        trainer = t.trainers.UnigramTrainer(unk_token=UNK, **common)
    elif model == "bpe":
        made = t.Tokenizer(t.models.BPE(unk_token=UNK))
        made.pre_tokenizer = t.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = t.decoders.ByteLevel()
        letters = t.pre_tokenizers.ByteLevel.alphabet()
        trainer = t.trainers.BpeTrainer(initial_alphabet=letters, **common)
    else:
        raise UsageError(f'the model is "unigram" or "bpe", not {model!r}')
    made.normalizer = t.normalizers.NFC()
    return made, trainer


def _check(text: Any, i: int) -> str:
    if not isinstance(text, str):
        raise UsageError(f"text {i} is a {type(text).__name__}, not a str")
    return whole(text)


def whole(text: str) -> str:
    """Without lone surrogates, which the library refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=8)
def pieces_of(definition: str) -> tuple[str, ...]:
    """The tokens in the order of their numbers, "" where a number has none."""
    made = tokenizer_of(definition)
    known = made.get_vocab()
    count = 1 + max(known.values(), default=-1)
    if count > len(known) + _MOST_GAPS:
        raise UsageError(
            f"the tokenizer's JSON is damaged: it has {len(known):,} tokens, and numbers up to "
            f"{count - 1:,}"
        )
    return tuple(made.id_to_token(i) or "" for i in range(count))


@lru_cache(maxsize=8)
def marks_of(definition: str) -> frozenset[str]:
    """The tokens that are put around every text, such as `xxbos`, or [CLS] and [SEP]."""
    return frozenset(tokenizer_of(definition).encode("").tokens)


@lru_cache(maxsize=8)
def padding_of(definition: str) -> int:
    """The id that fills up batches: what the JSON says, or that of a token with a usual name."""
    known = tokenizer_of(definition).get_vocab()  # what it takes is an object of such fields
    padding = json.loads(definition).get("padding")
    if padding:
        return int(padding["pad_id"])
    for name in (PAD, "[PAD]", "<pad>"):
        if name in known:
            return int(known[name])
    raise UsageError(
        "the tokenizer has no token to fill up batches with: call its enable_padding(pad_id=, "
        "pad_token=) before to_str()"
    )


@lru_cache(maxsize=8)
def unknown_of(definition: str) -> int | None:
    """The id of what the tokenizer has no piece for; None where there is no such thing."""
    made, model = tokenizer_of(definition), json.loads(definition)["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    found = made.token_to_id(model.get("unk_token") or "")
    return None if found is None else int(found)


# Parts that web/page/subwords.js splits by as the library does; tests compare the two.
_IN_PAGE = re.compile(
    "Sequence|BertNormalizer|Lowercase|NFK?[CD]|Precompiled|Prepend|Replace|Strip(Accents)?|"
    "BertPreTokenizer|ByteLevel|Metaspace|Whitespace(Split)?|BPE|Unigram|WordLevel|WordPiece|"
    "BertProcessing|RobertaProcessing|TemplateProcessing"
)
_INSIDE = ("normalizers", "pretokenizers", "processors")  # of a Sequence


def parts_not_in_page(definition: str) -> list[str]:
    """The kinds of the tokenizer's parts that the page has not, or that are otherwise there."""
    known = json.loads(definition)
    left = [known.get(part) for part in ("normalizer", "pre_tokenizer", "model", "post_processor")]
    found = list[str]()
    while left:
        part = left.pop(0) or {}
        left += [inner for name in _INSIDE for inner in part.get(name) or ()]
        kind = part.get("type", "Sequence")
        if not _IN_PAGE.fullmatch(kind):
            found.append(kind)
        found += ["byte_fallback"] * (kind == "Unigram" and bool(part.get("byte_fallback")))
    return found


@lru_cache(maxsize=8)
def limit_of(definition: str) -> int | None:
    """How many tokens of a text are read; None where all are."""
    tokenizer_of(definition)
    cut = json.loads(definition).get("truncation")
    return None if cut is None else int(cut["max_length"])


@lru_cache(maxsize=8)
def uncut(definition: str) -> str:
    """The same tokenizer without a limit of tokens."""
    tokenizer_of(definition)
    return json.dumps({**json.loads(definition), "truncation": None})


def encode_texts(definition: str, texts: Sequence[str]) -> list[np.ndarray]:
    """The int64 ids of each text, by all cores; of a text without any, the padding's."""
    made = tokenizer_of(definition)
    try:
        found = made.encode_batch([whole(text) for text in texts])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise DataError(f"the tokenizer cannot split these texts: {error}") from error
    return [np.array(one.ids or [padding_of(definition)], np.int64) for one in found]
