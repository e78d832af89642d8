"""A learner on texts, whose encoder can be kept and used by another."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import Table, refuse_figsize
from onecycle.core.errors import (
    CheckpointError,
    UsageError,
    listing,
    require_number,
    require_whole,
    warn,
)
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.learn import loop
from onecycle.learn.calibration import forget_temperature
from onecycle.learn.checkpoint import checkpoint_path
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.models.awd_lstm import Undecoded
from onecycle.models.groups import modes_kept
from onecycle.runtime.inputs.words import BOS, SPECIAL
from onecycle.text.columns import warn_of_text
from onecycle.text.pretrained import Encoder, read_encoder, reading_of, write_encoder

_LEAST_KNOWN = 0.1  # of a vocabulary


class TextLearner(Learner):
    """A learner on texts, whose encoder can be kept and used by another.

    `predict` warns where no word of a text is known, or some are cut off.
    """

    largest_kept = 2**25  # no two batches of a classifier have the same length

    def mixup(self, alpha: float = 0.4) -> Self:
        """Texts are numbers of tokens, of which there is no mixture."""
        raise UsageError("texts cannot be mixed: leave mixup() out")

    def cutmix(self, alpha: float = 1.0) -> Self:
        """Nor are there patches of a text."""
        raise UsageError("texts cannot be mixed: leave cutmix() out")

    @property
    def vocab(self) -> tuple[str, ...]:
        """The vocabulary of the data."""
        return self.task.input.vocab

    @property
    def data(self) -> DataBunch:
        """The data; another DataBunch must number its texts as this one does."""
        return self._data

    @data.setter
    def data(self, other: DataBunch) -> None:
        ours, theirs = self.task.input.to_json(), other.task.input.to_json()
        differ = next((k for k in ours if ours[k] != theirs.get(k)), None)
        if differ:
            raise UsageError(
                f"the other data's texts have another {differ} than this model was made for, so "
                "that their numbers would mean other tokens: make the data with vocab=learn.vocab "
                "and the same tokenizer and direction"
            )
        Learner.data.fset(self, other)  # type: ignore[attr-defined]

    def _predict(self, item: Any, thresh: float | None, return_x: bool) -> Any:
        found = super()._predict(item, thresh, return_x)
        given: Any = self.task.input
        warn_of_text(given, given.text_of(item), 4)
        return found

    def save_encoder(self, name: str | Path) -> Path:
        """Write the encoder's weights and vocabulary to `path/model_dir/name.safetensors`."""
        if not hasattr(self.model, "encoder"):
            raise UsageError("an AWD-LSTM's encoder can be kept; keep this model with learn.save()")
        path, reading = self._encoder_path(name), reading_of(self.task.input)
        model: Any = self.engine.plain(self.model)
        what = path, model.encoder, self.vocab, _bias(model)
        self.engine.by_first(lambda: write_encoder(*what, reading=reading))
        return path

    def load_encoder(self, name: str | Path) -> Self:
        """Read what `save_encoder` wrote, by token: words it did not know get its mean word.

        The learner is frozen to its head then. A warning counts the words that the encoder does
        not know. A vocabulary that shares less than a tenth with the encoder's is an error: the
        texts were tokenized otherwise, or are in another language.
        """
        path = self._encoder_path(name)
        return self.use_encoder(read_encoder(path), str(path))

    def use_encoder(self, given: Encoder, origin: str, published: bool = False) -> Self:
        """As `load_encoder`, from an encoder in memory.

        One that is `published` was made for any texts: new words are expected, and not counted.
        """
        reading = reading_of(self.task.input)
        if given.reading != reading:
            raise CheckpointError(
                f"{origin} reads texts otherwise ({given.reading}) than this data ({reading}): "
                "make the data with the tokenizer= and backwards= that the encoder was trained with"
            )
        known = given.share_known(self.vocab)
        if known < _LEAST_KNOWN:
            raise CheckpointError(
                f"{origin} knows {known:.0%} of the {len(self.vocab)} tokens of these texts: it is "
                "of another language or tokenizer. Make the data with its vocabulary (vocab=), or "
                "choose another encoder"
            )
        model: Any = self.model
        fitted = given.for_vocab(self.vocab)
        sides = (fitted.tensors, model.encoder.state_dict())
        there, here = ({k: [*v.shape] for k, v in side.items()} for side in sides)
        differ = [k for k in {**here, **there} if there.get(k) != here.get(k)]
        if differ:
            found, wanted = (side.get(differ[0], "missing") for side in (there, here))
            raise CheckpointError(
                f"{origin} is of another architecture: {len(differ)} tensors do not fit, the first "
                f"{differ[0]}: it is {found} there and {wanted} here. It was made with "
                f"config={given.sizes}"
            )
        forget_temperature(self, f"the encoder of {origin} takes the place of this one", 4)
        model.encoder.load_state_dict(fitted.tensors)
        bias = _bias(model)
        if fitted.bias is not None and bias is not None:
            bias.data.copy_(fitted.bias)
        if not published:
            _warn_of_new(given, self.vocab, origin)
        self.freeze()
        return self

    def _encoder_path(self, name: str | Path) -> Path:
        return checkpoint_path(self.path, self.model_dir, name)


