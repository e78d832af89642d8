"""The table of stages, by hand."""

from onecycle.cli.plots import stage_table


def test_stages_are_lines_and_figures_columns():
    table = stage_table(
        {
            "head": {"epoch": 3, "train_loss": 0.5, "valid_loss": None, "acc": 0.25, "seconds": 9},
            "all layers": {"epoch": 7, "train_loss": 0.125, "valid_loss": 2.0, "acc": 1.0},
        }
    )
    rows = [line.split() for line in table.splitlines() if line.strip()]
    assert rows == [
        ["train_loss", "valid_loss", "acc"],
        ["head", "0.5000", "#na#", "0.2500"],
        ["all", "layers", "0.1250", "2.0000", "1.0000"],
    ]
    assert len({len(line) for line in table.splitlines() if line.strip()}) == 1
