"""The report's files, written beside the record of their sweep."""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from analysis import figures, markdown, page, stats, tables
from analysis.checks import run_checks
from analysis.finding import Check
from analysis.load import LoadError, Sweep
from analysis.verdict import judge


def write(sweep: Sweep) -> Path:
    """Write every file of the report into `report/` of the sweep and return that folder.

    Each file is replaced as a whole; who writes the same report meanwhile is waited for. Raises
    OSError when the folder cannot be written, LoadError when a link stands in it or in its place.
    """
    refuse_links(sweep.directory)
    folder, files = sweep.directory / "report", render(sweep)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content)
    return folder


def refuse_links(directory: Path) -> None:
    """Raise LoadError if a sweep's directory or its report is a symbolic link or holds one."""
    folder = directory / "report"
    below = () if folder.is_symlink() else folder.rglob("*")
    for path in (directory, folder, *below):
        if path.is_symlink():
            problem = "is a symbolic link, and no report is written through one; remove it"
            raise LoadError(f"{path}: {problem}, or name the directory it leads to", 3)


def render(sweep: Sweep) -> Mapping[str, bytes]:
    """Return the report's files by name; the same record gives the same bytes."""
    verdict, checks, drawn = judge(sweep), run_checks(sweep), figures.draw(sweep)
    texts = {
        "report.html": page.render(sweep, verdict, checks, drawn),
        "report.md": markdown.render(sweep, verdict, checks, drawn),
        "leaderboard.csv": _csv(_by_rank(sweep.trials)),
        **_extra(sweep),
        "curves.csv": _csv(sweep.curves),
        "checks.json": _json(checks),
        **{f"figures/{name}.svg": svg for name, svg in drawn.svg.items()},
    }
    # Text read from a run may hold lone surrogates, which UTF-8 cannot encode.
    files = {name: text.encode("utf-8", "replace") for name, text in texts.items()}
    return files | {f"figures/{name}.png": png for name, png in drawn.png.items()}


def _extra(sweep: Sweep) -> dict[str, str]:
    """The tables that only some sweeps have."""
    extra = {}
    if sweep.replicates > 1:
        extra["configurations.csv"] = _csv(tables.with_parameters(sweep))
    if len(sweep.objectives) > 1:
        extra["pareto.csv"] = _csv(sweep.front)
    return extra


def _by_rank(trials: pd.DataFrame) -> pd.DataFrame:
    rest = trials[trials["rank"].isna()].sort_values("trial")
    return pd.concat([stats.leaders(trials), rest])


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _json(checks: list[Check]) -> str:
    found = [dataclasses.asdict(check) for check in checks]
    return json.dumps({"schema": 1, "checks": found}, indent=2, allow_nan=False) + "\n"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one that writes into a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Replace a file by new content; a reader finds the old or the new, also after a power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # what one that was killed had begun, or a planted link
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
