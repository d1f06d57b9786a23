"""Bring W&B level with the record: `python -m experiments.publish sweeps/small.yaml`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import provenance, spec
from experiments.sweepdir import SweepDir
from experiments.tracked import Sources, has_begun, home_of
from experiments.wandbconfig import WandbConfig
from tinygpt.exits import (
    BAD_INPUT,
    DONE,
    TEMPORARY,
    UNUSABLE_RECORD,
    complain,
    describe,
    run_command,
)
from tinygpt.links import refuse_links
from tinygpt.schema import ConfigError, Problem

if TYPE_CHECKING:
    from experiments.audit import Audit

ROUNDS = 2
"""What the server lacks although it was told all is sent once more."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: publish(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.publish",
        description="Upload to W&B what it lacks of the record of a sweep, a trial, a run or all "
        "sweeps in a directory, and look whether it has all. Repeated, it changes nothing.",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="a YAML file or a directory")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    return parser


def publish(arguments: argparse.Namespace) -> int:
    """Returns the exit code."""
    from experiments import client  # W&B takes half a second to load

    places = targets(arguments)
    client.isolate(home_of(places[0][0]))
    if refusal := refused():
        return complain(refusal, BAD_INPUT)
    return max([level(path, options) for path, options in places])


def refused() -> str | None:
    """Why nothing can be done on W&B; None if there is an account."""
    from experiments import client

    try:
        if client.logged_in():
            return None
    except client.KeyFormatError as error:
        return f"W&B: {error}; `wandb login` takes another"
    return "W&B: not logged in; `wandb login`, then run this again"


def targets(arguments: argparse.Namespace) -> list[tuple[Path, WandbConfig]]:
    """The directories to publish, and their W&B options. Raises ConfigError, RecordError."""
    path: Path = arguments.sweep
    if not path.is_dir():
        sweep, _ = spec.read(path, [])
        sweep_dir = SweepDir(arguments.out / sweep.name)
        sweep_dir.read_sweep()
        return [(sweep_dir.path, sweep.wandb)]  # as the file has them: they may change
    found = [path] if has_begun(path) else sorted(p for p in path.iterdir() if has_begun(p))
    if not found:
        rule = "no sweep or run was begun here; name the directory of one, or of several"
        raise ConfigError([Problem((), f"{path}: {rule}")])
    return [(place, options_of(place)) for place in found]


def options_of(path: Path) -> WandbConfig:
    """How a sweep or a run that is on disk goes to W&B; for a trial, its sweep says so."""
    sources = Sources(path)
    return sources.sweep.wandb if sources.sweep else WandbConfig()


def level(path: Path, options: WandbConfig) -> int:
    """Bring one directory level, and say whether it is; returns the exit code."""
    from experiments import client, mirror

    refuse_links(path)
    home = home_of(path)
    client.isolate(home)
    with mirror.sole(home):
        try:
            found, warnings = brought(path, options)
        except (client.GoneError, client.UnreachableError) as error:
            client.abandon(complain(*describe(error)))
        client.leave()
    for warning in warnings:
        print(f"warning: W&B lacks {warning}", file=sys.stderr)
    return told(path, options, found) or (UNUSABLE_RECORD if warnings else DONE)


def brought(path: Path, options: WandbConfig) -> "tuple[Audit, list[str]]":
    """Upload what the server lacks and ask it what it has, twice if it lacks something; that, and
    what cannot be read."""
    from experiments import audit, mirror, runmirror

    home = home_of(path)
    target = runmirror.Target(home, options, True, provenance.read(home / "source.json"))
    for _ in range(ROUNDS):
        mirrored = mirror.Mirror(Sources(path), target)
        mirrored.finish()
        found = audit.asked(Sources(path), target)
        for finding in found.findings:
            target.ledger.reopen(finding.expected.id)
        if all(finding.more for finding in found.findings):
            break
    return found, mirrored.warnings


def told(path: Path, options: WandbConfig, found: "Audit") -> int:
    """Say what the server has of a directory, and what it has not; returns the exit code."""
    count = f"{found.runs:,} runs, {found.rows:,} rows, {found.artifacts:,} artifacts"
    for finding in found.findings:
        advice = "; delete that run there and publish again" if finding.more else ""
        print(f"warning: {path}: {finding.expected.name} {finding.what}{advice}", file=sys.stderr)
    if not found.findings:
        print(f"W&B: {path} is level in project {options.project}, verified there: {count}")
        return DONE
    return complain(f"W&B: {path} is not level; run the same command again", TEMPORARY)


if __name__ == "__main__":
    raise SystemExit(main())
