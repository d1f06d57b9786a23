from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import checks
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]


def levels(sweep: Sweep) -> dict[str, str]:
    return {check.id: check.level for check in checks.run_checks(sweep)}


def test_healthy_sweep_leaves_only_the_noise_unknown(write: Write, trial: Trial) -> None:
    found = levels(Sweep.load(write(trial(0), trial(1, value=3.0))))
    assert found.pop("noise") == "unknown"
    assert set(found.values()) == {"ok"}


@pytest.mark.parametrize(
    ("failed", "level"), [(0, "ok"), (1, "info"), (2, "info"), (3, "warn"), (10, "fail")]
)
def test_many_failures_put_the_space_in_doubt(
    write: Write, trial: Trial, failed: int, level: str
) -> None:
    states = ["failed"] * failed + ["complete"] * (10 - failed)
    sweep = Sweep.load(write(*[trial(n, state) for n, state in enumerate(states)]))
    assert checks.failures(sweep).level == level


@pytest.mark.parametrize(
    ("parameters", "level"),
    [
        ({}, "ok"),
        ({"train.learning_rate": 9e-3}, "info"),
        ({"train.learning_rate": 1.1e-4}, "info"),
        ({"train.learning_rate": 2e-4}, "ok"),
        ({"model.n_layers": 4}, "info"),
        ({"model.d_model": 96}, "info"),
    ],
)
def test_winner_at_the_end_of_a_range_is_pointed_out(
    write: Write, trial: Trial, parameters: dict[str, Any], level: str
) -> None:
    check = checks.edge(Sweep.load(write(trial(0, parameters=parameters))))
    assert check.level == level
    assert all(key in check.evidence for key in parameters) == (level == "info" or not parameters)


@pytest.mark.parametrize("choices", [["a", "b", "c"], [True, False], [32, 64]])
def test_choices_without_order_or_inside_have_no_edge(
    write: Write, trial: Trial, choices: list[Any]
) -> None:
    space = {"model.x": {"type": "categorical", "choices": choices}}
    directory = write(trial(0, parameters={"model.x": choices[0]}), space=space)
    assert checks.edge(Sweep.load(directory)).level == "ok"


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
