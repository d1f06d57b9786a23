import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import noise
from analysis.finding import Finding
from analysis.findings import confirmation
from analysis.findings.optimism import SCHEMA, find, searched
from analysis.frames import CONFIRMED, frame
from analysis.load import Sweep
from analysis.noise import Noise

Write = Callable[..., Path]
Trial = Callable[..., Any]

KNOWN = Noise(0.01, 8, "confirmation")


def found(sweep: Sweep, measured: Noise) -> Finding:
    """The finding, which always has its whole schema and never a number that is not known."""
    finding = find(sweep, measured)
    expected = {name: column.dtype for name, column in SCHEMA.items()}
    assert {name: str(dtype) for name, dtype in finding.frame.dtypes.items()} == expected
    assert finding.known == (not finding.frame.empty) == bool(finding.facts)
    return finding


def loaded(write: Write, trial: Trial, *values: float, **meta: Any) -> Sweep:
    return Sweep.load(write(*[trial(n, value=value) for n, value in enumerate(values)], **meta))


def with_fresh(sweep: Sweep, runs: Sequence[tuple[int, float]]) -> Sweep:
    rows = [
        {"trial": trial, "seed": seed, "state": "complete", "value": value}
        for seed, (trial, value) in enumerate(runs)
    ]
    return dataclasses.replace(sweep, confirmed=frame(rows, CONFIRMED))


@pytest.mark.parametrize("minimize", [True, False])
def test_rerun_is_expected_to_be_worse_than_the_best_by_its_luck(
    write: Write, trial: Trial, minimize: bool
) -> None:
    sign = 1 if minimize else -1
    direction = "minimize" if minimize else "maximize"
    values = [sign * value for value in (2.0, 1.51, 1.5, 1.512)]
    objective = {"metric": "val_loss", "direction": direction}
    sweep = loaded(write, trial, *values, objective=objective)
    finding = found(sweep, KNOWN)
    _, gain = noise.renoised(searched(sweep)["value"], KNOWN, minimize)
    assert finding.facts["optimism"] == gain > 0
    assert finding.facts["expected"] == pytest.approx(sign * 1.5 + sign * gain)
    middle = (finding.facts["low"] + finding.facts["high"]) / 2
    assert middle == pytest.approx(finding.facts["expected"])
    assert finding.frame["trial"].tolist() == [2, 1, 3]
    assert finding.frame["p_best"].sum() == pytest.approx(1)


def test_answer_names_the_trial_the_value_and_its_range(write: Write, trial: Trial) -> None:
    answer = found(loaded(write, trial, 2.0, 1.51, 1.5), KNOWN).answer
    assert answer.startswith("One more run of trial 2 should give about 1.50")
    assert "nats per character, with 95 % probability between 1.4" in answer
    assert "picked as the best of 3, its value looks 0.00" in answer


def test_clear_best_was_not_picked_by_luck(write: Write, trial: Trial) -> None:
    finding = found(loaded(write, trial, 2.0, 1.5), KNOWN)
    assert finding.facts["expected"] == pytest.approx(1.5)
    assert finding.answer.endswith(
        "its value is too far ahead of the others to have been picked by luck. With a probability "
        "of over 99% none of the others is better."
    )


def test_at_most_twenty_trials_are_shown_the_likeliest_first(write: Write, trial: Trial) -> None:
    sweep = loaded(write, trial, *np.linspace(1.6, 1.59, 24).tolist())
    table = found(sweep, KNOWN).frame
    assert len(table) == 20
    assert table["p_best"].is_monotonic_decreasing
    assert table["n"].eq(1).all()


def test_unknown_noise_gives_values_only_as_ifs(write: Write, trial: Trial) -> None:
    sweep = loaded(write, trial, 2.0, 1.501, 1.5)
    finding = found(sweep, Noise())
    small, large = (
        noise.renoised(sweep.trials["value"], Noise(sd, 10), True)[1] for sd in (0.003, 0.01)
    )
    assert finding.answer == (
        "Not known while the noise between seeds is not measured; one more run of trial 2 would "
        f"give about {1.5 + small:.4f} if its standard deviation were 0.003 nats and about "
        f"{1.5 + large:.4f} if its standard deviation were 0.01 nats."
    )


def test_nothing_is_supposed_of_an_objective_that_is_no_loss(write: Write, trial: Trial) -> None:
    objective = {"metric": "accuracy", "direction": "maximize"}
    answer = found(loaded(write, trial, 0.5, 0.6, objective=objective), Noise()).answer
    assert answer == "Not known while the noise between seeds is not measured."


