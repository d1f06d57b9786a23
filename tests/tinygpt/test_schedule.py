"""The learning rate and what is due, as tables."""

import math

import pytest

from tinygpt.config import TrainConfig
from tinygpt.schedule import due, learning_rate, share

COSINE_HALF = 0.1 + 0.9 / 2


def train_config(**values: object) -> TrainConfig:
    basis = {"max_iters": 10, "warmup_iters": 4, "learning_rate": 1.0, "min_lr_ratio": 0.1}
    return TrainConfig(**{**basis, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0)],
)
@pytest.mark.parametrize("schedule", ["cosine", "wsd", "linear", "constant"])
def test_the_warmup_rises_linearly_and_its_last_update_has_the_peak(
    schedule: str, step: int, expected: float
) -> None:
    assert learning_rate(step, train_config(schedule=schedule)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine", 4, 1.0),
        ("cosine", 5, 0.1 + 0.9 * (1 + math.cos(math.pi / 6)) / 2),
        ("cosine", 7, COSINE_HALF),
        ("cosine", 9, 0.1 + 0.9 * (1 + math.cos(math.pi * 5 / 6)) / 2),
        ("cosine", 10, 0.1),
        ("linear", 4, 1.0),
        ("linear", 5, 0.1 + 0.9 * 5 / 6),
        ("linear", 7, 0.55),
        ("linear", 9, 0.1 + 0.9 / 6),
        ("linear", 10, 0.1),
        ("wsd", 4, 1.0),
        ("wsd", 6, 1.0),  # the last 0.4 of 10 updates fall
        ("wsd", 7, 0.1 + 0.9 * 3 / 4),
        ("wsd", 9, 0.1 + 0.9 / 4),
        ("wsd", 10, 0.1),
        ("constant", 4, 1.0),
        ("constant", 9, 1.0),
        ("constant", 10, 1.0),
    ],
)
def test_after_the_warmup_the_schedule_ends_at_the_smallest_rate(
    schedule: str, step: int, expected: float
) -> None:
    assert learning_rate(step, train_config(schedule=schedule)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("warmup_iters", "step", "expected"),
    [
        (0, 0, 1.0),  # no warmup: the first update has the peak already
        (1, 0, 1.0),
        (1, 1, 1.0),
        (10, 9, 1.0),  # nothing but warmup
        (10, 0, 0.1),
    ],
)
def test_the_warmup_may_be_absent_or_everything(
    warmup_iters: int, step: int, expected: float
) -> None:
    assert learning_rate(step, train_config(warmup_iters=warmup_iters)) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_the_rate_falls_from_the_peak_without_ever_rising(schedule: str, ratio: float) -> None:
    train = train_config(schedule=schedule, min_lr_ratio=ratio)
    rates = [learning_rate(step, train) for step in range(4, 11)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(ratio)


def test_the_peak_scales_every_rate() -> None:
    one, hundredth = train_config(), train_config(learning_rate=0.01)
    for step in range(10):
        assert learning_rate(step, hundredth) == pytest.approx(learning_rate(step, one) / 100)


@pytest.mark.parametrize(
    ("interval", "last", "expected"),
    [
        (1, 3, [0, 1, 2, 3]),
        (2, 5, [0, 2, 4, 5]),
        (5, 5, [0, 5]),
        (6, 5, [0, 5]),
        (3, 6, [0, 3, 6]),
        (0, 4, [4]),
        (0, 0, [0]),
    ],
)
def test_what_is_due_comes_every_interval_from_step_0_and_at_the_last_step(
    interval: int, last: int, expected: list[int]
) -> None:
    assert [step for step in range(last + 1) if due(step, interval, last)] == expected


@pytest.mark.parametrize(
    ("decay_fraction", "shares"),
    [
        (0.2, [1.0] * 9 + [0.5]),
        (0.5, [1.0] * 6 + [0.8, 0.6, 0.4, 0.2]),
        (1.0, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_wsd_is_constant_until_its_last_part_falls_linearly(
    decay_fraction: float, shares: list[float]
) -> None:
    train = train_config(
        schedule="wsd", decay_fraction=decay_fraction, warmup_iters=0, min_lr_ratio=0.0
    )
    assert [share(step, train) for step in range(10)] == pytest.approx(shares)


def test_a_schedule_is_exactly_at_its_peak_and_at_its_floor() -> None:
    for schedule in ("cosine", "wsd", "linear", "constant"):
        train = train_config(schedule=schedule, min_lr_ratio=0.3)
        assert share(4, train) == 1.0
        assert share(10, train) == (1.0 if schedule == "constant" else 0.3)
