"""Bring W&B level with the record: `python -m experiments.publish sweeps/small.yaml`."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from experiments import spec
from experiments.spec import WandbConfig
from experiments.sweepdir import SweepDir
from tinygpt.exits import BAD_INPUT, DONE, complain, run_command
from tinygpt.links import refuse_links


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: publish(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.publish",
        description="Upload to W&B what it lacks of a sweep's or a run's record. Repeated, it "
        "changes nothing.",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="a YAML file or a directory")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    return parser


def publish(arguments: argparse.Namespace) -> int:
    """Returns the exit code."""
    from experiments import mirror  # W&B takes half a second to load

    path, options = target(arguments)
    refuse_links(path)
    mirror.isolate(path / "wandb")
    if not mirror.logged_in():
        return complain("W&B: not logged in; `wandb login`, then run this again", BAD_INPUT)
    with mirror.sole(path / "wandb"):
        level = mirror.Mirror(path, dataclasses.replace(options, mode="online"), online=True)
        level.catch_up()
        level.leave()
    print(f"W&B: {path} is level in project {options.project}")
    return DONE


def target(arguments: argparse.Namespace) -> tuple[Path, WandbConfig]:
    """The directory to publish, and its W&B options: those of the file where one is named, for
    they may change."""
    if (arguments.sweep / "config.json").exists():
        return arguments.sweep, WandbConfig()
    if arguments.sweep.is_dir():
        return arguments.sweep, SweepDir(arguments.sweep).read_sweep()[0].wandb
    sweep, _ = spec.read(arguments.sweep, [])
    sweep_dir = SweepDir(arguments.out / sweep.name)
    sweep_dir.read_sweep()
    return sweep_dir.path, sweep.wandb


if __name__ == "__main__":
    raise SystemExit(main())
