"""`study.db` is made level with the trials, whatever it was before."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from experiments.search import Search
from experiments.spec import Sweep
from experiments.store import Store, opened, set_aside
from experiments.trial import Trial
from experiments.version import Earlier

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
    [COMPLETE, PRUNED, FAILED, replace(RUNNING, reports={5: 2.75})],
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


def test_a_loss_that_a_resumed_trial_has_yet_to_make_again_stays(
    study: Path, search: Search, study_rows: Rows
) -> None:
    ahead = replace(RUNNING, reports={5: 2.25, 10: 2.0})
    write(study, search, [COMPLETE, PRUNED, FAILED, ahead])
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected([COMPLETE, PRUNED, FAILED, ahead])
    assert [path.name for path in study.parent.iterdir()] == ["study.db"]


@pytest.mark.parametrize("garbage", [b"not a database", b"", b"SQLite format 3\0" + b"\xff" * 500])
def test_a_study_that_is_damaged_is_made_anew(
    study: Path, search: Search, study_rows: Rows, garbage: bytes
) -> None:
    study.write_bytes(garbage)
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)


def test_a_study_cut_in_its_middle_is_made_anew(
    study: Path, search: Search, study_rows: Rows
) -> None:
    write(study, search, TRIALS)
    data = study.read_bytes()
    study.write_bytes(data[: len(data) // 2])
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)


def test_a_study_whose_trials_were_deleted_by_hand_is_made_level(
    study: Path, search: Search, study_rows: Rows
) -> None:
    write(study, search, TRIALS)
    with sqlite3.connect(study) as connection:
        connection.execute("delete from trials where number = 1")
    connection.close()
    write(study, search, TRIALS)
    assert study_rows(study.parent) == expected(TRIALS)


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
        "study.db.damaged-1": b"two",
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
