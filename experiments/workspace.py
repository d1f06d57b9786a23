"""A sweep's pages on W&B: `python -m experiments.workspace sweeps/small.yaml`."""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import publish
from experiments.sweepdir import SweepDir
from experiments.tracked import Sources, home_of
from tinygpt import durable
from tinygpt.exits import BAD_INPUT, DONE, complain, run_command
from tinygpt.files import RecordError, mapping_in, write_atomically
from tinygpt.schema import ConfigError, Problem

if TYPE_CHECKING:
    from experiments.dashboard import Subject

MISSING = "wandb-workspaces is not installed; `pip install 'wandb-workspaces>=0.4.13,<0.5'`"


@dataclass(frozen=True)
class Made:
    """What was made on W&B before: made again, it is replaced. Ids, empty where there is none."""

    place: str = ""
    workspace: str = ""
    view: str = ""
    report: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: make(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.workspace",
        description="Make a workspace and a report page of a sweep on W&B: curves, parameters, "
        "samples, speed. Repeated, it replaces them.",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="a YAML file or a directory")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    return parser


def make(arguments: argparse.Namespace) -> int:
    """Returns the exit code."""
    from experiments import client  # W&B takes half a second to load

    try:
        from experiments import dashboard
    except ModuleNotFoundError:
        return complain(MISSING, BAD_INPUT)
    path, options = publish.targets(arguments)[0]
    sources = Sources(path)
    if sources.sweep is None or sources.only is not None:
        raise ConfigError([Problem((), f"{path}: is no sweep; name a sweep's file or directory")])
    home = home_of(path)
    client.isolate(home)
    if refusal := publish.refused():
        return complain(refusal, BAD_INPUT)
    entity = options.entity or client.own_entity()
    subject = dashboard.Subject(sources.sweep, entity, options.project, sources.id)
    with contextlib.redirect_stdout(sys.stderr), client.answering():
        for url in made(subject, home / "workspace.json", sources.sweep_dir):
            print(url, file=sys.__stdout__)
    return DONE


def made(subject: "Subject", memory: Path, sweep_dir: SweepDir) -> list[str]:
    """Save the workspace and the report of a sweep; their addresses."""
    from experiments import dashboard

    place = f"{subject.entity}/{subject.project}"
    before = remembered(memory)
    before = before if before.place == place else Made(place)
    page = dashboard.workspace(subject)
    page._internal_name, page._internal_id = before.workspace, before.view
    page.save()
    written = sweep_dir.report / "report.md"
    text = written.read_text() if written.exists() else f"# Sweep {subject.sweep.name}\n"
    report = dashboard.report(subject, text)
    report.id = before.report
    report.save()
    now = replace(before, workspace=page._internal_name, view=page._internal_id, report=report.id)
    durable.make_directory(memory.parent)
    write_atomically(memory, (json.dumps(vars(now), indent=2) + "\n").encode())
    return [f"workspace {page.url}", f"report    {report.url}"]


def remembered(memory: Path) -> Made:
    """What was made before; nothing where that cannot be read: then it is made once more."""
    try:
        return Made(**mapping_in(memory.read_bytes(), memory))
    except (FileNotFoundError, RecordError, TypeError):
        return Made()


if __name__ == "__main__":
    raise SystemExit(main())
