import math
from typing import Any

import pandas as pd
import pytest

from analysis import formats


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), ([1], "1"), ([1, 2], "1 and 2"), (("a", "b", "c"), "a, b and c")],
)
def test_list_reads_like_a_sentence(words: Any, text: str) -> None:
    assert formats.listed(words) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"type": "tpe", "n_startup_trials": 10}, "type tpe, n_startup_trials 10"),
        ({"type": "patient", "wrapped": {"type": "median"}}, "type patient, wrapped (type median)"),
        ({"time": None, "per_trial": {"tokens": None}}, formats.MISSING),
        ({}, formats.MISSING),
        ("odd", formats.MISSING),
    ],
)
def test_settings_leave_out_what_is_not_set(values: object, text: str) -> None:
    assert formats.settings(values) == text


@pytest.mark.parametrize(
    ("value", "is_loss", "text"),
    [
        (1.5, True, "1.5000"),
        (110_000, False, "110 k"),
        (1.25e-6, False, "1.25e-06"),
        (math.nan, False, formats.MISSING),
        (pd.NA, False, formats.MISSING),
    ],
)
def test_measure_has_the_digits_that_tell_two_of_its_kind_apart(
    value: Any, is_loss: bool, text: str
) -> None:
    assert formats.measure(value, is_loss) == text


@pytest.mark.parametrize(
    ("value", "is_loss", "text"),
    [(0.25, True, "+0.2500"), (1e4, False, "+10 k"), (-1e4, False, "-10 k"), (0.0, False, "0")],
)
def test_difference_has_a_sign(value: float, is_loss: bool, text: str) -> None:
    assert formats.difference(value, is_loss) == text


@pytest.mark.parametrize("value", [None, math.nan, pd.NA])
def test_parameter_that_is_not_there_is_a_dash(value: Any) -> None:
    assert formats.setting(value) == "\N{EN DASH}"
