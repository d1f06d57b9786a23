"""Ranges made wider or narrower, as the reader of sweeps and the trainer take them."""

from typing import Any

import pytest

from analysis import limits, ranges
from analysis.frames import SPACE, frame
from experiments.parameter import FloatParameter, IntParameter
from tinygpt import config, schema
from tinygpt.schema import ConfigError


def row(key: str, low: float, high: float, kind: str = "float", **more: Any) -> dict[str, Any]:
    spec = {"parameter": key, "type": kind, "low": low, "high": high, **more}
    return {str(k): v for k, v in frame([spec], SPACE).iloc[0].items()}


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 1236, 4), (1, 3, 1), (2, 3, 1), (1, 2, 1), (5, 5005, 1000)]
)
def test_a_range_of_whole_steps_stays_one_and_can_always_go_on(
    low: int, high: int, step: int
) -> None:
    given = row("train.warmup_iters", low, high, "int", step=step)
    far = ranges.widened(given, "high")
    assert far > high
    IntParameter(low=low, high=int(far), step=step)
    first, last = (int(end) for end in ranges.narrowed(given, 0.3, 0.6))
    IntParameter(low=first, high=last, step=step)
    assert low <= first <= last <= high
    assert (first - low) % step == 0


@pytest.mark.parametrize("places", [(0.0, 0.3), (0.7, 1.0)])
@pytest.mark.parametrize("log", [False, True])
def test_a_narrowed_range_lies_within_the_one_it_came_from(
    places: tuple[float, float], log: bool
) -> None:
    low, high = 0.123456, 0.987654
    first, last = ranges.narrowed(row("train.beta1", low, high, log=log), *places)
    FloatParameter(low=first, high=last, hard_low=low, hard_high=high)


@pytest.mark.parametrize(
    ("choices", "end", "new"),
    [
        ((32, 64, 96), "high", 128),
        ((64, 96, 128), "low", 32),
        ((1, 2, 4), "high", 8),
        ((1, 2, 3), "low", None),
        ((0.1, 0.2, 0.3), "high", 0.4),
        ((1e-4, 3e-4, 1e-3), "low", 3.33e-5),
        ((1e-3, 3e-3, 1e-2, 3e-2), "high", 9e-2),
        ((0.0, 0.1, 0.2), "low", None),
    ],
)
def test_choices_go_on_as_they_are_spaced(choices: Any, end: Any, new: float | None) -> None:
    further = ranges.further(choices, end)
    added = set(further) - set(choices)
    assert sorted(added) == pytest.approx([] if new is None else [new])
    assert all(type(one) is type(choices[0]) for one in added)
    if new is not None:
        assert further[0 if end == "low" else -1] in added


NUMBERS = {
    key: hint
    for key, hint in config.known_keys().items()
    if not key.startswith("data.")
    and {int, float} & set(schema.alternatives(schema._parts(hint)[0]))
}


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_no_range_is_widened_to_what_the_trainer_refuses(key: str, end: Any) -> None:
    kind = "float" if float in schema.alternatives(schema._parts(NUMBERS[key])[0]) else "int"
    low, high = (0.4, 0.6) if kind == "float" else (4, 8)
    for _ in range(8):
        far = ranges.widened(row(key, low, high, kind), end)
        schema.convert(NUMBERS[key], far if kind == "float" else int(far))
        low, high = (far, high) if end == "low" else (low, far)


@pytest.mark.parametrize("key", limits.KEYS)
def test_every_limit_is_the_trainers(key: str) -> None:
    bounds, hint = limits.KEYS[key], config.known_keys()[key]
    whole = float not in schema.alternatives(schema._parts(hint)[0])
    for bound, beyond, is_open in (
        (bounds.low, bounds.low - 1, bounds.open_low),
        (bounds.high, bounds.high + 1, bounds.open_high),
    ):
        if abs(bound) < float("inf"):
            assert _takes(hint, int(bound) if whole else bound) != is_open
            assert not _takes(hint, int(beyond) if whole else beyond)


def _takes(hint: Any, value: float) -> bool:
    try:
        schema.convert(hint, value)
    except ConfigError:
        return False
    return True
