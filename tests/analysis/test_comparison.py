import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import chances, compared, dunnett, odds
from analysis.noise import Noise, interval

KNOWN = Noise(0.01, 8, "confirmation")


def means(*values: float) -> "pd.Series[float]":
    return pd.Series(values, dtype="float64")


def seeds(*counts: int) -> "pd.Series[int]":
    return pd.Series(counts, dtype="int64")


def largest(counts: list[int], draws: int = 60_000) -> "np.ndarray[tuple[int], np.dtype[Any]]":
    """The largest |t| against the first group, in whole experiments without any difference.

    The deviation is pooled over the groups' own runs: nothing of Dunnett's theory is supposed.
    """
    rng = np.random.default_rng(77)
    groups = [rng.normal(size=(draws, n)) for n in counts]
    squares = sum(group.var(axis=1) * group.shape[1] for group in groups)
    sd = np.sqrt(squares / (sum(counts) - len(counts)))
    apart = [np.abs(group.mean(axis=1) - groups[0].mean(axis=1)) for group in groups[1:]]
    scales = [math.sqrt(1 / n + 1 / counts[0]) for n in counts[1:]]
    return np.max([one / (sd * scale) for one, scale in zip(apart, scales, strict=True)], axis=0)


@pytest.mark.parametrize("counts", [[3, 3, 3, 3], [2, 2], [5, 3, 4], [3, 2, 2, 2, 2, 2]])
def test_p_is_how_often_experiments_without_a_difference_show_as_large_a_one(
    counts: list[int],
) -> None:
    noise = Noise(0.01, sum(counts) - len(counts), "confirmation")
    by_hand = largest(counts)
    for t in (0.5, 1.5, 2.5, 4.0):
        scale = [math.sqrt(1 / n + 1 / counts[0]) for n in counts]
        values = means(0.0, *(0.01 * t * one for one in scale[1:]))
        p, _ = dunnett(values, seeds(*counts), noise)
        assert math.isnan(p.iloc[0])
        assert p.iloc[1:].tolist() == pytest.approx(
            [np.mean(by_hand >= t)] * (len(p) - 1), abs=0.008
        )


# Dunnett (1964), New tables for multiple comparisons with a control, two-sided, 95 %.
@pytest.mark.parametrize(
    ("others", "freedom", "t"),
    [(1, 10, 2.23), (2, 10, 2.57), (3, 10, 2.76), (1, 20, 2.09), (3, 20, 2.54), (5, 20, 2.73)],
)
def test_width_of_the_interval_is_that_of_the_printed_tables(
    others: int, freedom: int, t: float
) -> None:
    zero, n = means(*[0.0] * (others + 1)), seeds(*[2] * (others + 1))
    _, half = dunnett(zero, n, Noise(1.0, freedom, "replicates"))
    assert half.iloc[1:].tolist() == pytest.approx([t] * others, rel=0.01)


def test_leaders_without_a_difference_are_seldom_told_apart() -> None:
    # The first is the best of what was seen, as in a sweep, and not chosen beforehand.
    rng, apart = np.random.default_rng(8), 0
    critical = float(dunnett(means(*[0.0] * 4), seeds(3, 3, 3, 3), Noise(1.0, 8, ""))[1].iloc[1])
    for _ in range(2000):
        values = np.sort(rng.normal(0, 1 / math.sqrt(3), 4))
        sd = math.sqrt(rng.chisquare(8) / 8)
        apart += values[1] - values[0] > critical * sd
    assert apart / 2000 < 0.05


@pytest.mark.parametrize("minimize", [True, False])
def test_interval_of_a_difference_holds_0_exactly_where_it_is_tied(minimize: bool) -> None:
    sign = 1 if minimize else -1
    table = pd.DataFrame(
        {"trial": range(6), "mean": [2 + sign * 0.008 * k for k in range(6)], "n": 3}
    )
    found = compared(table, KNOWN, minimize)
    inside = (found["delta_low"] < 0) & (found["delta_high"] > 0)
    assert found["tied"].tolist() == inside.tolist()
    assert found["tied"].tolist()[:2] == [False, True]
    assert not found["tied"].iloc[5]


