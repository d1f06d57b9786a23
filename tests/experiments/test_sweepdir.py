"""The trials as the directories tell them, and what is refused there."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import spec
from experiments.search import Search
from experiments.spec import Sweep
from experiments.sweepdir import SweepDir, find, reports, search_of
from experiments.trial import Trial
from tinygpt.config import with_values
from tinygpt.files import BusyError, RecordError
from tinygpt.schema import ConfigError

Make = Callable[..., Sweep]

PARAMS: dict[str, Any] = {
    "train.learning_rate": 0.01,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.dropout": 0.1,
    "train.weight_decay": 0.1,
    "seed": 1,
}

FACTS: dict[str, Any] = {"versions": {"torch": "2"}, "corpus": {"vocabulary": 17}}
RESULT: dict[str, Any] = {
    "state": "failed",
    "value": None,
    "metrics": {},
    "best_step": None,
    "reason": None,
}


@pytest.fixture
def sweep(make_sweep: Make) -> Sweep:
    return make_sweep()


@pytest.fixture
def sweep_dir(tmp_path: Path) -> SweepDir:
    return SweepDir(tmp_path / "tiny")


@pytest.fixture
def begun(sweep_dir: SweepDir, sweep: Sweep) -> SweepDir:
    """A sweep of which nothing but `sweep.json` is written."""
    sweep_dir.path.mkdir()
    sweep_dir.write_sweep(sweep, FACTS)
    return sweep_dir


def write_trial(sweep_dir: SweepDir, number: int, **params: Any) -> Path:
    run_dir = sweep_dir.trial(number)
    run_dir.write_config(with_values({}, PARAMS | params))
    return run_dir.path


def dump(path: Path, *values: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def test_a_sweep_reads_back_what_was_written_and_the_facts_beside_it(
    begun: SweepDir, sweep: Sweep
) -> None:
    assert begun.begun()
    assert begun.read_sweep() == (sweep, {"schema": 1, **FACTS})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("{", "not readable as JSON"),
        ({"schema": 2}, "of schema 2, not 1; take the version that wrote it"),
        ({"schema": None}, "of schema None, not 1; take the version"),
        ({"trials": 0}, "trials: must be >= 1, got 0; restore it from a copy"),
        ({"space": {}}, "space: must name at least one parameter to search"),
    ],
)
def test_a_sweep_json_that_cannot_be_used_says_why(
    begun: SweepDir, change: dict[str, Any] | str, reason: str
) -> None:
    if isinstance(change, str):
        begun.sweep.write_text(change)
    else:
        data = json.loads(begun.sweep.read_text()) | change
        del data["digest"]  # as whoever writes one by hand
        begun.sweep.write_text(json.dumps(data))
    with pytest.raises(RecordError, match=reason) as caught:
        begun.read_sweep()
    assert str(begun.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_no_sweep_was_begun_the_way_to_begin_one_is_told(sweep_dir: SweepDir) -> None:
    with pytest.raises(ConfigError, match=r"tiny: no sweep was begun here; `python -m exp"):
        sweep_dir.read_sweep()


def test_the_trials_planned_are_those_that_the_last_command_wanted(
    begun: SweepDir, sweep: Sweep
) -> None:
    assert begun.planned(sweep) == 9
    begun.log("started", trials=4)
    begun.log("finished")
    assert begun.planned(sweep) == 4
    begun.log("resumed", trials=20)
    assert begun.planned(sweep) == 20


def test_the_history_is_what_the_trial_directories_hold(begun: SweepDir, sweep: Sweep) -> None:
    path = write_trial(begun, 0)
    dump(
        path / "metrics.jsonl",
        {"kind": "eval", "step": 0, "val_loss": 3.0},
        {"kind": "train", "step": 5, "train_loss": 2.0},
        {"kind": "eval", "step": 5, "val_loss": 2.5},
        {"kind": "eval", "step": 10, "val_loss": 2.25, "val_loss_subset": 2.0},
    )
    dump(path / "result.json", {**RESULT, "state": "complete", "value": 2.25})
    path = write_trial(begun, 1, seed=2)
    dump(path / "result.json", {**RESULT, "reason": "it would not"})
    write_trial(begun, 2, seed=3)
    assert begun.history(Search(sweep, 17)) == [
        Trial(0, PARAMS, "complete", 2.25, {5: 2.5, 10: 2.0}),
        Trial(1, PARAMS | {"seed": 2}, "failed", None, {}, "it would not"),
        Trial(2, PARAMS | {"seed": 3}),
    ]


def test_a_torn_last_row_of_a_record_does_not_count(begun: SweepDir, sweep: Sweep) -> None:
    path = write_trial(begun, 0)
    dump(path / "metrics.jsonl", {"kind": "eval", "step": 5, "val_loss": 2.5})
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"kind": "eval", "step": 10, "val_l')
    assert begun.history(Search(sweep, 17))[0].reports == {5: 2.5}


def test_nothing_has_begun_where_there_are_no_trials(begun: SweepDir, sweep: Sweep) -> None:
    assert begun.history(Search(sweep, 17)) == []


def test_a_directory_without_a_config_is_no_trial(begun: SweepDir, sweep: Sweep) -> None:
    write_trial(begun, 0)
    begun.trial(1).path.mkdir()
    assert len(begun.history(Search(sweep, 17))) == 1


def test_a_copy_of_a_trial_beside_it_is_no_trial(begun: SweepDir, sweep: Sweep) -> None:
    path = write_trial(begun, 0)
    path.rename(begun.trials / "0000-copy")
    write_trial(begun, 0)
    assert [trial.number for trial in begun.history(Search(sweep, 17))] == [0]


@pytest.mark.parametrize("present", [[1], [0, 2], [0, 1, 3, 4]])
def test_a_missing_trial_is_named(begun: SweepDir, sweep: Sweep, present: list[int]) -> None:
    for number in present:
        write_trial(begun, number)
    missing = min(set(range(9)) - set(present))
    with pytest.raises(RecordError) as caught:
        begun.history(Search(sweep, 17))
    assert str(caught.value) == f"{begun.trial(missing).path}: missing; restore it from a copy"


def test_a_config_without_a_searched_key_is_named(begun: SweepDir, sweep: Sweep) -> None:
    begun.trial(0).write_config({"seed": 1, "model": {"d_model": 16, "d_head": 8, "dropout": 0.1}})
    with pytest.raises(RecordError, match=r"config.json: \S+ is missing; restore"):
        begun.history(Search(sweep, 17))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", '{"kind": "eval", "step": 5}\n'),
        ("metrics.jsonl", "[1]\n"),
        ("result.json", "{}"),
        ("result.json", json.dumps({**RESULT, "state": "splendid"})),
        ("config.json", "[]"),
    ],
)
def test_a_record_of_another_shape_is_an_unusable_record(
    begun: SweepDir, sweep: Sweep, name: str, content: str
) -> None:
    path = write_trial(begun, 0)
    (path / name).write_text(content)
    with pytest.raises(RecordError):
        begun.history(Search(sweep, 17))


def test_the_search_sees_the_losses_on_shared_windows_and_not_the_first() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 0, "val_loss": 3.0},
        {"step": 5, "val_loss": 2.0},
        {"step": 9, "val_loss": 1.5, "val_loss_subset": 1.25},
    ]
    assert reports(rows) == {5: 2.0, 9: 1.25}


def test_events_are_rows_with_their_time(begun: SweepDir) -> None:
    begun.log("started", workers=2)
    begun.log("finished")
    rows = [json.loads(line) for line in begun.events.read_text().splitlines()]
    assert [{k: v for k, v in row.items() if k != "time"} for row in rows] == [
        {"event": "started", "workers": 2},
        {"event": "finished"},
    ]
    assert all(row["time"].endswith("+00:00") for row in rows)


def test_a_sweep_has_one_owner_and_a_second_is_told_which(begun: SweepDir) -> None:
    assert not begun.is_owned()
    with begun.owned():
        assert begun.is_owned()
        told = rf"tiny: another sweep command drives it \(process {os.getpid()}\)"
        with pytest.raises(BusyError, match=told):
            begun.owned().__enter__()
    assert not begun.is_owned()


def test_a_sweep_is_found_by_its_file_and_by_its_directory(
    begun: SweepDir, tmp_path: Path, write_sweep: Callable[..., Path]
) -> None:
    file = write_sweep(tmp_path, name="other")
    assert find(file, tmp_path / "out").path == tmp_path / "out" / "other"
    assert find(begun.path, tmp_path / "out").path == begun.path


def test_the_trials_take_their_results_from_the_first_that_trains_the_same(
    begun: SweepDir, sweep: Sweep
) -> None:
    for number in range(3):
        write_trial(begun, number, seed=number // 2)
    assert [t.same_as for t in begun.history(Search(sweep, 17))] == [None, 0, None]


def test_a_trial_outside_of_the_space_or_of_another_seed_is_told(
    begun: SweepDir, make_sweep: Make
) -> None:
    write_trial(begun, 0, seed=10_000)
    with pytest.raises(RecordError, match="not of this sweep's space or seeds; restore"):
        begun.history(Search(make_sweep(), 17))
    space = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1}}
    with pytest.raises(RecordError, match="not of this sweep's space or seeds; restore"):
        begun.history(Search(make_sweep(space=space, enqueue=[]), 17))


def test_replicates_are_known_by_their_seeds(begun: SweepDir, make_sweep: Make) -> None:
    space = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1}}
    sweep = make_sweep(space=space, enqueue=[], replicates=3)
    search = Search(sweep, 17)
    for number, replicate in enumerate((0, 2, 1)):
        trial = Trial(number, {"train.learning_rate": 0.01}, replicate=replicate)
        begun.trial(number).write_config(search.run_of(trial))
    assert [trial.replicate for trial in begun.history(search)] == [0, 2, 1]


def test_a_result_says_whose_it_is(begun: SweepDir, sweep: Sweep) -> None:
    for number in range(2):
        path = write_trial(begun, number)
        dump(path / "result.json", RESULT | ({"same_as": 0} if number else {}))
    assert [trial.same_as for trial in begun.history(Search(sweep, 17))] == [None, 0]


def test_the_versions_of_an_edited_file_are_read_back(
    begun: SweepDir, sweep: Sweep, make_sweep: Make
) -> None:
    later = make_sweep(max_concurrent=2)
    facts = {**FACTS, "earlier": [{"until": 4, "sweep": spec.as_dict(sweep)}]}
    begun.write_sweep(later, facts)
    search = begun.search()
    assert search.sweeps() == [sweep, later]
    assert [search.version(number).sweep for number in (3, 4)] == [sweep, later]
    assert search_of(sweep, FACTS).sweeps() == [sweep]


def test_the_time_a_sweep_took_is_that_of_its_commands(begun: SweepDir) -> None:
    times = [("started", 0), ("finished", 10), ("resumed", 100), ("stopped", 105)]
    rows = [{"time": f"2026-01-01T00:{s // 60:02}:{s % 60:02}+00:00", "event": e} for e, s in times]
    assert begun.worked() == 0
    begun.events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert begun.worked() == 15


@pytest.mark.parametrize("spoilt", [b'{"time": "2026', b'\x00\x00\x00"step": 2}\n', b"\x00\n"])
def test_a_last_event_that_was_spoilt_is_cut_off(begun: SweepDir, spoilt: bytes) -> None:
    begun.log("started", trials=7)
    whole = begun.events.read_bytes()
    begun.events.write_bytes(whole + spoilt)
    assert begun.planned(begun.read_sweep()[0]) == 7
    begun.repair()
    assert begun.events.read_bytes() == whole
    assert begun.events.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("row", ['{"event": "started"}', '{"time": "noon"}', '{"time": 5}'])
def test_an_event_without_a_time_names_its_file(begun: SweepDir, row: str) -> None:
    begun.events.write_text(f'{row}\n{{"time": "2026-01-01T00:00:00+00:00", "event": "resumed"}}\n')
    with pytest.raises(RecordError, match=r"events\.jsonl: .* is not a time; remove that line"):
        begun.worked()


@pytest.mark.parametrize("left", ["metrics.jsonl", "result.json", "checkpoints"])
def test_a_trial_that_lost_its_config_does_not_begin_anew(
    begun: SweepDir, sweep: Sweep, left: str
) -> None:
    path = write_trial(begun, 0)
    (path / left).mkdir() if left == "checkpoints" else (path / left).write_text("")
    (path / "config.json").unlink()
    with pytest.raises(RecordError, match=r"trials/0000/config\.json: missing; restore it"):
        begun.history(begun.search())
