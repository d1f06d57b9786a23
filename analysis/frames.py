"""Frames of a sweep: every column's type and meaning, kept also when a frame is empty.

Losses are nats per character, times are seconds, `step` counts completed updates.
"""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

STATES = ("complete", "pruned", "failed", "unfinished", "duplicate")
"""Every state a trial can have. "unfinished" has no result: running, waiting, paused or
interrupted. "duplicate" took the result of a trial with the same config, and was not trained."""


class Column(NamedTuple):
    """A column's pandas dtype, what it holds, and whether a missing text is an empty one."""

    dtype: str
    meaning: str
    blank: bool = True


Schema = Mapping[str, Column]

TRIALS: Schema = {
    "rank": Column("Int64", "place among complete trials, 1 is best; by configuration first"),
    "trial": Column("int64", "number, the same for ever"),
    "state": Column("str", "one of STATES; complete without a finite value counts as failed"),
    "value": Column("float64", "objective; for a pruned trial the last one seen, at another step"),
    "delta": Column("float64", "value minus that of rank 1; complete trials only"),
    "delta_baseline": Column("float64", "value minus trial 0's; complete trials only"),
    "val_loss_nats": Column("float64", "loss on the whole validation split, at the end"),
    "val_loss_subset_nats": Column("float64", "loss on the fixed validation windows, at the end"),
    "val_best_nats": Column("float64", "lowest loss on the fixed windows at any step"),
    "val_last_nats": Column("float64", "last validation loss on the fixed windows"),
    "train_loss_nats": Column("float64", "training loss at the end"),
    "best_step": Column("Int64", "step of the lowest validation loss"),
    "step": Column("Int64", "last step on record"),
    "steps_planned": Column("Int64", "train.max_iters"),
    "tokens": Column("Int64", "characters trained on"),
    "parameters": Column("Int64", "trainable weights"),
    "flops": Column("float64", "operations of the whole training"),
    "seconds_per_token": Column("float64", "as the run measured it; missing if it did not"),
    "train_s": Column("float64", "time in updates, evaluation and saving excluded"),
    "tokens_per_s": Column("float64", "median over the training rows"),
    "seed": Column("Int64", "seed of the run"),
    "configuration": Column("Int64", "first of its replicates; itself where there are none"),
    "same_as": Column("Int64", "for a duplicate, the trial whose result it took"),
    "checkpoint": Column("str", "folder of the best checkpoint, else the latest; '' if none"),
    "reason": Column("str", "why the trial was pruned or failed"),
}
"""One row per trial that has started, by number; `p.KEY` columns follow, one per parameter,
missing where a trial does not have it."""

CURVES: Schema = {
    "trial": Column("int64", "number of the trial"),
    "kind": Column("str", "train: an update's row; eval: an evaluation's row"),
    "step": Column("int64", "completed updates"),
    "tokens": Column("Int64", "characters trained on so far"),
    "val_loss_nats": Column("float64", "loss on the same fixed windows at every step"),
    "val_loss_full_nats": Column("float64", "loss on the whole validation split; last row only"),
    "train_loss_nats": Column("float64", "training loss"),
    "learning_rate": Column("float64", "of the update"),
    "grad_norm": Column("float64", "before clipping"),
    "seconds": Column("float64", "wall clock since the previous row of this kind"),
    "tokens_per_s": Column("float64", "speed of these updates"),
}
"""One row per trial, kind and step, in this order."""

SAMPLES: Schema = {
    "trial": Column("int64", "number of the trial"),
    "step": Column("int64", "completed updates"),
    "prompt": Column("str", "what the model was given"),
    "text": Column("str", "what it wrote, without the prompt"),
}

EVENTS: Schema = {
    "time": Column("datetime64[us, UTC]", "wall clock"),
    "event": Column("str", "what happened"),
    "trial": Column("Int64", "number of the trial, if it concerns one"),
    "worker": Column("str", "name of the worker, if it concerns one"),
    "workers": Column("Int64", "how many there are, where the sweep starts or goes on"),
    "step": Column("Int64", "completed updates of the trial then"),
    "state": Column("str", "how the trial ended"),
    "signal": Column("Int64", "what stopped the sweep, if a signal did"),
    "code": Column("Int64", "exit code of a worker that died"),
}

TIMINGS: Schema = {
    "trial": Column("int64", "number of the trial"),
    "kind": Column("str", "train, eval, sample or checkpoint"),
    "step": Column("int64", "completed updates"),
    "seconds": Column("float64", "wall clock since the previous row of this kind"),
    "peak_memory": Column("float64", "bytes the worker had used at most by then"),
    "mfu": Column("float64", "operations per second as a share of what the machine can do"),
}
"""One row per trial, kind and step, as last recorded; a duplicate has none."""

