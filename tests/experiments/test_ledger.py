"""What the mirror remembers of what it has done; forgetting costs time and nothing else."""

from pathlib import Path

import pytest

from experiments.ledger import Ledger

SERVER = "https://host/me/project"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mirror.jsonl"


@pytest.mark.parametrize(
    ("closed", "asked", "is_closed"),
    [
        (("a", "f1", SERVER), ("a", "f1", SERVER), True),
        (("a", "f1", SERVER), ("a", "f1", ""), True),  # what is on a server need not be offline
        (("a", "f1", ""), ("a", "f1", ""), True),
        (("a", "f1", ""), ("a", "f1", SERVER), False),
        (("a", "f1", SERVER), ("a", "f1", "https://host/me/other"), False),
        (("a", "f1", SERVER), ("a", "f2", SERVER), False),
        (("a", "f1", SERVER), ("b", "f1", SERVER), False),
    ],
)
def test_a_run_is_closed_with_one_result_in_one_place(
    path: Path, closed: tuple[str, str, str], asked: tuple[str, str, str], is_closed: bool
) -> None:
    Ledger(path).close(*closed, directory="run-1")
    assert Ledger(path).is_closed(*asked) is is_closed


def test_a_run_that_was_deleted_gets_another_id_for_good(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.entry("a").run_id == "a"
    ledger.close("a", "f1", SERVER, "run-1")
    ledger.renew("a")
    assert not ledger.is_closed("a", "f1", SERVER)
    ledger.close("a", "f1", SERVER, "run-2")
    assert [Ledger(path).entry(name).run_id for name in "ab"] == ["a-2", "b"]


def test_a_run_of_which_something_is_missing_is_opened_again_under_its_id(path: Path) -> None:
    ledger = Ledger(path)
    ledger.renew("a")
    ledger.close("a", "f1", SERVER, "run-1")
    ledger.reopen("a")
    assert not ledger.is_closed("a", "f1", SERVER)
    assert Ledger(path).entry("a").run_id == "a-2"


@pytest.mark.parametrize("damage", [b'{"id": "b", "gen', b"\xff\xff\n", b'{"other": 1}\n'])
def test_what_cannot_be_read_is_as_if_it_had_not_been_written(path: Path, damage: bytes) -> None:
    Ledger(path).close("a", "f1", SERVER, "run-1")
    with open(path, "ab") as file:
        file.write(damage)
    ledger = Ledger(path)
    assert ledger.is_closed("a", "f1", SERVER)
    ledger.close("b", "f2", SERVER, "run-2")
    again = Ledger(path)
    assert again.is_closed("a", "f1", SERVER)
    assert again.is_closed("b", "f2", SERVER)
