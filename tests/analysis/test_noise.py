import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import noise
from analysis.frames import CONFIRMED, frame
from analysis.load import Sweep
from analysis.noise import Noise, interval, margin, measured, pooled, renoised, tied
from analysis.quantiles import t_quantile

Write = Callable[..., Path]
Trial = Callable[..., Any]
Run = tuple[int, str, float | None]


def with_fresh(sweep: Sweep, *runs: Run) -> Sweep:
    """The sweep with confirmation runs, each a trial, a state and a value."""
    rows = [
        {"trial": trial, "seed": seed, "state": state, "value": value}
        for seed, (trial, state, value) in enumerate(runs)
    ]
    return dataclasses.replace(sweep, confirmed=frame(rows, CONFIRMED))


def fresh(*values: tuple[int, float]) -> list[Run]:
    return [(trial, "complete", value) for trial, value in values]


REPLICATES = [(0, 2.0), (0, 2.2), (1, 1.0), (1, 1.4)]
CONFIRMATION = fresh((0, 2.0), (0, 2.4), (1, 1.1), (1, 1.2), (1, 1.3))


@pytest.mark.parametrize(
    ("replicates", "runs", "expected"),
    [
        (1, [], Noise()),
        (2, [], Noise(math.sqrt((0.02 + 0.08) / 2), 2, "replicates")),
        (1, CONFIRMATION, Noise(math.sqrt((0.08 + 0.02) / 3), 3, "confirmation")),
        (2, CONFIRMATION, Noise(math.sqrt((0.08 + 0.02) / 3), 3, "confirmation")),
        (1, [*CONFIRMATION[:2], (0, "failed", 9.0), (0, "unfinished", 9.0), (1, "complete", 5.0)],
         Noise(math.sqrt(0.08), 1, "confirmation")),
        (1, fresh((0, 2.0), (1, 1.0)), Noise()),
        (2, fresh((0, 2.0), (1, 1.0)), Noise(math.sqrt((0.02 + 0.08) / 2), 2, "replicates")),
        (1, fresh((0, 2.0), (0, math.inf)), Noise()),
    ],
    ids=["one seed", "replicates", "fresh", "fresh first", "complete only", "one each",
         "one each beside replicates", "infinite"],
)  # fmt: skip
def test_noise_is_pooled_over_fresh_runs_else_over_replicates(
    write: Write, trial: Trial, replicates: int, runs: Sequence[Run], expected: Noise
) -> None:
    rows = [
        trial(n, value=value, seed=n, parameters={"train.x": x})
        for n, (x, value) in enumerate(REPLICATES)
    ]
    found = measured(with_fresh(Sweep.load(write(*rows, replicates=replicates)), *runs))
    assert found.sd == pytest.approx(expected.sd, nan_ok=True)
    assert (found.freedom, found.source) == (expected.freedom, expected.source)
    assert found.known == bool(expected.source)


@pytest.mark.parametrize("state", ["pruned", "failed", None])
def test_without_a_complete_trial_there_is_no_noise(
    write: Write, trial: Trial, state: str | None
) -> None:
    rows = [trial(n, state, value=2.0, seed=n) for n in range(3)]
    assert not measured(Sweep.load(write(*rows, replicates=3))).known


def simulated(rng: np.random.Generator, seeds: int, skewed: bool) -> "pd.Series[float]":
    """Values of four configurations whose true mean is 0 and whose seeds deviate by 0.01."""
    size = (4, seeds)
    errors = rng.exponential(size=size) - 1 if skewed else rng.normal(size=size)
    return pd.Series(0.01 * errors.ravel())


@pytest.mark.parametrize(
    ("seeds", "skewed", "low", "high"),
    [(3, False, 0.93, 0.97), (2, False, 0.93, 0.97), (3, True, 0.91, 0.97), (2, True, 0.91, 0.97)],
)
def test_interval_covers_the_true_mean_in_95_of_100(
    seeds: int, skewed: bool, low: float, high: float
) -> None:
    rng, groups, covered = np.random.default_rng(1), pd.Series(np.repeat(range(4), seeds)), []
    for _ in range(700):
        values = simulated(rng, seeds, skewed)
        noise = pooled(values, groups, "confirmation")
        for mean in values.groupby(groups).mean():
            below, above = interval(mean, seeds, noise)
            covered.append(below <= 0 <= above)
    assert low < np.mean(covered) < high


@pytest.mark.parametrize("n", [1, 4])
def test_interval_is_students_t(n: int) -> None:
    below, above = interval(2.0, n, Noise(0.1, 2, "confirmation"))
    assert above - 2.0 == pytest.approx(4.30265 * 0.1 / math.sqrt(n), rel=1e-5)
    assert 2.0 - below == pytest.approx(above - 2.0)


