"""A table of texts: whole in its frame, cut and escaped where it is shown."""

from onecycle.core.display import Table


def test_a_frame_and_a_length_hold_everything():
    table = Table({"text": ["a" * 601, "b"], "label": ["<x>", "y"]})
    assert len(table) == 2
    assert table.frame().to_dict("list") == {"text": ["a" * 601, "b"], "label": ["<x>", "y"]}
    assert len(Table({})) == 0


def test_what_is_shown_is_cut_at_600_characters():
    shown = Table({"text": ["a" * 600, "b" * 601]})._repr_html_()
    assert f"<td>{'a' * 600}</td>" in shown
    assert f"<td>{'b' * 599}\u2026</td>" in shown


def test_marks_of_html_are_shown_as_they_are(tmp_path):
    table = Table({"a<b": ["<script>", 'x & "y"']})
    page = table.save(tmp_path / "t.html").read_text(encoding="utf-8")
    assert "<th>a&lt;b</th>" in page
    assert "<script>" not in page
    assert "<td>x &amp; &quot;y&quot;</td>" in page
    assert page.startswith('<!doctype html><meta charset="utf-8">')


def test_in_a_terminal_each_row_is_a_block_of_its_columns():
    table = Table({"text": ["one", "two"], "label": ["x", "y"]})
    assert repr(table) == "text: one\nlabel: x\n\ntext: two\nlabel: y"
