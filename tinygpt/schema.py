"""Plain mappings into checked dataclasses: strict keys, strict types, every problem at once."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from tinygpt.wording import either, shown, suggestion, unknown

DIGITS = 18
"""Of a whole number: whatever it is written to can hold so many."""

T = TypeVar("T")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Range:
    """The numbers a field accepts; `None` is unbounded, `above` and `below` are exclusive."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = {">=": self.minimum, ">": self.above, "<=": self.maximum, "<": self.below}
        return " and ".join(
            f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None
        )


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration: where (a path of keys) and what, with the next move."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message

    def under(self, prefix: Path) -> "Problem":
        return Problem((*prefix, *self.path), self.message)


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` holds everything wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Checked:
    """A dataclass whose instances are checked when made: types, ranges, then `rules()`.

    Raises ConfigError with every problem found.
    """

    def __post_init__(self) -> None:
        hints = field_types(type(self))
        problems = [
            Problem((name,), message)
            for name, hint in hints.items()
            if (message := mismatch(hint, getattr(self, name))) is not None
        ]
        if problems or (problems := list(self.rules())):
            raise ConfigError(problems)

    def rules(self) -> Iterator[Problem]:
        """Yield what is wrong between fields, each of which is right by itself."""
        return iter(())


def field_types(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass's fields, with their Range and Literal."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def build(cls: type[T], data: object, path: Path = (), known: Iterable[str] = ()) -> T:
    """Make a `cls` of a plain mapping; raise ConfigError listing every problem below `path`.

    `known` are dotted keys to suggest for an unknown one, by default all that `cls` has.
    """
    if not isinstance(data, Mapping):
        raise ConfigError([Problem(path, f"must be a mapping of keys, got {shown(data)}")])
    hints = field_types(cls)
    options = [name for name in hints if path and not known and name != "type"]
    known = known or tuple(leaves(cls))
    strangers = []
    for key in data:
        if key not in hints:
            message = unknown(dotted((*path, key)), siblings(path, hints), known)
            if options and message == "unknown key":
                verb = "are" if options[1:] else "is"
                message = f"unknown key; there {verb} {', '.join(options)}"
            strangers.append(Problem((*path, key), message))
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, hint in hints.items():
        try:
            if name in data:
                values[name] = convert(hint, data[name], (*path, name), known)
            elif required(cls, name):
                problems.append(Problem(path, f"the key {name!r} is missing"))
        except ConfigError as error:
            problems += error.problems
    return _construct(cls, values, strangers, problems, path)


def siblings(path: Path, hints: Mapping[str, Any]) -> list[str]:
    return [dotted((*path, name)) for name in hints]


def _construct(
    cls: type[T],
    values: dict[str, Any],
    strangers: list[Problem],
    problems: list[Problem],
    path: Path,
) -> T:
    """Make the instance; what its rules say is told beside the unknown keys."""
    if not problems:
        try:
            made = cls(**values)
        except ConfigError as error:
            problems = [problem.under(path) for problem in error.problems]
    if strangers or problems:
        raise ConfigError(strangers + problems)
    return made


def required(cls: type, name: str) -> bool:
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    return field.default is field.default_factory is dataclasses.MISSING


def leaves(cls: type, prefix: str = "") -> dict[str, Any]:
    """Every dotted key of a dataclass of dataclasses, with its type."""
    keys: dict[str, Any] = {}
    for name, hint in field_types(cls).items():
        keys |= leaves(hint, f"{prefix}{name}.") if is_section(hint) else {prefix + name: hint}
    return keys


def is_section(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint) and isinstance(hint, type)


def convert(hint: Any, value: object, path: Path = (), known: Iterable[str] = ()) -> Any:
    """Return `value` as the type `hint` asks for; an integer becomes a float where one is due.

    Raises ConfigError saying what is wrong with it.
    """
    if is_section(hint):
        return value if isinstance(value, hint) else build(hint, value, path, known)
    kinds = alternatives(_parts(hint)[0])
    filled = tuple(kind for kind in kinds if kind is not types.NoneType)
    if filled == kinds or value is not None:
        if filled and all(is_section(one) for one in filled):
            return _convert_tagged(filled, value, path, known)
        if len(filled) == 1 and typing.get_origin(filled[0]) in (dict, tuple):
            return _convert_many(filled[0], value, path, known)
    if float in kinds and int not in kinds and type(value) is int and abs(value) < 1 << 53:
        value = float(value)
    if (message := mismatch(hint, value)) is not None:
        raise ConfigError([Problem(path, message)])
    return value


def _convert_tagged(kinds: tuple[Any, ...], value: object, path: Path, known: Iterable[str]) -> Any:
    """Build the one of several dataclasses whose `type` the mapping names; one alone needs none."""
    if isinstance(value, kinds):
        return value
    if len(kinds) == 1:
        return build(kinds[0], value, path, known)
    if not isinstance(value, Mapping):
        raise ConfigError([Problem(path, f"must be a mapping of keys, got {shown(value)}")])
    by_name = {typing.get_args(field_types(kind)["type"])[0]: kind for kind in kinds}
    got, where = value.get("type"), (*path, "type")
    kind = by_name.get(got) if isinstance(got, str) else None
    if kind is None:
        message = f"must be {either(by_name)}, got {shown(got)}{suggestion(got, by_name)}"
        raise ConfigError([Problem(where, message)])
    return build(kind, value, path)


def _convert_many(base: Any, value: object, path: Path, known: Iterable[str]) -> Any:
    """Convert the values of a `dict[str, X]` or the items of a `tuple[X, ...]`."""
    container, hint = typing.get_origin(base), typing.get_args(base)[container_place(base)]
    if not isinstance(value, Mapping if container is dict else list | tuple):
        raise ConfigError([Problem(path, f"must be {noun(base)}, got {shown(value)}")])
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    converted, problems = {}, []
    for key, item in pairs:
        try:
            converted[key] = convert(hint, item, (*path, key), known)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return converted if container is dict else tuple(converted.values())


def container_place(base: Any) -> int:
    """Where the type of the contents stands among a container's arguments."""
    return 1 if typing.get_origin(base) is dict else 0


def mismatch(hint: Any, value: object) -> str | None:
    """Say what is wrong with one value, None if nothing is."""
    base, allowed = _parts(hint)
    if typing.get_origin(base) is Literal:
        choices = typing.get_args(base)
        if value in choices and any(type(value) is type(choice) for choice in choices):
            return None
        return f"must be {either(choices)}, got {shown(value)}{suggestion(value, choices)}"
    if not any(is_a(value, one) for one in alternatives(base)):
        return f"must be {noun(base)}, got {shown(value)}{number_hint(base, value)}"
    if isinstance(value, str) and not encodable(value):
        return f"must be text that UTF-8 can hold, got {shown(value)}"
    if isinstance(value, str) and "\0" in value:
        return f"must be text without NUL, got {shown(value)}"
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return f"must have at most {DIGITS} digits, got {shown(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be finite, got {shown(value)}"
    if allowed and isinstance(value, int | float) and value not in allowed:
        return f"must be {allowed}, got {shown(value)}"
    return None


def encodable(text: str) -> bool:
    """Whether a text can be written to a file; a command line may hold bytes that cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_text(hint: Any, text: str) -> object:
    """Read a command line's text as the type that `hint` asks for; unreadable text stays text."""
    kinds = alternatives(_parts(hint)[0])
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return None if types.NoneType in kinds and text in ("null", "none") else text


def dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def noun(base: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    names |= {types.NoneType: "null", dict: "a mapping", list: "a list", tuple: "a list"}
    words: list[str] = []
    for one in alternatives(base):
        choices = typing.get_args(one) if typing.get_origin(one) is Literal else ()
        kind = typing.get_origin(one) or one
        words += map(str, choices or [names.get(kind, getattr(kind, "__name__", str(kind)))])
    return either(words)


def number_hint(base: Any, value: object) -> str:
    if int in alternatives(base) and isinstance(value, float) and value.is_integer():
        return f" (write {int(value)})"
    return ""


def is_a(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if typing.get_origin(kind) is Literal:
        return mismatch(kind, value) is None
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, typing.get_origin(kind) or kind)


def alternatives(base: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    if typing.get_origin(base) in (types.UnionType, typing.Union):
        return tuple(_parts(member)[0] for member in typing.get_args(base))
    return (base,)


def _parts(hint: Any) -> tuple[Any, Range | None]:
    """A type without its annotations, and the range that one of its alternatives has."""
    if typing.get_origin(hint) is Annotated:
        base, *extras = typing.get_args(hint)
        return base, next((extra for extra in extras if isinstance(extra, Range)), None)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        ranges = [_parts(member)[1] for member in typing.get_args(hint)]
        return hint, next((found for found in ranges if found is not None), None)
    return hint, None
