"""What of a sweep is done, running and left: `python -m experiments.status sweeps/small.yaml`."""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.search import Search
from experiments.sweepdir import SweepDir, find
from experiments.terminal import described, outcome
from experiments.trial import Trial
from tinygpt import checkpoint
from tinygpt.exits import DONE, run_command
from tinygpt.files import is_locked, read_rows


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: status(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.status",
        description="Show what is done, running and left of a sweep. Reads only.",
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="a YAML file or a directory")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    return parser


def status(arguments: argparse.Namespace) -> int:
    """Returns the exit code."""
    sweep_dir = find(arguments.sweep, arguments.out)
    search = sweep_dir.search()
    planned, trials = sweep_dir.planned(search.sweep), sweep_dir.history(search)
    print(headline(planned, sweep_dir, trials))
    for trial in trials:
        stands = standing(sweep_dir, trial, waits(search, trial, trials))
        print(f"  trial {trial.number:>3}  {stands:<28} {described(trial)}")
    for line in advice(planned, sweep_dir, trials):
        print(line)
    return DONE


def headline(planned: int, sweep_dir: SweepDir, trials: Sequence[Trial]) -> str:
    """Counts by state, and the best value so far."""
    counts = Counter(trial.state for trial in trials)
    left = max(0, planned - len(trials))
    states = [
        f"{counts[state]} {state}" for state in ("complete", "pruned", "failed") if counts[state]
    ]
    states += [f"{counts['running']} begun"] if counts["running"] else []
    states += [f"{left} left"] if left else []
    return f"{sweep_dir.path}: {planned} trials: {', '.join(states)}{best(trials)}"


def best(trials: Sequence[Trial]) -> str:
    complete = [(trial.value, trial.number) for trial in trials if trial.state == "complete"]
    if not complete:
        return ""
    value, number = min(complete)
    return f"; best {value:.4f} (trial {number})"


def waits(search: Search, trial: Trial, trials: Sequence[Trial]) -> str | None:
    """What a begun trial waits for, if it does."""
    if trial.same_as is not None:
        return f"waits for trial {trial.same_as}, the same"
    found = search.standings(trial.number, trials).get(trial.number)
    return None if found is None or found.state == "training" else f"paused at step {found.until}"


def standing(sweep_dir: SweepDir, trial: Trial, waiting: str | None = None) -> str:
    """How a trial ended, what it waits for, or how far it has come and whether someone is at it."""
    if trial.state != "running":
        return outcome(trial)
    if waiting:
        return waiting
    run_dir = sweep_dir.trial(trial.number)
    saved = max(checkpoint.steps(run_dir.checkpoints), default=0)
    step = max((row["step"] for row in read_rows(run_dir.metrics)), default=saved)
    if is_locked(run_dir.lock):
        return f"running, at step {step}"
    return f"interrupted, saved at {saved}"


def advice(planned: int, sweep_dir: SweepDir, trials: Sequence[Trial]) -> Iterator[str]:
    finished = sum(trial.state != "running" for trial in trials)
    if sweep_dir.is_owned():
        yield "a sweep command is driving it"
    elif finished < planned:
        yield f"nobody is driving it; `python -m experiments.sweep {sweep_dir.path}` goes on"
    else:
        yield f"done; the report: {sweep_dir.report / 'report.html'}"
    again = SweepDir(sweep_dir.path / "confirm")
    if again.begun():
        planned = again.read_sweep()[0].planned()
        yield f"confirmed: {again.ended()} of {planned} runs with fresh seeds, in {again.path}"


if __name__ == "__main__":
    raise SystemExit(main())
