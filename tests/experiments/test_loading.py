"""YAML files become plain values that know their places; a faulty file says where and what."""

import math
from pathlib import Path
from typing import Any

import pytest

from experiments import loading
from tinygpt.schema import ConfigError, Problem


def read(tmp_path: Path, text: str | bytes) -> Any:
    path = tmp_path / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return loading.read(path).data


def refusal(tmp_path: Path, text: str | bytes) -> list[str]:
    """The lines with which a file is refused, without the directory."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        ("-1.5e+2", -150.0),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("-7", -7),
        ("+7", 7),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("5e", "5e"),
        ("1e400", math.inf),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        (".Inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("none", "none"),
        ("'1'", "1"),
        ('"1e-3"', "1e-3"),
        ("!!str 5", "5"),
        ("2026-01-31", "2026-01-31"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    got = read(tmp_path, f"key: {text}")["key"]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_is_a_number(tmp_path: Path, text: str) -> None:
    assert math.isnan(read(tmp_path, f"key: {text}")["key"])


def test_a_version_directive_changes_no_scalar(tmp_path: Path) -> None:
    assert read(tmp_path, "%YAML 1.1\n---\nkey: yes\n") == {"key": "yes"}


def test_every_key_and_item_knows_its_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a:\n  b: 1\nc: [2,\n     {d: 3}]\n")
    assert loading.read(path).places == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("c",): (3, 1),
        ("c", 0): (3, 5),
        ("c", 1): (4, 6),
        ("c", 1, "d"): (4, 7),
    }


def test_problems_are_told_in_the_order_of_the_file_each_once(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("b: 1\na:\n  c: 2\n")
    document = loading.read(path)
    told = [Problem(("a", "c"), "two"), Problem(("a", "missing", 0), "inner")]
    error = document.located(ConfigError([*told, Problem(("b",), "one"), told[0]]))
    assert str(error).replace(f"{tmp_path}/", "").splitlines() == [
        "file.yaml:1:1: b: one",
        "file.yaml:2:1: a.missing.0: inner",
        "file.yaml:3:3: a.c: two",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", ["file.yaml:3:1: a: the key stands here twice; remove one"]),
        (
            "a:\n  b: {c: 1, c: 2}\n  b: 3\na: 4\n",
            [
                "file.yaml:2:13: a.b.c: the key stands here twice; remove one",
                "file.yaml:3:3: a.b: the key stands here twice; remove one",
                "file.yaml:4:1: a: the key stands here twice; remove one",
            ],
        ),
        ("1: a\n'1': b\n", ["file.yaml:2:1: 1: the key stands here twice; remove one"]),
    ],
)
def test_a_repeated_key_is_an_error_at_its_second_place(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    assert refusal(tmp_path, text) == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "file.yaml: the file is empty; see sweeps/small.yaml"),
        ("# only a comment\n", "file.yaml: the file is empty; see sweeps/small.yaml"),
        (
            "[1, 2",
            "file.yaml:1:6: not YAML: expected ',' or ']', but got '<stream end>'; close the [ "
            "before it",
        ),
        ("a: b: c", "file.yaml:1:5: not YAML: mapping values are not allowed here"),
        (
            "a:\n\t- 1",
            "file.yaml:2:1: not YAML: found character '\\t' that cannot start any token; indent "
            "with spaces",
        ),
        ("a: *b", "file.yaml:1:4: not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "file.yaml:2:1: not YAML: but found another document"),
        (b"a: \xff", "file.yaml: byte 3 is not UTF-8"),
        ("a: 1".encode("utf-16"), "file.yaml: byte 0 is not UTF-8"),
        (
            "a: \x00",
            "file.yaml: not YAML: unacceptable character #x0000: special characters are not "
            'allowed in "<unicode string>", position 3',
        ),
        (b"a" * (1 << 18) + b"a", "file.yaml: larger than 262,144 bytes"),
    ],
)
def test_a_file_that_is_not_yaml_is_refused_in_one_line_with_its_place(
    tmp_path: Path, text: str | bytes, line: str
) -> None:
    assert refusal(tmp_path, text) == [line]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.getcwd", "!!python/name:os.system", "!mine", "!!binary"]
)
def test_a_tag_that_is_no_plain_value_is_refused(tmp_path: Path, tag: str) -> None:
    (line,) = refusal(tmp_path, f"key:\n  inner: {tag} aGk=\n")
    assert line.startswith("file.yaml:2:3: key.inner: the tag ")
    assert line.endswith(" is not supported; write a plain value")


@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.getcwd []", "!!python/object:os.x {a: 1}", "!!set {a}", "!!omap []"],
)
def test_a_tag_of_a_collection_that_is_no_plain_one_is_refused(tmp_path: Path, value: str) -> None:
    (line,) = refusal(tmp_path, f"key:\n  inner: {value}\n")
    assert line.startswith("file.yaml:2:3: key.inner: the tag ")
    assert line.endswith(" is not supported; write a plain value")


@pytest.mark.parametrize("text", ["!!int ten", "!!float ten", "!!bool maybe", f"!!bool {'x' * 99}"])
def test_a_scalar_that_is_not_what_its_tag_says_is_refused_in_one_line(
    tmp_path: Path, text: str
) -> None:
    (line,) = refusal(tmp_path, f"key: {text}")
    assert line.startswith("file.yaml:1:1: key: ")
    assert len(line) < 120


@pytest.mark.parametrize(
    "text", ["9" * 19, "-" + "9" * 19, "9" * 300, "9" * 5000, "0x" + "f" * 5000, "0o" + "7" * 99999]
)
def test_a_number_that_no_file_could_hold_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, f"key: {text}") == [
        "file.yaml:1:1: key: a whole number may have 18 digits"
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("9" * 18, 10**18 - 1), ("-" + "9" * 18, 1 - 10**18), ("1." + "9" * 9999, 2.0)],
)
def test_a_long_number_that_a_file_can_hold_is_one(
    tmp_path: Path, text: str, value: object
) -> None:
    assert read(tmp_path, f"key: {text}") == {"key": value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "a: &a {b: 1}\nc:\n  <<: *a\n",
            "file.yaml:3:3: c.<<: merge keys are not supported; write the keys out",
        ),
        ("? [a, b]\n: 1\n", "file.yaml:1:3: ?: a key must be plain text"),
        ("? &a [*a]\n: 1\n", "file.yaml:1:3: ?: a key must be plain text"),
        ("!!python/name:os.system x: 1", "file.yaml:1:1: ?: a key must be plain text"),
        ('"a\\nerror": 1', "file.yaml:1:1: 'a\\nerror': a key must be printable"),
        ('"\\e[2J": 1', "file.yaml:1:1: '\\x1b[2J': a key must be printable"),
        ("\u202egnp: 1", "file.yaml:1:1: '\\u202egnp': a key must be printable"),
    ],
)
def test_a_key_that_is_not_plain_text_is_refused_in_one_line(
    tmp_path: Path, text: str, line: str
) -> None:
    assert refusal(tmp_path, text) == [line]


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
BLOCKS = "".join(f"{' ' * depth}a:\n" for depth in range(600))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (LAUGHS, "file.yaml:1:1: more than 10,000 values, aliases counted"),
        (f"[{'1,' * 10_000}]", "file.yaml:1:20002: more than 10,000 values, aliases counted"),
        (f"[{'1,' * 100_000}]", "file.yaml:1:20002: more than 10,000 values, aliases counted"),
        ("&a [*a]", "file.yaml:1:1: nested deeper than 20 levels"),
        ("&a {x: *a, y: *a}", "file.yaml:1:1: nested deeper than 20 levels"),
        ("&a [*a, *a, *a, *a]", "file.yaml:1:1: nested deeper than 20 levels"),
        ("[" * 22 + "]" * 22, "file.yaml:1:22: nested deeper than 20 levels"),
        ("[" * 5000 + "]" * 5000, "file.yaml:1:22: nested deeper than 20 levels"),
        ("[" * 200_000, "file.yaml:1:22: nested deeper than 20 levels"),
        ("{" * 200_000, "file.yaml:1:22: nested deeper than 20 levels"),
        ("[" * (1 << 20), "file.yaml: larger than 262,144 bytes"),
        ("{a: " * 5000, "file.yaml:1:85: nested deeper than 20 levels"),
        ("- " * 5000, "file.yaml:1:44: nested deeper than 20 levels"),
        ("? " * 5000, "file.yaml:1:44: nested deeper than 20 levels"),
        (BLOCKS, "file.yaml:21:23: nested deeper than 20 levels"),
    ],
    ids=[
        *("laughs", "long", "longest", "alias", "mapping", "aliases", "deep", "deeper", "brackets"),
        *("braces", "big", "flow", "dashes", "questions", "blocks"),
    ],
)
def test_a_bomb_is_refused_before_it_grows(tmp_path: Path, text: str, line: str) -> None:
    assert refusal(tmp_path, text) == [line]


def test_an_alias_stands_for_its_value(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


def test_twenty_levels_are_not_too_deep(tmp_path: Path) -> None:
    assert read(tmp_path, "[" * 21 + "]" * 21) is not None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.yaml", "No such file or directory"), (".", "Is a directory")],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigError) as caught:
        loading.read(path)
    assert str(caught.value) == f"{path}: cannot be read: {reason}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("", None),
        ("yes", "yes"),
        ("[1, a]", [1, "a"]),
        ("{low: 1}", {"low": 1}),
        ("[1", "[1"),
        ("a: b: c", "a: b: c"),
    ],
)
def test_a_setting_is_read_like_a_value_of_the_file(text: str, value: object) -> None:
    assert loading.scalar(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 5000, "nested deeper than 20 levels"),
        ("- " * 5000, "nested deeper than 20 levels"),
        ("&a [*a]", "nested deeper than 20 levels"),
        (LAUGHS, "more than 10,000 values, aliases counted"),
        (f"[{'1,' * 30_000}]", "more than 10,000 values, aliases counted"),
        ("9" * 5000, "a whole number may have 18 digits"),
        ("[" * (1 << 20), "longer than 262,144 characters"),
        ("!!python/object/apply:os.getcwd []", "write a plain value"),
        ("{<<: {a: 1}}", "write the keys out"),
    ],
)
def test_a_setting_that_a_file_could_not_hold_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loading.scalar(text)
    (only,) = caught.value.problems
    assert str(only).startswith(f"the value {text[:5]!r}"[:-1])
    assert str(only).endswith(problem)
    assert len(str(only)) < 200


def test_of_a_file_without_an_end_no_more_is_read_than_is_allowed() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: larger than 262,144 bytes"):
        loading.read(Path("/dev/zero"))
