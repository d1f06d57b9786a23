"""Two sweeps against each other."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import frames, versus
from analysis.__main__ import main
from analysis.load import Sweep
from analysis.noise import Noise

Write = Callable[..., Path]
Trial = Callable[..., Any]
Pair = Callable[..., tuple[Sweep, Sweep]]


@pytest.fixture
def pair(write: Write, trial: Trial, tmp_path: Path) -> Pair:
    """Two sweeps of three trials, whose best values are given, and what differs of the second."""

    def make(one: float, other: float, **changed: Any) -> tuple[Sweep, Sweep]:
        loaded = []
        for place, best in enumerate((one, other)):
            meta = changed if place else {}
            rows = [trial(0, value=2.0), trial(1, value=2.1, seed=5), trial(2, value=best, seed=9)]
            directory = write(*rows, **meta).rename(tmp_path / f"sweep-{place}")
            loaded.append(Sweep.load(directory))
            shutil.rmtree(tmp_path / "runs")
        return loaded[0], loaded[1]

    return make


def confirmed(sweep: Sweep, *values: float) -> Sweep:
    """The sweep with its trial 2 confirmed on as many seeds."""
    rows = [
        {"trial": 2, "seed": seed, "state": "complete", "value": value}
        for seed, value in enumerate(values)
    ]
    return dataclasses.replace(sweep, confirmed=frames.frame(rows, frames.CONFIRMED))


CORPUS = {"name": "other", "sha256": "cd" * 32, "characters": 1, "vocabulary": 120}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"corpus": CORPUS}, ["corpus: abababababababab against cdcdcdcdcdcdcdcd"]),
        ({"seed": 7}, []),
        ({"run": {"data": {"val_fraction": 0.2}}}, ["validation split: None against 0.2"]),
        ({"objective": {"metric": "params", "direction": "minimize"}}, ["objective: "]),
    ],
)
def test_what_makes_sweeps_incomparable_is_named(
    pair: Pair, changed: dict[str, Any], expected: list[str]
) -> None:
    found = versus.barriers(*pair(1.0, 1.5, **changed))
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_incomparable_sweeps_are_told_so_first_and_not_ranked(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = pair(1.0, 1.5, corpus=CORPUS)
    assert main(["compare", str(one.directory), str(other.directory)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("These sweeps cannot be compared")
    assert "better" not in out


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (((), ()), "has the better value, by how much more than chance is not known"),
        (((1.0, 1.01, 1.02), (1.5, 1.51, 1.52)), "is better: "),
        (((1.0, 1.2, 1.4), (1.1, 1.3, 1.5)), "Tied: "),
        (((1.0, 1.2), (1.0, 1.2)), "Equal: "),
    ],
)
def test_winners_are_compared_by_their_fresh_seeds(
    pair: Pair, seeds: tuple[tuple[float, ...], tuple[float, ...]], expected: str
) -> None:
    one, other = (confirmed(s, *v) for s, v in zip(pair(1.0, 1.5), seeds, strict=True))
    assert expected in versus.verdict(one, other)


def test_better_one_is_the_one_whose_loss_is_lower(pair: Pair) -> None:
    one, other = pair(1.5, 1.0)
    one, other = confirmed(one, 1.5, 1.51), confirmed(other, 1.0, 1.01)
    assert versus.verdict(one, other).startswith("the second is better")
    assert versus.verdict(other, one).startswith("the first is better")


def test_noise_of_two_sweeps_is_pooled_by_degrees_of_freedom() -> None:
    both = versus.pooled(Noise(0.1, 1, "confirmation"), Noise(0.2, 3, "confirmation"))
    assert both.freedom == 4
    assert both.sd == pytest.approx(((0.01 + 3 * 0.04) / 4) ** 0.5)
    assert not versus.pooled(Noise(), Noise()).known


def test_trials_that_both_have_are_compared_one_by_one(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = pair(1.0, 1.5)
    same = versus.matched(one, other)
    assert same.to_dict("records") == [
        {"trial": 0, "other": 0, "difference": 0.0},
        {"trial": 1, "other": 1, "difference": 0.0},
        {"trial": 2, "other": 2, "difference": 0.5},
    ]
    assert main(["compare", str(one.directory), str(other.directory)]) == 0
    assert (
        "same config and seed in both: 3, of which 2 came to the same value"
        in capsys.readouterr().out.replace("\n", " ")
    )


def test_difference_of_the_spaces_is_a_line_per_parameter(pair: Pair) -> None:
    space = {"model.n_layers": {"type": "int", "low": 1, "high": 8}}
    one, other = pair(1.0, 1.5, space=space)
    assert "model.n_layers: 1 to 4 against 1 to 8" in versus.spaces(one, other)
    assert "model.d_model: 32, 64, 96 against not searched" in versus.spaces(one, other)
