"""The steps of a run's record, as they become certain."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tinygpt import checkpoint
from tinygpt.files import read_mapping, row_of, whole_lines
from tinygpt.rundir import RunDir

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """All that a run's record says of one step: its rows of `metrics.jsonl`, the row of
    `timings.jsonl` beside the training row, and the text of `samples.jsonl`."""

    number: int
    rows: tuple[Row, ...]
    timing: Row | None
    sample: Row | None


class Tail:
    """Reads a run's record from its beginning, and each step once.

    A step is certain when a checkpoint stands behind it: an interrupted run goes on from there, and
    what it had written beyond is measured anew. All of a run that has ended is certain.
    """

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._metrics = Cursor(run_dir.metrics)
        self._timings = Cursor(run_dir.timings)
        self._samples = Cursor(run_dir.samples)

    def steps(self, ended: bool) -> Iterator[Step]:
        """The steps that have become certain since the last call, in order."""
        saved = checkpoint.steps(self._run_dir.checkpoints)
        certain = math.inf if ended else saved[-1] if saved else -1
        lines = self._metrics.ahead()
        groups = [(n, tuple(g)) for n, g in groupby(lines, key=lambda line: line.row["step"])]
        for (number, group), follows in zip(groups, [*groups[1:], None], strict=False):
            rows = tuple(line.row for line in group)
            if number > certain or not (ended or follows or self._is_whole(number, rows)):
                return
            self._metrics.offset = group[-1].end
            timings = [row for row in self._timings.up_to(number) if row["step"] == number]
            timing = next((row for row in timings if row["kind"] == "train"), None)
            sample = next((r for r in self._samples.up_to(number) if r["step"] == number), None)
            yield Step(number, rows, timing, sample)

    def _is_whole(self, number: int, rows: tuple[Row, ...]) -> bool:
        """Whether nothing can come any more to the last step there is."""
        if not any(row["kind"] == "eval" for row in rows):
            return False
        length = read_mapping(self._run_dir.config)["sample"]["max_new_tokens"]
        written = any(line.row["step"] == number for line in self._samples.ahead())
        return written or number == 0 or length == 0


class Line(NamedTuple):
    """A row, and the place in its file where it ends."""

    row: Row
    end: int


class Cursor:
    """A place in a JSONL file that is still being written. What is before it is never written
    again."""

    def __init__(self, path: Path) -> None:
        self._path, self.offset = path, 0

    def ahead(self) -> list[Line]:
        """The rows behind the place, up to the first line that is none."""
        if not self._path.exists() or self._path.stat().st_size <= self.offset:
            return []
        with open(self._path, "rb") as file:
            file.seek(self.offset)
            lines = whole_lines(file.read())
        found, end = [], self.offset
        for line in lines:
            row, end = row_of(line), end + len(line)
            if row is None or "step" not in row:
                break
            found.append(Line(row, end))
        return found

    def up_to(self, step: int) -> list[Row]:
        """The rows of steps up to and including one; the place is then behind them."""
        passed = [line for line in self.ahead() if line.row["step"] <= step]
        self.offset = passed[-1].end if passed else self.offset
        return [line.row for line in passed]
