"""Encoders in files: our own format, the small one of the package, and the published WT103 ones."""

from __future__ import annotations

import json
import pickletools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import CheckpointError, DownloadError, WeightsError, warn
from onecycle.core.files import write_atomically
from onecycle.core.json_text import parse_json
from onecycle.runtime.inputs.words import SPECIAL

SMALL_FILE = Path(__file__).with_name("weights") / "small.safetensors"
_KEY = "onecycle_encoder"
_READING = "reading"
_BIAS = "decoder.bias"


SIZES = {"emb_sz": 400, "n_hid": 1152, "n_layers": 3}  # of the published encoders
SMALL = {"emb_sz": 200, "n_hid": 600, "n_layers": 2}


@dataclass(frozen=True, eq=False)
class Encoder:
    """Weights by name, and the token of each row of the embedding.

    `bias` (vocabulary,) is the decoder's, where the file is of a language model; `reading` says how
    texts are read: see `reading_of`.
    """

    tensors: dict[str, Tensor]
    vocab: tuple[str, ...]
    bias: Tensor | None = None
    reading: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """What the weights' shapes say, as `config=` of the learners takes it."""
        layers = sum(key.endswith("weight_ih_l0") for key in self.tensors)
        n_hid = self.tensors["rnns.0.inner.weight_hh_l0"].shape[1]
        emb_sz = self.tensors["embedding.weight"].shape[1]
        return {"emb_sz": emb_sz, "n_hid": n_hid, "n_layers": layers}

    def share_known(self, vocab: Sequence[str]) -> float:
        """The share of the words of `vocab` that has a row here; marks such as `xxmaj` are none."""
        words = set(vocab) - {*SPECIAL, "xxfake"}
        return len(words & set(self.vocab)) / max(1, len(words))

    def for_vocab(self, vocab: Sequence[str]) -> Encoder:
        """With rows in the order of another vocabulary; the mean row for tokens that are new."""
        rows = remap_rows(self.tensors["embedding.weight"], self.vocab, vocab)
        bias = None if self.bias is None else remap_rows(self.bias, self.vocab, vocab)
        made = {**self.tensors, "embedding.weight": rows}
        return Encoder(made, tuple(vocab), bias, self.reading)


def reading_of(spec: Any) -> str:
    """How an input reads its texts, in a few letters: direction, and which subword tokenizer."""
    tokens = sha256(spec.tokenizer.encode()).hexdigest()[:16] if spec.tokenizer else "words"
    return f"{tokens}, backwards" if spec.backwards else tokens


def remap_rows(weights: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """Rows (len(new), ...): those of the same tokens, and the mean row for tokens that are new."""
    where = {token: i for i, token in reversed(list(enumerate(old)))}  # of several the first
    rows = torch.cat([weights, weights.mean(0, keepdim=True)])
    return rows[[where.get(token, len(old)) for token in new]]


def write_encoder(
    path: Path,
    encoder: nn.Module,
    vocab: Sequence[str],
    bias: Tensor | None = None,
    half: bool = False,
    reading: str = "words",
) -> Path:
    """Write an encoder's weights and vocabulary as safetensors; `half` in 16 bits."""
    from safetensors.torch import save_file

    state = dict(encoder.state_dict()) | ({} if bias is None else {_BIAS: bias})
    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().cpu().to(dtype).contiguous().clone() for k, v in state.items()}
    about = {_KEY: json.dumps(list(vocab)), _READING: reading}
    write_atomically(path, lambda to: save_file(tensors, to, about))
    return path


