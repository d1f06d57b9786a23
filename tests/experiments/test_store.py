"""`study.db` is made level with the trials, whatever it was before."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from experiments.database import Patience, StorageError
from experiments.search import Search
from experiments.spec import Sweep
from experiments.store import Store, opened, set_aside
from experiments.trial import Trial
from experiments.version import Earlier
from tinygpt import durable

Rows = Callable[[Path], list[tuple[Any, ...]]]

PARAMS: dict[str, Any] = {
    "train.learning_rate": 0.01,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.dropout": 0.1,
    "train.weight_decay": 0.1,
    "seed": 1,
}
COMPLETE = Trial(0, PARAMS, "complete", 2.0, {5: 2.5, 10: 2.0})
PRUNED = Trial(1, PARAMS | {"seed": 2}, "pruned", 3.0, {5: 3.0})
FAILED = Trial(2, PARAMS | {"seed": 3}, "failed", None, {5: 4.0}, "it would not")
RUNNING = Trial(3, PARAMS | {"seed": 4}, "running", None, {5: 2.25})
TRIALS = [COMPLETE, PRUNED, FAILED, RUNNING]
NAMES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


def expected(trials: list[Trial]) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, NAMES[t.state], t.value, t.reports) for t in trials]


@pytest.fixture
def search(make_sweep: Callable[..., Sweep]) -> Search:
    return Search(make_sweep(), 17)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Where the study lies; the directory is called like the sweep."""
    (tmp_path / "tiny").mkdir()
    return tmp_path / "tiny" / "study.db"


def write(study: Path, search: Search, trials: list[Trial]) -> None:
    with opened(study, search, trials):
        pass


def test_a_study_that_is_missing_is_made(study: Path, search: Search, study_rows: Rows) -> None:
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)


def test_a_study_that_is_level_stays_as_it_is(study: Path, search: Search) -> None:
    write(study, search, TRIALS)
    before = study.read_bytes()
    write(study, search, TRIALS)
    assert study.read_bytes() == before
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


BEHIND: list[list[Trial]] = [
    [],
    [replace(COMPLETE, state="running", value=None, reports={})],
    [replace(COMPLETE, state="running", value=None, reports={5: 2.5})],
    [COMPLETE, replace(PRUNED, state="running", value=None)],
    [COMPLETE, PRUNED, replace(FAILED, state="running", reports={}, reason=None)],
    [COMPLETE, PRUNED, FAILED, replace(RUNNING, reports={})],
]


@pytest.mark.parametrize("behind", BEHIND, ids=range(len(BEHIND)))
def test_a_study_that_is_behind_catches_up(
    study: Path, search: Search, study_rows: Rows, behind: list[Trial]
) -> None:
    write(study, search, behind)
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


AHEAD: list[list[Trial]] = [
    [*TRIALS, Trial(4, PARAMS)],
    [COMPLETE, PRUNED, FAILED, replace(RUNNING, state="complete", value=1.0)],
    [replace(COMPLETE, value=1.0)],
    [replace(COMPLETE, params=PARAMS | {"seed": 9})],
    [COMPLETE, replace(PRUNED, state="complete")],
]


@pytest.mark.parametrize("ahead", AHEAD, ids=range(len(AHEAD)))
def test_a_study_that_disagrees_with_the_trials_is_set_aside_and_made_anew(
    study: Path, search: Search, study_rows: Rows, ahead: list[Trial]
) -> None:
    write(study, search, ahead)
    before = study.read_bytes()
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)
    assert study.with_name("study.db.damaged-0").read_bytes() == before


