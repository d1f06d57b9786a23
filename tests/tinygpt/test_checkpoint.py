"""Checkpoints are whole or not there, and a damaged one is never believed."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygpt import checkpoint
from tinygpt.checkpoint import Checkpoint, DamagedError
from tinygpt.files import BusyError, RecordError
from tinygpt.record import DivergedRecordError

Damage = Callable[[Path], None]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flip_state(path: Path) -> None:
    flip(path / "state.pt")


def truncate_state(path: Path) -> None:
    (path / "state.pt").write_bytes((path / "state.pt").read_bytes()[:-1])


def remove_state(path: Path) -> None:
    (path / "state.pt").unlink()


def empty_manifest(path: Path) -> None:
    (path / "manifest.json").write_bytes(b"")


def remove_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def foreign_manifest(path: Path) -> None:
    (path / "manifest.json").write_text("[1, 2]")


def null_manifest(path: Path) -> None:
    (path / "manifest.json").write_text("null")


def edited_manifest(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_bytes())
    (path / "manifest.json").write_text(json.dumps({**manifest, "note": "edited"}))


def empty_directory(path: Path) -> None:
    remove_state(path)
    remove_manifest(path)


DAMAGES = [
    flip_state,
    truncate_state,
    remove_state,
    empty_manifest,
    remove_manifest,
    foreign_manifest,
    null_manifest,
    edited_manifest,
    empty_directory,
]


def accept(found: Checkpoint) -> None:
    pass


def saved(directory: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(directory, step, b"state %d" % step, {"note": f"of {step}"})


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_checkpoint_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    saved(tmp_path, 250)
    assert names(tmp_path) == ["step-00000250"]
    assert names(tmp_path / "step-00000250") == ["manifest.json", "state.pt"]
    found = checkpoint.load(tmp_path, 250)
    assert (found.step, found.state) == (250, b"state 250")
    assert found.manifest["note"] == "of 250"
    assert found.manifest["bytes"] == len(b"state 250")


def test_steps_are_in_order_and_only_of_whole_checkpoints(tmp_path: Path) -> None:
    assert checkpoint.steps(tmp_path / "missing") == []
    saved(tmp_path, 20, 3, 100)
    for other in ("step-00000007.tmp", "step-00000008.damaged-0", "step-9", "notes"):
        (tmp_path / other).mkdir()
    assert checkpoint.steps(tmp_path) == [3, 20, 100]


def test_saving_a_step_again_with_the_same_state_changes_nothing(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    before = (tmp_path / "step-00000010" / "manifest.json").stat()
    saved(tmp_path, 10)
    after = (tmp_path / "step-00000010" / "manifest.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_saving_a_step_again_with_another_state_is_an_error_and_changes_nothing(
    tmp_path: Path,
) -> None:
    saved(tmp_path, 10)
    with pytest.raises(DivergedRecordError, match="computed again"):
        checkpoint.save(tmp_path, 10, b"another state", {})
    assert checkpoint.load(tmp_path, 10).state == b"state 10"
    assert issubclass(DivergedRecordError, RecordError)


def test_what_an_interrupted_save_left_does_not_hinder_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / "step-00000010.tmp"
    leftover.mkdir()
    (leftover / "state.pt").write_bytes(b"half a sta")
    saved(tmp_path, 10)
    assert names(tmp_path) == ["step-00000010"]
    assert checkpoint.load(tmp_path, 10).state == b"state 10"


def test_contents_reach_the_disk_before_their_name_and_the_name_before_save_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append("directory" if directory else "contents")
        fsync(descriptor)

    def watched_rename(source: Path, target: Path) -> None:
        seen.append("name")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    saved(tmp_path, 10)
    assert seen == ["contents", "contents", "directory", "name", "directory"]


def test_a_missing_step_lists_the_steps_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="the steps there are: none"):
        checkpoint.load(tmp_path, 7)
    saved(tmp_path, 5, 10)
    with pytest.raises(RecordError, match="the steps there are: 5, 10"):
        checkpoint.load(tmp_path, 7)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_loaded(tmp_path: Path, damage: Damage) -> None:
    saved(tmp_path, 10)
    damage(tmp_path / "step-00000010")
    with pytest.raises(DamagedError, match="step-00000010"):
        checkpoint.load(tmp_path, 10)


def test_a_checkpoint_under_the_name_of_another_step_is_not_believed(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    (tmp_path / "step-00000010").rename(tmp_path / "step-00000020")
    with pytest.raises(DamagedError):
        checkpoint.load(tmp_path, 20)


def test_a_checkpoint_of_another_schema_asks_for_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SCHEMA", 99)
    saved(tmp_path, 10)
    monkeypatch.undo()
    with pytest.raises(RecordError, match="schema 99, this version reads 2; take the"):
        checkpoint.load(tmp_path, 10)


def test_the_newest_is_found_and_none_where_there_never_was_one(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path, accept) == (None, ())
    saved(tmp_path, 5, 10, 15)
    found, losses = checkpoint.newest(tmp_path, accept)
    assert found is not None
    assert (found.step, losses) == (15, ())
    assert names(tmp_path) == ["step-00000005", "step-00000010", "step-00000015"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_ones_are_set_aside_and_the_one_before_is_taken(
    tmp_path: Path, damage: Damage
) -> None:
    saved(tmp_path, 5, 10, 15)
    damage(tmp_path / "step-00000010")
    damage(tmp_path / "step-00000015")
    found, losses = checkpoint.newest(tmp_path, accept)
    assert found is not None
    assert (found.step, found.state) == (5, b"state 5")
    assert ["step-00000015" in losses[0], "step-00000010" in losses[1]] == [True, True]
    assert names(tmp_path) == [
        "step-00000005",
        "step-00000010.damaged-0",
        "step-00000015.damaged-0",
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_older_one_that_is_damaged_is_set_aside_too(tmp_path: Path, damage: Damage) -> None:
    """Else it would be kept in the place of a sound one."""
    saved(tmp_path, 5, 10, 15)
    damage(tmp_path / "step-00000005")
    found, losses = checkpoint.newest(tmp_path, accept)
    assert found is not None
    assert (found.step, len(losses)) == (15, 1)
    assert checkpoint.steps(tmp_path) == [10, 15]


def test_a_fence_that_refuses_leaves_no_checkpoint(tmp_path: Path) -> None:
    def refuse() -> None:
        raise BusyError("another process has taken over")

    saved(tmp_path, 5)
    with pytest.raises(BusyError):
        checkpoint.save(tmp_path, 10, b"state 10", {}, refuse)
    assert checkpoint.steps(tmp_path) == [5]


def test_a_checkpoint_that_cannot_be_read_just_now_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a disk is away for a while."""
    saved(tmp_path, 5, 10)

    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match="Input/output error"):
        checkpoint.newest(tmp_path, accept)
    assert checkpoint.steps(tmp_path) == [5, 10]


