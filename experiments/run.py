"""One tracked run: `python -m experiments.run runs/small/trials/0007/config.json`."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import loading
from experiments.mirroring import FINISH_SECONDS, Mirroring
from experiments.spec import WandbConfig, overridden
from experiments.terminal import Terminal
from tinygpt import config
from tinygpt.exits import run_command
from tinygpt.files import BusyError, is_locked
from tinygpt.interrupt import LIMIT_SECONDS, Interrupt
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
    add("config", type=Path, metavar="CONFIG", help="a run's YAML file, or a trial's config.json")
    add("--out", type=Path, metavar="RUN_DIR", help="default: runs/ and a name after the config")
    add("--set", action="append", default=[], metavar="key=value", help="as train.max_iters=100")
    add("--project", default=WandbConfig().project, help="W&B project (default %(default)s)")
    modes = ["auto", "online", "offline", "disabled"]
    add("--wandb", choices=modes, default="auto", help="auto: online when logged in, else offline")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Train to the end, or until a signal; returns the exit code."""
    options = WandbConfig(project=arguments.project, mode=arguments.wandb)
    run_dir = RunDir(arguments.out or default_out(arguments.config))
    if is_locked(run_dir.lock):
        raise BusyError(f"{run_dir.path}: another process runs it")
    settled, text = begin(requested(arguments.config, arguments.set), run_dir)
    with Interrupt(LIMIT_SECONDS, LEFT_LATE) as interrupt:
        terminal = Terminal(run_dir.path.name, 1, 1, progress=False)
        mirroring = Mirroring(run_dir.path, options, terminal)
        try:
            code = follow(settled, run_dir, text, interrupt)
        finally:
            mirroring.finish(FINISH_SECONDS, interrupt.is_late)
        return interrupt.exit_code if interrupt else code


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
