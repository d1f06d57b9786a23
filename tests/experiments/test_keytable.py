"""The table has a row for every key, and examples that may be copied."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from jsonschema import Draft202012Validator

from experiments import loading
from experiments.keys import sweep_schema
from experiments.keytable import ANY_KEY, HEAD, rows, table
from experiments.spec import Sweep
from tinygpt import config
from tinygpt.schema import Checked, Range

Weight = Annotated[float, Range(above=0, maximum=9)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Apple(Checked):
    """It is round. It falls."""

    type: Literal["apple"] = "apple"
    weight: Weight = 3.0
    """In ounces | grams. Worth searching: 0 to 5e-1, log."""
    sour: bool = False
    """Whether it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pear(Checked):
    """It is sweet."""

    type: Literal["pear"] = "pear"
    weight: Weight = 3.0
    """In ounces | grams. Worth searching: 0 to 5e-1, log."""
    inside: "Apple | Pear | None" = None
    """What it hides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bowl(Checked):
    """It holds fruit."""

    size: int
    """How many fit."""
    rim: Literal["flat", "round"] = "flat"
    """Its shape."""
    first: Apple | Pear = field(default_factory=Apple)
    """What lies on top."""
    others: dict[str, Apple | Pear] = field(default_factory=dict)
    """By their names."""
    spoons: tuple[str, ...] = ()
    """What one eats with."""


def test_every_key_has_a_row() -> None:
    lines = table(Bowl).removeprefix(HEAD).splitlines()
    assert lines[:2] == [
        "| `size` | required | a whole number | How many fit. | `1` |",
        "| `rim` | `flat` | flat or round | Its shape. | `round` |",
    ]
    assert lines[2:8] == [
        "| `first.type` | `apple` | apple or pear | What lies on top. | `apple` |",
        "| `first.type: apple` |  |  | It is round. | `{type: apple}` |",
        "| `first.type: pear` |  |  | It is sweet. | `{type: pear}` |",
        "| `first.weight` | `3.0` | a number > 0 and <= 9 | apple, pear: In ounces \\| grams. "
        "| `5e-1` |",
        "| `first.sour` | `false` | true or false | apple: Whether it is. | `true` |",
        "| `first.inside` | `null` | a mapping or null | pear: What it hides. | `null` |",
    ]
    assert lines[8].startswith("| `others.KEY.type` | required |")
    assert lines[-1] == "| `spoons` | `[]` | a list | What one eats with. | `[]` |"


def test_the_sweeps_table_has_every_key_of_a_run() -> None:
    text = table(Sweep)
    for key in config.known_keys():
        assert f"\n| `run.{key}` | " in text
    assert all(len(line.split(" | ")) == 5 for line in text.replace("\\|", "").splitlines()[2:])


def test_every_example_may_be_the_value_of_its_key() -> None:
    made = sweep_schema()
    for row in rows(Sweep):
        key, _, tag = row.key.partition(": ")
        where = key.removesuffix(".type") if tag else key
        found = list(below(made, made, where.split(".")))
        assert found, row.key
        value = loading.scalar(row.example)
        if tag and row.example == f"{{type: {tag}}}":
            continue  # it may lack keys
        assert any(
            Draft202012Validator({**one, "$defs": made["$defs"]}).is_valid(value) for one in found
        ), row


def below(made: dict[str, Any], one: dict[str, Any], keys: list[str]) -> Iterator[dict[str, Any]]:
    """The schemas of a dotted key in a schema, whichever of its alternatives has it."""
    if "$ref" in one:
        yield from below(made, made["$defs"][one["$ref"].rpartition("/")[2]], keys)
    elif not keys:
        yield one
    for inner in (*one.get("oneOf", ()), *one.get("anyOf", ())):
        yield from below(made, inner, keys)
    if keys and "items" in one:
        yield from below(made, one["items"], keys)
    if keys and keys[0] in one.get("properties", {}):
        yield from below(made, one["properties"][keys[0]], keys[1:])
    elif keys and keys[0] == ANY_KEY and "additionalProperties" in one:
        yield from below(made, one["additionalProperties"], keys[1:])
