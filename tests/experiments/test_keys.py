"""The JSON Schema accepts what a sweep file may say, and the table shows every key."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator

from experiments import keys, loading, spec
from experiments.keys import json_schema, sweep_schema
from tinygpt import config, schema
from tinygpt.schema import Checked, ConfigError, Range

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "sweeps").glob("*.yaml"))
SMALL = ROOT / "sweeps" / "small.yaml"
WIDE = {"type": "float", "low": 1e-3, "high": 1e-2}
Half = Annotated[float, Range(above=0, maximum=0.5)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round(Checked):
    """It turns."""

    type: Literal["round"] = "round"
    radius: Half = 0.25
    """In metres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn(Checked):
    """It is drawn by hand."""

    type: Literal["path"] = "path"
    path: str
    inside: "Round | Drawn | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lid(Checked):
    """It closes."""

    tight: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Box(Checked):
    """It holds things."""

    size: int
    """How many fit."""
    colour: Literal["red", "blue"] = "red"
    depth: Annotated[int, Range(minimum=1, below=9)] | None = None
    width: Literal["auto"] | Half = "auto"
    shape: Round | Drawn = field(default_factory=Round)
    lid: Lid = field(default_factory=Lid)
    prices: dict[str, float | int | str | bool | None] = field(default_factory=dict)
    things: tuple[Round | Drawn, ...] = ()
    notes: tuple[str, ...] = ("a", "b")


def accepts(made: dict[str, Any], data: object) -> bool:
    return bool(Draft202012Validator(made).is_valid(data))


# Each row: what is added to a box, and whether it may be.
BOXES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"size": 2.5}, False),
    ({"size": "2"}, False),
    ({"size": True}, False),
    ({"sise": 2}, False),
    ({"colour": "blue"}, True),
    ({"colour": "green"}, False),
    ({"depth": None}, True),
    ({"depth": 1}, True),
    ({"depth": 0}, False),
    ({"depth": 9}, False),
    ({"width": "auto"}, True),
    ({"width": 0.5}, True),
    ({"width": 0.6}, False),
    ({"width": "wide"}, False),
    ({"shape": {"type": "round"}}, True),
    ({"shape": {"type": "round", "radius": 0}}, False),
    ({"shape": {"type": "square"}}, False),
    ({"shape": {"radius": 0.1}}, False),
    ({"shape": "round"}, False),
    ({"shape": {"type": "round", "path": "a"}}, False),
    ({"lid": {"tight": False}}, True),
    ({"lid": {"tight": 1}}, False),
    ({"prices": {"apple": 1, "pear": "2", "fig": None, "nut": 1e-3}}, True),
    ({"prices": {"melon": 1}}, False),
    ({"prices": {"apple": [1]}}, False),
    ({"things": [{"type": "round"}, {"type": "round"}]}, True),
    ({"things": {"type": "round"}}, False),
    ({"notes": []}, True),
    ({"notes": [1]}, False),
]


@pytest.mark.parametrize(("more", "right"), BOXES, ids=lambda value: str(value))
def test_a_schema_accepts_what_can_be_built(more: dict[str, Any], right: bool) -> None:
    made = json_schema(Box, ["apple", "pear", "fig", "nut"])
    Draft202012Validator.check_schema(made)
    assert accepts(made, {"size": 2, **more}) is right
    if "prices" not in more:
        assert builds(Box, {"size": 2, **more}) is right


def builds(cls: type, data: object) -> bool:
    try:
        schema.build(cls, data)
    except ConfigError:
        return False
    return True


def test_what_has_no_default_is_required() -> None:
    assert not accepts(json_schema(Box), {})
    assert json_schema(Box)["required"] == ["size"]


def test_a_type_may_be_left_out_where_a_key_of_its_name_is_required() -> None:
    made = json_schema(Box)
    assert accepts(made, {"size": 2, "shape": {"path": "a"}})
    assert not accepts(made, {"size": 2, "shape": {"type": "round", "path": "a"}})


def test_a_class_may_hold_its_own_kind() -> None:
    inner = {"type": "path", "path": "b", "inside": {"type": "round"}}
    made = json_schema(Box)
    assert accepts(made, {"size": 2, "shape": {"path": "a", "inside": inner}})
    assert not accepts(made, {"size": 2, "shape": {"path": "a", "inside": inner | {"path": 3}}})


def test_a_key_has_its_meaning_its_default_and_its_bounds() -> None:
    made = json_schema(Box)
    assert made["properties"]["size"] == {"description": "How many fit.", "type": "integer"}
    assert made["properties"]["depth"] == {
        "description": "It holds things.",
        "type": ["integer", "null"],
        "minimum": 1,
        "exclusiveMaximum": 9,
        "default": None,
    }
    assert made["properties"]["shape"]["default"] == {"type": "round"}
    assert made["properties"]["lid"] == {"description": "It closes.", "$ref": "#/$defs/Lid"}
    assert made["properties"]["notes"]["default"] == ["a", "b"]
    assert made["$defs"]["Round"]["properties"]["radius"] == {
        "description": "In metres.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 0.5,
        "default": 0.25,
    }


