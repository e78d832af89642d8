"""`python -m onecycle` is the command `onecycle`."""

from onecycle.cli.main import app

app()
