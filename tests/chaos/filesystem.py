"""A file system as a power cut may leave it, after operations that were or were not waited for.

Pillai et al. 2014, "All File Systems Are Not Created Equal", says what may happen: contents that
were not synced are there, half there, or something else; names that were not synced are there or
not, each on its own and in any order.
"""

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath

EXHAUSTIVE = 4
"""Up to so many names that are not synced, every choice among them is looked at."""

Tree = tuple[tuple[str, bytes | None], ...]
"""Everything below a directory: its path and its bytes, None for a directory."""


@dataclass(frozen=True)
class Operation:
    """One operation as tinygpt/durable.py names it, on a path below the root."""

    name: str
    path: str
    data: bytes = b""


@dataclass(eq=False)
class File:
    """What the disk has for certain, and what programs see."""

    synced: bytes = b""
    written: bytes = b""
    floor: int = 0
    """So many of the first bytes were the same all the time since the last sync."""

    def write(self, data: bytes) -> None:
        self.written += data

    def truncate(self, size: int) -> None:
        self.written = self.written[:size]
        self.floor = min(self.floor, size)

    def sync(self) -> None:
        self.synced, self.floor = self.written, len(self.written)

    def dirty(self) -> bool:
        return self.synced != self.written or self.floor < len(self.written)


@dataclass(frozen=True)
class Change:
    """A change of the names in a directory: one goes, one comes, or both."""

    order: int
    removed: str | None = None
    added: "tuple[str, Node] | None" = None

    def apply(self, names: "dict[str, Node]") -> None:
        if self.removed is not None:
            names.pop(self.removed, None)
        if self.added is not None:
            names[self.added[0]] = self.added[1]


@dataclass(eq=False)
class Directory:
    """The names that the disk has for certain, and the changes since."""

    synced: "dict[str, Node]" = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def names(self, kept: Callable[[Change], bool] = lambda change: True) -> "dict[str, Node]":
        """The names if of the changes only those that are `kept` have happened."""
        names = dict(self.synced)
        for change in filter(kept, self.pending):
            change.apply(names)
        return names

    def sync(self) -> None:
        self.synced, self.pending = self.names(), []


Node = File | Directory


class Disk:
    """A directory and all below it, to which operations are done one after another."""

    def __init__(self, tree: Tree = ()) -> None:
        """`tree` is there already, and synced."""
        self.root = Directory()
        self._count = 0
        for path, data in tree:
            parent, name = self._place(path)
            parent.synced[name] = Directory() if data is None else File(data, data, len(data))

    def do(self, operation: Operation) -> None:
        """Do an operation; one that changes nothing of a file is none."""
        path, data = operation.path, operation.data
        match operation.name:
            case "create":
                self._change(path, File())
            case "make directory":
                self._change(path, Directory())
            case "write":
                self._file(path).write(data)
            case "truncate":
                self._file(path).truncate(int(data))
            case "sync":
                self._file(path).sync()
            case "sync directory":
                self._directory(path).sync()
            case "rename":
                self._rename(path, data.decode())
            case "remove":
                self._change(path, None)
            case "remove tree":
                self._remove_tree(path)

    def has(self, path: str) -> bool:
        """Whether programs see something under a path."""
        try:
            self._node(path)
        except KeyError:
            return False
        return True

    def _node(self, path: str) -> Node:
        node: Node = self.root
        for part in PurePosixPath(path).parts:
            assert isinstance(node, Directory), f"{path}: below a file"
            node = node.names()[part]
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File), f"{path}: not a file"
        return node

    def _directory(self, path: str) -> Directory:
        node = self._node(path)
        assert isinstance(node, Directory), f"{path}: not a directory"
        return node

    def _place(self, path: str) -> tuple[Directory, str]:
        pure = PurePosixPath(path)
        return self._directory(str(pure.parent)), pure.name

    def _change(self, path: str, node: Node | None, *, removes: str | None = None) -> None:
        parent, name = self._place(path)
        self._count += 1
        added = None if node is None else (name, node)
        removed = name if node is None else removes
        parent.pending.append(Change(self._count, removed, added))

    def _rename(self, source: str, target: str) -> None:
        assert PurePosixPath(source).parent == PurePosixPath(target).parent, "two directories"
        self._change(target, self._node(source), removes=PurePosixPath(source).name)

    def _remove_tree(self, path: str) -> None:
        for name, node in self._directory(path).names().items():
            inner = f"{path}/{name}"
            if isinstance(node, Directory):
                self._remove_tree(inner)
            else:
                self._change(inner, None)
        self._change(path, None)


