from typing import Any

import pytest

from analysis.objectives import objectives, problem, ranking

LOSS = {"metric": "val_loss", "direction": "minimize"}
SIZE = {"metric": "params", "direction": "minimize"}
ACCURACY = {"metric": "accuracy", "direction": "maximize"}


@pytest.mark.parametrize(
    ("given", "metric", "minimize"),
    [
        (LOSS, "val_loss", True),
        ([LOSS], "val_loss", True),
        (ACCURACY, "accuracy", False),
        (SIZE, "params", True),
        ([SIZE, LOSS], "val_loss", True),
        ([SIZE, {**SIZE, "metric": "flops"}], "val_loss", True),
    ],
)
def test_trials_are_ranked_by_the_only_objective_or_by_the_loss(
    given: Any, metric: str, minimize: bool
) -> None:
    found = ranking(objectives({"objective": given}))
    assert (found.metric, found.minimize) == (metric, minimize)


@pytest.mark.parametrize("given", [None, [], {}, [LOSS, {}], {"metric": "x"}, [[LOSS]], "val_loss"])
def test_unusable_objective_is_named(given: object) -> None:
    assert str(problem(given)).startswith("objective: needs a metric and a direction")


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("val_loss", "val_loss (nats per character)"),
        ("params", "params"),
        ("seconds_per_token", "seconds_per_token (s)"),
    ],
)
def test_title_has_the_unit_where_there_is_one(metric: str, title: str) -> None:
    (objective,) = objectives({"objective": {"metric": metric, "direction": "minimize"}})
    assert objective.title == title
