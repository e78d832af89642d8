"""Answers as a folder of Parquet parts, each of which is whole or not there."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Self

from onecycle.cli.answers import (
    GROUP,
    Row,
    compare,
    parquet,
    require_same,
    told_in,
    write_parquet,
)
from onecycle.core.errors import UsageError
from onecycle.core.files import hold_alone, write_atomically, write_errors


class Parts:
    """The rows of one command in `out`, a file for each 1,024 of them; as `Answers` otherwise.

    Several commands with a --shard each may share the folder. What these are answers to stands in
    a file whose name begins with "_", which readers of such folders leave alone.
    """

    def __init__(
        self,
        out: Path,
        header: Sequence[str],
        about: dict[str, Any],
        are_numbers: Sequence[bool] = (),
        resume: bool = True,
    ) -> None:
        self.out, self.header, self.are_numbers = out, [*header], are_numbers
        self.resume = resume
        self.about = json.loads(json.dumps({**about, "header": self.header}))
        shard = str(about.get("shard") or "").replace("/", "-of-")
        self.name = f"shard-{shard}-" * bool(shard)
        self.count, self.number, self._open = 0, 0, ExitStack()
        self.told = out / f"_{self.name}answers.json"

    def __enter__(self) -> Self:
        if self.out.is_dir() and any(self.out.iterdir()) and not any(self.out.glob("_*.json")):
            raise UsageError(f"{self.out} holds files of somebody else: give another --out")
        parquet()
        self._require_shared()
        what = f"another process writes {self.name or 'answers '}into {self.out}"
        self._open.enter_context(hold_alone(self.told, what, remove=False))
        with write_errors(self.told), self._open as opened:
            if not self.resume:
                self._remove()
            if text := self.told.read_bytes():
                require_same(self.out, text, self.about)
            else:
                self.told.write_text(json.dumps(self.about), encoding="utf-8")
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _require_shared(self) -> None:
        """UsageError where what other commands put here are no other shards of the same rows."""
        _, _, count = str(self.about["shard"]).partition("/")
        for told in sorted(self.out.glob("_*answers.json")):
            if told != self.told and (text := told.read_bytes()):
                old = told_in(text).get("shard")
                fits = count and str(old).endswith(f"/{count}")
                require_same(told, text, {**self.about, "shard": old} if fits else self.about, "")

    def _remove(self) -> None:
        """Begin anew: what was written here before goes, the last part first."""
        for file in reversed([*takewhile(Path.is_file, self._files())]):
            file.unlink()
        self.told.write_bytes(b"")

    def _files(self) -> Iterator[Path]:
        """The parts, also those that are not there yet."""
        number = 0
        while True:
            yield self.out / f"{self.name}part-{number:05}.parquet"
            number += 1

    def _rows(self) -> Iterator[tuple[str, str | None]]:
        """Name and answer of each row that is there."""
        for file in takewhile(Path.is_file, self._files()):
            columns = parquet().read_table(file, columns=self.header[:2]).to_pydict()
            names, answers = (columns[name] for name in self.header[:2])
            self.number, self.count = self.number + 1, self.count + len(names)
            yield from zip(names, answers, strict=True)

    def skip(self, asked: Iterator[tuple[str, Any]]) -> tuple[Iterator[tuple[str, Any]], list[str]]:
        """What is asked and not there yet, and the names of what could not be read."""
        return asked, compare(self.out, asked, self._rows())

    def add(self, rows: Iterable[Row]) -> None:
        """Write the rows, part by part."""
        left = iter(rows)
        files = islice(self._files(), self.number, None)
        while group := list(islice(left, GROUP)):
            self._write(next(files), group)

    def _write(self, file: Path, group: Sequence[Row]) -> None:
        write_atomically(file, lambda to: write_parquet(to, self.header, self.are_numbers, group))

    def finish(self) -> None:
        """Nothing is left to be done: every part is there."""
