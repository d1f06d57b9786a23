from typing import Any

import pytest

from analysis import space

FLOAT = {"type": "float", "low": 0, "high": 1}


def entry(when: object) -> dict[str, Any]:
    return {**FLOAT, "when": when}


@pytest.mark.parametrize(
    ("when", "active"),
    [
        (None, True),
        ({}, True),
        ({"train.optimizer": "muon"}, True),
        ({"train.optimizer": "adamw"}, False),
        ({"train.optimizer": ["adamw", "muon"]}, True),
        ({"train.optimizer": "muon", "model.n_layers": 3}, False),
        ({"train.optimizer": "muon", "model.n_layers": [1, 2]}, True),
        ({"model.bias": True}, True),
        ({"model.bias": 1}, False),
        ({"model.absent": "x"}, False),
        ({"model.absent": None}, True),
    ],
)
def test_parameter_is_there_where_all_its_conditions_hold(when: object, active: bool) -> None:
    config = {
        "train": {"optimizer": "muon", "beta1": 0.5},
        "model": {"n_layers": 2, "bias": True},
    }
    found = space.values(config, {"train.beta1": entry(when)})
    assert found == {"train.beta1": 0.5 if active else None}


@pytest.mark.parametrize(("optimizer", "expected"), [("muon", [1, 2]), ("adamw", [None, None])])
def test_parameter_of_a_parameter_that_is_not_there_is_not_there(
    optimizer: str, expected: list[int | None]
) -> None:
    searched = {
        "train.a": entry({"train.optimizer": "muon"}),
        "train.b": entry({"train.a": [1]}),
    }
    config = {"train": {"optimizer": optimizer, "a": 1, "b": 2}}
    assert list(space.values(config, searched).values()) == expected


def test_conditions_in_a_circle_come_to_an_end() -> None:
    searched = {"train.a": entry({"train.b": 1}), "train.b": entry({"train.a": 1})}
    config = {"train": {"a": 1, "b": 1}}
    assert space.values(config, searched) == {"train.a": 1, "train.b": 1}


def test_what_is_derived_is_no_parameter() -> None:
    derived = {"type": "expr", "expr": "model.d_model // 4"}
    assert space.lacks(derived) is None
    assert list(space.searched({"model.d_head": derived, "train.a": FLOAT})) == ["train.a"]


def version(until: object, **parameters: Any) -> dict[str, Any]:
    return {"until": until, "sweep": {"space": {f"train.{k}": v for k, v in parameters.items()}}}


@pytest.mark.parametrize(
    ("earlier", "ranges"),
    [
        (None, []),
        ([], []),
        ([version(3)], [(0, 3)]),
        ([version(3), version(7)], [(0, 3), (3, 7)]),
        ([version(0), version(3), version(3)], [(0, 3)]),
        (["torn", {"until": 3}, version("3"), version(5, a={"type": "odd"})], [(0, 5)]),
    ],
)
def test_trials_belong_to_the_version_of_the_file_that_proposed_them(
    earlier: object, ranges: list[tuple[int, int]]
) -> None:
    found = space.versions({"earlier": earlier, "space": {}})
    assert [(version.first, version.until) for version in found] == ranges


def test_conditions_are_those_of_the_version_of_the_file() -> None:
    meta = {
        "space": {"train.a": entry({"train.b": 1}), "train.new": FLOAT},
        "earlier": [version(2, a=entry(None), old=FLOAT)],
    }
    assert [space.of_trial(meta, trial)["train.a"]["when"] for trial in (1, 2)] == [
        None, {"train.b": 1},
    ]  # fmt: skip
    assert list(space.of_trial(meta, 0)) == ["train.a", "train.new"]
