"""The report that is renewed while its sweep goes on."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.renewal import FIRST_SECONDS, SHARE, Renewal, affordable

Until = Callable[..., None]


@pytest.mark.parametrize(
    ("spent", "expected", "elapsed", "answer"),
    [
        (0.0, 1.0, 100.0, True),
        (0.0, 1.0, 99.0, False),
        (1.0, 1.0, 199.0, False),
        (1.0, 1.0, 200.0, True),
        (0.0, FIRST_SECONDS, FIRST_SECONDS / SHARE, True),
        (0.0, FIRST_SECONDS, 0.0, False),
    ],
)
def test_renewals_take_a_hundredth_of_the_time_at_most(
    spent: float, expected: float, elapsed: float, answer: bool
) -> None:
    assert affordable(spent, expected, elapsed) == answer


def test_page_is_there_before_the_sweep_is_over_and_the_next_one_waits(
    golden: Any, tmp_path: Path, until: Until
) -> None:
    """The second trial to end asks while the first renewal is at work, the third when its cost is
    known: neither begins another."""
    page = golden.path / "report" / "report.html"
    before = page.stat().st_mtime_ns
    renewal = Renewal(golden.path, time.monotonic() - FIRST_SECONDS / SHARE)
    renewal.trial_ended()
    first = renewal.process
    assert first is not None
    renewal.trial_ended()
    assert renewal.process is first
    until(lambda: page.stat().st_mtime_ns != before)
    until(lambda: renewal.trial_ended() or renewal.process is None)
    assert renewal.spent > 0
    assert not affordable(renewal.spent, renewal.spent, FIRST_SECONDS / SHARE / 100)


def test_renewal_at_work_ends_when_the_final_report_is_due(golden: Any) -> None:
    renewal = Renewal(golden.path, time.monotonic() - FIRST_SECONDS / SHARE)
    renewal.trial_ended()
    process = renewal.process
    assert process is not None
    renewal.dismiss()
    assert process.poll() is not None
    assert renewal.process is None
    renewal.dismiss()


def test_sweep_of_seconds_is_not_slowed_by_a_renewal() -> None:
    renewal = Renewal(Path("nowhere"), time.monotonic())
    renewal.trial_ended()
    assert renewal.process is None
