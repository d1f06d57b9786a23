"""Leaders trained again with fresh seeds, on the small sweep."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import confirmation
from experiments.trial import Trial
from tinygpt.config import run_config

Command = Callable[..., Any]
Start = Callable[..., Any]
Until = Callable[..., None]
Facts = Callable[[Path], dict[str, Any]]
MakeSweep = Callable[..., Any]


@pytest.fixture(scope="module")
def searched(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A copy of the finished small sweep, to be confirmed."""

    def copied() -> Path:
        path = tmp_path_factory.mktemp("confirm") / "runs" / "tiny"
        shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb"))
        return path

    return copied


@pytest.fixture(scope="module")
def confirmed(searched: Callable[[], Path], command: Command) -> Path:
    """The small sweep with its best two configurations and its baseline confirmed on two seeds."""
    path = searched()
    outcome = command("experiments.confirm", path, "--top", 2, "--seeds", 2, "--workers", 1)
    assert outcome.code == 0, outcome.err
    assert "fresh seeds" in " ".join(outcome.out.split())
    return path


def configs(path: Path) -> list[dict[str, Any]]:
    return [json.loads(one.read_text()) for one in sorted(path.glob("trials/*/config.json"))]


def without_seed(one: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != "seed"}


def test_runs_differ_from_the_trials_they_confirm_in_the_seed_alone(confirmed: Path) -> None:
    known = configs(confirmed)
    again = configs(confirmed / "confirm")
    first = [without_seed(one) for one in again[: len(again) // 2]]
    assert first == [without_seed(one) for one in again[len(again) // 2 :]]
    assert all(one in [without_seed(other) for other in known] for one in first)
    assert without_seed(known[0]) in first
    seeds = [one["seed"] for one in again]
    assert len(set(seeds)) == 2
    assert not set(seeds) & {one["seed"] for one in known}
    assert seeds == sorted(seeds, key=seeds.index)


def named(path: Path) -> Path:
    """A copy of a sweep's confirmation that is named as its study is."""
    copy: Path = path.parent / "tiny-confirm"
    shutil.copytree(path / "confirm", copy)
    return copy


def test_interrupted_confirmation_goes_on_to_the_same_bytes(
    confirmed: Path,
    searched: Callable[[], Path],
    start: Start,
    until: Until,
    command: Command,
    facts: Facts,
) -> None:
    path = searched()
    asked = ["experiments.confirm", path, "--top", 2, "--seeds", 2]
    process = start(*asked, "--workers", 2)
    until(lambda: list((path / "confirm" / "trials").glob("0001/checkpoints/*/manifest.json")))
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert command(*asked, "--workers", 1).code == 0
    assert facts(named(path)) == facts(named(confirmed))


def test_more_seeds_are_added_to_those_there_are(confirmed: Path, command: Command) -> None:
    before = configs(confirmed / "confirm")
    outcome = command("experiments.confirm", confirmed, "--top", 2, "--seeds", 3)
    assert outcome.code == 0, outcome.err
    after = configs(confirmed / "confirm")
    assert after[: len(before)] == before
    assert len(after) == len(before) * 3 // 2
    assert "over 3 fresh seeds" in " ".join(outcome.out.split())
    again = command("experiments.confirm", confirmed, "--top", 2, "--seeds", 3)
    assert (again.code, configs(confirmed / "confirm")) == (0, after)


def test_status_tells_of_a_confirmation(confirmed: Path, command: Command) -> None:
    assert "confirmed: " in command("experiments.status", confirmed).out


@pytest.mark.parametrize("keep", [0, 1])
def test_without_a_complete_trial_there_is_nothing_to_confirm(
    searched: Callable[[], Path], command: Command, keep: int
) -> None:
    path = searched()
    for trial in sorted((path / "trials").glob("*"))[keep:]:
        shutil.rmtree(trial)
    for result in (path / "trials").glob("*/result.json"):
        result.unlink()
    outcome = command("experiments.confirm", path)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "no trial is complete" in line
    assert not (path / "confirm").exists()


def complete(number: int, value: float, **facts: Any) -> Trial:
    return Trial(number, {"train.learning_rate": number}, "complete", value, **facts)


@pytest.mark.parametrize(
    ("trials", "top", "expected"),
    [
        ([complete(0, 2.0), complete(1, 1.0), complete(2, 3.0)], 1, [1, 0]),
        ([complete(0, 1.0), complete(1, 2.0)], 2, [0, 1]),
        ([complete(0, 2.0), complete(1, 2.0, metrics={"tokens": -1})], 1, [1, 0]),
        ([Trial(0, {}, "pruned", 0.1), complete(1, 2.0)], 3, [1, 0]),
        ([complete(0, 2.0), complete(1, 1.0, same_as=0)], 2, [0]),
        ([Trial(0, {}, "failed")], 3, []),
        ([], 3, []),
    ],
)
def test_leaders_are_the_best_complete_trials_and_the_baseline(
    make_sweep: MakeSweep, trials: list[Trial], top: int, expected: list[int]
) -> None:
    assert confirmation.chosen(make_sweep(), trials, top) == expected


def test_replicates_count_once_and_a_lucky_seed_does_not_lead(make_sweep: MakeSweep) -> None:
    values = [(0, 0, 2.0), (1, 0, 1.9), (2, 1, 1.0), (3, 2, 1.5), (4, 2, 1.7)]
    trials = [Trial(n, {"train.learning_rate": one}, "complete", value) for n, one, value in values]
    space = {"train.learning_rate": {"type": "float", "low": 1e-3, "high": 9.0}}
    sweep = make_sweep(replicates=3, space=space, enqueue=[])
    assert confirmation.chosen(sweep, trials, 2) == [3, 1, 0]


def test_fresh_seeds_are_the_same_for_every_number_of_them(make_sweep: MakeSweep) -> None:
    sweep = make_sweep()
    assert confirmation.fresh(sweep, 5)[:3] == confirmation.fresh(sweep, 3)
    assert sweep.run.seed not in confirmation.fresh(sweep, 50)


def test_what_a_budget_decided_is_trained_again_as_it_was(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(budget={"per_trial": {"tokens": 640}})
    run = run_config({"train": {"max_iters": 20}})
    again = confirmation.of(sweep, [run], 2, None)
    assert [queued["train.max_iters"] for queued in again.enqueue] == [20, 20]
    assert not again.budget.per_trial.limited()