def test_comparison_has_the_interval_of_each_mean_and_the_odds_against_trial_0() -> None:
    table = pd.DataFrame({"trial": [4, 0], "mean": [2.0, 2.02], "n": [3, 2]})
    found = compared(table, KNOWN, minimize=True)
    assert (found["low"][1], found["high"][1]) == interval(2.02, 2, KNOWN)
    assert found["delta"].tolist() == pytest.approx([0, 0.02])
    assert found["p_beats_baseline"][0] == odds(0.02, KNOWN, 3, 2) > 0.95
    assert math.isnan(found["p_beats_baseline"][1])


@pytest.mark.parametrize(
    ("table", "noise"),
    [
        ({"trial": [], "mean": [], "n": []}, KNOWN),
        ({"trial": [4, 0], "mean": [2.0, 2.1], "n": [1, 1]}, Noise()),
        ({"trial": [4], "mean": [2.0], "n": [3]}, KNOWN),
    ],
)
def test_what_cannot_be_compared_is_missing(table: dict[str, list[float]], noise: Noise) -> None:
    frame = pd.DataFrame(table).astype({"mean": "float64"})
    found = compared(frame, noise, minimize=True)
    assert found[["delta_low", "p_dunnett", "p_beats_baseline"]].isna().all(axis=None)
    assert len(found) == len(frame)


def test_chances_add_up_and_those_of_two_are_the_odds() -> None:
    for n in ((3, 3), (3, 1)):
        both = chances(means(2.0, 2.01), seeds(*n), KNOWN, minimize=True)
        assert both.sum() == pytest.approx(1)
        assert both.iloc[0] == pytest.approx(odds(0.01, KNOWN, *n), abs=0.005)
    mirrored = chances(means(-2.0, -2.01), seeds(3, 1), KNOWN, minimize=False)
    assert mirrored.tolist() == both.tolist()


def test_odds_come_true() -> None:
    # Whole experiments of two configurations: fresh seeds, a pooled deviation, a wide prior.
    rng, said, came = np.random.default_rng(9), [], []
    for _ in range(3000):
        true = rng.uniform(0, 8, 2)
        runs = true[:, None] + rng.normal(size=(2, 3))
        noise = Noise(math.sqrt(runs.var(axis=1, ddof=1).mean()), 4, "confirmation")
        said.append(odds(float(runs[1].mean() - runs[0].mean()), noise, 3, 3))
        came.append(true[0] < true[1])
    table = pd.DataFrame({"said": said, "came": came})
    for _, group in table.groupby(pd.cut(table["said"], [0, 0.2, 0.4, 0.6, 0.8, 1])):
        assert group["came"].mean() == pytest.approx(group["said"].mean(), abs=0.06)


@pytest.mark.parametrize(("ahead", "expected"), [(0.1, 1.0), (0.0, 0.5), (-0.1, 0.0)])
def test_without_noise_the_odds_are_certain(ahead: float, expected: float) -> None:
    none = Noise(0.0, 4, "confirmation")
    assert odds(ahead, none, 2, 2) == expected
    p, half = dunnett(means(0.0, max(ahead, 0.0)), seeds(2, 2), none)
    assert p.iloc[1] == (0 if ahead > 0 else 1)
    assert half.iloc[1] == 0


@pytest.mark.parametrize(("ahead", "noise"), [(0.1, Noise()), (math.nan, KNOWN)])
def test_unknown_odds_are_no_number(ahead: float, noise: Noise) -> None:
    assert math.isnan(odds(ahead, noise, 3, 3))
    assert chances(means(1.0), seeds(1), Noise(), True).isna().all()
    assert chances(means(), seeds(), KNOWN, True).empty
