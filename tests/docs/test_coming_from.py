"""The table of who has what: each of our marks leads to a page; what we lack stands there too."""

import re
from pathlib import Path

NONE = "\N{EN DASH}"
PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"
OWN = re.compile(r"\[[●○]\]\(((?:tutorials|how-to)/[\w-]+)\.md\)")


def rows():
    """(feature, own mark, marks of the others) of the table."""
    _, _, after = PAGE.read_text("utf-8").partition("## Who has what")
    lines = [line for line in after.split("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return cells[0], [(row[0], row[1], row[2:]) for row in cells[2:]]


def test_every_row_has_a_mark_for_every_system():
    head, found = rows()
    assert head[1] == "onecycle"
    assert len(found) > 20
    assert len({feature for feature, _, _ in found}) == len(found)
    for feature, _, others in found:
        assert len(others) == len(head) - 2, feature
        assert set(others) <= {"●", "○", NONE}, feature


def test_each_mark_of_ours_leads_to_a_page_that_shows_it():
    for feature, own, _ in rows()[1]:
        if own == NONE:
            continue
        found = OWN.fullmatch(own)
        assert found, f"{feature}: {own}"
        page = PAGE.parent / found[1]
        assert page.with_suffix(".md").exists() or page.with_suffix(".py").exists(), feature


def test_what_the_others_have_and_we_have_not_stands_there():
    lacking = [feature for feature, own, others in rows()[1] if own == NONE]
    assert len(lacking) >= 8
    for feature, own, others in rows()[1]:
        assert "●" in [own[1:2], *others], f"{feature}: nobody has it"
