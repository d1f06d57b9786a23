"""An SQLite file for one writer: its transactions, and how what goes wrong with it is said."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.database import DamagedError, Database, Patience, StorageError, is_sound


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A database with one table."""
    with contextlib.closing(Database(path, Patience())) as database:
        database.cursor().execute("create table things (name text unique)")
        database.commit()
        yield database


def names(path: Path) -> list[str]:
    """What another program reads."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("select name from things order by name")]


@pytest.mark.parametrize("statement", ["select * from things", "pragma user_version"])
def test_whatever_is_done_first_no_other_program_may_write_until_the_end(
    path: Path, database: Database, statement: str
) -> None:
    database.cursor().execute(statement)
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("insert into things values ('other')")
        database.rollback()
        other.execute("insert into things values ('other')")


def test_what_was_not_committed_is_not_there(path: Path, database: Database) -> None:
    cursor = database.cursor()
    cursor.executemany("insert into things values (?)", [("a",), ("b",)])
    assert names(path) == []
    database.commit()
    cursor.execute("delete from things")
    database.rollback()
    assert names(path) == ["a", "b"]


def test_a_rule_of_the_tables_that_is_broken_is_no_matter_of_the_storage(
    database: Database,
) -> None:
    cursor = database.cursor()
    cursor.execute("insert into things values ('a')")
    with pytest.raises(sqlite3.IntegrityError):
        cursor.execute("insert into things values ('a')")


TROUBLES = [
    ("pragma max_page_count = 1", "no room left; make some and run it again"),
    ("pragma query_only = on", "cannot be written, or was moved away"),
]


@pytest.mark.parametrize(("cause", "said"), TROUBLES)
def test_trouble_with_the_storage_is_a_line_with_the_path_and_the_next_move(
    path: Path, database: Database, cause: str, said: str
) -> None:
    cursor = database.cursor()
    cursor.execute(cause)
    with pytest.raises(StorageError) as caught:
        cursor.execute("insert into things values (zeroblob(100000))")
    assert not isinstance(caught.value, DamagedError)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert str(caught.value).endswith("run it again")
    database.rollback()
    assert names(path) == []


def test_a_file_in_a_directory_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        Database(tmp_path / "none" / "some.db", Patience())


def test_a_file_that_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"some text" * 100)
    assert not is_sound(path, Patience())
    with (
        contextlib.closing(Database(path, Patience())) as database,
        pytest.raises(DamagedError, match=r"some\.db: file is not a database; run it again"),
    ):
        database.cursor().execute("select 1")


def test_what_is_not_there_is_not_sound_and_is_not_made(path: Path) -> None:
    assert not is_sound(path, Patience())
    assert not path.exists()
