"""The report's files, written beside the record of their sweep."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis import figures, markdown, page, stats, tables
from analysis.checks import Check, run_checks
from analysis.load import Sweep
from analysis.verdict import judge


def write(sweep: Sweep) -> Path:
    """Write every file of the report into `report/` of the sweep and return that folder.

    Each file is replaced as a whole. Raises OSError when the folder cannot be written.
    """
    folder = sweep.directory / "report"
    for name, content in render(sweep).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
    return folder


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


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
