"""Small expressions over the values of a run, such as `model.d_model // 4` or `params <= 1e6`.

They are read by Python's own parser and worked out here, node by node: nothing that is not in the
tables below can be written, and nothing can be made large enough to take time or memory.
"""

import ast
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from experiments import operations
from experiments.operations import FUNCTIONS, Scalar
from tinygpt.wording import shown

MAX_LENGTH = 500
MAX_NESTING = 50
ALLOWED = (
    "numbers, texts, true, false, null, names such as model.d_model, + - * / // % **, == != < <= > "
    f">=, and or not, a if c else b, in [...], and {', '.join(FUNCTIONS)}"
)
LITERALS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
"""How YAML writes what Python writes True, False and None; both are understood."""


class Fault(NamedTuple):
    """What cannot stand in an expression, and the node where it stands."""

    node: ast.AST
    message: str


@dataclass(frozen=True)
class Expression:
    """An expression that has been read; equal ones have the same text."""

    text: str
    names: tuple[str, ...] = field(compare=False)
    """The names whose values it needs, in the order of their first use."""
    _root: ast.expr = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Raises ValueError saying what is wrong, at which character, and what is allowed."""
        if not text.strip():
            raise ValueError(f"is empty; allowed are {ALLOWED}")
        if len(text) > MAX_LENGTH:
            raise ValueError(f"has {len(text)} characters, {MAX_LENGTH} are allowed")
        if len(text.splitlines()) > 1:
            raise ValueError("has several lines; write it on one")
        root = _read(text)
        for fault in _faults(root):
            raise ValueError(f"character {_place(text, fault.node)}: {fault.message}")
        return cls(text, tuple(dict.fromkeys(_names(root))), root)

    def value(self, names: Mapping[str, Scalar]) -> Scalar:
        """What it comes to where each name has this value.

        Raises ValueError where a name has none, types do not fit, or there is no finite result.
        """
        return _value(self._root, names)


def _read(text: str) -> ast.expr:
    """The tree of a text, once it is known not to be nested too deeply to walk."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python deprecates is refused below
            root = ast.parse(text.lstrip(), mode="eval").body
    except SyntaxError as error:
        lead = len(text) - len(text.lstrip())
        place = lead + error.offset if error.offset else len(text.rstrip()) + 1
        raise ValueError(f"character {place}: {error.msg}; allowed are {ALLOWED}") from None
    except (RecursionError, MemoryError, ValueError):
        raise ValueError(f"cannot be read; allowed are {ALLOWED}") from None
    level: list[ast.AST] = [root]
    for _ in range(MAX_NESTING):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return root
    raise ValueError(f"is nested more than {MAX_NESTING} deep; split it up")


def _place(text: str, node: ast.AST) -> int:
    """The character of a text at which a node begins, from 1; Python counts in bytes."""
    lead = len(text) - len(text.lstrip())
    encoded = text.lstrip().encode()
    return 1 + lead + len(encoded[: getattr(node, "col_offset", 0)].decode(errors="ignore"))


def _faults(node: ast.expr) -> Iterator[Fault]:
    """What may not stand in an expression, from left to right."""
    match node:
        case ast.Constant():
            yield from _unusable(node)
        case ast.Name(id=name):
            if name in FUNCTIONS:
                yield Fault(node, f"{name} is a function; write {name}(...)")
        case ast.Attribute():
            if dotted(node) is None:
                yield _strange(node)
        case ast.Call():
            yield from _miscalled(node)
        case ast.Compare():
            yield from _incomparable(node)
        case _ if not _known(node):
            yield _strange(node)
        case _:
            for part in _parts(node):
                yield from _faults(part)


