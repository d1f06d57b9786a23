from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import checks, noise
from analysis.finding import Check
from analysis.findings import confirmation, feasibility, space
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]


def check_of(question: Any, sweep: Sweep) -> Check:
    """The check of a finding that has one."""
    (check,) = question.find(sweep, noise.measured(sweep)).checks
    assert isinstance(check, Check)
    return check


def test_healthy_sweep_is_ok_in_all(write: Write, trial: Trial) -> None:
    found = checks.run_checks(Sweep.load(write(trial(0), trial(1, value=3.0))))
    assert {check.level for check in found} == {"ok"}


@pytest.mark.parametrize(
    ("failed", "level"), [(0, "ok"), (1, "info"), (2, "info"), (3, "warn"), (10, "fail")]
)
def test_many_failures_put_the_space_in_doubt(
    write: Write, trial: Trial, failed: int, level: str
) -> None:
    states = ["failed"] * failed + ["complete"] * (10 - failed)
    sweep = Sweep.load(write(*[trial(n, state) for n, state in enumerate(states)]))
    assert check_of(feasibility, sweep).level == level


@pytest.mark.parametrize(
    ("parameters", "level"),
    [
        ({}, "unknown"),
        ({"train.learning_rate": 9e-3}, "info"),
        ({"train.learning_rate": 1.1e-4}, "info"),
        ({"train.learning_rate": 2e-4}, "unknown"),
        ({"model.n_layers": 4}, "info"),
        ({"model.d_model": 96}, "info"),
    ],
)
def test_winner_at_the_end_of_a_range_is_pointed_out(
    write: Write, trial: Trial, parameters: dict[str, Any], level: str
) -> None:
    check = check_of(space, Sweep.load(write(trial(0, parameters=parameters))))
    assert check.level == level
    assert all(key in check.evidence for key in parameters) == (level == "info" or not parameters)


@pytest.mark.parametrize("choices", [["a", "b", "c"], [True, False], [32, 64]])
def test_choices_without_order_or_inside_have_no_edge(
    write: Write, trial: Trial, choices: list[Any]
) -> None:
    searched = {"model.x": {"type": "categorical", "choices": choices}}
    directory = write(trial(0, parameters={"model.x": choices[0]}), space=searched)
    assert check_of(space, Sweep.load(directory)).level == "ok"


def test_unfinished_sweep_says_how_to_go_on(write: Write, trial: Trial) -> None:
    check = checks.done(Sweep.load(write(trial(0), trial(1, state=None), planned=5)))
    assert check.level == "warn"
    assert check.evidence.startswith("4 of 5 trials")
    assert "again" in check.action


def test_sweep_of_pruned_trials_only_blames_the_pruner(write: Write, trial: Trial) -> None:
    check = checks.completed(Sweep.load(write(trial(0, "pruned"))))
    assert check.level == "fail"
    assert "n_warmup_steps" in check.action


def test_unreadable_files_are_named(write: Write, trial: Trial) -> None:
    directory = write(trial(0))
    (directory / "trials/0000/result.json").write_text("{")
    assert "trials/0000/result.json" in checks.record(Sweep.load(directory)).evidence


def replicated(trial: Trial, *values: tuple[float, ...]) -> list[Any]:
    """Trials of configurations, each with one value per seed."""
    flat = [(one, value) for one, of in enumerate(values) for value in of]
    return [
        trial(n, value=value, seed=n, parameters={"train.x": one})
        for n, (one, value) in enumerate(flat)
    ]


@pytest.mark.parametrize(
    ("values", "level", "expected"),
    [
        ([(2.0, 2.2), (1.0, 1.2)], "ok", "away"),
        ([(2.0, 2.2), (1.9, 2.1)], "warn", "away"),
        ([(2.0,), (1.0,)], "unknown", "one seed"),
        ([(2.0, 2.2)], "unknown", "no other configuration"),
    ],
)
def test_margin_of_the_winner_is_measured_against_the_noise_of_seeds(
    write: Write, trial: Trial, values: list[tuple[float, ...]], level: str, expected: str
) -> None:
    check = check_of(confirmation, Sweep.load(write(*replicated(trial, *values), replicates=2)))
    assert check.level == level
    assert expected in check.evidence


@pytest.mark.parametrize(("hard_high", "level"), [(None, "info"), (0.1, "info"), (1e-2, "unknown")])
def test_edge_that_may_not_be_moved_is_no_advice(
    write: Write, trial: Trial, hard_high: float | None, level: str
) -> None:
    rate = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "hard_high": hard_high}
    directory = write(
        trial(0, parameters={"train.learning_rate": 9e-3}), space={"train.learning_rate": rate}
    )
    assert check_of(space, Sweep.load(directory)).level == level


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ([], "All trials came from the file as it is."),
        ([1], "Trial 0 came from an earlier version of the file."),
        ([3], "Trials 0-2 came from an earlier version of the file."),
        ([2, 3], "Trials 0-1 and 2 came from earlier versions of the file."),
        ([9], "Trials 0-3 came from an earlier version of the file."),
    ],
)
def test_trials_of_earlier_versions_of_the_file_are_named(
    write: Write, trial: Trial, until: list[int], expected: str
) -> None:
    earlier = [{"until": end, "sweep": {"space": {}}} for end in until]
    sweep = Sweep.load(write(*[trial(n) for n in range(4)], earlier=earlier))
    assert checks.versions(sweep).evidence == expected


def test_duplicates_are_no_evidence(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0), trial(1, "failed"), trial(2, same_as=0)))
    assert checks.completed(sweep).evidence == (
        "1 of 2 trials are complete. 1 more took another's result."
    )
    assert check_of(feasibility, sweep).evidence.startswith("1 of 2 trials")


@pytest.mark.parametrize(
    ("meta", "limited"),
    [
        ({"budget": {"time": 7200.0}}, True),
        ({"max_disk": "2GB"}, True),
        ({"budget": {"time": None, "per_trial": {"tokens": 5e6}}, "max_disk": None}, False),
    ],
)
def test_sweep_with_a_budget_may_be_over_before_its_trials_are(
    write: Write, trial: Trial, meta: dict[str, Any], limited: bool
) -> None:
    check = checks.done(Sweep.load(write(trial(0), planned=3, **meta)))
    assert ("unless" in check.action) == limited