@pytest.mark.parametrize("measured", [Noise(), KNOWN])
@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "No trial is complete."),
        ([{"state": "pruned"}] * 3, "No trial is complete."),
        ([{"value": math.inf}, {"value": math.nan}], "No trial is complete."),
        ([{}], "It takes two"),
        ([{}, {"same_as": 0}, {"state": "failed", "value": None}], "It takes two"),
    ],
)
def test_with_too_few_trials_it_says_what_is_missing(
    write: Write, trial: Trial, trials: list[dict[str, Any]], said: str, measured: Noise
) -> None:
    sweep = Sweep.load(write(*[trial(n, **row) for n, row in enumerate(trials)]))
    assert said in found(sweep, measured).answer


def test_only_complete_trials_compete(write: Write, trial: Trial) -> None:
    rows = [{}, {"value": 1.9}, {"state": "pruned", "value": 1.0}, {"same_as": 1, "value": 1.9}]
    sweep = Sweep.load(write(*[trial(n, **row) for n, row in enumerate(rows)]))
    assert searched(sweep)["trial"].tolist() == [1, 0]
    assert "best of 2" in found(sweep, Noise(0.1, 8, "confirmation")).answer


def replicated(write: Write, trial: Trial, *values: tuple[float, ...]) -> Sweep:
    flat = [(one, value) for one, of in enumerate(values) for value in of]
    rows = [trial(n, value=v, seed=n, parameters={"train.x": x}) for n, (x, v) in enumerate(flat)]
    return Sweep.load(write(*rows, replicates=2))


def test_with_replicates_means_compete_and_single_lucky_seeds_do_not(
    write: Write, trial: Trial
) -> None:
    sweep = replicated(write, trial, (2.0, 2.02), (1.52, 1.5), (1.5, 1.53), (1.0,))
    table = searched(sweep)
    assert table["trial"].tolist() == [3, 4, 0]
    assert table["value"].tolist() == pytest.approx([1.51, 1.515, 2.01])
    finding = found(sweep, noise.measured(sweep))
    assert finding.frame["trial"].tolist() == [3, 4]
    assert "picked as the best of 3, its mean over 2 seeds looks 0.00" in finding.answer


def test_one_seed_of_each_replicate_is_not_enough_to_know(write: Write, trial: Trial) -> None:
    sweep = replicated(write, trial, (2.0,), (1.5,))
    assert searched(sweep)["trial"].tolist() == [1, 0]
    assert not found(sweep, noise.measured(sweep)).known


def test_once_confirmed_the_fresh_means_compete(write: Write, trial: Trial) -> None:
    sweep = with_fresh(
        loaded(write, trial, 2.0, 1.51, 1.5),
        [(2, 1.52), (2, 1.53), (1, 1.512), (1, 1.522), (0, 2.0), (0, 2.01)],
    )
    measured = noise.measured(sweep)
    finding = found(sweep, measured)
    assert finding.answer.startswith("One more run of trial 1 should give about 1.51")
    assert "none of the others with fresh runs is better" in finding.answer
    fresh = confirmation.confirmed(sweep, measured)
    table = finding.frame.set_index("trial")
    assert table["p_best"].to_dict() == fresh.set_index("trial")["p_best"].loc[[1, 2]].to_dict()
    assert table["value"].tolist() == pytest.approx([1.517, 1.525])
    assert table["n"].tolist() == [2, 2]


def test_fresh_mean_that_nothing_competes_with_is_what_to_expect(
    write: Write, trial: Trial
) -> None:
    sweep = with_fresh(loaded(write, trial, 2.0, 1.5), [(1, 1.52), (1, 1.53)])
    finding = found(sweep, noise.measured(sweep))
    assert finding.facts["expected"] == pytest.approx(1.525)
    assert "picked" not in finding.answer


def test_range_holds_a_rerun_in_95_of_100(write: Write, trial: Trial) -> None:
    base, rng, inside = loaded(write, trial, *[2.0] * 15), np.random.default_rng(3), []
    for _ in range(160):
        means = 1.5 + rng.uniform(0, 0.1, 15)
        values = means + rng.normal(0, 0.01, 15)
        trials = base.trials.assign(value=values)
        trials["rank"] = trials["value"].rank().astype("Int64")
        measured = Noise(0.01 * math.sqrt(rng.chisquare(8) / 8), 8, "confirmation")
        facts = find(dataclasses.replace(base, trials=trials), measured).facts
        rerun = means[values.argmin()] + rng.normal(0, 0.01)
        inside.append(facts["low"] < rerun < facts["high"])
    assert 0.91 < np.mean(inside) < 0.985
