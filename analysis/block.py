"""Rows of a record as arrays: what a large sweep is read into, a trial at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.frames import number
from analysis.records import Row

PLAIN = frozenset({float, int, type(None)})
"""Types of values that numpy takes as they are; None becomes NaN."""
Value = str | Callable[[Row], object]
"""A column: the key that its values have in a row, or what finds them."""


@dataclass(frozen=True)
class Block:
    """Rows by kind and step: the places of their kinds (rows,), their steps (rows,), and their
    values (rows, columns), NaN for what is missing or no number."""

    kinds: npt.NDArray[np.int8]
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def of_kind(self, place: int) -> npt.NDArray[np.float64]:
        """Return the values of the rows of one kind, (rows, columns)."""
        chosen: npt.NDArray[np.float64] = self.values[self.kinds == place]
        return chosen


def block(rows: Sequence[tuple[int, Row]], columns: Sequence[Value]) -> Block:
    """Return rows, given with the place of their kind, with a column for each of `columns`."""
    values = np.empty((len(rows), len(columns)))
    for place, column in enumerate(columns):
        values[:, place] = numbers(_found(rows, column))
    kinds = np.array([kind for kind, _ in rows], dtype="int8")
    return Block(kinds, np.array([row["step"] for _, row in rows], dtype="int64"), values)


def joined(blocks: Sequence[Block], columns: int) -> Block:
    """Return the rows of all blocks, one after the other."""
    empty = Block(np.empty(0, "int8"), np.empty(0, "int64"), np.empty((0, columns)))
    whole = [empty, *blocks]
    return Block(
        np.concatenate([one.kinds for one in whole]),
        np.concatenate([one.steps for one in whole]),
        np.concatenate([one.values for one in whole]),
    )


def _found(rows: Sequence[tuple[int, Row]], column: Value) -> list[Any]:
    if isinstance(column, str):
        return [row.get(column) for _, row in rows]
    return [column(row) for _, row in rows]


def numbers(values: list[Any]) -> npt.NDArray[np.float64]:
    """Return real numbers as floats, NaN for all else, see frames.number."""
    if PLAIN.issuperset(map(type, values)):
        try:
            return np.array(values, dtype="float64")
        except OverflowError:  # a whole number beyond all floats
            pass
    return np.array([number(value) for value in values], dtype="float64")
