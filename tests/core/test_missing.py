"""A file that is missing under its name, though people see it there, is found out."""

from unicodedata import normalize

import pytest

from onecycle.core.walk import hint_of_missing, hint_of_names

COMPOSED, APART = (normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def test_names_with_backslashes_are_counted():
    assert hint_of_names(["a/1.png", "b/2.png"]) == ""
    reported = hint_of_names(["a\\1.png", "b/2.png", "c\\d\\3.png"])
    assert "2 of these names hold backslashes" in reported
    assert hint_of_missing(["/nowhere/a\\1.png"]).startswith(" 1 of these names")


@pytest.mark.parametrize(("there", "asked"), [(COMPOSED, APART), (APART, COMPOSED)])
def test_accents_written_in_another_form_are_told(tmp_path, there, asked):
    (tmp_path / there).mkdir()
    (tmp_path / there / "0.png").touch()
    if (tmp_path / asked).exists():
        pytest.skip("this system takes both for one name")
    reported = hint_of_missing([tmp_path / asked / "0.png", tmp_path / "tea" / "0.png"])
    assert "1 of these files are there in other Unicode forms" in reported
    assert f"{there}/0.png" in reported


def test_other_capitals_are_told(tmp_path):
    (tmp_path / "Cats").mkdir()
    (tmp_path / "Cats" / "one.JPG").touch()
    if (tmp_path / "cats").exists():
        pytest.skip("this system takes both for one name")
    reported = hint_of_missing([f"{tmp_path}/cats/one.jpg", f"{tmp_path}/Cats/two.jpg"])
    assert "1 of these files are there in other capitals" in reported
    assert "Cats/one.JPG" in reported


def test_what_is_not_there_at_all_has_no_hint(tmp_path):
    (tmp_path / "a.png").touch()
    assert hint_of_missing([tmp_path / "b.png", tmp_path / "c" / "a.png", "relative.png"]) == ""
