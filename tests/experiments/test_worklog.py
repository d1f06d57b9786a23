"""The end of a log, however long it is."""

from pathlib import Path

import pytest

from experiments.worklog import last_line, tail


@pytest.mark.parametrize(
    ("text", "end", "last"),
    [
        ("", "", "it said nothing"),
        ("\n \n", "", "it said nothing"),
        ("one\ntwo\n", "one\ntwo", "two"),
        ("".join(f"{n}\n" for n in range(99)), "\n".join(map(str, range(79, 99))), "98"),
        ("\u20ac" * 9000 + "\nend", "\u20ac" * 3996 + "\nend", "end"),
    ],
)
def test_the_last_lines_of_a_log_are_those_that_fit(
    tmp_path: Path, text: str, end: str, last: str
) -> None:
    log = tmp_path / "worker.log"
    log.write_text(text)
    assert (tail(log), last_line(log)) == (end, last)


def test_a_log_that_is_not_there_or_is_no_text_is_no_trouble(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    assert (tail(log), last_line(log)) == ("", "it said nothing")
    log.write_bytes(b"\xff\nend")
    assert tail(log) == "\ufffd\nend"
