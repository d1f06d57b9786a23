"""Every key of a sweep file, for editors as a JSON Schema: `python -m experiments.keys`, and for
readers as a table: `python -m experiments.keys --table`."""

import argparse
import dataclasses
import json
import types
import typing
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from experiments import keytable
from experiments.docstrings import described, summary
from experiments.spec import Sweep
from tinygpt import config, schema
from tinygpt.exits import DONE, run_command
from tinygpt.schema import Range

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", types.NoneType: "null"}
BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: show(table=arguments.table))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.keys",
        description="Print a JSON Schema of the sweep file, with which an editor completes and "
        "checks it.",
    )
    parser.add_argument(
        "--table", action="store_true", help="print a Markdown table of all keys instead"
    )
    return parser


def show(*, table: bool) -> int:
    """Returns the exit code."""
    text = keytable.table(Sweep) if table else json.dumps(sweep_schema(), indent=2) + "\n"
    print(text, end="")
    return DONE


def sweep_schema() -> dict[str, Any]:
    """The JSON Schema of a sweep file, with the shorter forms that spec.py allows in one."""
    made = json_schema(Sweep, list(config.known_keys()))
    made["title"] = "A sweep file of tinygpt"
    made["required"] = [key for key in made["required"] if key != "name"]
    properties = made["properties"]
    if properties["objective"].get("type") == "array":
        _allow_one(properties["objective"])
    for of in made["$defs"].values():
        if "when" in of.get("properties", {}):
            _allow_one(of["properties"]["when"]["additionalProperties"])
    return made


def _allow_one(many: dict[str, Any]) -> None:
    """Let a list of one be written without its brackets."""
    array = {key: many.pop(key) for key in ("type", "items")}
    many["anyOf"] = [array["items"], array]


def json_schema(cls: type, keys: Collection[str] = ()) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the mappings that `schema.build` makes a `cls` of.

    `keys` are all that may be keys where a field is a `dict`; empty: any.
    """
    writer = _Writer(keys)
    made = {"$schema": DRAFT, "title": cls.__name__, **writer.section(cls)}
    if writer.definitions:
        made["$defs"] = writer.definitions
    return made


class _Writer:
    """Writes types as schemas, each dataclass once and under its name."""

    def __init__(self, keys: Collection[str]) -> None:
        self.definitions: dict[str, Any] = {"key": {"enum": list(keys)}} if keys else {}
        self._names = {"propertyNames": {"$ref": "#/$defs/key"}} if keys else {}

    def section(self, cls: type) -> dict[str, Any]:
        hints = schema.field_types(cls)
        properties = {name: self._field(cls, name, hint) for name, hint in hints.items()}
        required = [name for name in hints if schema.required(cls, name) or is_tag(cls, name)]
        made = {
            "description": summary(cls),
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        return made | ({"required": required} if required else {})

    def of(self, hint: Any) -> dict[str, Any]:
        """The schema of a type."""
        if typing.get_origin(hint) is Annotated:
            base, *extras = typing.get_args(hint)
            return self.of(base) | bounds(extras)
        arguments, origin = typing.get_args(hint), typing.get_origin(hint) or hint
        if origin in (types.UnionType, typing.Union):
            return _either([self.of(member) for member in arguments])
        if origin is Literal:
            return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", **self._names, "additionalProperties": self.of(arguments[1])}
        if schema.is_section(hint):
            return self._reference(hint)
        return {} if hint is Any else {"type": TYPES[hint]}

    def _field(self, cls: type, name: str, hint: Any) -> dict[str, Any]:
        made = {"description": described(cls)[name], **self.of(hint)}
        if schema.required(cls, name) or schema.is_section(hint):
            return made
        return made | {"default": default(cls, name)}

    def _reference(self, cls: type) -> dict[str, Any]:
        name = cls.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # a class may hold another of its kind
            self.definitions[name] = self.section(cls)
        return {"$ref": f"#/$defs/{name}"}


def is_tag(cls: type, name: str) -> bool:
    """Whether a field says which of several dataclasses is meant, and no other key of it does."""
    hints = schema.field_types(cls)
    tag = typing.get_args(hints[name])
    return name == "type" and len(tag) == 1 and tag[0] not in hints


def bounds(extras: Sequence[Any]) -> dict[str, float]:
    """The keywords for the Range among a type's annotations."""
    limits = next((extra for extra in extras if isinstance(extra, Range)), Range())
    values = {word: getattr(limits, name) for name, word in BOUNDS.items()}
    return {word: value for word, value in values.items() if value is not None}


def _either(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Plain types as one schema, whose bounds hold for numbers alone; else any of them."""
    if not all(isinstance(member.get("type"), str) for member in members):
        return {"oneOf" if all("$ref" in member for member in members) else "anyOf": members}
    if any(member["type"] in ("array", "object") for member in members):
        return {"anyOf": members}
    kinds = [member["type"] for member in members]
    kept = [kind for kind in kinds if not (kind == "integer" and "number" in kinds)]
    merged: dict[str, Any] = {}
    for member in members:
        merged |= member
    return merged | {"type": kept}


def default(cls: type, name: str) -> Any:
    """A field's default as JSON has it; of a dataclass only what says which one it is."""
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    factory = field.default_factory
    return _plain(field.default if factory is dataclasses.MISSING else factory())


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {"type": value.type} if hasattr(value, "type") else dataclasses.asdict(value)  # type: ignore[arg-type]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


if __name__ == "__main__":
    raise SystemExit(main())
