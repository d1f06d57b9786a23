"""What would let a reader log in somewhere is not shown; everything else is."""

import pytest

from tinygpt import wording
from tinygpt.exits import complain
from tinygpt.redaction import redacted, without_secrets

HEX = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:hunter2@host/x.txt", "https://***@host/x.txt"),
        ("https://user@host/x", "https://***@host/x"),
        ("http://:hunter2@host:80/x?a=b", "http://***@host:80/x?a=b"),
        ("postgresql+psycopg://u:p%40@h/db", "postgresql+psycopg://***@h/db"),
        ("https://u:hunter@2#?@host", "https://***@host"),
        ("two: http://a:b@c http://d:e@f", "two: http://***@c http://***@f"),
        ("/home/me/https:/user:hunter2@host/x.txt: missing", "/home/me/https:/***@host/x.txt: mis"),
        (f"no such key: {HEX}", "no such key: ***"),
        (f"login with {HEX}", f"login with {HEX}"),
        (f"WANDB_API_KEY={HEX};", "WANDB_API_KEY=***;"),
        (f"token '{HEX}'", "token '***'"),
        (f"wandb login {HEX}", "wandb login ***"),
        ("use wandb_v1_aB-3_cD now", "use *** now"),
        ("{'api_key': 'abcdefgh', 'a': 1}", "{'api_key': ***, 'a': 1}"),
        ('"password": "hunter 2"', '"password": ***'),
        ("--set wandb.api_key=abcdefgh: must", "--set wandb.api_key=*** must"),
        ("x.yaml:3:1: space.api_key: must be a list, got 'a b'", "x.yaml:3:1: space.api_key: must"),
    ],
)
def test_a_secret_is_hidden_and_what_stands_around_it_is_not(text: str, shown: str) -> None:
    hidden = redacted(text)
    assert hidden.startswith(shown)
    assert not any(secret in hidden for secret in ("hunter", "abcdefgh", "'a b'", "p%40"))


@pytest.mark.parametrize(
    "text",
    [
        "sample.max_new_tokens: must be >= 0, got -1",
        "tiny.yaml:1:1: the key 'high' is missing",
        "budget.per_trial.tokens: must be a number, got 'manymanymany'",
        "must be a mapping of keys, got 'a'",
        "sampler.monkey: unknown key (did you mean 'n_ei'?)",
        "runs/tiny/trials/0007/tokenizer.json: not readable as JSON",
        "http://127.0.0.1:9/a b@c",
        f"a commit is {HEX}",
        f"its sha256 is key {HEX}0123456789abcdef01234567",
    ],
)
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "name", ["WANDB_API_KEY", "FOO_TOKEN", "db_password", "PASSWD", "AWS_SECRET", "KEY"]
)
def test_the_value_of_a_variable_that_is_named_like_a_secret_is_hidden_wherever_it_stands(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "open sesame")
    assert redacted("a.yaml: say 'open sesame'!open sesame") == "a.yaml: say '***'!***"
    assert redacted("http://host/?q=open%20sesame") == "http://host/?q=***"


@pytest.mark.parametrize(
    ("name", "value"), [("KEY", "sesame7"), ("KEYS", "open sesame"), ("TOKEN_FILE", "open sesame")]
)
def test_short_values_and_those_of_other_variables_are_not_secrets(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert redacted(f"say {value}") == f"say {value}"


def test_a_secret_is_known_as_python_and_json_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", 'a"b\\c\nd\u20ace')
    for written in (repr('a"b\\c\nd\u20ace'), '"a\\"b\\\\c\\nd\\u20ace"'):
        assert redacted(f"x {written} y") in ("x '***' y", 'x "***" y')


def test_of_two_secrets_the_one_that_holds_the_other_is_hidden_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_KEY", "abcdefgh")
    monkeypatch.setenv("B_KEY", "abcdefghijkl")
    assert redacted("abcdefghijkl abcdefgh") == "*** ***"


def test_a_json_value_keeps_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "abcdefgh")
    row = {"event": "warning", "step": 3, "lines": ["x abcdefgh", None], "more": {"a": 0.5}}
    assert without_secrets(row) == {**row, "lines": ["x ***", None]}


def test_a_value_that_is_cut_for_a_message_does_not_show_half_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "abcdefghijklmnop")
    for length in range(40, 60):
        assert "abc" not in redacted(wording.shown("x" * length + "abcdefghijklmnop"))


def test_an_error_is_printed_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain("http://u:hunter2@h: no\nhttp://u:hunter2@h: never", 2) == 2
    assert capsys.readouterr().err == "error: http://***@h: no\nerror: http://***@h: never\n"


@pytest.mark.parametrize(
    "word", ["a-", "a", "key: ", "://a", "a://", "token_", "got ", "key: got "]
)
def test_a_long_text_takes_no_longer_than_its_length(word: str) -> None:
    """A pattern that tries every beginning with every end would need minutes."""
    text = word * 60_000
    assert len(redacted(text)) > 0


@pytest.mark.parametrize(
    "text",
    [
        "seconds_per_token: 0.000123456",
        "objective.metric: seconds_per_token: must be one of these, got minimise",
        "monkey=banana-split",
    ],
)
def test_words_that_only_end_like_a_secrets_name_are_none(text: str) -> None:
    assert redacted(text) == text
