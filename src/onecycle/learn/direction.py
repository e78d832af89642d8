"""Which way a figure improves, by its name alone: only for names that leave no doubt."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Established names of figures; digits that belong to them are part of the word.
_RISE = _words(
    "accuracy acc precision recall sensitivity specificity ppv npv tpr tnr f1 f2 fbeta fscore "
    "auc auroc auprc roc ap map mrr ndcg dcg hits kappa mcc matthews r2 iou miou jaccard dice "
    "bleu rouge meteor psnr ssim pearson pearsonr spearman spearmanr kendall cindex"
)
_FALL = _words("mse rmse mae mape smape msle rmsle medae perplexity ppl wer cer eer nll brier")
# Words beside such a name that do not turn its sense.
_NEUTRAL = _words(
    "a the of my mine own our val valid validation train test score metric value mean avg average "
    "macro micro weighted samples binary multi multiclass multilabel balanced top at k per class "
    "classes item items image pixel pixels token tokens foreground background area under curve pr "
    "cohen cohens quadratic linear coef coefficient thresh threshold ovr ovo"
)
# A loss whose sign or sense is turned round is no loss.
_TURNED = _words("neg negative negated minus inverse inverted inv no non not without")


def rises_by_name(name: str) -> bool | None:
    """True where more is better, False where less is, None where the name does not tell.

    What ends with "loss" or "error" falls. Any word that is not understood leaves it open:
    nothing is found in parts of words, or beside words such as "drop" and "neg".
    """
    words = re.findall(r"[a-z]+\d*|\d+", name.lower())
    if _is_loss(words):
        return False
    told = {word for word in words if word.rstrip("0123456789") not in {"", *_NEUTRAL}}
    if told and told <= _RISE:
        return True
    return False if told and told <= _FALL else None


def _is_loss(words: list[str]) -> bool:
    if words and words[-1] == "rate":
        words = words[:-1]
    last = words[-1].rstrip("0123456789") if words else ""
    ends = last.endswith(("loss", "losses")) or last in {"error", "errors"}
    return ends and not _TURNED & {*words, last.removesuffix("loss")}
