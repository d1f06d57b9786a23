"""YAML files into plain values, every one of which knows its line and column.

The scalars are those of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), in which `1e-3` is
a number and `on` is a word; YAML 1.1, PyYAML's own choice, has it the other way round.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tinygpt import wording
from tinygpt.schema import DIGITS, ConfigError, Problem
from tinygpt.schema import Path as Keys

MAX_BYTES = 1 << 18
MAX_DEPTH = 20
MAX_VALUES = 10_000


@dataclass(frozen=True)
class Document:
    """The contents of a file, and where (line, column, both from 1) each key stands in it."""

    path: Path
    data: Any
    places: Mapping[Keys, tuple[int, int]]
    notes: tuple[str, ...] = ()
    """What the user is told of how the file was read."""

    def translated(self, sources: Mapping[Keys, Keys], notes: Iterable[str]) -> "Document":
        """The same file with its keys under other names; `sources` has the file's by those."""
        places = {ours: self._place(theirs) for ours, theirs in sources.items()}
        return Document(self.path, self.data, places, tuple(notes))

    def located(self, error: ConfigError) -> ConfigError:
        """The same problems, each with `file:line:column` before its key; in the file's order."""
        places = sorted((self._place(problem.path), str(problem)) for problem in error.problems)
        lines = [f"{self.path}:{line}:{column}: {text}" for (line, column), text in places]
        return ConfigError(Problem((), line) for line in dict.fromkeys(lines))

    def _place(self, keys: Keys) -> tuple[int, int]:
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, (1, 1))


class _TooMuchError(yaml.MarkedYAMLError):
    """A file that would take more time or memory than a sweep can need."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the scalars of YAML 1.2's core schema, as long as there are not too many
    of them; that is found out while they are read, not afterwards."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own interface)

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > MAX_VALUES:
            self._refuse(f"more than {MAX_VALUES:,} values, aliases counted")
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def fetch_flow_collection_start(self, token: Any) -> None:
        # Here and not only above: to find a key, the scanner runs far ahead of the nodes.
        if self.flow_level > MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels")
        super().fetch_flow_collection_start(token)

    def _refuse(self, problem: str) -> NoReturn:
        raise _TooMuchError(problem=problem, problem_mark=self.get_mark())


ADVICE = {
    "'\\t' that cannot start": "indent with spaces",
    "expected <block end>": "indent this line like the others of its mapping or list",
    "expected ',' or '}'": "close the { before it",
    "expected ',' or ']'": "close the [ before it",
}

_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")
}
_INT = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
for _tag, _pattern, _first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), _first
    )


def read(path: Path) -> Document:
    """Read a YAML file; raises ConfigError if it is missing, empty, malformed or repeats a key."""
    node = _composed(path)
    if node is None:
        raise ConfigError([Problem((), f"{path}: the file is empty; see sweeps/small.yaml")])
    reader = _Reader()
    try:
        data = reader.value(node, ())
    except ConfigError as error:
        raise Document(path, None, {}).located(error) from None
    document = Document(path, data, reader.places)
    if reader.problems:
        raise document.located(ConfigError(reader.problems))
    return document


def scalar(text: str) -> Any:
    """The value of a setting as YAML reads it: a scalar, a flow list or mapping; what is not YAML
    is text. Raises ConfigError where a file with that value would be refused."""
    reader = _Reader()
    try:
        if len(text) > MAX_BYTES:
            raise ConfigError([Problem((), f"longer than {MAX_BYTES:,} characters")])
        node = yaml.compose(text, Loader=_Loader)
        value = None if node is None else reader.value(node, ())
    except _TooMuchError as error:
        raise _of_setting(text, str(error.problem)) from None
    except ConfigError as error:
        raise _of_setting(text, str(error)) from None
    except yaml.YAMLError:
        return text
    if reader.problems:
        raise _of_setting(text, str(reader.problems[0]))
    return value


def _of_setting(text: str, problem: str) -> ConfigError:
    return ConfigError([Problem((), f"the value {wording.shown(text)}: {problem}")])


def _composed(path: Path) -> yaml.Node | None:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError([Problem((), f"{path}: larger than {MAX_BYTES:,} bytes")])
        return yaml.compose(data.decode(), Loader=_Loader)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Problem((), f"{path}: cannot be read: {reason}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem((), f"{path}: byte {error.start} is not UTF-8")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        kind = "" if isinstance(error, _TooMuchError) else "not YAML: "
        told = f"{where}: {kind}{error.problem}{_advice(error.problem or '')}"
        raise ConfigError([Problem((), told)]) from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise ConfigError([Problem((), f"{path}: not YAML: {text}")]) from None


def _key(node: yaml.Node) -> tuple[str, str | None]:
    """A key as messages name it, and why it cannot be one; None if it can."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _TAGS:
        return "?", "a key must be plain text"
    if not node.value.isprintable():
        return wording.shown(node.value), "a key must be printable"
    if node.value == "<<":
        return node.value, "merge keys are not supported; write the keys out"
    return node.value, None


def _advice(problem: str) -> str:
    """What to do about some of YAML's complaints, which speak of its grammar."""
    for words, advice in ADVICE.items():
        if words in problem:
            return f"; {advice}"
    return ""


class _Reader:
    """Turns nodes into values, noting where each stands and what is wrong."""

    def __init__(self) -> None:
        self.places: dict[Keys, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        mark = node.start_mark
        self.places.setdefault(keys, (mark.line + 1, mark.column + 1))
        self._values += 1
        if self._values > MAX_VALUES:
            raise ConfigError([Problem((), f"more than {MAX_VALUES:,} values, aliases counted")])
        if len(keys) > MAX_DEPTH:
            raise ConfigError([Problem((), f"nested deeper than {MAX_DEPTH} levels")])
        if node.tag not in _TAGS:
            self._problem(keys, f"the tag {node.tag!r} is not supported; write a plain value")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*keys, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, keys)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, objection = _key(key_node)
            inner, mark = (*keys, key), key_node.start_mark
            if key in values:
                objection = "the key stands here twice; remove one"
            self.places[inner] = (mark.line + 1, mark.column + 1)
            if objection is not None:
                self._problem(inner, objection)
            values[key] = self.value(value_node, inner)
        return values

    def _scalar(self, node: yaml.Node, keys: Keys) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "int" and len(node.value.lstrip("+-")) > DIGITS:
            self._problem(keys, f"a whole number may have {DIGITS} digits")
            return None
        try:
            if kind == "int":
                return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)
            if kind == "float":
                return float(node.value.replace(".", "", node.value[-3:].isalpha()))
            if kind == "bool":
                return {"true": True, "false": False}[node.value.lower()]
        except (ValueError, KeyError):
            self._problem(keys, f"the tag {kind} does not fit {wording.shown(node.value)}")
            return None
        return None if kind == "null" else node.value

    def _problem(self, keys: Iterable[str | int], message: str) -> None:
        self.problems.append(Problem(tuple(keys), message))
