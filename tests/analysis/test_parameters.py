"""What a trial has of the search, and what it counts for."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]

FLOAT = {"type": "float", "low": 0.0, "high": 1.0}
INT = {"type": "int", "low": 1, "high": 4}
WORDS = {"type": "categorical", "choices": ["gelu", "relu"]}
FLAG = {"type": "categorical", "choices": [True, False]}
OPTIMIZER = {"type": "categorical", "choices": ["adamw", "muon"]}


@pytest.mark.parametrize(("spec", "value"), [(FLOAT, 0.5), (INT, 2), (WORDS, "gelu"), (FLAG, True)])
def test_parameter_whose_condition_does_not_hold_is_missing(
    write: Write, trial: Trial, spec: dict[str, Any], value: Any
) -> None:
    space = {
        "train.optimizer": OPTIMIZER,
        "train.x": {**spec, "when": {"train.optimizer": "muon"}},
    }
    chosen = [{"train.optimizer": name, "train.x": value} for name in ("adamw", "muon")]
    directory = write(*[trial(n, parameters=p) for n, p in enumerate(chosen)], space=space)
    column = Sweep.load(directory).trials["p.train.x"]
    assert column.isna().tolist() == [True, False]
    assert column[1] == value


def test_what_is_derived_is_no_parameter(write: Write, trial: Trial) -> None:
    space = {"train.x": FLOAT, "model.d_head": {"type": "expr", "expr": "model.d_model // 4"}}
    sweep = Sweep.load(write(trial(0), space=space))
    assert sweep.space["parameter"].tolist() == ["train.x"]
    assert "p.model.d_head" not in sweep.trials


def test_trials_of_an_earlier_version_keep_the_values_it_searched(
    write: Write, trial: Trial
) -> None:
    earlier = [{"until": 1, "sweep": {"space": {"model.x": WORDS, "model.old": INT}}}]
    directory = write(
        trial(0, parameters={"model.x": "gelu", "model.old": 3}),
        trial(1, parameters={"model.x": 2}),
        space={"model.x": INT},
        earlier=earlier,
    )
    sweep = Sweep.load(directory)
    assert sweep.trials["p.model.x"].tolist() == ["gelu", 2]
    assert sweep.space["parameter"].tolist() == ["model.x"]


def test_duplicate_is_a_state_of_its_own_without_curve_or_cost(write: Write, trial: Trial) -> None:
    copy = trial(2, value=1.5, same_as=1, reason="the same configuration as trial 1")
    sweep = Sweep.load(write(trial(0), trial(1, value=1.5), copy))
    row = sweep.trial(2)
    assert (row["state"], row["same_as"], row["value"]) == ("duplicate", 1, 1.5)
    assert sweep.curves["trial"].unique().tolist() == [0, 1]
    assert row[["rank", "tokens", "train_s", "delta"]].isna().all()
    assert sweep.trials["rank"].tolist()[:2] == [2, 1]


def test_replicates_are_trials_that_differ_in_the_seed_alone(write: Write, trial: Trial) -> None:
    rows = [(0, 1, 2.0), (1, 2, 2.0), (2, 1, 3.0)]
    trials = [trial(n, seed=s, parameters={"train.x": x}) for n, s, x in rows]
    directory = write(*trials, replicates=2)
    assert Sweep.load(directory).trials["configuration"].tolist() == [0, 0, 2]
    meta = json.loads((directory / "sweep.json").read_text())
    (directory / "sweep.json").write_text(json.dumps(meta | {"replicates": 1}))
    assert Sweep.load(directory).trials["configuration"].tolist() == [0, 1, 2]


def test_only_objective_is_the_value_whatever_it_measures(write: Write, trial: Trial) -> None:
    objective = {"metric": "params", "direction": "minimize"}
    rows = [trial(n, metrics={"parameters": 10 - n}) for n in range(3)]
    sweep = Sweep.load(write(*rows, trial(3, "pruned", value=0.1), objective=objective))
    assert sweep.trials["value"].tolist()[:3] == [10, 9, 8]
    assert sweep.trials["rank"].tolist()[:3] == [3, 2, 1]
    assert math.isnan(sweep.trial(3)["value"])


def test_complete_trial_that_lacks_the_only_objective_counts_as_failed(
    write: Write, trial: Trial
) -> None:
    objective = {"metric": "seconds_per_token", "direction": "minimize"}
    known = trial(1, metrics={"seconds_per_token": 1e-6})
    sweep = Sweep.load(write(trial(0), known, objective=objective))
    assert sweep.trials["state"].tolist() == ["failed", "complete"]
    assert "finite" in sweep.trial(0)["reason"]


def test_operations_are_those_of_the_whole_training(write: Write, trial: Trial) -> None:
    known = trial(0, metrics={"tokens": 1000, "flops_per_token": 6e5, "seconds_per_token": 1e-6})
    sweep = Sweep.load(write(known, trial(1)))
    assert sweep.trial(0)[["flops", "seconds_per_token"]].tolist() == [6e8, 1e-6]
    assert sweep.trial(1)[["flops", "seconds_per_token"]].isna().all()