def _bias(model: Any) -> Tensor | None:
    """That of a language model's decoder."""
    return getattr(model, "bias", None)


def _warn_of_new(given: Encoder, vocab: Sequence[str], origin: str) -> None:
    """Count the words of the data for which the encoder has no row of its own."""
    known = {*given.vocab, *SPECIAL, "xxfake"}
    new = [word for word in vocab if word not in known]
    if new:
        message = (
            f"{origin} does not know {len(new):,} of the {len(vocab):,} tokens of this data "
            f"({listing(new, 3)}): each begins as its mean word. To read texts as it does, make "
            "the data with its vocabulary (vocab=, the language model's data.vocab)"
        )
        warn(message, 4)


# A learner of what comes next: it writes, and shows what it predicts.

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
        start = given.ids(text).tolist()
        if given.backwards:  # what comes before is asked for: the text does not begin here
            start = start[:-1]
            if not start and n_words:
                raise UsageError("a backward model writes before a text: give it some words")
        rng = torch.Generator()
        rng.manual_seed(int(np.random.randint(2**31)) if seed is None else seed)
        forbidden = [given.unknown] if no_unk else []
        forbidden += [i for i, token in enumerate(self.vocab) if token in {BOS, "xxfake", "xxpad"}]
        unlikely = 0

        def draw(logits: Tensor) -> int:
            nonlocal unlikely
            logits[forbidden] = -torch.inf
            # to double first: a small temperature would bring likely ones beyond float32
            shares = (logits.double() / temperature).softmax(0)
            unlikely += min_p is not None and bool(shares.max() < min_p)
            return int(torch.multinomial(_restrict(shares, top_k, min_p), 1, generator=rng))

        whole = self._continue(start, n_words, draw)
        if unlikely:
            message = (
                f"before {unlikely} of {n_words} tokens none was as likely as min_p={min_p}, which "
                "was left aside there: take a lower one"
            )
            warn(message, 2)
        return _join(given, text, start, whole)

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
        """Beginnings of texts, and the next 20 tokens: the actual and the predicted ones."""
        require_whole("rows", rows)
        refuse_figsize(figsize)
        given: Any = self.task.input
        x, y = (side[:rows, : 2 * _SHOWN] for side in self.data.one_batch(ds_type))
        loader: Any = [(x.to(self.data.device), y)]
        batches = list(loop.predict(self.model, loader, self.engine))
        predicted = torch.cat([outputs.argmax(1).cpu() for outputs, _ in batches])
        half = min(_SHOWN, x.shape[1] // 2)
        return Table(
            {
                "text": [given.readable(row) for row in x[:, :half].tolist()],
                "actual": [given.readable(row) for row in y[:, half:].tolist()],
                "predicted": [given.readable(row) for row in predicted[:, half:].tolist()],
            }
        )

    def _continue(self, ids: list[int], n: int, draw: Callable[[Tensor], int]) -> list[int]:
        """`ids`, and `n` more that `draw` takes from the logits (vocab,) of each next one."""
        model: Any = self.model
        found, new = list(ids), ids
        with modes_kept(model), torch.no_grad():
            model.eval()
            model.reset()
            for _ in range(n):
                x = torch.tensor([new], device=self.data.device)
                outputs: Any = self.engine.forward(model, x)
                outputs = outputs.last() if isinstance(outputs, Undecoded) else outputs
                new = [draw(outputs[0, :, -1].float().cpu())]
                found += new
        model.reset()
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


def _join(given: Any, text: str, start: list[int], whole: list[int]) -> str:
    """The text and what was added, put together as the tokens are where these say how."""
    read, known, added = map(given.readable, (whole, start, whole[len(start) :]))
    if given.backwards:
        return (read.removesuffix(known) if read.endswith(known) else f"{added} ") + text
    return text + (read.removeprefix(known) if read.startswith(known) else f" {added}")


def _restrict(shares: Tensor, top_k: int | None, min_p: float | None) -> Tensor:
    """The shares (vocabulary,) of what may be drawn, 0 for all else."""
    if top_k is not None:
        kept = shares.topk(min(top_k, len(shares)))
        shares = torch.zeros_like(shares).scatter(0, kept.indices, kept.values)
    if min_p is not None and bool((shares >= min_p).any()):
        shares = torch.where(shares >= min_p, shares, 0.0)
    return shares


# Several classifiers of texts that answer as one, such as a forward and a backward one.


class Ensemble:
    """The mean of the probabilities of learners with the same answers and the same items.

    Source: Howard & Ruder 2018 (arXiv 1801.06146), forward and backward models.
    """

    def __init__(self, *learners: Learner) -> None:
        wrong = [each for each in learners if not isinstance(each, Learner)]
        if wrong:
            raise UsageError(f"Ensemble(a, b) takes learners, not {type(wrong[0]).__name__}")
        if any(learner.task.input.stream for learner in learners):
            raise UsageError("an ensemble is of classifiers, not of language models")
        targets = [learner.task.target.to_json() for learner in learners]
        answers = [{**target, "temperature": None} for target in targets]  # each has its own
        if not learners or any(answer != answers[0] for answer in answers):
            raise UsageError(
                "an ensemble is of learners with the same answers (classes, threshold)"
            )
        self.learners = learners

    def predictions(self, ds_type: DatasetType = DatasetType.Valid) -> Predictions:
        """As a learner's: what all say about one side, and the loss of that."""
        found = [learner.predictions(ds_type) for learner in self.learners]
        sources = [list(each.items.items) for each in found]
        if any(each != sources[0] for each in sources):
            raise UsageError("the learners' data have other items: split them with the same seed")
        if any(not torch.equal(each.targets, found[0].targets) for each in found):
            raise UsageError("the learners' data have other labels for the same items")
        shares = torch.stack([each.probabilities for each in found]).mean(0)
        target = self.learners[0].task.target
        # Not to the very end: the loss of a certain answer would be infinity minus infinity.
        logits = {"softmax": shares.log(), "sigmoid": torch.logit(shares, eps=1e-7)}
        outputs = logits.get(target.activation, shares)
        labelled = found[0].items.labels is not None
        losses = target.loss(outputs, found[0].targets, "none") if labelled else found[0].losses
        return replace(found[0], probabilities=shares, losses=losses)

    def get_preds(self, ds_type: DatasetType = DatasetType.Valid) -> list[Tensor]:
        """[probabilities, y] in the set's order."""
        found = self.predictions(ds_type)
        return [found.probabilities, found.targets]

    def predict(self, text: Any) -> tuple[Any, Tensor, Tensor]:
        """(answer, encoded answer, probabilities) of one text."""
        shares = torch.stack([learner.predict(text)[2] for learner in self.learners]).mean(0)
        answer = self.learners[0].task.target.decode(shares.numpy())
        return answer, torch.as_tensor(answer.data), shares
