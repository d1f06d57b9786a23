"""Small expressions: what they come to, and what cannot be written."""

import pickle
import random
from typing import Any

import pytest

from experiments.expression import MAX_LENGTH, Expression

VALUES: dict[str, Any] = {
    "model.d_model": 128,
    "model.d_head": 32,
    "model.norm": "rmsnorm",
    "model.bias": True,
    "train.learning_rate": 1e-3,
    "params_millions": 0.8,
    "nothing": None,
    "infinite": float("inf"),
    "a_list": [1, 2],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("+2", 2),
        ("'rope'", "rope"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("model.d_model // 4", 32),
        ("model.d_model / 4", 32.0),
        ("model.d_model % model.d_head == 0", True),
        ("2 ** 10 - 1", 1023),
        ("2 ** -1", 0.5),
        ("0.5 ** 0.5", 0.5**0.5),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("params_millions <= 1.0", True),
        ("32 <= model.d_model < 128", False),
        ("3 > 2 > 1", True),
        ("'a' < 'b'", True),
        ("1 == 1.0", True),
        ("1 == true", False),
        ("nothing == null", True),
        ("model.norm == 'rmsnorm' and model.bias", True),
        ("not model.bias or false", False),
        ("model.norm in ['layernorm', 'rmsnorm']", True),
        ("model.d_model not in [64, model.d_head * 4]", False),
        ("true in [1, 2]", False),
        ("1 in []", False),
        ("0.1 if model.bias else 0.2", 0.1),
        ("min(3, 1, 2) + max(1, 5)", 6),
        ("abs(-3)", 3),
        ("round(2.5)", 2),
        ("round(3.14159, 2)", 3.14),
        ("int(3.9) + int(true)", 4),
        ("float(2)", 2.0),
        ("sqrt(16) + log(1) + log2(8) + exp(0)", 8.0),
        ("8 * round(model.d_model * 2 / 3 / 8)", 88),
        ("  model.d_head  ", 32),
    ],
)
def test_an_expression_comes_to_what_python_says_and_keeps_the_type(
    text: str, value: object
) -> None:
    result = Expression.parse(text).value(VALUES)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "false and 1 / 0 > 1",
        "true or absent",
        "0 if true else absent.too",
        "2 < 1 < 1 / 0",
        "1 in [1, absent]",
    ],
)
def test_what_is_not_needed_is_not_worked_out(text: str) -> None:
    assert Expression.parse(text).value({}) in (True, False, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("absent + 1", "no value for absent"),
        ("1 / 0", "a division by zero in '1 / 0'"),
        ("1 % 0", "a division by zero"),
        ("0 ** -1", "a division by zero"),
        ("1 + 'a'", "'a' where a number is due"),
        ("1 + true", "true where a number is due"),
        ("-null", "null where a number is due"),
        ("1 and 2", "1 where true or false is due"),
        ("not 0", "0 where true or false is due"),
        ("1 if 'yes' else 2", "'yes' where true or false is due"),
        ("1 < 'a'", "'a' where a number is due"),
        ("null < 1", "null where a number is due"),
        ("'a' * 1000", "'a' where a number is due"),
        ("int('3')", "'3' where a number is due"),
        ("sqrt(-1)", "no real value"),
        ("log(0)", "no real value"),
        ("(-8) ** 0.5", "no real value"),
        ("exp(1000)", "a number beyond 1e+300"),
        ("10.0 ** 1000", "a number beyond 1e+300"),
        ("9 ** 9 ** 9", "a number beyond 1e+300"),
        ("(10 ** 250) * (10 ** 250)", "a number beyond 1e+300"),
        ("1e250 * 1e60", "no finite value"),
        ("round(1.5, 0.5)", "0.5 where a whole number of digits is due"),
        ("round(1.5, -10000)", "-10000 digits"),
        ("infinite", "no finite value"),
        ("a_list", "neither number, text"),
    ],
)
def test_what_has_no_value_says_why_and_where(text: str, problem: str) -> None:
    expression = Expression.parse(text)
    with pytest.raises(ValueError, match=r".") as raised:
        expression.value(VALUES)
    message = str(raised.value)
    assert problem in message
    assert "\n" not in message
    assert " in " in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("1 +", "character 4: invalid syntax; allowed are numbers"),
        ("a = 1", "character 3: "),
        ("1\n+ 2", "has several lines"),
        ("  1 +  ", "character 6: invalid syntax"),
        ("a; b", "character 2: invalid syntax"),
        ("(1", "character 1: '(' was never closed"),
        ("x\0", ""),
        ("1 + lambda: 2", "character 5: "),
        ("1 + [1, 2]", "character 5: '[1, 2]' cannot stand here"),
        ("  a[0]", "character 3: 'a[0]' cannot stand here"),
        ("'é' + f'{a}'", "character 7: "),
        ("a.b().c", "character 1: "),
        ("'x'.upper", "character 1: "),
        ("__import__('os')", "character 1: no function '__import__'; there are min, max"),
        ("os.system('x')", "character 1: no function 'os.system'"),
        ("1 + eval('1')", "character 5: no function 'eval'"),
        ("(lambda: 1)()", "character 1: no function"),
        ("min(1)", "character 1: min takes 2 or more values"),
        ("sqrt(1, 2)", "character 1: sqrt takes 1 values"),
        ("round(1, 2, 3)", "character 1: round takes 1 to 2 values"),
        ("max(*a, 1)", "max takes 2 or more values"),
        ("round(1, ndigits=2)", "round takes 1 to 2 values"),
        ("min + 1", "character 1: min is a function; write min(...)"),
        ("a is null", "write == or !="),
        ("a in b", "character 6: in wants a list"),
        ("a == [1]", "character 6: a list stands only to the right of in"),
        ("1 << 9", "'1 << 9' cannot stand here"),
        ("1 & 1", "cannot stand here"),
        ("~1", "cannot stand here"),
        ("1j", "cannot stand here"),
        ("b'x'", "cannot stand here"),
        ("...", "cannot stand here"),
        ("{1: 2}", "cannot stand here"),
        ("[x for x in a]", "cannot stand here"),
        ("(y := 1)", "cannot stand here"),
        ("1, 2", "cannot stand here"),
        ("1e999", "the number is larger than 1e+300"),
        ("9" * 400, "the number is larger than 1e+300"),
        ("1+" * MAX_LENGTH + "1", f"has {2 * MAX_LENGTH + 1} characters"),
        ("-" * 400 + "1", "is nested more than"),
        ("(" * 240 + "1" + ")" * 240, "character "),
        ("not " * 100 + "true", "is nested more than"),
        ("a" + ".a" * 200, "is nested more than"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line_with_its_place(
    text: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Expression.parse(text)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


def test_names_are_told_once_in_the_order_of_their_first_use() -> None:
    expression = Expression.parse("b.c + a if a in [d, true] else max(b.c, e.f.g)")
    assert set(expression.names) == {"a", "b.c", "d", "e.f.g"}
    assert Expression.parse("z + a * z - max(m.n, a)").names == ("z", "a", "m.n")
    assert Expression.parse("1 + 2").names == ()


def test_equal_texts_are_equal_expressions_and_one_can_be_stored() -> None:
    one, other = Expression.parse("a + 1"), Expression.parse("a + 1")
    assert one == other
    assert hash(one) == hash(other)
    assert one != Expression.parse("a+1")
    assert pickle.loads(pickle.dumps(one)).value({"a": 1}) == 2
    assert one.text == "a + 1"


def test_whatever_is_written_has_a_value_or_is_refused_at_once() -> None:
    draw = random.Random(0)
    tokens = "1 2.5 9e99 'x' a b.c true null ( ) [ ] , + - * / // % ** < == in not and or if else "
    tokens += 'min round sqrt exp lambda : . = \\ " { } é'
    for _ in range(3000):
        text = " ".join(draw.choice(tokens.split()) for _ in range(draw.randint(1, 9)))
        try:
            value = Expression.parse(text).value({"a": 3, "b.c": -0.5})
        except ValueError as error:
            value = str(error)
        assert value is None or isinstance(value, bool | int | float | str)
        assert not isinstance(value, str) or value.isprintable()
