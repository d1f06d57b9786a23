"""YAML files into plain values, every one of which knows its line and column.

The scalars are those of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), in which `1e-3` is
a number and `on` is a word; YAML 1.1, PyYAML's own choice, has it the other way round.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tinygpt.schema import ConfigError, Problem
from tinygpt.schema import Path as Keys

MAX_DEPTH = 20
MAX_VALUES = 20_000
MAX_BYTES = 1 << 20


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


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own interface)


ADVICE = {
    "'\\t' that cannot start": "indent with spaces",
    "expected <block end>": "indent this line like the others of its mapping or list",
    "expected ',' or '}'": "close the { before it",
    "expected ',' or ']'": "close the [ before it",
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
    """The value of a scalar as YAML reads it, or of a flow list or mapping."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return text
    return None if node is None else _Reader().value(node, ())


def _composed(path: Path) -> yaml.Node | None:
    try:
        data = path.read_bytes()
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
        told = f"{where}: not YAML: {error.problem}{_advice(error.problem or '')}"
        raise ConfigError([Problem((), told)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise ConfigError([Problem((), f"{path}: not YAML: {text}")]) from None


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
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*keys, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, keys)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.tag)
            inner, mark = (*keys, key), key_node.start_mark
            if key in values:
                self.places[inner] = (mark.line + 1, mark.column + 1)
                self._problem(inner, "the key stands here twice; remove one")
            self.places[inner] = (mark.line + 1, mark.column + 1)
            values[key] = self.value(value_node, inner)
        return values

    def _scalar(self, node: yaml.Node, keys: Keys) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            if kind == "int":
                return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)
            if kind == "float":
                return float(node.value.replace(".", "", node.value[-3:].isalpha()))
            if kind == "bool":
                return {"true": True, "false": False}[node.value.lower()]
        except (ValueError, KeyError):
            self._problem(keys, f"the tag {kind} does not fit {node.value!r}")
            return None
        if kind not in ("str", "null"):
            self._problem(keys, f"the tag {node.tag!r} is not supported; write a plain value")
        return None if kind == "null" else node.value

    def _problem(self, keys: Iterable[str | int], message: str) -> None:
        self.problems.append(Problem(tuple(keys), message))
