"""Factories of texts that give each class its share of the validation side."""

from collections import Counter

import pandas as pd
import pytest

from onecycle.core.errors import UsageError
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch

LABELS = ["rare"] * 10 + ["usual"] * 60 + ["seldom"] * 30
TEXTS = [" ".join(f"{i:07b}".replace("0", "a").replace("1", "b")) for i in range(100)]
FRAME = pd.DataFrame({"label": LABELS, "text": TEXTS})


def held(data):
    return Counter(str(label) for label in data.valid_ds.labels)


def from_df(folder, frame=FRAME, **options):
    return TextClasDataBunch.from_df(folder, frame, **{"seed": 1, "min_freq": 1} | options)


@pytest.mark.parametrize("seed", range(4))
def test_each_class_has_its_share_where_it_is_asked_for(tmp_path, seed):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    even = {"rare": 2, "usual": 12, "seldom": 6}
    table = TextClasDataBunch.from_csv(tmp_path, "t.csv", seed=seed, stratify=True, min_freq=1)
    assert held(table) == even
    data = from_df(tmp_path, valid_pct=0.2, seed=seed, stratify=True)
    assert held(data) == even
    assert [str(text) for text in table.valid_ds.x.items] == list(data.valid_ds.x.items)


def test_without_it_the_draw_is_the_courses(tmp_path):
    data = from_df(tmp_path, valid_pct=0.2)
    split = data.src.train.x.from_df(FRAME, tmp_path, "text").split_by_rand_pct(0.2, 1, False)
    assert list(data.valid_ds.x.items) == list(split.valid.items)
    assert held(data) != {"rare": 2, "usual": 12, "seldom": 6}


def test_what_it_does_not_go_with_is_said(tmp_path):
    with pytest.raises(UsageError, match="leave stratify= out"):
        from_df(tmp_path, valid_df=FRAME[:9], stratify=True)
    with pytest.raises(UsageError, match="leave stratify= out, or say is_valid=False"):
        from_df(tmp_path, FRAME.assign(is_valid=[True] * 20 + [False] * 80), stratify=True)
    with pytest.raises(UsageError, match="no labels: leave stratify out"):
        TextLMDataBunch.from_df(tmp_path, FRAME, stratify=True)