def half(kept: bytes, rest: bytes) -> bytes:
    return kept + rest[: len(rest) // 2]


def zeros(kept: bytes, rest: bytes) -> bytes:
    return kept + bytes(len(rest))


def hole(kept: bytes, rest: bytes) -> bytes:
    """The later half came to the disk, the earlier one did not."""
    return kept + bytes(len(rest) // 2) + rest[len(rest) // 2 :]


def garbage(kept: bytes, rest: bytes) -> bytes:
    return kept + random.Random(len(rest)).randbytes(len(rest))


TORN: dict[str, Callable[[bytes, bytes], bytes]] = {
    "half": half,
    "zeros": zeros,
    "hole": hole,
    "garbage": garbage,
}
MODES = ("whole", "before", *TORN)
"""What the disk may have of a file that was written and not synced."""


@functools.lru_cache(maxsize=4096)
def torn(synced: bytes, written: bytes, floor: int, mode: str) -> bytes:
    """The contents of a file in one of the modes."""
    if mode in ("whole", "before"):
        return written if mode == "whole" else synced
    return TORN[mode](written[:floor], written[floor:])


def states(disk: Disk) -> Iterator[Tree]:
    """The trees that a power cut may leave now, some more than once."""
    dirty, pending = _unsynced(disk.root)
    orders = sorted(change.order for change in pending)
    modes_of_all = MODES if dirty else MODES[:1]
    everywhere: list[Mapping[File, str]] = [dict.fromkeys(dirty, mode) for mode in modes_of_all]
    alone = [{file: mode} for file in dirty for mode in MODES[1:]] if len(dirty) > 1 else []
    ends = [frozenset(orders), frozenset[int]()]
    for kept, modes in [*product(choices(orders), everywhere), *product(ends, alone)]:
        yield tuple(sorted(_entries(disk.root, "", kept, modes)))


def choices(orders: Sequence[int]) -> set[frozenset[int]]:
    """Which of the unsynced changes of names have happened: every choice of a few; of many all,
    none, all but one, only one, only the first ones, only the last ones."""
    if len(orders) <= EXHAUSTIVE:
        flags = product((False, True), repeat=len(orders))
        return {frozenset(o for o, kept in zip(orders, f, strict=True) if kept) for f in flags}
    everything, places = frozenset(orders), range(len(orders) + 1)
    return {
        *(everything - {order} for order in orders),
        *(frozenset({order}) for order in orders),
        *(frozenset(orders[:place]) for place in places),
        *(frozenset(orders[place:]) for place in places),
    }


def _unsynced(root: Directory) -> tuple[list[File], list[Change]]:
    """The files and the changes of names that are not synced, of all that a state can show."""
    files: dict[File, None] = {}
    changes: list[Change] = []
    directories, seen = [root], {root}
    while directories:
        directory = directories.pop()
        changes += directory.pending
        added = [change.added[1] for change in directory.pending if change.added is not None]
        for node in (*directory.synced.values(), *added):
            if isinstance(node, File):
                files |= {node: None} if node.dirty() else {}
            elif node not in seen:
                seen.add(node)
                directories.append(node)
    return list(files), changes


def _entries(
    directory: Directory, path: str, kept: frozenset[int], modes: Mapping[File, str]
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in directory.names(lambda change: change.order in kept).items():
        if isinstance(node, Directory):
            yield path + name, None
            yield from _entries(node, f"{path}{name}/", kept, modes)
        else:
            mode = modes.get(node, "whole")
            yield path + name, torn(node.synced, node.written, node.floor, mode)


def read_tree(root: Path) -> Tree:
    """What lies below a directory."""
    return tuple(
        (path.relative_to(root).as_posix(), path.read_bytes() if path.is_file() else None)
        for path in sorted(root.rglob("*"))
    )


def write_tree(root: Path, tree: Tree) -> None:
    """Make a directory that holds a tree, whose directories come before what they hold."""
    root.mkdir(parents=True)
    for path, data in tree:
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)
