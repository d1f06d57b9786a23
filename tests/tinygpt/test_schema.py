"""Plain mappings into checked dataclasses."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from tinygpt.schema import Checked, ConfigError, Problem, Range, build, from_text, leaves, mismatch


@dataclass(frozen=True, kw_only=True, slots=True)
class Oven(Checked):
    heat: Annotated[float, Range(minimum=0, below=300)] = 180.0
    mode: Literal["top", "bottom", "both"] = "both"
    fan: bool = False

    def rules(self) -> Iterator[Problem]:
        if self.fan and self.mode == "top":
            yield Problem(("fan",), "must be false with mode top, got True")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe(Checked):
    name: str
    minutes: Annotated[int, Range(minimum=1)] = 30
    note: str | None = None
    scale: float | None = None
    oven: Oven = field(default_factory=Oven)


def problems_of(data: object) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        build(Recipe, data)
    return [str(problem) for problem in raised.value.problems]


def test_what_is_not_said_has_its_default() -> None:
    assert build(Recipe, {"name": "pie"}) == Recipe(name="pie", minutes=30, oven=Oven())


def test_sections_are_built_from_mappings() -> None:
    recipe = build(Recipe, {"name": "pie", "oven": {"heat": 200, "mode": "top"}})
    assert recipe.oven == Oven(heat=200.0, mode="top")


def test_every_problem_is_reported_at_once_each_under_its_dotted_key() -> None:
    data = {"minutes": 0, "oven": {"heat": "hot", "mode": "tpo", "zzzzzzzzzz": True}, "nme": "pie"}
    assert problems_of(data) == [
        "nme: unknown key (did you mean 'name'?)",
        "the key 'name' is missing",
        "minutes: must be >= 1, got 0",
        "oven.zzzzzzzzzz: unknown key",
        "oven.heat: must be a number, got 'hot'",
        "oven.mode: must be top, bottom or both, got 'tpo' (did you mean 'top'?)",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "must be a mapping of keys, got []"),
        (None, "must be a mapping of keys, got nothing"),
        ({"name": "pie", "oven": None}, "oven: must be a mapping of keys, got nothing"),
        ({"name": "pie", "oven": 180}, "oven: must be a mapping of keys, got 180"),
        ({"name": 7}, "name: must be text, got 7"),
        ({"name": None}, "name: must be text, got nothing"),
        ({"name": "pie", "minutes": 30.0}, "minutes: must be a whole number, got 30.0 (write 30)"),
        ({"name": "pie", "minutes": 30.5}, "minutes: must be a whole number, got 30.5"),
        ({"name": "pie", "minutes": True}, "minutes: must be a whole number, got True"),
        ({"name": "pie", "minutes": "30"}, "minutes: must be a whole number, got '30'"),
        ({"name": "pie", "scale": "1e-3"}, "scale: must be a number or null, got '1e-3'"),
        ({"name": "pie", "note": 1}, "note: must be text or null, got 1"),
        ({"name": "pie", "oven": {"fan": 1}}, "oven.fan: must be true or false, got 1"),
        ({"name": "pie", "oven": {"fan": "on"}}, "oven.fan: must be true or false, got 'on'"),
        ({"name": "pie", "oven": {"heat": True}}, "oven.heat: must be a number, got True"),
        ({"name": "pie", "oven": {"heat": -1}}, "oven.heat: must be >= 0 and < 300, got -1.0"),
        ({"name": "pie", "oven": {"heat": 300}}, "oven.heat: must be >= 0 and < 300, got 300.0"),
        ({"name": "pie", "oven": {"mode": ["top"]}}, "oven.mode: must be top, bottom or both"),
        ({"name": "pie", "oven": {"fan": True, "mode": "top"}}, "oven.fan: must be false with"),
        ({"name": "pie", 7: "x"}, "7: unknown key"),
    ],
)
def test_a_problem_says_the_key_the_rule_and_the_value(data: object, problem: str) -> None:
    (found,) = problems_of(data)
    assert found.startswith(problem)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_must_be_finite(value: float) -> None:
    (found,) = problems_of({"name": "pie", "oven": {"heat": value}})
    assert found == f"oven.heat: must be finite, got {value!r}"


def test_a_long_value_is_shortened() -> None:
    (found,) = problems_of({"name": "pie", "minutes": "x" * 500})
    assert len(found) < 120
    assert found.endswith("...")


def test_a_whole_number_becomes_a_float_where_one_is_due() -> None:
    recipe = build(Recipe, {"name": "pie", "scale": 2, "oven": {"heat": 0}})
    assert isinstance(recipe.scale, float)
    assert isinstance(recipe.oven.heat, float)


def test_an_instance_is_checked_however_it_is_made() -> None:
    with pytest.raises(ConfigError, match="heat: must be >= 0 and < 300, got 300"):
        Oven(heat=300.0)
    with pytest.raises(ConfigError, match="fan: must be false with mode top"):
        Oven(fan=True, mode="top")


def test_rules_between_fields_wait_until_each_field_is_right() -> None:
    (found,) = problems_of({"name": "pie", "oven": {"fan": True, "mode": "top", "heat": -1}})
    assert found.startswith("oven.heat")


def test_a_key_of_another_section_is_suggested_with_its_section() -> None:
    (found,) = problems_of({"name": "pie", "heat": 200})
    assert found == "heat: unknown key (did you mean 'oven.heat'?)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Boil(Checked):
    type: Literal["boil"] = "boil"
    litres: Annotated[float, Range(above=0)] | Literal["auto"] = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bake(Checked):
    type: Literal["bake"] = "bake"
    oven: Oven | None = None
    after: Boil | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest(Checked):
    type: Literal["rest"] = "rest"
    then: Boil | Bake | None = None
    minutes: dict[str, float] | None = None
    marks: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Meal(Checked):
    step: Boil | Bake | Rest
    dessert: Rest | None = None


@pytest.mark.parametrize(
    ("data", "meal"),
    [
        ({"type": "boil"}, Boil()),
        ({"type": "boil", "litres": 2}, Boil(litres=2.0)),
        ({"type": "rest"}, Rest()),
        ({"type": "rest", "then": None, "minutes": None, "marks": None}, Rest()),
        ({"type": "rest", "then": {"type": "bake"}}, Rest(then=Bake())),
        ({"type": "rest", "then": Boil()}, Rest(then=Boil())),
        (
            {"type": "rest", "then": {"type": "bake", "oven": {"heat": 90}}},
            Rest(then=Bake(oven=Oven(heat=90.0))),
        ),
        ({"type": "rest", "minutes": {"dough": 3}}, Rest(minutes={"dough": 3.0})),
        ({"type": "rest", "marks": [1, 2]}, Rest(marks=(1, 2))),
        ({"type": "bake", "after": {"litres": 1}}, Bake(after=Boil(litres=1.0))),
    ],
)
def test_a_section_may_be_one_of_several_or_left_empty(data: object, meal: object) -> None:
    assert build(Meal, {"step": data}) == Meal(step=meal)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"step": None}, "step: must be a mapping of keys, got nothing"),
        ({"step": {}}, "step.type: must be boil, bake or rest, got nothing"),
        (
            {"step": {"type": "rset"}},
            "step.type: must be boil, bake or rest, got 'rset' (did you mean 'rest'?)",
        ),
        ({"step": {"type": "rest", "then": 3}}, "step.then: must be a mapping of keys, got 3"),
        (
            {"step": {"type": "rest", "then": {"type": "rest"}}},
            "step.then.type: must be boil or bake, got 'rest'",
        ),
        (
            {"step": {"type": "rest", "then": {"type": "boil", "litre": 1}}},
            "step.then.litre: unknown key (did you mean 'step.then.litres'?)",
        ),
        (
            {"step": {"type": "boil", "litres": "all"}},
            "step.litres: must be a number or auto, got 'all'",
        ),
        ({"step": {"type": "boil", "litres": 0}}, "step.litres: must be > 0, got 0.0"),
        ({"step": {"type": "bake", "oven": {"heat": -1}}}, "step.oven.heat: must be >= 0"),
        (
            {"step": {"type": "rest", "minutes": {"dough": "long"}}},
            "step.minutes.dough: must be a number, got 'long'",
        ),
        ({"step": {"type": "rest", "marks": 1}}, "step.marks: must be a list, got 1"),
        ({"step": {"type": "rest", "marks": ["a"]}}, "step.marks.0: must be a whole number"),
        ({"step": {"type": "boil"}, "dessert": 1}, "dessert: must be a mapping of keys, got 1"),
    ],
)
def test_what_is_wrong_with_one_of_several_is_told_below_its_key(
    data: object, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        build(Meal, data)
    assert str(raised.value.problems[0]).startswith(problem)


def test_leaves_are_the_dotted_keys() -> None:
    assert list(leaves(Recipe)) == [
        "name",
        "minutes",
        "note",
        "scale",
        "oven.heat",
        "oven.mode",
        "oven.fan",
    ]


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "text"),
    [
        (Range(minimum=0), [0, 0.0, 9e99], [-1e-9], ">= 0"),
        (Range(above=0), [1e-300], [0, -1], "> 0"),
        (Range(maximum=1), [1, -5], [1.0001], "<= 1"),
        (Range(below=1), [0.999], [1], "< 1"),
        (Range(minimum=0, maximum=1), [0, 1], [-0.1, 1.1], ">= 0 and <= 1"),
        (Range(above=0, below=1), [0.5], [0, 1], "> 0 and < 1"),
        (Range(), [0, -1e9], [], ""),
    ],
)
def test_a_range_includes_and_excludes_its_ends_and_says_so(
    allowed: Range, inside: list[float], outside: list[float], text: str
) -> None:
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == text


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "12", 12),
        (int, "-3", -3),
        (int, "1e3", "1e3"),
        (int, "1.0", "1.0"),
        (float, "1e-3", 1e-3),
        (float, "2", 2.0),
        (float, "fast", "fast"),
        (bool, "true", True),
        (bool, "false", False),
        (bool, "True", "True"),
        (bool, "1", "1"),
        (str, "12", "12"),
        (str, "", ""),
        (str, "null", "null"),
        (str | None, "null", None),
        (float | None, "none", None),
        (float | None, "0.5", 0.5),
        (Annotated[int, Range(minimum=1)], "0", 0),
        (Literal["a", "b"], "a", "a"),
    ],
)
def test_text_is_read_as_the_type_that_is_due_and_stays_text_otherwise(
    hint: Any, text: str, value: object
) -> None:
    read = from_text(hint, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("hint", "value", "right"),
    [
        (Literal[1, 2], 1, True),
        (Literal[1, 2], True, False),
        (Literal[1, 2], 1.0, False),
        (list[int], [1], True),
        (list[int], (1,), False),
        (dict[str, int], {}, True),
        (Any, object(), True),
    ],
)
def test_types_are_not_confused(hint: Any, value: object, right: bool) -> None:
    assert (mismatch(hint, value) is None) is right