@pytest.mark.parametrize(
    ("noise", "n"), [(Noise(), 3), (Noise(0.1, 0, ""), 3), (Noise(0.1, 5, "replicates"), 0)]
)
def test_unknown_noise_gives_no_interval(noise: Noise, n: int) -> None:
    assert all(math.isnan(end) for end in interval(2.0, n, noise))


KNOWN = Noise(0.1, 10, "confirmation")
FAR = t_quantile(0.975, 10) * 0.1 * math.sqrt(2)


@pytest.mark.parametrize(
    ("behind", "expected"), [(0.0, True), (FAR - 1e-9, True), (FAR + 1e-9, False), (-9.0, True)]
)
@pytest.mark.parametrize("minimize", [True, False])
def test_runs_are_tied_up_to_the_difference_that_two_seeds_make(
    behind: float, expected: bool, minimize: bool
) -> None:
    values = pd.Series([3.0 + behind if minimize else 3.0 - behind])
    assert tied(values, 3.0, KNOWN, minimize).tolist() == [expected]


def test_equal_runs_of_one_configuration_are_told_apart_in_one_of_twenty() -> None:
    rng, apart = np.random.default_rng(2), 0
    for _ in range(2000):
        noise = Noise(math.sqrt(rng.chisquare(6) / 6), 6, "confirmation")
        one, other = rng.normal(size=2)
        # The better of both, as a sweep would have it.
        apart += not tied(pd.Series([max(one, other)]), min(one, other), noise, True).iloc[0]
    assert 0.035 < apart / 2000 < 0.065


def test_means_over_more_seeds_are_told_apart_sooner() -> None:
    values, seeds = pd.Series([0.2, 0.2], index=[7, 9]), pd.Series([1, 8], index=[7, 9])
    found = tied(values, 0.0, KNOWN, True, seeds, of_best=8)
    assert found.to_dict() == {7: True, 9: False}
    assert margin(KNOWN, 8, 8) < 0.2 < margin(KNOWN, 1, 8)


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_nothing_is_tied_while_noise_is_unknown(value: float) -> None:
    assert tied(pd.Series([value]), 0.0, Noise(), True).tolist() == [False]
    assert math.isnan(margin(Noise()))


def test_without_noise_the_best_is_the_best() -> None:
    chances, optimism = renoised(pd.Series([1.0, 0.9, 1.1]), Noise(0.0, 4, "replicates"), True)
    assert chances.tolist() == [0, 1, 0]
    assert optimism == 0


@pytest.mark.parametrize("noise", [Noise(), Noise(math.nan, 5, "confirmation")])
def test_unknown_noise_gives_no_chances(noise: Noise) -> None:
    chances, optimism = renoised(pd.Series([1.0, 0.9], index=[3, 5]), noise, True)
    assert chances.isna().tolist() == [True, True]
    assert math.isnan(optimism)


def test_chance_of_one_of_two_is_that_of_the_normal_distribution() -> None:
    for gap in (0.0, 0.05, 0.2, 1.0):
        chances, _ = renoised(pd.Series([2.0 + gap, 2.0]), KNOWN, True)
        expected = NormalDist().cdf(gap / (0.1 * math.sqrt(2)))
        assert chances.iloc[1] == pytest.approx(expected, abs=0.02)


def test_chances_add_up_and_stay_with_their_trials_whichever_way_is_better() -> None:
    values = pd.Series(np.random.default_rng(4).normal(0, 0.1, 30), index=range(100, 130))
    chances, optimism = renoised(values, KNOWN, minimize=True)
    mirrored, same = renoised(-values, KNOWN, minimize=False)
    assert chances.sum() == pytest.approx(1)
    assert chances.idxmax() == values.idxmin()
    pd.testing.assert_series_equal(chances, mirrored)
    assert optimism == same > 0


def by_brute_force(values: list[float], sds: list[float]) -> tuple[list[float], float]:
    """Shares of wins and the mean gain of the winner, one draw at a time."""
    rng, wins, gain = np.random.default_rng(99), [0] * len(values), 0.0
    for _ in range(20_000):
        drawn = [value + rng.normal(0, sd) for value, sd in zip(values, sds, strict=True)]
        best = min(range(len(values)), key=drawn.__getitem__)
        wins[best] += 1
        gain += values[best] - drawn[best]
    return [count / 20_000 for count in wins], gain / 20_000


