"""A folder that was made for a class, and holds nothing, is told."""

import pytest

from onecycle.core.errors import OnecycleWarning
from onecycle.text.lists import TextList


def texts(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            (root / folder / f"{i}.txt").write_text(f"text {i} of {folder}")


def test_a_class_without_a_file_is_told(tmp_path):
    texts(tmp_path, "cat", "dog")
    (tmp_path / "horse" / "deeper").mkdir(parents=True)
    (tmp_path / ".cache").mkdir()
    split = TextList.from_folder(tmp_path).split_by_idx([0, 3])
    with pytest.warns(OnecycleWarning, match=r"1 folders beside those of the 2 .* of 'horse'"):
        labelled = split.label_from_folder()
    assert labelled.classes == ["cat", "dog"]


def test_a_class_that_is_empty_on_one_side_is_told(tmp_path):
    texts(tmp_path, "train/cat", "train/dog", "valid/cat")
    (tmp_path / "valid" / "dog").mkdir()
    split = TextList.from_folder(tmp_path).split_by_folder()
    with pytest.warns(OnecycleWarning, match=r"1 folders .*valid.dog"):
        split.label_from_folder()


def test_folders_outside_the_data_set_are_no_matter(tmp_path):
    texts(tmp_path / "set", "cat", "dog", ".")
    (tmp_path / "results").mkdir()
    split = TextList.from_folder(tmp_path / "set").split_by_idx([0, 3, 6])
    with pytest.warns(OnecycleWarning) as messages:
        split.label_from_folder()
    assert [str(warning.message)[:20] for warning in messages] == ["2 of 6 files lie in "]


def test_folders_of_other_things_and_classes_that_are_named_are_no_matter(tmp_path):
    texts(tmp_path, "cat", "dog")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "stage-1.safetensors").touch()
    TextList.from_folder(tmp_path).split_by_idx([0, 3]).label_from_folder()
    (tmp_path / "horse").mkdir()
    split = TextList.from_folder(tmp_path).split_by_idx([0, 3])
    split.label_from_folder(classes=["cat", "dog"])