def test_a_running_trial_that_has_other_losses_here_is_doubted_until_they_are_computed_again(
    study: Path, search: Search, study_rows: Rows
) -> None:
    """The study or the record is damaged, and nobody can say which."""
    losses = {5: 2.25, 10: 2.0, 15: 1.5}
    write(study, search, [COMPLETE, PRUNED, FAILED, replace(RUNNING, reports=losses)])
    doubtful = replace(RUNNING, reports=losses | {10: 2.5, 20: 1.25})
    with opened(study, search, [COMPLETE, PRUNED, FAILED, doubtful]) as store:
        assert store.doubted == {RUNNING.number: 10}
        store.report(RUNNING.number, 10, 2.5)
    proven = replace(RUNNING, reports=losses | {10: 2.5})
    assert study_rows(study.parent) == expected([COMPLETE, PRUNED, FAILED, proven])
    assert not study.with_name("study.db.damaged-0").exists()


def test_a_loss_that_a_resumed_trial_has_yet_to_make_again_stays(
    study: Path, search: Search, study_rows: Rows
) -> None:
    ahead = replace(RUNNING, reports={5: 2.25, 10: 2.0})
    write(study, search, [COMPLETE, PRUNED, FAILED, ahead])
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected([COMPLETE, PRUNED, FAILED, ahead])
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


