import math
from typing import Any

import pandas as pd
import pytest

from analysis import frames


@pytest.mark.parametrize(
    "schema", [frames.TRIALS, frames.CURVES, frames.SAMPLES, frames.EVENTS, frames.SPACE]
)
def test_empty_frame_has_every_column_with_its_type(schema: frames.Schema) -> None:
    empty = frames.frame([], schema)
    types = {name: str(dtype) for name, dtype in empty.dtypes.items()}
    assert types == {name: column.dtype for name, column in schema.items()}


@pytest.mark.parametrize(
    "schema", [frames.TRIALS, frames.CURVES, frames.SAMPLES, frames.EVENTS, frames.SPACE]
)
def test_types_do_not_depend_on_what_is_missing(schema: frames.Schema) -> None:
    # Keys of a row (int64) are never missing.
    keys = {name: 0 for name, column in schema.items() if column.dtype == "int64"}
    one = frames.frame([keys], schema)
    assert list(one.dtypes) == list(frames.frame([], schema).dtypes)


def test_whole_numbers_stay_whole_beside_missing_ones() -> None:
    tokens = frames.frame([{"tokens": 768}, {}], {"tokens": frames.TRIALS["tokens"]})["tokens"]
    assert tokens.iloc[0] == 768
    assert tokens.isna().tolist() == [False, True]


@pytest.mark.parametrize("value", [None, "1.5", True, [1.5], math.nan])
def test_what_is_not_a_number_is_missing(value: Any) -> None:
    losses = frames.frame([{"value": value}], {"value": frames.TRIALS["value"]})["value"]
    assert losses.isna().all()


def test_times_are_utc_wherever_they_were_written() -> None:
    row = {"time": "2026-11-23T13:00:00.5+01:00", "event": "started"}
    assert frames.frame([row], frames.EVENTS)["time"].iloc[0] == pd.Timestamp(
        "2026-11-23T12:00:00.5", tz="UTC"
    )


@pytest.mark.parametrize(
    ("spec", "dtype"),
    [
        ({"type": "float"}, "float64"),
        ({"type": "int"}, "Int64"),
        ({"type": "categorical", "choices": [32, 64]}, "Int64"),
        ({"type": "categorical", "choices": [0, 0.1]}, "float64"),
        ({"type": "categorical", "choices": ["gelu", "relu"]}, "str"),
        ({"type": "categorical", "choices": [True, False]}, "boolean"),
        ({"type": "categorical", "choices": [None, "rope", 1]}, "object"),
    ],
)
def test_parameter_has_the_type_of_its_choices(spec: dict[str, Any], dtype: str) -> None:
    column = frames.parameters({"model.x": [spec]})["p.model.x"]
    assert column.dtype == dtype


INT, FLOAT = {"type": "int"}, {"type": "float"}
WORDS: dict[str, Any] = {"type": "categorical", "choices": ["gelu"]}


@pytest.mark.parametrize(
    ("specs", "dtype"),
    [
        ([INT, INT], "Int64"),
        ([INT, FLOAT], "float64"),
        ([FLOAT, WORDS], "object"),
        ([INT, {"type": "categorical", "choices": [1, 2]}], "Int64"),
    ],
)
def test_parameter_has_a_type_that_holds_what_every_version_of_the_file_searched(
    specs: list[dict[str, Any]], dtype: str
) -> None:
    assert frames.parameters({"model.x": specs})["p.model.x"].dtype == dtype


@pytest.mark.parametrize("spec", [INT, FLOAT, WORDS, {"type": "categorical", "choices": [True]}])
def test_parameter_that_a_trial_does_not_have_is_missing(spec: dict[str, Any]) -> None:
    schema = frames.parameters({"model.x": [spec]})
    assert frames.frame([{"p.model.x": None}], schema)["p.model.x"].isna().all()
