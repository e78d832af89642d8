"""Which words of a text made the model say what it says: the answer without each of them.

Source: erasure, Li et al. 2016 (arXiv 1612.08220).
"""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from onecycle.core.display import write_html
from onecycle.core.errors import UsageError
from onecycle.interpret.classification import how_many
from onecycle.learn.learner import Learner
from onecycle.models.groups import modes_kept
from onecycle.runtime.inputs.subwords import marks_of
from onecycle.runtime.inputs.words import BOS, SPECIAL
from onecycle.text.columns import warn_of_text

_BATCH = 64
_FOR, _AGAINST = "0, 150, 90", "220, 50, 50"


@dataclass(frozen=True)
class WordScores:
    """Tokens of a text, and by how much the class's probability falls without each (-1 to 1)."""

    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    category: str
    probability: float

    def top(self, k: int | None = None) -> list[tuple[str, float]]:
        """The `k` (10) tokens that mattered most, for or against, the strongest first.

        Where there are fewer than `k` all of them, with a warning.
        """
        order = sorted(range(len(self.tokens)), key=lambda i: -abs(self.scores[i]))
        count = how_many(k, len(order), 10, "tokens")
        return [(self.tokens[i], self.scores[i]) for i in order[:count]]

    def _repr_html_(self) -> str:
        """The text with words for the class in green, and those against it in red."""
        most = max(map(abs, self.scores), default=0.0) or 1.0
        words = []
        for token, score in zip(self.tokens, self.scores, strict=True):
            shade = f"rgba({_FOR if score > 0 else _AGAINST}, {abs(score) / most:.2f})"
            title = f"{score:+.3f}"
            words.append(
                f'<span style="background:{shade};padding:0 .15em;border-radius:.2em" '
                f'title="{title}">{html.escape(token)}</span>'
            )
        heading = f"{html.escape(self.category)} {self.probability:.2f}"
        return f"<p><b>{heading}</b></p><p>{' '.join(words)}</p>"

    def save(self, path: str | Path) -> Path:
        """Write the coloured text as an HTML page."""
        return write_html(path, self._repr_html_())


def word_scores(learn: Learner, text: str, category: Any = None) -> WordScores:
    """Leave each word out in turn; about the class that the model says, or `category`.

    A capital or repetition mark goes with its word. A warning says where the text has no word that
    is known, or is cut. Raises UsageError for a model of other inputs.
    """
    given: Any = learn.task.input
    classes = list(learn.task.target.classes)
    if not given.vocab or not classes:
        raise UsageError("words are scored for classifiers of texts")
    if category is not None and category not in classes:
        raise UsageError(f"{category!r} is none of the classes {classes}")
    warn_of_text(given, given.text_of(text))
    ids = given.ids(given.text_of(text))
    ids = ids[::-1].copy() if given.backwards else ids  # in the order of reading
    whole = _probabilities(learn, [torch.as_tensor(ids)])[0]
    column = int(whole.argmax()) if category is None else classes.index(category)
    tokens = given.tokens(ids)
    groups = _words(tokens, marks_of(given.tokenizer) if given.tokenizer else frozenset({BOS}))
    shorter = [
        torch.as_tensor([t for i, t in enumerate(ids) if i not in group]) for group in groups
    ]
    rest = _probabilities(learn, shorter)[:, column] if groups else whole[:0]
    falls = (whole[column] - rest).tolist()
    return WordScores(
        tuple(" ".join(tokens[i] for i in sorted(group)) for group in groups),
        tuple(falls),
        str(classes[column]),
        float(whole[column]),
    )


def _words(tokens: list[str], ends: frozenset[str]) -> list[set[int]]:
    """Positions of each word, with the marks before it; `ends` of the text are no words."""
    groups: list[set[int]] = []
    held: set[int] = set()
    for i, token in enumerate(tokens):
        if token in ends:
            continue
        held.add(i)
        if token not in SPECIAL or token == "xxunk":
            groups.append(held)
            held = set()
    return groups


def _probabilities(learn: Learner, rows: list[Tensor]) -> Tensor:
    """Probabilities (n, classes) of ids of different lengths."""
    found, given = [], learn.task.input
    rows = [row.flip(0) for row in rows] if given.backwards else rows  # type: ignore[attr-defined]
    with modes_kept(learn.model), torch.no_grad():
        learn.model.eval()
        for start in range(0, len(rows), _BATCH):
            part = pad_sequence(rows[start : start + _BATCH], True, given.padding)  # type: ignore[attr-defined]
            outputs = learn.engine.forward(learn.model, part.to(learn.data.device))
            found.append(learn.task.target.activate(outputs).cpu())
    return torch.cat(found)