def read_encoder(path: str | Path) -> Encoder:
    """What `write_encoder` wrote; CheckpointError for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
            vocab = tuple(map(str, parse_json(about.get(_KEY, ""))))
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is no encoder that can be read: {error}") from error
    bias = tensors.pop(_BIAS, None)
    rows = tensors.get("embedding.weight")
    biased = bias is None or bias.shape == (len(vocab),)
    if rows is None or rows.ndim != 2 or len(rows) != len(vocab) or not biased:
        raise CheckpointError(f"{path} is no encoder: its embedding and vocabulary do not agree")
    found = Encoder(tensors, vocab, bias, about.get(_READING, "words"))
    try:
        found.sizes  # noqa: B018
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{path} is no encoder: it lacks a layer's weights") from error
    return found


def find_encoder(pretrained: bool | str | Path, backwards: bool = False) -> Encoder:
    """The encoder that `pretrained=` names.

    "small" comes with the package; True, or the address of an archive, is a published WT103 model,
    downloaded once; else it is the path of an encoder, or of an unpacked archive's folder.
    """
    from onecycle.fetch.urls import URLs, untar_data

    if pretrained == "small":
        return read_encoder(SMALL_FILE)
    if pretrained is True:
        pretrained = URLs.WT103_BWD if backwards else URLs.WT103_FWD
    if isinstance(pretrained, str) and re.match(r"https?://", pretrained):
        try:
            folder = untar_data(pretrained, data=False)
        except DownloadError as error:
            raise DownloadError(
                f"{error}. Connect to the network, or name a folder that has the archive in "
                '$ONECYCLE_MIRROR, or use pretrained="small", which comes with onecycle'
            ) from error
        return read_wt103(folder)
    path = Path(str(pretrained)).absolute()
    return read_wt103(path) if path.is_dir() else read_encoder(path)


def read_wt103(folder: str | Path) -> Encoder:
    """A published language model: one .pth of weights and one pickled list of its words.

    Neither file is trusted: the weights are read without running code, the list by a reader that
    knows lists of strings only.
    """
    from onecycle.models.weights import read_weights

    found = {suffix: sorted(Path(folder).rglob(f"*{suffix}")) for suffix in (".pth", ".pkl")}
    for suffix, files in found.items():
        if len(files) != 1:
            raise WeightsError(f"{folder}: {len(files)} files *{suffix}, where there should be one")
    (weights,), (words,) = found.values()
    given = read_weights(weights)
    layers = sorted({m[1] for key in given if (m := re.match(r"0\.rnns\.(\d+)\.", key))}, key=int)
    tensors: dict[str, Any] = {"embedding.weight": given.get("0.encoder.weight")}
    for i, name in product(layers, ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")):
        plain = given.get(f"0.rnns.{i}.module.{name}")
        tensors[f"rnns.{i}.inner.{name}"] = given.get(f"0.rnns.{i}.{name}_raw", plain)
    lost = [key for key, value in tensors.items() if value is None]
    if lost or not layers:
        raise WeightsError(f"{weights}: no AWD-LSTM of the reference library ({lost[:2]} missing)")
    vocab = read_word_list(words)
    if len(vocab) != len(tensors["embedding.weight"]):
        raise WeightsError(
            f"{folder}: {len(vocab)} words for {len(tensors['embedding.weight'])} rows of weights"
        )
    tensors = {key: value.float() for key, value in tensors.items()}
    reading = "words, backwards" if "bwd" in weights.name else "words"
    if "bwd" not in weights.name and "fwd" not in weights.name:
        message = (
            f"{weights} does not say which way it reads: it is taken as forwards. Call the file "
            "fwd.pth, or bwd.pth if it reads from the end"
        )
        warn(message, 2)
    return Encoder(tensors, vocab, given.get("1.decoder.bias"), reading)


# Published word lists, pickled by others, read by an interpreter that can only make lists.
#
# Nothing is imported, called or constructed: the file's instructions are walked through, and those
# that a list of strings does not need are refused before anything is done.

_LIMIT = 50_000_000  # bytes
_STEPS = 2_000_000  # instructions: four a word
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINUNICODE8"}


def read_word_list(path: str | Path) -> tuple[str, ...]:
    """The words of a pickled list of strings.

    Raises WeightsError for anything else, whatever the file would like to do.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LIMIT:
            raise WeightsError(f"{path}: over {_LIMIT} bytes, too large for a list of words")
        data = path.read_bytes()
        return tuple(_words(path, ((op.name, value) for op, value, _ in pickletools.genops(data))))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    except WeightsError:
        raise
    except Exception as error:  # genops raises many kinds on damaged files
        raise WeightsError(f"{path}: damaged, no list of words ({error})") from error


def _words(path: Path, instructions: Iterable[tuple[str, Any]]) -> list[str]:
    """Walk through a list's instructions: an empty list, marks, texts, appends, and the end."""
    words: list[str] | None = None
    waiting: list[str] = []
    numbers: dict[int, str] = {}  # a text may be referred to again by its number
    for done, (name, argument) in enumerate(instructions):
        if done > _STEPS:
            raise WeightsError(f"{path}: over {_STEPS} instructions, too many for a list of words")
        if name in _TEXTS:
            waiting.append(argument)
        elif name == "EMPTY_LIST" and words is None:
            words = []
        elif name in {"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"}:
            at = len(numbers) if name == "MEMOIZE" else int(argument)
            numbers[at] = waiting[-1] if waiting else ""
        elif name in {"BINGET", "LONG_BINGET", "GET"} and numbers.get(int(argument)):
            waiting.append(numbers[int(argument)])
        elif name in {"APPENDS", "APPEND"} and words is not None:
            words += waiting
            waiting = []
        elif name == "STOP" and words is not None and not waiting:
            return words
        elif name not in {"PROTO", "FRAME", "MARK"}:
            raise WeightsError(
                f"{path}: not a plain list of words (it has the instruction {name}); it was not "
                "loaded, since such a file can run anything"
            )
    raise WeightsError(f"{path}: not a whole list of words")