CONFIRMED: Schema = {
    "trial": Column("int64", "number of the trial of this sweep whose configuration it is"),
    "seed": Column("Int64", "fresh seed that it was trained with"),
    "state": Column("str", "one of STATES"),
    "value": Column("float64", "objective, missing unless complete"),
}
"""One row per confirmation run of a trial's configuration."""

SPACE: Schema = {
    "parameter": Column("str", "dotted key"),
    "type": Column("str", "float, int or categorical"),
    "low": Column("float64", "inclusive; missing if categorical"),
    "high": Column("float64", "inclusive; missing if categorical"),
    "log": Column("bool", "searched on a logarithmic scale"),
    "step": Column("float64", "distance of allowed values; missing if continuous"),
    "hard_low": Column("float64", "what low may never go below; missing for no bound"),
    "hard_high": Column("float64", "what high may never go above; missing for no bound"),
    "choices": Column("object", "tuple of a categorical's values, else empty"),
    "when": Column("str", "what the parameter hangs on; '' if every trial has it"),
}


def frame(rows: Sequence[Mapping[Any, Any]], schema: Schema) -> pd.DataFrame:
    """Return `rows` as a frame of exactly `schema`'s columns; what does not fit is missing."""
    return of_columns({name: [row.get(name) for row in rows] for name in schema}, schema)


def of_columns(columns: Mapping[str, list[Any]], schema: Schema) -> pd.DataFrame:
    """Return a frame of exactly `schema`'s columns, in its order; what does not fit is missing."""
    return pd.DataFrame({name: _series(columns[name], column) for name, column in schema.items()})


def parameters(specs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Column]:
    """Return the `p.KEY` columns for what the versions of a file say of each parameter."""
    return {
        f"p.{key}": Column(_common({_dtype(spec) for spec in of}), f"value of {key}", blank=False)
        for key, of in specs.items()
    }


def _common(dtypes: set[str]) -> str:
    """Return the dtype that holds the values of all."""
    if len(dtypes) == 1:
        return next(iter(dtypes))
    return "float64" if dtypes == {"float64", "Int64"} else "object"


def _dtype(spec: Mapping[str, Any]) -> str:
    if spec["type"] != "categorical":
        return "Int64" if spec["type"] == "int" else "float64"
    kinds = {type(choice) for choice in spec["choices"]}
    if kinds == {bool}:
        return "boolean"
    if kinds == {str}:
        return "str"
    if kinds and kinds <= {int, float}:
        return "Int64" if kinds == {int} else "float64"
    return "object"


def _series(values: list[Any], column: Column) -> "pd.Series[Any]":
    dtype = column.dtype
    plain = _plain(values, dtype)
    if plain is not None:
        return plain
    if dtype == "float64":
        return pd.Series([number(value) for value in values], dtype="float64")
    if dtype in ("int64", "Int64"):
        return pd.Series([_whole(value) for value in values], dtype=dtype)
    if dtype == "str":
        missing = "" if column.blank else None
        texts = [missing if value is None else str(value) for value in values]
        return pd.Series(texts, dtype="str")
    if dtype == "boolean":
        flags = [value if isinstance(value, bool) else None for value in values]
        return pd.Series(flags, dtype="boolean")
    if dtype.startswith("datetime64"):
        written = pd.Series([v if isinstance(v, str) else None for v in values], dtype="object")
        times = pd.to_datetime(written, utc=True, errors="coerce", format="ISO8601")
        return times.dt.as_unit("us")
    return pd.Series(values, dtype=dtype)


def _plain(values: list[Any], dtype: str) -> "pd.Series[Any] | None":
    """The column of values that are all plain numbers, which is a hundred times as fast; None for
    others."""
    kinds = set(map(type, values))
    try:
        if dtype == "float64" and kinds <= {float, int, type(None)}:
            return pd.Series(np.array(values, dtype="float64"))
        if dtype in ("int64", "Int64") and kinds <= {int}:
            return pd.Series(np.array(values, dtype="int64"), dtype=dtype)
    except OverflowError:  # a whole number that numpy has no type for
        return None
    return None


def whole(values: "pd.Series[float]") -> "pd.Series[int]":
    """Return floats that are whole numbers as such; all others are missing."""
    fits = values.abs().lt(2.0**63) & (values == np.trunc(values))
    return values.where(fits).astype("Int64")


def number(value: object) -> float:
    """Return a real number as a float, NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def missing(value: Any) -> bool:
    """Return whether a cell holds nothing: None or what pandas has in its place."""
    whole = isinstance(value, str | list | dict | tuple)
    return value is None or (not whole and bool(pd.isna(value)))


def _whole(value: object) -> int | None:
    as_float = number(value)
    return int(as_float) if math.isfinite(as_float) and abs(as_float) < 2**63 else None
