"""Turns, ratios, and what becomes of a contender that fails."""

import pytest

from experiments.contest import ContestError, Entry, Ratio, Spent, contending, steps_in, turned
from experiments.races import ENDLESS


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio", "shown"),
    [
        ([2.0], [1.0], Ratio(2.0, 2.0, 2.0), "2.00 (2.00-2.00)"),
        # The median of the ratios, not the ratio of the medians: the machine slowed down.
        ([2.0, 4.0, 30.0], [1.0, 1.0, 10.0], Ratio(3.0, 2.0, 4.0), "3.00 (2.00-4.00)"),
        ([1.0, 1.0], [2.0, 4.0], Ratio(0.375, 0.25, 0.5), "0.38 (0.25-0.50)"),
    ],
)
def test_a_ratio_is_the_median_over_the_rounds(
    ours: list[float], theirs: list[float], ratio: Ratio, shown: str
) -> None:
    assert Ratio.of(ours, theirs) == ratio
    assert str(ratio) == shown


@pytest.mark.parametrize(
    ("spent", "seconds", "steps"),
    [(Spent(5, 0.5, 0.5), 1.0, 10), (Spent(5, 50.0, 50.0), 1.0, 1), (Spent(4, 2.0, 9.0), 0.7, 1)],
)
def test_a_turn_has_as_many_steps_as_fill_it_and_at_least_one(
    spent: Spent, seconds: float, steps: int
) -> None:
    assert steps_in(seconds, spent) == steps


def test_the_order_is_turned_round_from_round_to_round() -> None:
    assert [turned("abc", number) for number in range(3)] == ["abc", "cba", "abc"]


def test_a_contender_that_is_gone_is_named_with_its_last_words() -> None:
    entry = Entry("it", "ours", {**ENDLESS, "data.corpus": "nowhere.txt"})
    with (
        pytest.raises(ContestError, match=r"^it: .*nowhere\.txt: cannot be read"),
        contending([entry]),
    ):
        pass