@pytest.fixture(scope="module")
def sweep() -> Draft202012Validator:
    """What checks a sweep file."""
    Draft202012Validator.check_schema(sweep_schema())
    return Draft202012Validator(sweep_schema())


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_sweep_and_its_resolved_form_are_accepted(
    sweep: Draft202012Validator, file: Path
) -> None:
    read, document = spec.read(file, [])
    assert not [error.message for error in sweep.iter_errors(document.data)]
    resolved = json.loads(json.dumps(spec.as_dict(read)))
    assert not [error.message for error in sweep.iter_errors(resolved)]


# Each row: what is replaced in the small sweep and by what.
FAULTS = [
    ("trials: 16", "trails: 16"),
    ("trials: 16", "trials: many"),
    ("trials: 16", "trials: 0"),
    ("seed: 0", "seed: -1"),
    ("name: small", "name: 7"),
    ("type: tpe", "type: tpee"),
    ("type: tpe,", ""),
    ("{type: tpe, n_startup_trials: 6}", "tpe"),
    ("n_startup_trials: 6", "n_startup_trial: 6"),
    ("n_startup_trials: 6", "n_startup_trials: 1.5"),
    ("type: median", "type: mean"),
    ("metric: val_loss", "metric: train_loss"),
    ("d_head: 16", "d_haed: 16"),
    ("max_iters: 1200", "max_iters: 1.5"),
    ("batch_size: 16", "batch_size: 0"),
    ("{corpus: python_docs}", "python_docs"),
    ("train.learning_rate: {type", "learning_rate: {type"),
    ("type: float, low: 3e-4", "low: 3e-4"),
    ("type: float, low: 3e-4", "type: uniform, low: 3e-4"),
    ("low: 3e-4, ", ""),
    ("log: true", "log: yes"),
    ("[32, 64, 96]", "[32, [64], 96]"),
    ("[32, 64, 96]", "32"),
    ("low: 1, high: 3", "low: 1.5, high: 3"),
    ("train.weight_decay: 0.1,", "weight_decay: 0.1,"),
    ("train.weight_decay: 0.1,", "train.weight_decay: [0.1],"),
    ("mode: auto", "mode: on"),
]


@pytest.mark.parametrize(("old", "new"), FAULTS)
def test_a_faulty_sweep_is_refused(
    sweep: Draft202012Validator, tmp_path: Path, old: str, new: str
) -> None:
    text = SMALL.read_text()
    assert old in text
    path = tmp_path / "faulty.yaml"
    path.write_text(text.replace(old, new, 1))
    assert not sweep.is_valid(loading.read(path).data)


def test_a_file_may_leave_its_name_to_be_the_files(sweep: Draft202012Validator) -> None:
    parameter = {"type": "int", "low": 1, "high": 2}
    assert sweep.is_valid({"trials": 2, "space": {"model.n_layers": parameter}})
    assert not sweep.is_valid({"trials": 2})


def test_a_space_may_hold_every_key_of_a_run(sweep: Draft202012Validator) -> None:
    choices = {"type": "categorical", "choices": [1, "a", True, None, 1e-3]}
    space = dict.fromkeys(config.known_keys(), choices)
    assert sweep.is_valid({"trials": 2, "space": space, "enqueue": [dict.fromkeys(space, 1)]})


@pytest.mark.parametrize(
    "more",
    [
        {"objective": {"metric": "params"}},
        {"objective": [{"metric": "val_loss"}, {"metric": "params"}]},
        {"space": {"train.muon_lr": {**WIDE, "when": {"train.optimizer": "muon"}}}},
        {"space": {"train.muon_lr": {**WIDE, "when": {"train.optimizer": ["muon", "adamw"]}}}},
        {"space": {"model.d_head": {"expr": "model.d_model // 4"}}},
        {"space": {"model.d_head": {"type": "expr", "expr": "model.d_model // 4"}}},
    ],
)
def test_shorter_forms_are_accepted_beside_the_longer_ones(
    sweep: Draft202012Validator, more: dict[str, Any]
) -> None:
    assert sweep.is_valid({"trials": 2, "space": {"train.learning_rate": WIDE}, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"space": {"train.muon_lr": {**WIDE, "when": {"optimizer": "muon"}}}},
        {"space": {"train.muon_lr": {**WIDE, "when": "muon"}}},
        {"space": {"model.d_head": {"type": "int", "expr": "model.d_model // 4"}}},
        {"objective": "val_loss"},
    ],
)
def test_forms_that_mean_nothing_are_refused(
    sweep: Draft202012Validator, more: dict[str, Any]
) -> None:
    assert not sweep.is_valid({"trials": 2, "space": {"train.learning_rate": WIDE}, **more})


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main([]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == sweep_schema()


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["--table"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("| key | default | values | meaning | example |\n")