def execute(study: Path, *statements: str) -> None:
    """What another program may do to a study."""
    with contextlib.closing(sqlite3.connect(study, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def cut(study: Path, size: int) -> None:
    os.truncate(study, size)


def overwrite(study: Path, start: int, data: bytes) -> None:
    with open(study, "r+b") as file:
        file.seek(start)
        file.write(data)


def replace_by_directory(study: Path) -> None:
    study.unlink()
    (study / "inside").mkdir(parents=True)


def replace_by_link(study: Path) -> None:
    study.rename(study.parent.parent / "elsewhere.db")
    study.symlink_to(study.parent.parent / "elsewhere.db")


def plant_journal(study: Path) -> None:
    study.with_name("study.db-journal").symlink_to(study.parent.parent / "elsewhere")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a text": lambda study: overwrite(study, 0, b"not a database, but as long as one"),
    "only its first bytes": lambda study: cut(study, 16),
    "cut in its first page": lambda study: cut(study, 3000),
    "cut in its middle": lambda study: cut(study, study.stat().st_size // 8192 * 4096),
    "its last byte lost": lambda study: cut(study, study.stat().st_size - 1),
    "zeroed": lambda study: overwrite(study, 0, bytes(study.stat().st_size)),
    "zeroed behind its header": lambda study: overwrite(study, 4096, bytes(8 * 4096)),
    "an unreadable header": lambda study: overwrite(study, 16, b"\xff" * 84),
    "a name that is no text": lambda study: execute(
        study, "update trial_params set param_name = cast(x'ff' as text) where param_id = 1"
    ),
    "a directory": replace_by_directory,
    "a link": replace_by_link,
    "a link beside it": plant_journal,
    "of another sweep": lambda study: execute(study, "update studies set study_name = 'other'"),
    "of another direction": lambda study: execute(
        study, "update study_directions set direction = 'MAXIMIZE'"
    ),
    "without its direction": lambda study: execute(study, "delete from study_directions"),
    "without a trial": lambda study: execute(study, "delete from trials where number = 1"),
    "without a parameter": lambda study: execute(
        study, "delete from trial_params where param_name = 'seed'"
    ),
    "without values": lambda study: execute(study, "delete from trial_values"),
    "without losses": lambda study: execute(study, "delete from trial_intermediate_values"),
    "without reasons": lambda study: execute(study, "delete from trial_user_attributes"),
    "without a table": lambda study: execute(study, "drop table trial_values"),
    "other numbers": lambda study: execute(study, "update trials set number = number + 1"),
    "a trial that waits": lambda study: execute(
        study, "update trials set state = 'WAITING' where number = 3"
    ),
    "an unknown state": lambda study: execute(study, "update trials set state = 'LOST'"),
    "an unreadable date": lambda study: execute(study, "update trials set datetime_start = 'now'"),
    "an unreadable distribution": lambda study: execute(
        study, "update trial_params set distribution_json = '{'"
    ),
    "of a later Optuna": lambda study: execute(study, "update alembic_version set version_num = 1"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_study_that_is_damaged_is_set_aside_and_made_anew(
    study: Path, search: Search, study_rows: Rows, damage: Callable[[Path], None]
) -> None:
    write(study, search, TRIALS)
    damage(study)
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)
    aside = {path.name for path in study.parent.iterdir()} - {"study.db"}
    assert aside <= {"study.db.damaged-0", "study.db.damaged-0-journal"}
    assert "study.db.damaged-0" in aside
    assert study.is_file()
    assert not study.is_symlink()
    write(study, search, TRIALS)
    assert {path.name for path in study.parent.iterdir()} - {"study.db"} == aside


def test_where_a_planted_link_leads_nothing_is_written(
    study: Path, search: Search, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    write(study, search, [COMPLETE])
    replace_by_link(study)
    before = elsewhere.read_bytes()
    write(study, search, TRIALS)
    assert elsewhere.read_bytes() == before
    assert study.with_name("study.db.damaged-0").is_symlink()


def test_an_empty_file_becomes_the_study(study: Path, search: Search, study_rows: Rows) -> None:
    study.touch()
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)


def test_a_transaction_that_was_killed_while_it_was_written_is_taken_back(
    study: Path, search: Search, study_rows: Rows
) -> None:
    write(study, search, TRIALS)
    with contextlib.closing(sqlite3.connect(study, isolation_level=None)) as connection:
        connection.execute("pragma cache_size = 1")  # pages go to the file before the end
        connection.execute("begin")
        connection.execute("update trial_params set distribution_json = zeroblob(20000)")
        journal = study.with_name("study.db-journal")
        torn = {path: path.read_bytes() for path in (study, journal)}
    for path, content in torn.items():
        path.write_bytes(content)
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


@pytest.mark.parametrize("name", ["a{0}b", "a?mode=memory", "50%#"])
def test_a_study_lies_where_its_path_says(
    tmp_path: Path, search: Search, study_rows: Rows, name: str
) -> None:
    study = tmp_path / name / "tiny" / "study.db"
    study.parent.mkdir(parents=True)
    write(study, search, TRIALS)
    (tmp_path / "plain").mkdir()
    moved = study.parent.rename(tmp_path / "plain" / "tiny")
    assert study_rows(moved) == expected(TRIALS)


def finish(store: Store) -> None:
    store.tell(replace(RUNNING, state="complete", value=2.25))


OPERATIONS: dict[str, Callable[[Store], None]] = {
    "add": lambda store: store.add(Trial(4, PARAMS)),
    "report": lambda store: store.report(3, 10, 2.0),
    "tell": finish,
}


def perform_all(store: Store) -> None:
    for operation in OPERATIONS.values():
        operation(store)


LOCKS = {
    "writing": ["begin exclusive"],
    "about to write": ["begin immediate"],
    "reading": ["begin", "select * from trials"],
}


class Outsider:
    """Another program that has a study open, and lets go of it when it hears of one who waits."""

    def __init__(self, study: Path) -> None:
        self.connection = sqlite3.connect(study, isolation_level=None)
        self.heard: list[str] = []

    def take(self, statements: list[str]) -> None:
        for statement in statements:
            self.connection.execute(statement).fetchone()

    def hear(self, line: str) -> None:
        self.heard.append(line)
        self.connection.rollback()


@pytest.fixture
def outsider(study: Path, search: Search) -> Iterator[Outsider]:
    write(study, search, TRIALS)
    outsider = Outsider(study)
    yield outsider
    outsider.connection.close()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_whoever_has_the_study_locked_is_waited_for_and_the_user_hears_of_it_once(
    study: Path,
    search: Search,
    study_rows: Rows,
    outsider: Outsider,
    operation: Callable[[Store], None],
    lock: list[str],
) -> None:
    patience = Patience(outsider.hear, attempt=0.02)
    with opened(study, search, TRIALS, patience) as store:
        outsider.take(lock)
        operation(store)
    assert outsider.heard == [f"{study}: another process has it locked; waiting"]
    with_it = study_rows(study.parent)
    assert with_it != expected(TRIALS)
    assert with_it[:3] == expected(TRIALS[:3])


@pytest.mark.parametrize("lock", [LOCKS["writing"], LOCKS["about to write"]])
def test_a_study_that_is_locked_when_it_is_opened_is_waited_for(
    study: Path, search: Search, study_rows: Rows, outsider: Outsider, lock: list[str]
) -> None:
    outsider.take(lock)
    more = [*TRIALS, Trial(4, PARAMS)]
    with opened(study, search, more, Patience(outsider.hear, attempt=0.02)):
        pass
    assert len(outsider.heard) == 1
    assert study_rows(study.parent) == expected(more)
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_waiting_ends_at_the_limit_and_the_same_again_is_done_later(
    study: Path,
    search: Search,
    study_rows: Rows,
    outsider: Outsider,
    operation: Callable[[Store], None],
    lock: list[str],
) -> None:
    heard: list[str] = []
    with opened(study, search, TRIALS, Patience(heard.append, seconds=0.1, attempt=0.02)) as store:
        outsider.take(lock)
        with pytest.raises(StorageError, match="another process has had it locked for"):
            operation(store)
        assert len(heard) == 1  # and Optuna has not tried five times
        outsider.connection.rollback()
        assert study_rows(study.parent) == expected(TRIALS)
        operation(store)
    assert study_rows(study.parent) != expected(TRIALS)


def test_waiting_ends_when_the_command_is_interrupted(
    study: Path, search: Search, outsider: Outsider
) -> None:
    outsider.take(LOCKS["writing"])
    asked: list[bool] = []
    patience = Patience(outsider.heard.append, lambda: bool(asked.append(True)) or True, 600, 0.02)
    with pytest.raises(StorageError, match="run it again"):
        Store(study, search, TRIALS, patience)
    assert (outsider.heard, len(asked)) == ([], 1)


@pytest.mark.parametrize(
    "change",
    [
        "delete from trials",
        "update trials set state = 'COMPLETE'",
        "insert into trials (study_id, number, state) values (1, 4, 'RUNNING')",
        "drop table trial_intermediate_values",
    ],
)
def test_a_study_that_another_program_changes_meanwhile_is_made_anew_the_next_time(
    study: Path, search: Search, study_rows: Rows, change: str
) -> None:
    with opened(study, search, TRIALS) as store:
        execute(study, change)
        with pytest.raises(StorageError, match=r"study\.db: another program has changed it"):
            perform_all(store)
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)
    assert study.with_name("study.db.damaged-0").exists()


def test_every_commit_is_announced_before_it_is_made(
    study: Path, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Path, int]] = []

    def watch(operation: str, path: Path, data: bytes) -> None:
        seen.append((operation, path, study.stat().st_size))

    with opened(study, search, []) as store:
        monkeypatch.setattr(durable, "failpoint", watch)
        store.add(RUNNING_FIRST)
        monkeypatch.undo()
    assert {(operation, path) for operation, path, _ in seen} == {("commit", study)}


def test_what_the_driver_tells_is_stored(study: Path, search: Search, study_rows: Rows) -> None:
    with opened(study, search, []) as store:
        for trial in TRIALS:
            store.add(Trial(trial.number, trial.params))
            for step, loss in trial.reports.items():
                store.report(trial.number, step, loss)
            if trial.state != "running":
                store.tell(trial)
    assert study_rows(study.parent) == expected(TRIALS)


def test_a_loss_reported_twice_is_stored_once(
    study: Path, search: Search, study_rows: Rows
) -> None:
    with opened(study, search, [RUNNING_FIRST]) as store:
        store.report(0, 5, 2.25)
        store.report(0, 5, 2.25)
    assert study_rows(study.parent) == expected([replace(RUNNING_FIRST, reports={5: 2.25})])


RUNNING_FIRST = Trial(0, PARAMS)


@pytest.mark.parametrize("told", [True, False], ids=["told", "level"])
def test_the_reason_of_a_failure_and_the_name_of_the_metric_are_in_the_study(
    study: Path, search: Search, told: bool
) -> None:
    failed = replace(FAILED, number=0)
    with opened(study, search, [] if told else [failed]) as store:
        if told:
            store.add(Trial(0, failed.params))
            store.tell(failed)
    with sqlite3.connect(study) as connection:
        reasons = connection.execute("select key, value_json from trial_user_attributes").fetchall()
        names = connection.execute("select value_json from study_system_attributes").fetchall()
    connection.close()
    assert reasons == [("reason", '"it would not"')]
    assert names == [('["val_loss"]',)]


def test_two_damaged_studies_are_both_kept(tmp_path: Path) -> None:
    study = tmp_path / "study.db"
    for content in (b"one", b"two"):
        study.write_bytes(content)
        study.with_name("study.db-journal").write_bytes(b"of it")
        set_aside(study)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "study.db.damaged-0": b"one",
        "study.db.damaged-0-journal": b"of it",
        "study.db.damaged-1": b"two",
        "study.db.damaged-1-journal": b"of it",
    }


