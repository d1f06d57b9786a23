"""An SQLite file that one process writes: whoever else has it locked is waited for, and what goes
wrong is said in a line.

Every transaction takes the right to write when it begins. One that first reads and then finds
another writer can only fail; one that could not begin has done nothing, and begins again.
"""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygpt import durable

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
TROUBLE = {
    sqlite3.SQLITE_FULL: "no room left; make some and run it again",
    sqlite3.SQLITE_IOERR: "disk I/O error; make room or mend the disk, and run it again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make it readable, or its directory writable, and "
    "run it again",
    sqlite3.SQLITE_READONLY: "cannot be written, or was moved away; make it writable and run it "
    "again",
    sqlite3.SQLITE_PERM: "no permission to use it; make it writable and run it again",
    sqlite3.SQLITE_NOMEM: "no memory left; free some and run it again",
}
"""What went wrong with the storage, not with the file's contents."""


class StorageError(RuntimeError):
    """The database cannot be used now; the message is a line for the user."""


class DamagedError(StorageError):
    """The file does not hold what was written."""


@dataclass(frozen=True)
class Patience:
    """How another process's lock is waited for: `seconds` at most, `attempt` of them at a time.
    `say` hears of it once it takes longer than one attempt; between two attempts `interrupted`
    may end the wait."""

    say: Callable[[str], None] = print
    interrupted: Callable[[], bool] = lambda: False
    seconds: float = 60.0
    attempt: float = 2.0


class Database(sqlite3.Connection):
    """A connection to a file, which is made if it is not there.

    Raises StorageError where the file, the disk or another process's lock prevents something.
    """

    def __init__(self, path: Path, patience: Patience) -> None:
        self.path, self._patience = path, patience
        with self.explained():
            # None: this class begins transactions, not the module.
            super().__init__(path, patience.attempt, isolation_level=None)

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(Cursor)

    def begin(self) -> None:
        """Begin a transaction, unless one has begun."""
        if not self.in_transaction:
            self._patiently("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make what the transaction did last, if one has begun."""
        if self.in_transaction:
            durable.announce("commit", self.path)
            self._patiently("COMMIT")  # waits for readers; it can be asked for again

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raise StorageError for what SQLite says of the storage."""
        try:
            yield
        except sqlite3.Error as error:
            if code_of(error) in DAMAGED:
                raise DamagedError(f"{self.path}: {error}; run it again") from error
            if (trouble := TROUBLE.get(code_of(error))) is not None:
                raise StorageError(f"{self.path}: {trouble}") from error
            raise

    def _patiently(self, statement: str) -> None:
        began = time.monotonic()
        told = False
        while not self._done(statement):
            waited = time.monotonic() - began
            if self._patience.interrupted() or waited >= self._patience.seconds:
                for_so_long = f"another process has had it locked for {waited:.0f} s"
                raise StorageError(f"{self.path}: {for_so_long}; end that one and run it again")
            if not told:
                self._patience.say(f"{self.path}: another process has it locked; waiting")
                told = True

    def _done(self, statement: str) -> bool:
        """Execute a statement; False if another process's lock was in the way all the time."""
        try:
            with self.explained():
                super().cursor().execute(statement)
        except sqlite3.OperationalError as error:
            if code_of(error) not in BUSY:
                raise
            return False
        return True


class Cursor(sqlite3.Cursor):
    """What executes statements, each in a transaction."""

    connection: Database

    def execute(self, *arguments: Any) -> "Cursor":
        self.connection.begin()
        with self.connection.explained():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> "Cursor":
        self.connection.begin()
        with self.connection.explained():
            return super().executemany(*arguments)


def code_of(error: sqlite3.Error) -> int:
    """The kind of an error without its details; 0 if SQLite did not raise it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def parts_of(path: Path) -> list[Path]:
    """What there is of a database: its file and what SQLite keeps beside it."""
    parts = [path.with_name(path.name + suffix) for suffix in ("", "-journal", "-wal", "-shm")]
    return [part for part in parts if os.path.lexists(part)]


def is_sound(path: Path, patience: Patience) -> bool:
    """Whether there is an SQLite database without damage. Links are not followed: none is sound."""
    parts = parts_of(path)
    if path not in parts or not all(stat.S_ISREG(part.lstat().st_mode) for part in parts):
        return False
    try:
        with contextlib.closing(Database(path, patience)) as database:
            found = database.cursor().execute("PRAGMA integrity_check").fetchone()
    except (DamagedError, sqlite3.DatabaseError, UnicodeDecodeError):  # a name may be damaged
        return False
    return bool(found == ("ok",))
