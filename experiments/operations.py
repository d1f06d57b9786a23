"""What expressions can do with values: arithmetic that cannot explode, comparisons, functions."""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from tinygpt.wording import shown

Scalar = float | int | str | bool | None
Number = int | float

LARGEST = 1e300
"""No number may be further from zero, whole ones included."""
MAX_BITS = 1000
"""A whole number within LARGEST has no more bits."""


class UndefinedError(Exception):
    """An operation that has no result for these values."""


def bounded(value: object) -> Scalar:
    """The value, if it is one that a config can hold and not too large to go on with."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise UndefinedError("no finite value")
        if not -LARGEST <= value <= LARGEST:
            raise UndefinedError(f"a number beyond {LARGEST:g}")
        return value
    if value is None or isinstance(value, bool | str):
        return value
    raise UndefinedError(f"{shown(value)} is neither number, text, true, false nor null")


def number(value: Scalar) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UndefinedError(f"{_written(value)} where a number is due")
    return value


def truth(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise UndefinedError(f"{_written(value)} where true or false is due")
    return value


def same(left: Scalar, right: Scalar) -> bool:
    """Equality, for which 1 and 1.0 are the same, but neither is true."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _written(value: Scalar) -> str:
    names = {True: "true", False: "false", None: "null"}
    return names[value] if isinstance(value, bool | None) else shown(value)


def _guarded(operation: Callable[..., Any]) -> Callable[..., Number]:
    """The operation on numbers alone, its own errors put in words."""

    def guarded(*values: Scalar) -> Number:
        try:
            result = operation(*map(number, values))
        except ZeroDivisionError:
            raise UndefinedError("a division by zero") from None
        except OverflowError:
            raise UndefinedError(f"a number beyond {LARGEST:g}") from None
        except (ValueError, TypeError):
            raise UndefinedError("no real value") from None
        if isinstance(result, complex):
            raise UndefinedError("no real value")
        return number(result)

    return guarded


def _power(base: Number, exponent: Number) -> Any:
    """A whole power is only begun when it is known to end within MAX_BITS."""
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        bits = abs(base).bit_length() - 1
        if exponent * bits > MAX_BITS:
            raise OverflowError
        if -exponent * bits > 2 * MAX_BITS:
            return 0.0
    return base**exponent


def _rounded(value: Number, digits: Number = 0) -> Number:
    """Half to even, as Python; to a whole number if no digits are asked for."""
    if not isinstance(digits, int):
        raise UndefinedError(f"{_written(digits)} where a whole number of digits is due")
    if abs(digits) > 400:
        raise UndefinedError(f"{digits} digits")
    return round(value, digits) if digits else round(value)


def _number_of(kind: type[int] | type[float]) -> Callable[[Scalar], Number]:
    def converted(value: Scalar) -> Number:
        return kind(value if isinstance(value, bool) else number(value))

    return converted


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Scalar, Scalar], bool]:
    def ordered(left: Scalar, right: Scalar) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        return compare(number(left), number(right))

    return ordered


class Function(NamedTuple):
    """A function, and how few and how many values it takes."""

    of: Callable[..., Scalar]
    fewest: int = 1
    most: float = 1


ARITHMETIC: dict[type[ast.operator], Callable[[Scalar, Scalar], Scalar]] = {
    ast.Add: _guarded(operator.add),
    ast.Sub: _guarded(operator.sub),
    ast.Mult: _guarded(operator.mul),
    ast.Div: _guarded(operator.truediv),
    ast.FloorDiv: _guarded(operator.floordiv),
    ast.Mod: _guarded(operator.mod),
    ast.Pow: _guarded(_power),
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Scalar, Scalar], bool]] = {
    ast.Eq: same,
    ast.NotEq: lambda left, right: not same(left, right),
    ast.Lt: _ordered(operator.lt),
    ast.LtE: _ordered(operator.le),
    ast.Gt: _ordered(operator.gt),
    ast.GtE: _ordered(operator.ge),
}
FUNCTIONS: dict[str, Function] = {
    "min": Function(_guarded(min), 2, math.inf),
    "max": Function(_guarded(max), 2, math.inf),
    "abs": Function(_guarded(abs)),
    "round": Function(_guarded(_rounded), 1, 2),
    "int": Function(_number_of(int)),
    "float": Function(_number_of(float)),
    "sqrt": Function(_guarded(math.sqrt)),
    "log": Function(_guarded(math.log)),
    "log2": Function(_guarded(math.log2)),
    "exp": Function(_guarded(math.exp)),
}