def test_a_store_closes_its_file(study: Path, search: Search) -> None:
    store = Store(study, search, TRIALS)
    assert open_files(study)
    store.close()
    assert not open_files(study)


def open_files(path: Path) -> list[str]:
    descriptors = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [name for name in descriptors if os.path.realpath(name) == str(path)]


def test_a_study_holds_what_every_version_of_the_file_allowed(
    study: Path, make_sweep: Callable[..., Sweep], study_rows: Rows, search: Search
) -> None:
    write(study, search, [COMPLETE, PRUNED])
    wide = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}
    edited = make_sweep(space=search.sweep.space | {"train.learning_rate": wide}, enqueue=[])
    later = Search(edited, 17, [Earlier(2, search.sweep)])
    new = Trial(2, PARAMS | {"train.learning_rate": 2e-5})
    write(study, later, [COMPLETE, PRUNED, new])
    assert study_rows(study.parent) == expected([COMPLETE, PRUNED, new])


def test_several_objectives_are_stored_with_their_names(
    study: Path, make_sweep: Callable[..., Sweep]
) -> None:
    sweep = make_sweep(objective=[{"metric": "val_loss"}, {"metric": "params"}])
    complete = replace(COMPLETE, metrics={"parameters": 400})
    pruned = replace(PRUNED, metrics={"parameters": 500})
    write(study, Search(sweep, 17), [complete, pruned])
    storage = optuna.storages.RDBStorage(f"sqlite:///{study}")
    stored = optuna.load_study(study_name="tiny", storage=storage)
    assert stored.metric_names == ["val_loss", "params"]
    assert [trial.values for trial in stored.trials] == [[2.0, 400.0], None]
    storage.engine.dispose()


@pytest.mark.parametrize("told", [True, False], ids=["told", "level"])
def test_whose_result_a_trial_took_is_in_the_study(study: Path, search: Search, told: bool) -> None:
    twin = replace(COMPLETE, number=1, same_as=0)
    with opened(study, search, [COMPLETE] if told else [COMPLETE, twin]) as store:
        if told:
            store.add(Trial(1, PARAMS, same_as=0))
            for step, loss in twin.reports.items():
                store.report(1, step, loss)
            store.tell(twin)
    with sqlite3.connect(study) as connection:
        attrs = connection.execute("select key, value_json from trial_user_attributes").fetchall()
    connection.close()
    assert attrs == [("same_as", "0")]