def _known(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(op=op):
            return type(op) in operations.ARITHMETIC
        case ast.UnaryOp(op=op):
            return isinstance(op, ast.USub | ast.UAdd | ast.Not)
    return isinstance(node, ast.BoolOp | ast.IfExp)


def _parts(node: ast.AST) -> list[ast.expr]:
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _unusable(node: ast.Constant) -> Iterator[Fault]:
    if node.value is not None and not isinstance(node.value, bool | int | float | str):
        yield _strange(node)
    elif isinstance(node.value, int | float) and not abs(node.value) <= operations.LARGEST:
        yield Fault(node, f"the number is larger than {operations.LARGEST:g}")


def _miscalled(node: ast.Call) -> Iterator[Fault]:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        yield Fault(node, f"no function {shown(name)}; there are {', '.join(FUNCTIONS)}")
        return
    _, fewest, most = FUNCTIONS[name]
    strange = [part for part in node.args if isinstance(part, ast.Starred)] or node.keywords
    if strange or not fewest <= len(node.args) <= most:
        many = f"{fewest}" if fewest == most else f"{fewest} or more"
        many = f"{fewest} to {most}" if fewest < most < math.inf else many
        yield Fault(node, f"{name} takes {many} values, one after the other")
    for part in node.args:
        yield from _faults(part)


def _incomparable(node: ast.Compare) -> Iterator[Fault]:
    yield from _faults(node.left)
    for op, right in zip(node.ops, node.comparators, strict=True):
        listed = isinstance(right, ast.List)
        if isinstance(op, ast.Is | ast.IsNot):
            yield Fault(node, "is compares objects; write == or !=")
        elif isinstance(op, ast.In | ast.NotIn) != listed:
            rule = "a list stands only to the right of in" if listed else "in wants a list, [a, b]"
            yield Fault(right, rule)
        else:
            for part in right.elts if isinstance(right, ast.List) else [right]:
                yield from _faults(part)


def _strange(node: ast.AST) -> Fault:
    return Fault(node, f"{shown(ast.unparse(node))} cannot stand here; allowed are {ALLOWED}")


def dotted(node: ast.expr) -> str | None:
    """The name that `a.b.c` is, None for an attribute of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else None
    return f"{before}.{node.attr}" if before and isinstance(node, ast.Attribute) else None


def _names(node: ast.expr) -> Iterator[str]:
    name = dotted(node)
    if name is not None:
        yield from () if name in LITERALS else (name,)
        return
    for part in node.args if isinstance(node, ast.Call) else _parts(node):
        yield from _names(part)


def _value(node: ast.expr, names: Mapping[str, Scalar]) -> Scalar:
    """Work out one node; what is not needed (the other branch, the rest of an `and`) is not."""
    try:
        return operations.bounded(_worked_out(node, names))
    except operations.UndefinedError as error:
        raise ValueError(f"{error} in {shown(ast.unparse(node))}") from None


def _worked_out(node: ast.expr, names: Mapping[str, Scalar]) -> Scalar:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as constant):
            return constant
        case ast.Name() | ast.Attribute():
            return _looked_up(str(dotted(node)), names)
        case ast.BinOp(left=left, op=op, right=right):
            return operations.ARITHMETIC[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not operations.truth(_value(operand, names))
        case ast.UnaryOp(op=op, operand=operand):
            number = operations.number(_value(operand, names))
            return -number if isinstance(op, ast.USub) else number
        case ast.BoolOp(op=op, values=values):
            truths = (operations.truth(_value(part, names)) for part in values)
            return all(truths) if isinstance(op, ast.And) else any(truths)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if operations.truth(_value(test, names)) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name].of(*(_value(part, names) for part in arguments))
        case ast.Compare():
            return _holds(node, names)
    raise AssertionError(f"{type(node).__name__} was let through")


def _looked_up(name: str, names: Mapping[str, Scalar]) -> Scalar:
    if name in LITERALS:
        return LITERALS[name]
    if name not in names:
        raise operations.UndefinedError(f"no value for {name}")
    return names[name]


def _holds(node: ast.Compare, names: Mapping[str, Scalar]) -> bool:
    """Whether every link of `a < b <= c` holds; links after one that does not are not looked at."""
    left = _value(node.left, names)
    for op, part in zip(node.ops, node.comparators, strict=True):
        if isinstance(part, ast.List):
            found = any(operations.same(left, _value(one, names)) for one in part.elts)
            if found != isinstance(op, ast.In):
                return False
            continue
        right = _value(part, names)
        if not operations.COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True
