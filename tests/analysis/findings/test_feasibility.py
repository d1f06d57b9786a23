"""What fails, and where."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.findings import feasibility
from analysis.frames import SPACE, TRIALS, frame
from analysis.load import Sweep
from analysis.noise import Noise

RATE: dict[str, Any] = {
    "parameter": "train.learning_rate",
    "type": "float",
    "low": 1e-3,
    "high": 1.0,
    "log": True,
}
DEPTH = {"parameter": "model.n_layers", "type": "int", "low": 1, "high": 4, "step": 1}
WIDTH = {"parameter": "model.d_model", "type": "categorical", "choices": (32, 64, 96)}
NORMED = {"parameter": "model.qk_norm", "type": "categorical", "choices": (False, True)}
SHAPE = {"parameter": "model.activation", "type": "categorical", "choices": ("gelu", "relu2")}
UPDATE = "diverged: the loss or the gradient of update 12 is not finite"


def trials(failed: Sequence[bool], parameters: Mapping[str, Any]) -> pd.DataFrame:
    rows = [
        {"trial": n, "state": "failed" if bad else "complete", "reason": UPDATE if bad else None}
        for n, bad in enumerate(failed)
    ]
    table = frame(rows, TRIALS)
    for key, values in parameters.items():
        table[f"p.{key}"] = list(values)
    return table


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (UPDATE, "diverged"),
        ("diverged: the weights after update 12 are not finite", "diverged"),
        ("diverged: after update 3, the logits of the next character are not finite", "diverged"),
        ("loss is nan", "diverged"),
        ("its worker died (exit code 1) 4 times at step 0: ValueError: nanogpt", "died"),
        ("its worker died (signal 11) 4 times at step 0: a loss is not finite", "died"),
        ("its worker died (signal 9) 4 times at step 120: ", "died"),
        ("its worker died (exit code 1) 4 times at step 0: no room in the inn", "died"),
        ("its worker died (exit code 1) 4 times at step 0: MemoryError", "memory"),
        (
            "its worker died (exit code 1) 4 times at step 0: RuntimeError: [enforce fail] "
            "DefaultCPUAllocator: can't allocate memory",
            "memory",
        ),
        ("its worker died (exit code 1) 1 times at step 0: torch.OutOfMemoryError: CUDA", "memory"),
        ("its worker died (exit code 1) 4 times at step 0: Unable to allocate 7 GiB", "memory"),
        ("the objective is not a finite number", "no_value"),
        ("the cat is on the keyboard", "other"),
        ("", "other"),
    ],
)
def test_a_reason_tells_of_its_kind(reason: str, kind: str) -> None:
    assert feasibility.kind(reason) == kind


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_the_interval_of_a_share_is_wilsons(hits: int, n: int, low: float, high: float) -> None:
    assert feasibility.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_interval_of_a_share_covers_it_in_nineteen_of_twenty(share: float) -> None:
    hits = np.random.default_rng(0).binomial(40, share, 2000)
    ends = np.array([feasibility.wilson(int(hit), 40) for hit in hits])
    covered = ((ends[:, 0] <= share) & (share <= ends[:, 1])).mean()
    assert 0.93 <= covered <= 0.98


RATES = [float(rate) for rate in np.geomspace(2e-3, 0.5, 15)]


@pytest.mark.parametrize(
    ("row", "values", "failed", "said"),
    [
        (RATE, RATES, [n >= 8 for n in range(15)],
         "all 7 trials with train.learning_rate above 0.03162 failed"),
        (RATE, RATES, [n < 4 for n in range(15)],
         "all 4 trials with train.learning_rate below 0.009686 failed"),
        (DEPTH, [1, 2, 3, 4] * 4, [n % 4 > 1 for n in range(16)],
         "all 8 trials with model.n_layers above 2 failed"),
        (WIDTH, [32, 64, 96] * 5, [n % 3 == 2 for n in range(15)],
         "all 5 trials with model.d_model above 64 failed"),
        (NORMED, [False, True, True] * 5, [n % 3 == 0 for n in range(15)],
         "all 5 trials with model.qk_norm False failed"),
        (SHAPE, ["gelu", "relu2", "gelu"] * 5, [n % 3 == 1 for n in range(15)],
         "all 5 trials with model.activation relu2 failed"),
        (RATE, [*RATES, *RATES], [n % 15 >= 10 and n != 29 for n in range(30)],
         "9 of 10 trials with train.learning_rate above 0.06959 failed"),
        (RATE, [*RATES[:7], *[math.nan] * 8], [3 <= n < 7 for n in range(15)],
         "all 4 trials with train.learning_rate above 0.004401 failed"),
    ],
    ids=["above", "below", "whole", "choices", "flag", "name", "nearly all", "not in all"],
)  # fmt: skip
def test_the_region_where_trials_fail_is_told_by_the_last_value_that_lies_outside(
    row: Mapping[str, Any], values: Sequence[Any], failed: Sequence[bool], said: str
) -> None:
    told = feasibility.regions(trials(failed, {row["parameter"]: values}), frame([row], SPACE))
    assert told == [said]


@pytest.mark.parametrize(
    ("failed", "n"), [({12, 13}, 15), ({13, 14, 0, 5}, 15), (set(range(15)), 15), ({9, 8, 7}, 10)]
)
def test_no_region_is_told_of_few_failures_or_scattered_or_all(failed: set[int], n: int) -> None:
    table = trials([i in failed for i in range(n)], {RATE["parameter"]: RATES[:n]})
    assert feasibility.regions(table, frame([RATE], SPACE)) == []


def test_the_region_is_the_threshold_that_parts_best() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = rng.uniform(1e-3, 1, 24)
        failed = values > 0.6
        failed[rng.integers(0, 24)] ^= True
        table = trials(list(failed), {RATE["parameter"]: values})
        told = feasibility.regions(table, frame([RATE], SPACE))
        best = _best_by_hand(values, failed)
        assert told == ([] if best is None else [f"{best} failed"])


def _best_by_hand(values: Any, failed: Any) -> str | None:
    """The pure enough region of the lowest Gini impurity, if it is unlikely by chance."""
    found = []
    for value, above in itertools.product(sorted(values), (False, True)):
        inside = values > value if above else values < value
        n, hits = int(inside.sum()), int(failed[inside].sum())
        if 3 <= n <= len(values) - 3 and hits >= 0.9 * n:
            parts = (failed[inside], failed[~inside])
            impurity = sum(len(p) * p.mean() * (1 - p.mean()) for p in parts)
            many = f"all {n}" if hits == n else f"{hits} of {n}"
            side = "above" if above else "below"
            said = f"{many} trials with train.learning_rate {side} {value:.4g}"
            found.append((impurity, said, n, hits))
    if not found:
        return None
    _, said, n, hits = min(found)
    rng = np.random.default_rng(0)
    drawn = rng.hypergeometric(int(failed.sum()), int((~failed).sum()), n, 200_000)
    return said if (drawn >= hits).mean() < feasibility.CHANCE else None


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_parameter_that_does_nothing_is_rarely_blamed(n: int, share: float) -> None:
    rng = np.random.default_rng(n)
    ranges = frame([{**RATE, "parameter": f"train.rate{i}"} for i in range(5)], SPACE)
    told = []
    for _ in range(40):
        settings = {key: rng.uniform(1e-3, 1, n) for key in ranges["parameter"]}
        table = trials(list(rng.uniform(size=n) < share), settings)
        told.append(len(feasibility.regions(table, ranges)))
    assert np.mean(told) / 5 <= 0.03


STATES: dict[str, tuple[list[tuple[str | None, str | None]], str, str]] = {
    "nothing": ([], "unknown", "no trial yet"),
    "running": ([(None, None)] * 3, "unknown", "no trial yet"),
    "none failed": ([("complete", None), ("pruned", "pruned at step 50")], "ok", "0 of 2 failed"),
    "one of five": ([("failed", UPDATE)] + [("complete", None)] * 4, "info", "1 of 5 failed"),
    "more": ([("failed", UPDATE)] * 2 + [("complete", None)] * 7, "warn", "2 of 9 failed"),
    "all": ([("failed", UPDATE)] * 4, "fail", "4 of 4 failed"),
    "pruned for it": ([("pruned", UPDATE), ("complete", None)], "warn", "1 of 2 failed"),
}


@pytest.mark.parametrize("name", STATES)
def test_any_record_is_answered(name: str, write: Any, trial: Any) -> None:
    states, level, number = STATES[name]
    rows = [
        trial(n, state=state, reason=reason, value=None if state == "failed" else 2.0)
        for n, (state, reason) in enumerate(states)
    ]
    found = feasibility.find(Sweep.load(write(*rows)), Noise())
    assert list(found.frame.columns) == list(feasibility.SCHEMA)
    assert [(one.light, one.level, one.number) for one in found.checks] == [
        ("feasibility", level, number)
    ]
    assert found.known == (level != "unknown")
    assert len(found.frame) == (int(number[0]) if found.known else 0)


def test_the_answer_counts_the_kinds_and_says_where(write: Any, trial: Any) -> None:
    rates = [1e-4, 2e-4, 5e-4, 1e-3, 1e-3, 2e-3, 2e-3, 3e-3, 6e-3, 7e-3, 8e-3, 9e-3]
    reasons = [UPDATE] * 3 + ["its worker died (signal 9) 4 times at step 50: "]
    rows = [
        trial(
            n,
            state="failed" if n >= 8 else "complete",
            value=None if n >= 8 else 2.0,
            reason=reasons[n - 8] if n >= 8 else None,
            parameters={"train.learning_rate": rate},
        )
        for n, rate in enumerate(rates)
    ]
    copy = trial(12, state="failed", value=None, reason=UPDATE, same_as=8)
    found = feasibility.find(Sweep.load(write(*rows, copy)), Noise())
    assert found.answer == (
        "4 of 12 trials failed (95 % interval of the share: 14% to 61%): 3 diverged and "
        "1 lost their worker. All 4 trials with train.learning_rate above 0.003 failed."
    )
    assert found.frame["kind"].tolist() == ["died", "diverged", "diverged", "diverged"]
    assert found.frame["trial"].tolist() == [11, 8, 9, 10]
    assert "train.learning_rate above 0.003" in found.checks[0].evidence
