"""`onecycle predict` of addresses: the rows of the same files by their paths."""

import fsspec
import pandas as pd
from PIL import Image
from test_page import made
from typer.testing import CliRunner

from onecycle.cli.main import app


def test_the_command_answers_addresses_as_it_does_paths(tmp_path):
    model, stored = made("category", tmp_path), "memory://bucket/photos"
    memory = fsspec.filesystem("memory")
    for i, colour in enumerate(("red", "green", "blue", "white", "black")):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 30), colour).save(file)
        memory.pipe_file(f"/bucket/photos/{'ab'[i % 2]}/{i}.png", file.read_bytes())

    def table(*source):
        out = tmp_path / "answers.csv"
        command = ["predict", model, *source, "--out", out, "--no-resume"]
        done = CliRunner().invoke(app, [str(part) for part in command], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return pd.read_csv(out)

    near, far = table(tmp_path / "photos"), table(stored)
    assert far.file.tolist() == [f.replace(str(tmp_path / "photos"), stored) for f in near.file]
    assert far.drop(columns="file").equals(near.drop(columns="file"))
    shards = [table(stored, "--shard", f"{i}/3") for i in (1, 2, 3)]
    assert [len(part) for part in shards] == [2, 2, 1]
    assert sorted(pd.concat(shards).file) == sorted(far.file)
    assert table(f"{stored}/a/2.png").file.tolist() == [f"{stored}/a/2.png"]
    memory.pipe_file("/bucket/list.csv", f"file\n{stored}/b/3.png\n".encode())
    assert table("memory://bucket/list.csv").file.tolist() == [f"{stored}/b/3.png"]
