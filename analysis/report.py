"""The report's files, written beside the record of their sweep."""

import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from analysis import evidence, figures, markdown, nextspace, page, stats, tables
from analysis.evidence import Evidence
from analysis.load import LoadError, Sweep


def write(sweep: Sweep, files: Mapping[str, bytes] | None = None) -> Path:
    """Write every file of the report, or these, into `report/` of the sweep; return that folder.

    Each file is replaced as a whole; who writes the same report meanwhile is waited for. Raises
    OSError when the folder cannot be written, LoadError when a link stands in it or in its place.
    """
    refuse_links(sweep.directory)
    folder = sweep.directory / "report"
    files = render(sweep) if files is None else files
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


def render(sweep: Sweep, known: Evidence | None = None) -> dict[str, bytes]:
    """Return the report's files by name; the same record gives the same bytes.

    `known` is what evidence.gather says of the sweep, if that has been asked already.
    """
    known = known or evidence.gather(sweep)
    drawn = figures.draw(sweep, known)
    texts = {
        "report.html": page.render(sweep, known, drawn),
        "report.md": markdown.render(sweep, known, drawn),
        "leaderboard.csv": _csv(_by_rank(sweep.trials)),
        **_extra(sweep),
        "curves.csv": _csv(sweep.curves),
        **{f"tables/{id}.csv": _csv(found.frame) for id, found in known.findings.items()},
        "checks.json": _json(known),
        "next_space.yaml": nextspace.text(sweep, known.findings["space"]),
        **{f"figures/{name}.svg": svg for name, svg in drawn.svg.items()},
    }
    files = _encoded(texts) | _parquet(sweep)
    return files | {f"figures/{name}.png": png for name, png in drawn.png.items()}


def render_page(sweep: Sweep, refresh: int = 0) -> dict[str, bytes]:
    """Return the page alone, for a sweep that goes on; see page.render for `refresh`."""
    known = evidence.gather(sweep)
    drawn = figures.draw(sweep, known, files=False)
    return _encoded({"report.html": page.render(sweep, known, drawn, refresh)})


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    # Text read from a run may hold lone surrogates, which UTF-8 cannot encode.
    return {name: text.encode("utf-8", "replace") for name, text in texts.items()}


def _parquet(sweep: Sweep) -> dict[str, bytes]:
    """The large tables as Parquet, where what writes it is installed."""
    if importlib.util.find_spec("pyarrow") is None:
        return {}
    frames = {"leaderboard": _by_rank(sweep.trials), "curves": sweep.curves}
    return {f"{name}.parquet": _columns(frame) for name, frame in frames.items()}


def _columns(frame: pd.DataFrame) -> bytes:
    # A parameter whose values are of several kinds has no type of its own there.
    mixed = frame.columns[frame.dtypes == "object"]
    return frame.astype(dict.fromkeys(mixed, "str")).to_parquet(index=False)


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


def _json(known: Evidence) -> str:
    found = [dataclasses.asdict(check) for check in known.checks]
    lights = {light.light: light.level for light in known.lights()}
    whole = {"schema": 1, "verdict": known.verdict.sentence, "lights": lights, "checks": found}
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


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
