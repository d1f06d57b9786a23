import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import noise
from analysis.finding import Check, Finding
from analysis.findings.confirmation import SCHEMA, confirmed, find, standing
from analysis.frames import CONFIRMED, frame
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]
Run = tuple[int, float | None] | tuple[int, float | None, str]

COMMAND = "python -m experiments.confirm runs/small --top 3 --seeds 3"
SEARCHED = (2.0, 1.52, 1.5, 1.51)
"""Trial 0 is the baseline, trial 2 the best of the search."""
APART: list[Run] = [
    (2, 1.504), (2, 1.506), (1, 1.55), (1, 1.552), (3, 1.53), (3, 1.532), (0, 2.0), (0, 2.002),
]  # fmt: skip
TIED: list[Run] = [(2, 1.50), (2, 1.52), (1, 1.505), (1, 1.525), (0, 2.0), (0, 2.02)]
OTHER: list[Run] = [(2, 1.54), (2, 1.542), (1, 1.50), (1, 1.502), (0, 2.0), (0, 2.002)]


def with_fresh(sweep: Sweep, runs: Sequence[Run]) -> Sweep:
    rows = [
        {"trial": run[0], "seed": seed, "state": run[2] if len(run) > 2 else "complete",
         "value": run[1]}
        for seed, run in enumerate(runs)
    ]  # fmt: skip
    return dataclasses.replace(sweep, confirmed=frame(rows, CONFIRMED))


@pytest.fixture
def searched(write: Write, trial: Trial) -> Sweep:
    return Sweep.load(write(*[trial(n, value=value) for n, value in enumerate(SEARCHED)]))


def found(sweep: Sweep) -> Finding:
    """The finding, which always has its whole schema and one check that colours its light."""
    finding = find(sweep, noise.measured(sweep))
    expected = {name: column.dtype for name, column in SCHEMA.items()}
    assert {name: str(dtype) for name, dtype in finding.frame.dtypes.items()} == expected
    assert finding.known == (not finding.frame.empty)
    assert check_of(finding).light == "noise"
    return finding


def check_of(finding: Finding) -> Check:
    (check,) = finding.checks
    return check


def test_fresh_runs_are_ranked_by_their_mean_with_what_the_search_saw(searched: Sweep) -> None:
    table = found(with_fresh(searched, APART)).frame
    assert table["trial"].tolist() == [2, 3, 1, 0]
    assert table["n"].tolist() == [2, 2, 2, 2]
    assert table["mean"].tolist() == pytest.approx([1.505, 1.531, 1.551, 2.001])
    assert table["sd"].tolist() == pytest.approx([math.sqrt(2e-6)] * 4)
    assert table["search_value"].tolist() == [1.5, 1.51, 1.52, 2.0]
    assert table["optimism"].tolist() == pytest.approx([0.005, 0.021, 0.031, 0.001])
    # Pooled over four configurations of two seeds: four degrees of freedom, t 2.77645.
    assert table["high"][0] - 1.505 == pytest.approx(2.77645 * 0.001, rel=1e-4)
    assert table["p_best"].sum() == pytest.approx(1)


def test_maximized_objective_is_turned_round(write: Write, trial: Trial) -> None:
    objective = {"metric": "accuracy", "direction": "maximize"}
    rows = [trial(n, value=1 - value / 4) for n, value in enumerate(SEARCHED)]
    up = Sweep.load(write(*rows, objective=objective))
    runs: list[Run] = [(run[0], 1 - (run[1] or 0) / 4) for run in APART]
    table = found(with_fresh(up, runs)).frame
    assert table["trial"].tolist() == [2, 3, 1, 0]
    assert table["optimism"][0] == pytest.approx(0.005 / 4)
    assert table["delta"].max() <= 0
    assert table["p_beats_baseline"][0] > 0.99


@pytest.mark.parametrize(
    ("runs", "order"),
    [
        ([*APART, (3, 1.531)], [3, 2, 1, 0]),
        ([(2, 1.6), (2, 1.6), (1, 1.0)], [2, 1]),
        ([(2, 1.6), (1, 1.0), (1, None, "failed"), (1, None, "unfinished")], [1, 2]),
        ([(2, 1.6), (1, 1.5), (1, 0.1, "duplicate")], [1, 2]),
    ],
    ids=["more seeds first", "one lucky run", "only complete", "no duplicates"],
)
def test_those_with_fewer_complete_seeds_come_after_the_others(
    searched: Sweep, runs: list[Run], order: list[int]
) -> None:
    assert found(with_fresh(searched, runs)).frame["trial"].tolist() == order


def test_value_of_a_trial_that_is_not_complete_is_not_what_the_search_saw(
    write: Write, trial: Trial
) -> None:
    sweep = Sweep.load(write(trial(0, "pruned", value=1.2), trial(1, value=1.5)))
    table = found(with_fresh(sweep, [(0, 1.6), (0, 1.61), (1, 1.5), (1, 1.51)])).frame
    assert table.set_index("trial")["search_value"].isna().to_dict() == {1: False, 0: True}


def test_search_value_of_replicates_is_their_mean(write: Write, trial: Trial) -> None:
    values = [(0, 2.0), (0, 2.2), (1, 1.5), (1, 1.7)]
    rows = [trial(n, value=v, seed=n, parameters={"train.x": x}) for n, (x, v) in enumerate(values)]
    sweep = with_fresh(Sweep.load(write(*rows, replicates=2)), [(2, 1.65), (2, 1.66), (0, 2.1)])
    assert found(sweep).frame["search_value"].tolist() == pytest.approx([1.6, 2.1])