def test_chances_and_optimism_are_those_of_brute_force() -> None:
    values, seeds = [1.0, 1.05, 1.1, 3.0], [1, 4, 1, 2]
    sds = [0.1 / math.sqrt(n) for n in seeds]
    chances, optimism = renoised(pd.Series(values), KNOWN, True, 40_000, pd.Series(seeds))
    expected, once = by_brute_force(values, sds)
    _, twice = by_brute_force(values, [sd * math.sqrt(2) for sd in sds])
    assert chances.tolist() == pytest.approx(expected, abs=0.012)
    assert optimism == pytest.approx(2 * once - twice / 2, abs=0.004)


def test_one_value_was_not_picked_and_one_far_ahead_not_by_luck() -> None:
    assert renoised(pd.Series([2.0]), KNOWN, True)[1] == pytest.approx(0, abs=1e-12)
    chances, optimism = renoised(pd.Series([2.0, 3.0, 90.0]), KNOWN, True)
    assert chances.tolist() == [1, 0, 0]
    assert optimism == pytest.approx(0, abs=1e-12)


def test_drawing_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = pd.Series(np.random.default_rng(5).normal(0, 0.1, 40))
    whole, optimism = renoised(values, KNOWN, True)
    monkeypatch.setattr(noise, "AT_ONCE", 1000)
    parts, same = renoised(values, KNOWN, True)
    pd.testing.assert_series_equal(whole, parts)
    assert same == pytest.approx(optimism)


def test_ten_thousand_trials_take_no_more_memory_than_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []
    rng = np.random.default_rng

    class Counting:
        def __init__(self, seed: int) -> None:
            self.rng = rng(seed)

        def normal(self, size: tuple[int, int]) -> Any:
            drawn.append(math.prod(size))
            return self.rng.normal(size=size)

    monkeypatch.setattr(np.random, "default_rng", Counting)
    values = pd.Series(np.linspace(2.0, 2.1, 10_000))
    chances, _ = renoised(values, KNOWN, True, draws=500)
    assert max(drawn) <= noise.AT_ONCE
    assert chances.sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("sd", [0.003, 0.01, 0.03])
def test_optimism_is_estimated_within_a_quarter(n: int, sd: float) -> None:
    # True means as of a random search over a bowl of two parameters, 0 to 0.1 above its bottom:
    # from well apart (sd 0.003) to mostly noise (sd 0.03).
    rng, true, estimated = np.random.default_rng(n), [], []
    for _ in range(600):
        means = 1.5 + 0.05 * (rng.uniform(-1, 1, (n, 2)) ** 2).sum(axis=1)
        values = means + rng.normal(0, sd, n)
        best = values.argmin()
        true.append(means[best] - values[best])
        known = Noise(sd, 8, "confirmation")
        estimated.append(renoised(pd.Series(values), known, True, draws=200)[1])
    assert np.mean(estimated) == pytest.approx(np.mean(true), rel=0.25)


def test_chances_come_true() -> None:
    # True means spread out as the prior that they are computed with supposes: widely and evenly.
    rng, said, came = np.random.default_rng(6), [], []
    for _ in range(800):
        means = rng.uniform(0, 0.5, 12)
        values = pd.Series(means + rng.normal(0, 0.03, 12))
        chances, _ = renoised(values, Noise(0.03, 8, "confirmation"), True, draws=200)
        said += chances.tolist()
        came += (means == means.min()).tolist()
    table = pd.DataFrame({"said": said, "came": came}).groupby(pd.cut(said, [0.1, 0.35, 0.65, 0.9]))
    for _, group in table:
        assert group["came"].mean() == pytest.approx(group["said"].mean(), abs=0.07)


@pytest.mark.parametrize(
    ("spreads", "erratic", "sd"),
    [
        ((0.01, 0.01, 0.01, 0.2), (3,), 0.01),
        ((0.01, 0.01, 0.01, 0.06, 1.0), (3, 4), 0.01),
        ((0.01, 0.01, 0.01, 0.04), (), 0.0218),
        ((0.01, 0.2), (), 0.1416),
        ((0.0, 0.0, 0.2), (), 0.1155),
    ],
)
def test_configuration_that_differs_far_more_is_no_measure_for_the_others(
    spreads: tuple[float, ...], erratic: tuple[int, ...], sd: float
) -> None:
    rows = [(g, 2 + x * s) for g, s in enumerate(spreads) for x in (-1, 0, 1)]
    groups, values = (pd.Series(column) for column in zip(*rows, strict=True))
    noise = pooled(values, groups, "confirmation")
    assert noise.erratic == erratic
    assert noise.sd == pytest.approx(sd, abs=1e-4)
