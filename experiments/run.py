"""One tracked run: `python -m experiments.run runs/small/trials/0007/config.json`."""

import argparse
import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import fetch, loading
from experiments.mirroring import Mirroring
from experiments.spec import overridden
from experiments.terminal import Terminal
from experiments.wandbconfig import WandbConfig
from tinygpt import config
from tinygpt.exits import run_command
from tinygpt.files import BusyError, is_locked
from tinygpt.interrupt import LIMIT_SECONDS, Interrupt
from tinygpt.links import refuse_links
from tinygpt.rundir import RunDir
from tinygpt.schema import ConfigError, Problem
from tinygpt.train import LEFT_LATE, begin, follow


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: run(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.run",
        description="Train one configuration and track it on W&B. Interrupted, the same command "
        "goes on.",
    )
    add = parser.add_argument
    add(
        "config",
        metavar="CONFIG",
        help="a run's YAML file, a trial's config.json, or wandb:ENTITY/PROJECT/RUN_ID[:ALIAS]: a "
        "run on W&B, continued from its checkpoint",
    )
    add("--out", type=Path, metavar="RUN_DIR", help="default: runs/ and a name after the config")
    add("--set", action="append", default=[], metavar="key=value", help="as train.max_iters=100")
    add("--project", default=WandbConfig().project, help="W&B project (default %(default)s)")
    modes = ["auto", "online", "offline", "disabled"]
    add(
        "--anew", action="store_true", help="with wandb:...: train it again, and compare at the end"
    )
    add("--wandb", choices=modes, default="auto", help="auto: online when logged in, else offline")
    add(
        "--checkpoints",
        choices=["none", "end", "all"],
        default="end",
        help="which go to W&B: the best and the last (end), or each as it is saved (all)",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Train to the end, or until a signal; returns the exit code."""
    options = WandbConfig(
        project=arguments.project, mode=arguments.wandb, checkpoints=arguments.checkpoints
    )
    run_dir, file = located(arguments)
    request = requested(file, arguments.set)
    if is_locked(run_dir.lock):
        raise BusyError(f"{run_dir.path}: another process runs it")
    if origin := fetch.origin_of(run_dir):
        options = dataclasses.replace(options, project=origin.project, entity=origin.entity)
    terminal = Terminal(run_dir.path.name, 1, 1, progress=False)
    mirroring = Mirroring(run_dir.path, options, terminal)
    with contextlib.ExitStack() as unless_begun:
        unless_begun.callback(mirroring.dismiss)
        mirroring.greet()
        settled, text = begin(request, run_dir)
        unless_begun.pop_all()
    mirroring.begin()
    with Interrupt(LIMIT_SECONDS, LEFT_LATE) as interrupt:
        try:
            code = follow(settled, run_dir, text, interrupt)
        finally:
            mirroring.finish(options.patience(), interrupt.is_late)
        if not interrupt and (compared := fetch.comparison(run_dir)):
            print(compared)
        return interrupt.exit_code if interrupt else code


def located(arguments: argparse.Namespace) -> tuple[RunDir, Path]:
    """The directory of the run, and the file that configures it. A run on W&B is brought here,
    unless it is here already."""
    if not arguments.config.startswith(fetch.SCHEME):
        if arguments.anew:
            raise ConfigError([Problem((), "--anew: is for a run on W&B, wandb:...")])
        path = Path(arguments.config)
        return RunDir(arguments.out or default_out(path)), path
    reference = fetch.parsed(arguments.config)
    run_dir = RunDir(arguments.out or Path("runs") / reference.run_id)
    refuse_links(run_dir.path)
    fetch.fetch(reference, run_dir, anew=arguments.anew)
    return run_dir, run_dir.config


def requested(path: Path, overrides: list[str]) -> dict[str, Any]:
    """The nested run config in a file, with some keys set; raises ConfigError with all problems."""
    document = loading.read(path)
    data = document.data
    try:
        if not isinstance(data, Mapping):
            raise ConfigError([Problem((), "must be a mapping of keys")])
        for override in overrides:
            # A run's keys are what a sweep has below `run`.
            data = overridden({"run": data}, f"run.{override}")["run"]
        config.run_config(data)
    except ConfigError as error:
        raise document.located(error) from None
    return dict(data)


def default_out(path: Path) -> Path:
    """runs/NAME-trial-0007 for a trial's config, runs/STEM for a YAML file."""
    parts = Path(os.path.realpath(path)).parts  # a link to itself is no reason to stop here
    if path.name == "config.json" and len(parts) > 4 and parts[-3] == "trials":
        return Path("runs") / f"{parts[-4]}-trial-{parts[-2]}"
    return Path("runs") / path.stem


if __name__ == "__main__":
    raise SystemExit(main())