@pytest.mark.parametrize(
    ("runs", "level", "evidence", "action"),
    [
        ([], "unknown", "one seed", COMMAND),
        ([(2, 1.5), (1, 1.52), (0, 2.0)], "unknown", "one fresh seed", COMMAND),
        (APART, "ok", "the others differ from it by more than chance", ""),
        (TIED, "warn", "trial 1 is tied with it", "--top 3 --seeds 4"),
        (OTHER, "warn", "Trial 1 has the best mean", "Use trial 1, not trial 2"),
        (APART[:2], "unknown", "no other configuration", COMMAND),
        (APART[2:], "warn", "Trial 2, the search's best, has no complete fresh run.", COMMAND),
        ([*APART, (1, None, "unfinished")], "info", "1 of 9 fresh runs is not done.", COMMAND),
        ([*APART, (1, None, "failed")], "ok", "1 of 9 fresh runs failed.", ""),
        ([*APART, (2, 1.505)], "ok", "Trials 3, 1 and 0 come after it, with fewer fresh seeds.",
         ""),
    ],
    ids=["none", "one each", "apart", "tied", "another", "alone", "not the best", "not done",
         "failed", "fewer"],
)  # fmt: skip
def test_light_says_how_far_differences_can_be_trusted(
    searched: Sweep, runs: list[Run], level: str, evidence: str, action: str
) -> None:
    finding = found(with_fresh(searched, runs))
    check = check_of(finding)
    assert (check.level, action in check.action, bool(check.action)) == (level, True, bool(action))
    assert evidence in check.evidence
    assert not runs or evidence in finding.answer or level == "unknown"


def test_answer_names_the_best_its_interval_and_the_luck_of_the_search(searched: Sweep) -> None:
    assert found(with_fresh(searched, APART)).answer == (
        "Trial 2 has the best mean over 2 fresh seeds, 1.5050 nats per character (95 % interval "
        "1.5022 to 1.5078); the others differ from it by more than chance. "
        "The search's best, trial 2, looked 0.0050 too good."
    )
    assert "The search's best, trial 2, is 0.0400 away and looked 0.0410 too good." in (
        found(with_fresh(searched, OTHER)).answer
    )


@pytest.mark.parametrize(
    ("trials", "meta", "said"),
    [
        ([], {}, "No trial is complete"),
        ([{"state": "pruned"}] * 2, {}, "No trial is complete"),
        ([{"state": "failed", "value": None}], {}, "No trial is complete"),
        ([{"value": math.inf}, {"value": math.nan}], {}, "No trial is complete"),
        ([{}], {}, "one seed"),
        ([{}, {"same_as": 0}], {}, "one seed"),
        ([{"seed": 1}, {"seed": 2, "value": 2.1}], {"replicates": 2}, "standard deviation"),
    ],
)
def test_without_a_fresh_run_it_says_what_is_missing(
    write: Write, trial: Trial, trials: list[dict[str, Any]], meta: dict[str, Any], said: str
) -> None:
    finding = found(Sweep.load(write(*[trial(n, **row) for n, row in enumerate(trials)], **meta)))
    assert not finding.known
    assert said in finding.answer


@pytest.mark.parametrize(
    ("values", "level", "action"),
    [
        ([(2.0, 2.02), (1.0, 1.02)], "ok", ""),
        ([(2.0, 2.2), (1.9, 2.1)], "warn", COMMAND),
        ([(2.0, 2.02), (2.3, 2.32), (1.0,)], "ok", ""),
        ([(2.0, 2.02), (1.0,)], "warn", COMMAND),
    ],
    ids=["apart", "tied", "a mean is second", "one better seed is second"],
)
def test_replicates_alone_tell_the_second_best_from_the_best_or_not(
    write: Write, trial: Trial, values: list[tuple[float, ...]], level: str, action: str
) -> None:
    flat = [(one, value) for one, of in enumerate(values) for value in of]
    rows = [trial(n, value=v, seed=n, parameters={"train.x": x}) for n, (x, v) in enumerate(flat)]
    check = check_of(found(Sweep.load(write(*rows, replicates=2))))
    assert check.level == level
    assert action in check.action
    assert check.number.startswith("sd 0.")


@pytest.mark.parametrize(
    ("runs", "stands"),
    [
        ([], False),
        ([(0, 2.0), (0, 2.1)], False),
        ([(0, 2.0), (0, 2.1), (2, None, "unfinished")], False),
        ([(0, 2.0), (2, None, "failed")], True),
        ([(2, 1.5)], True),
    ],
)
def test_nobody_takes_the_place_of_one_that_has_not_had_its_turn(
    searched: Sweep, runs: list[Run], stands: bool
) -> None:
    sweep = with_fresh(searched, runs)
    measured = noise.measured(sweep)
    table = standing(sweep, measured)
    assert len(table) == (len(confirmed(sweep, measured)) if stands else 0)


def test_seeds_that_make_no_difference_are_no_trouble(searched: Sweep) -> None:
    table = found(with_fresh(searched, [(2, 1.5), (2, 1.5), (1, 1.5), (1, 1.5), (0, 2.0)])).frame
    assert table["tied"].tolist() == [False, True, False]
    assert table["high"][0] == 1.5


def test_same_record_gives_the_same_numbers(searched: Sweep) -> None:
    once, again = (found(with_fresh(searched, TIED)).frame for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
