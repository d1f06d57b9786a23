"""Power cuts lose nothing that was acknowledged, and whoever looks for that would see it."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.filesystem import Disk, File, Operation, Tree, choices, states
from chaos.power import SAVED, Promises, cuts, tortured
from chaos.tally import Options, sample

Save = Callable[[int], Iterator[Operation]]

VERSIONS = (1, 2, 3)


def contents(version: int) -> bytes:
    return b"version %d of the state" % version


def acknowledged(version: int) -> Operation:
    return Operation(SAVED, "state", b"%d" % version)


def written(path: str, version: int, *, synced: bool = True) -> Iterator[Operation]:
    yield Operation("create", path)
    yield Operation("write", path, contents(version))
    if synced:
        yield Operation("sync", path)


def renamed(version: int, target: str) -> Operation:
    return Operation("rename", "new", target.encode())


def in_place(version: int) -> Iterator[Operation]:
    if version == 1:
        yield Operation("create", "state")
        yield Operation("sync directory", ".")
    yield Operation("truncate", "state", b"0")
    yield Operation("write", "state", contents(version))
    yield Operation("sync", "state")
    yield acknowledged(version)


def contents_not_synced(version: int) -> Iterator[Operation]:
    yield from written("new", version, synced=False)
    yield renamed(version, f"state-{version}")
    yield Operation("sync directory", ".")
    yield acknowledged(version)
    yield Operation("remove", f"state-{version - 1}")


def directory_not_synced(version: int) -> Iterator[Operation]:
    yield from written("new", version)
    yield renamed(version, "state")
    yield acknowledged(version)


def removed_before_the_directory_is_synced(version: int) -> Iterator[Operation]:
    yield from written("new", version)
    yield renamed(version, f"state-{version}")
    yield Operation("remove", f"state-{version - 1}")
    yield Operation("sync directory", ".")
    yield acknowledged(version)


def removed_first(version: int) -> Iterator[Operation]:
    yield Operation("remove", f"state-{version - 1}")
    yield Operation("sync directory", ".")
    yield from written("new", version)
    yield renamed(version, f"state-{version}")
    yield Operation("sync directory", ".")
    yield acknowledged(version)


def under_its_last_name(version: int) -> Iterator[Operation]:
    yield from written(f"state-{version}", version, synced=False)
    yield Operation("sync directory", ".")
    yield acknowledged(version)
    yield Operation("remove", f"state-{version - 1}")


def acknowledged_first(version: int) -> Iterator[Operation]:
    yield acknowledged(version)
    yield from written("new", version)
    yield renamed(version, f"state-{version}")
    yield Operation("sync directory", ".")


def as_it_should_be(version: int) -> Iterator[Operation]:
    yield from written("new", version)
    yield renamed(version, f"state-{version}")
    yield Operation("sync directory", ".")
    yield acknowledged(version)
    yield Operation("remove", f"state-{version - 1}")


def is_bad(tree: Tree, promises: Promises) -> bool:
    """Whether the newest state is torn, or older than what was acknowledged."""
    there = {path: data for path, data in tree if path.startswith("state") and data}
    newest = max(there, default=None)
    version = next((v for v in VERSIONS if newest and there[newest] == contents(v)), 0)
    return version < promises.steps.get("state", 0)


def bad_states(save: Save) -> int:
    log = [
        operation
        for version in VERSIONS
        for operation in save(version)
        if operation.path != "state-0"
    ]
    return sum(is_bad(tree, kept) for tree, kept in cuts(log, random.Random(0)).items())


@pytest.mark.parametrize(
    "save",
    [
        in_place,
        contents_not_synced,
        directory_not_synced,
        removed_before_the_directory_is_synced,
        removed_first,
        under_its_last_name,
        acknowledged_first,
    ],
)
def test_a_protocol_that_loses_what_it_acknowledged_is_found_out(save: Save) -> None:
    assert bad_states(save) > 0


def test_the_protocol_that_waits_for_everything_loses_nothing() -> None:
    assert bad_states(as_it_should_be) == 0


def after(*operations: Operation) -> set[Tree]:
    disk = Disk()
    for operation in operations:
        disk.do(operation)
    return set(states(disk))


def test_a_name_that_was_not_synced_is_there_or_not() -> None:
    assert after(Operation("create", "a"), Operation("create", "b")) == {
        (),
        (("a", b""),),
        (("b", b""),),
        (("a", b""), ("b", b"")),
    }


def test_contents_that_were_not_synced_are_anything() -> None:
    before = [Operation("create", "a"), Operation("sync directory", "."), Operation("sync", "a")]
    found = {dict(tree)["a"] for tree in after(*before, Operation("write", "a", b"1234"))}
    assert {b"", b"12", b"1234", b"\0\0\0\0", b"\0\x0034"} < found
    assert len(found) == 6


def test_what_was_synced_before_an_append_stays() -> None:
    operations = [
        Operation("create", "a"),
        Operation("sync directory", "."),
        Operation("write", "a", b"1234"),
        Operation("sync", "a"),
        Operation("write", "a", b"5678"),
    ]
    assert all((dict(tree)["a"] or b"").startswith(b"1234") for tree in after(*operations))


def test_a_directory_may_be_gone_in_part_under_its_old_name() -> None:
    made = [
        Operation("make directory", "d"),
        Operation("sync directory", "."),
        Operation("create", "d/a"),
        Operation("create", "d/b"),
        Operation("sync directory", "d"),
    ]
    found = after(*made, Operation("remove tree", "d"))
    assert {tuple(path for path, _ in tree) for tree in found} == {
        (),
        ("d",),
        ("d", "d/a"),
        ("d", "d/b"),
        ("d", "d/a", "d/b"),
    }


def test_of_many_names_each_is_dropped_alone_and_kept_alone() -> None:
    many = choices(range(9))
    assert all({frozenset({n}), frozenset(range(9)) - {n}} <= many for n in range(9))
    assert {frozenset(range(4)), frozenset(range(4, 9)), frozenset(), frozenset(range(9))} <= many


def test_a_file_written_again_with_the_same_bytes_was_not_whole_all_the_time() -> None:
    file = File(b"same", b"same", 4)
    file.truncate(0)
    file.write(b"same")
    assert file.dirty()


def test_the_writers_lose_nothing(tmp_path: Path) -> None:
    tally = tortured(sample(12), tmp_path)
    assert (tally.findings, tally.cases > 36) == ([], True)


@pytest.mark.chaos
def test_the_writers_lose_nothing_in_any_state(tmp_path: Path) -> None:
    assert tortured(Options(None, random.Random(0)), tmp_path).findings == []
