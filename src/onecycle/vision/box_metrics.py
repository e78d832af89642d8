"""COCO's average precision of boxes, computed by pycocotools."""

import io
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.learn.metric import Metric
from onecycle.models.detector import scores_of
from onecycle.runtime.targets.boxes import BoxesSpec

_LEAST = 0.05  # score of a box that counts: precision is averaged over all thresholds
_SCALE = 1000.0  # edges of [-1, 1]: far from what pycocotools takes for nothing


def keep_boxes(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes in outputs of a detector, float32 (n, 100, 6) filled up with class -1, and y."""
    n_classes = outputs.shape[1] - 9
    spec = BoxesSpec(tuple(range(n_classes)), thresh=_LEAST)
    return torch.from_numpy(spec.decide(scores_of(outputs.float()).cpu().numpy())), y.cpu()


@partial(Metric, keep=keep_boxes, higher_is_better=True)
def mean_ap(outputs: Tensor, y: Tensor) -> float:
    """Mean average precision over classes and over overlaps from .50 to .95, COCO's main figure.

    Of at most 100 boxes an image, whatever the learner's own threshold is. Needs pycocotools
    (`onecycle[boxes]`). NaN where there is no box to find. Source: Lin et al. 2014 (arXiv
    1405.0312).
    """
    return _figure(outputs, y, 0)


@partial(Metric, keep=keep_boxes, higher_is_better=True)
def mean_ap50(outputs: Tensor, y: Tensor) -> float:
    """As `mean_ap`, of boxes that overlap by half: the mean over classes alone (Pascal VOC's)."""
    return _figure(outputs, y, 1)


def _figure(found: Tensor, y: Tensor, which: int) -> float:
    """One of pycocotools' figures of boxes (n, most, 6) and labels (n, count, 5)."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UsageError("mean_ap needs pycocotools: pip install 'onecycle[boxes]'") from error
    actual, predicted = _rows(y.numpy()), _rows(found.numpy())
    if not actual:
        return float("nan")
    kinds = sorted({row["category_id"] for row in (*actual, *predicted)})
    ids = range(len(y))
    about = {"images": [{"id": i} for i in ids], "categories": [{"id": k} for k in kinds]}
    with redirect_stdout(io.StringIO()):  # it prints a table
        labels, answers = COCO(), COCO()
        for coco, rows in ((labels, actual), (answers, predicted)):
            coco.dataset = about | {"annotations": rows}
            coco.createIndex()
        judge = COCOeval(labels, answers, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[which])


def _rows(boxes: np.ndarray) -> list[dict[str, Any]]:
    """Rows of COCO, numbered from 1, of (n, count, 5 or 6)."""
    rows = list[dict[str, Any]]()
    for item, own in enumerate(boxes):
        for top, left, bottom, right, kind, *score in own[own[:, 4] >= 0].astype(float).tolist():
            x, y, w, h = ((1 + v) * _SCALE for v in (left, top, right - left - 1, bottom - top - 1))
            row = {"id": len(rows) + 1, "image_id": item, "category_id": int(kind)}
            place = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            rows.append(row | place | ({"score": score[0]} if score else {}))
    return rows
