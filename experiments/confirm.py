"""Train the leaders of a sweep again with fresh seeds, so that its verdict has an interval:
`python -m experiments.confirm sweeps/small.yaml --top 3 --seeds 3`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import confirmation, sweep
from experiments.arguments import duration, positive
from experiments.opening import Request
from experiments.sweepdir import SweepDir, find
from tinygpt.exits import run_command
from tinygpt.links import refuse_links
from tinygpt.schema import ConfigError, Problem


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: confirm(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.confirm",
        description="Train the best configurations of a sweep and its baseline (trial 0) again, "
        "with fresh seeds that are the same for all, and report which is really the best. The runs "
        "are a sweep of their own in SWEEP's directory, under confirm/. Interrupted, the same "
        "command goes on; with a larger --top or --seeds it goes on to those.",
        epilog="exit codes: 0 done; 2 bad input, or no trial is complete; 3 the record is "
        "unusable; 4 another process is at it; 5 done, but some runs failed; 75 temporary (disk "
        "full, --timeout), run it again; 130, 143 stopped by a signal",
    )
    add = parser.add_argument
    add("sweep", type=Path, metavar="SWEEP", help="a YAML file, or the directory of a sweep")
    add("--top", type=positive, default=3, metavar="N", help="how many leaders (default: 3)")
    add("--seeds", type=positive, default=3, metavar="N", help="how many seeds each (default: 3)")
    add("--workers", type=positive, metavar="N", help="default: one per core up to max_concurrent")
    add("--timeout", type=duration, metavar="30m", help="save and stop after this time (s, m, h)")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="the sweep is in DIR/NAME")
    add("--dry-run", action="store_true", help="check all, show what would be trained, train none")
    add("--no-progress", action="store_true", help="plain lines instead of the live view")
    return parser


def confirm(arguments: argparse.Namespace) -> int:
    """Check, then drive; returns the exit code."""
    began = time.monotonic()
    sweep_dir = find(arguments.sweep, arguments.out)
    refuse_links(sweep_dir.path)
    request = requested(sweep_dir, arguments.top, arguments.seeds)
    return sweep.train(request, arguments, began, reported=sweep_dir)


def requested(sweep_dir: SweepDir, top: int, seeds: int) -> Request:
    """The confirmation of a sweep as a sweep, with what an earlier command has asked for first.

    Raises ConfigError where no trial is complete.
    """
    searched, search = sweep_dir.read_sweep()[0], sweep_dir.search()
    trials = sweep_dir.history(search)
    chosen = confirmation.chosen(searched, trials, top)
    if not chosen:
        problem = "no trial is complete, so there is nothing to confirm; finish the sweep first"
        raise ConfigError([Problem((), f"{sweep_dir.path}: {problem}")])
    if len(trials) < sweep_dir.planned(searched) or any(t.state == "running" for t in trials):
        print(f"{sweep_dir.path}: not finished; its leaders so far are confirmed")
    configs = [sweep_dir.trial(number).read_config() for number in chosen]
    there = SweepDir(sweep_dir.path / "confirm")
    before = there.read_sweep()[0] if there.begun() else None
    return Request(confirmation.of(searched, configs, seeds, before), None, there)


if __name__ == "__main__":
    raise SystemExit(main())
