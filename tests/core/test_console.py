"""Letters that an output has not are escapes in what people read, an error in what machines do."""

import csv
import io

import pytest

from onecycle.cli.answers import write_csv
from onecycle.cli.commands import plain_errors
from onecycle.core.display import exact_text, print_any_text
from onecycle.core.errors import UsageError

CAT = "\u732b"


def output(encoding="cp1252", line_end="\n"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline=line_end)


def written(file):
    file.flush()
    return file.buffer.getvalue()


def test_what_people_read_is_printed_in_any_case():
    file = output()
    print_any_text(file)
    print("caf\u00e9", CAT, file=file)
    assert written(file) == b"caf\xe9 \\u732b\n"


def test_what_machines_read_is_exact_or_an_error():
    file = output()
    print_any_text(file)
    with exact_text(file, "use --out"):
        file.write("caf\u00e9\n")
    wanted = rf"cp1252\) has no '{CAT}'.*use --out, or set PYTHONUTF8"
    with pytest.raises(UsageError, match=wanted), exact_text(file, "use --out"):
        file.write(f"{CAT}\n")
    print(CAT, file=file)
    assert written(file) == b"caf\xe9\n\\u732b\n"


def test_a_command_prints_names_of_any_letters(monkeypatch):
    file = output()
    monkeypatch.setattr("sys.stdout", file)
    plain_errors(lambda: print("classes:", CAT))()
    assert written(file) == b"classes: \\u732b\n"


def test_a_table_on_standard_output_has_the_lines_of_the_system():
    """Text files of Windows make CR LF of every LF, so that CR LF would become CR CR LF."""
    rows = [("a.png", "cat", [0.25]), ("b.png", None, [0.5])]
    for line_end in ("\n", "\r\n"):
        file = output("utf-8", line_end)
        write_csv(file, ["file", "answer", "cat"], rows, "\n")
        found = written(file).decode()
        assert found == line_end.join(["file,answer,cat", "a.png,cat,0.25", "b.png,,0.5", ""])
        assert len(list(csv.reader(io.StringIO(found, newline="")))) == 3
