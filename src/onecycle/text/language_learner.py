"""A learner of what comes next: it writes, and shows what it would say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from warnings import warn

import numpy as np
import torch
from torch import Tensor

from onecycle.core.arguments import require_number, require_whole
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.core.table import Table, refuse_figsize
from onecycle.data.databunch import DatasetType
from onecycle.learn import loop
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.models.chunked import Undecoded
from onecycle.models.modes import modes_kept
from onecycle.spec.words import BOS
from onecycle.text.text_learner import TextLearner

_SHOWN = 20  # tokens


class LanguageLearner(TextLearner):
    """A language model: what comes next."""

    largest_kept = Learner.largest_kept  # its batches are all alike

    def predict(  # type: ignore[override]
        self,
        text: str,
        n_words: int = 1,
        no_unk: bool = True,
        temperature: float = 1.0,
        min_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> str:
        """`text` as it stands, and `n_words` tokens after it (a backward model: before it).

        Tokens are drawn by chance: probabilities are raised to 1 / `temperature`; only the
        `top_k` likeliest, or those of `min_p` or more, are drawn from; with `no_unk` never the
        unknown token. Where no token is as likely as `min_p`, it is left aside, with a warning
        that counts. `seed` None draws one from numpy's global generator.
        """
        _require_draws(n_words, temperature, min_p, top_k, seed)
        given: Any = self.task.input
        text = given.text_of(text)
        begun = given.ids(text).tolist()
        if given.backwards:  # what comes before is asked for: the text does not begin here
            begun = begun[:-1]
            if not begun and n_words:
                raise UsageError("a backward model writes before a text: give it some words")
        luck = torch.Generator()
        luck.manual_seed(int(np.random.randint(2**31)) if seed is None else seed)
        forbidden = [given.unknown] if no_unk else []
        forbidden += [i for i, token in enumerate(self.vocab) if token in {BOS, "xxfake", "xxpad"}]

        unlikely = 0

        def drawn(logits: Tensor) -> int:
            nonlocal unlikely
            logits[forbidden] = -torch.inf
            # to double first: a small temperature would bring likely ones beyond float32
            shares = (logits.double() / temperature).softmax(0)
            unlikely += min_p is not None and bool(shares.max() < min_p)
            return int(torch.multinomial(_limited(shares, top_k, min_p), 1, generator=luck))

        whole = self._gone_on(begun, n_words, drawn)
        if unlikely:
            warn(
                f"before {unlikely} of {n_words} tokens none was as likely as min_p={min_p}, which "
                "was left aside there: take a lower one",
                OnecycleWarning,
                stacklevel=2,
            )
        return _joined(given, text, begun, whole)

    def predictions(self, ds_type: DatasetType = DatasetType.Valid) -> Predictions:
        """A language model has no answer for each text."""
        raise UsageError(
            "a language model says what comes next, not one thing about each text: see validate(), "
            "show_results() and predict()"
        )

    def show_results(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        rows: int = 5,
        figsize: tuple[float, float] | None = None,
    ) -> Table:
        """Beginnings of texts, and of each of the next 20 tokens what it is and what was said."""
        require_whole("rows", rows)
        refuse_figsize(figsize)
        given: Any = self.task.input
        x, y = (side[:rows, : 2 * _SHOWN] for side in self.data.one_batch(ds_type))
        loader: Any = [(x.to(self.data.device), y)]
        batches = list(loop.predict(self.model, loader, self.engine))
        said = torch.cat([outputs.argmax(1).cpu() for outputs, _ in batches])
        half = min(_SHOWN, x.shape[1] // 2)
        return Table(
            {
                "text": [given.readable(row) for row in x[:, :half].tolist()],
                "true": [given.readable(row) for row in y[:, half:].tolist()],
                "said": [given.readable(row) for row in said[:, half:].tolist()],
            }
        )

    def _gone_on(self, ids: list[int], n: int, drawn: Callable[[Tensor], int]) -> list[int]:
        """`ids`, and `n` more that `drawn` takes from the logits (vocab,) of each next one."""
        x = torch.as_tensor(ids)[None].to(self.data.device)
        found = list(ids)
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            self.model.reset()  # type: ignore[operator]
            for _ in range(n):
                outputs: Any = self.engine.forward(self.model, x)
                outputs = outputs.last() if isinstance(outputs, Undecoded) else outputs
                found.append(drawn(outputs[0, :, -1].float().cpu()))
                x = torch.tensor([[found[-1]]], device=self.data.device)
        self.model.reset()  # type: ignore[operator]
        return found


def _require_draws(
    n_words: int, temperature: float, min_p: float | None, top_k: int | None, seed: int | None
) -> None:
    """UsageError for numbers by which nothing can be drawn."""
    require_whole("n_words", n_words, 0)
    if not require_number("temperature", temperature, 0):
        raise UsageError(f"the temperature is above 0 and finite, not {temperature}")
    if min_p is not None:
        require_number("min_p", min_p, 0, 1)
    if top_k is not None:
        require_whole("top_k", top_k)
    if seed is not None:
        require_whole("seed", seed, 0)


def _joined(given: Any, text: str, begun: list[int], whole: list[int]) -> str:
    """The text and what was added, put together as the tokens are where these say how."""
    read, known = given.readable(whole), given.readable(begun)
    if given.backwards:
        added = given.readable(whole[len(begun) :])
        return (read.removesuffix(known) if read.endswith(known) else f"{added} ") + text
    added = given.readable(whole[len(begun) :])
    return text + (read.removeprefix(known) if read.startswith(known) else f" {added}")


def _limited(shares: Tensor, top_k: int | None, min_p: float | None) -> Tensor:
    """The shares (vocabulary,) of what may be drawn, 0 for all else."""
    if top_k is not None:
        kept = shares.topk(min(top_k, len(shares)))
        shares = torch.zeros_like(shares).scatter(0, kept.indices, kept.values)
    if min_p is not None and bool((shares >= min_p).any()):
        shares = torch.where(shares >= min_p, shares, 0.0)
    return shares