def test_setting_aside_twice_keeps_both(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    for _ in range(2):
        saved(tmp_path, 10)
        flip_state(tmp_path / "step-00000010")
        checkpoint.newest(tmp_path, accept)
    assert names(tmp_path)[1:] == ["step-00000010.damaged-0", "step-00000010.damaged-1"]


def test_one_that_the_caller_refuses_is_treated_as_damaged(tmp_path: Path) -> None:
    saved(tmp_path, 5, 10)

    def refuse_10(found: Checkpoint) -> None:
        if found.step == 10:
            raise RecordError("the metrics are not what this checkpoint saw")

    found, losses = checkpoint.newest(tmp_path, refuse_10)
    assert found is not None
    told = "the metrics are not what this checkpoint saw; checkpoint 10 was set aside"
    assert (found.step, losses) == (5, (told,))
    assert checkpoint.steps(tmp_path) == [5]


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_none_is_sound_that_is_an_error_and_nothing_is_changed(
    tmp_path: Path, damage: Damage
) -> None:
    saved(tmp_path, 5, 10)
    for step in ("step-00000005", "step-00000010"):
        damage(tmp_path / step)
    with pytest.raises(RecordError, match="no older checkpoint is left"):
        checkpoint.newest(tmp_path, accept)
    assert names(tmp_path) == ["step-00000005", "step-00000010"]


def test_retaining_removes_all_others_and_what_was_left_half_done(tmp_path: Path) -> None:
    saved(tmp_path, 5, 10, 15, 20)
    (tmp_path / "step-00000025.tmp").mkdir()
    (tmp_path / "step-00000025.tmp" / "state.pt").touch()
    (tmp_path / "step-00000005.tmp").mkdir()
    (tmp_path / "step-00000001.damaged-0").mkdir()
    (tmp_path / "notes.txt").touch()
    checkpoint.retain(tmp_path, {10, 20, 99})
    assert names(tmp_path) == [
        "notes.txt",
        "step-00000001.damaged-0",
        "step-00000010",
        "step-00000020",
    ]
    assert checkpoint.load(tmp_path, 10).state == b"state 10"
