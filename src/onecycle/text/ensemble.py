"""Several classifiers of texts that answer as one, such as a forward and a backward one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.data.databunch import DatasetType
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.text.targets import NextToken


class Ensemble:
    """The mean of the probabilities of learners with the same answers and the same items.

    Source: Howard & Ruder 2018 (arXiv 1801.06146), forward and backward models.
    """

    def __init__(self, *learners: Learner) -> None:
        wrong = [each for each in learners if not isinstance(each, Learner)]
        if wrong:
            raise UsageError(f"Ensemble(a, b) takes learners, not {type(wrong[0]).__name__}")
        answers = [learner.task.target.to_json() for learner in learners]
        if any(isinstance(learner.task.target, NextToken) for learner in learners):
            raise UsageError("an ensemble is of classifiers, not of language models")
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
        outputs = logits.get(getattr(target, "activation", ""), shares)
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
