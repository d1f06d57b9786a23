"""Checkpoints: directories `step-00000250/{state.pt,manifest.json}` that are whole or not there.

A checkpoint is written under another name, synced, renamed, and the rename synced, before anything
older is removed; it is read only after its digests were checked. Pillai et al. 2014, "All File
Systems Are Not Created Equal", says why each of these is needed.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tinygpt import durable
from tinygpt.files import RecordError
from tinygpt.record import DivergedRecordError
from tinygpt.seal import sealed, unsealed

SCHEMA = 2
_NAME = re.compile(r"step-(\d{8})")


class DamagedError(RecordError):
    """A checkpoint whose bytes are not the ones that were saved."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: the state's bytes, and what the manifest says about them."""

    step: int
    state: bytes
    manifest: Mapping[str, Any]


class Recovery(NamedTuple):
    """The newest sound checkpoint, None if there never was one, and why others were set aside."""

    checkpoint: Checkpoint | None
    losses: tuple[str, ...] = ()


def save(
    directory: Path,
    step: int,
    state: bytes,
    about: Mapping[str, Any],
    fence: Callable[[], None] = lambda: None,
) -> None:
    """Save the state after `step` updates; once this returns it survives a power cut.

    If the step was saved before, the two states must be equal: raises DivergedRecordError if not.
    `fence` is called before the checkpoint gets its name, and may refuse that by raising. Raises
    NoRoomError, with all as it was before.
    """
    target = directory / f"step-{step:08d}"
    if target.exists():
        return _compare(target, state)
    temporary = directory / f"{target.name}.tmp"
    durable.remove_tree(temporary)
    durable.make_new_directory(temporary)
    try:
        # The digest is made while the disk is waited for; it takes as long.
        with ThreadPoolExecutor(max_workers=1) as beside:
            digest = beside.submit(_sha256, state)
            durable.write_new(temporary / "state.pt", state)
        facts = {"schema": SCHEMA, "step": step, "bytes": len(state), "sha256": digest.result()}
        durable.write_new(temporary / "manifest.json", sealed({**facts, **about}))
        durable.sync_directory(temporary)
        fence()
        durable.rename(temporary, target)
    except OSError:
        durable.remove_tree(temporary)
        raise
    durable.sync_directory(directory)


def steps(directory: Path) -> list[int]:
    """The steps that have a checkpoint, in order; whether each is sound is not looked at."""
    names = [entry.name for entry in directory.iterdir()] if directory.exists() else []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def load(directory: Path, step: int) -> Checkpoint:
    """Read and verify one checkpoint; raises DamagedError, or RecordError listing the steps there
    are if it is missing."""
    path = directory / f"step-{step:08d}"
    if not path.exists():
        present = ", ".join(map(str, steps(directory))) or "none"
        raise RecordError(f"{path}: no such checkpoint; the steps there are: {present}")
    try:
        manifest = unsealed(path / "manifest.json")
        state = (path / "state.pt").read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DamagedError(f"{error.filename}: {error.strerror}") from None
    except RecordError as error:
        raise DamagedError(str(error)) from None
    if manifest.get("schema") != SCHEMA:
        raise RecordError(
            f"{path}: schema {manifest.get('schema')}, this version reads {SCHEMA}; take the "
            "version that wrote it"
        )
    if manifest["step"] != step:
        raise DamagedError(f"{path}: holds another step than its name says")
    if manifest["sha256"] != _sha256(state):
        raise DamagedError(f"{path / 'state.pt'}: the bytes are not the ones that were saved")
    return Checkpoint(step, state, manifest)


def newest(directory: Path, check: Callable[[Checkpoint], None]) -> Recovery:
    """The newest sound checkpoint that `check` does not refuse with RecordError.

    All that are damaged, older ones too, are set aside under another name, for what is kept must
    be worth keeping. Raises RecordError if there are checkpoints and none is sound: starting from
    zero would hide the loss.
    """
    found, losses = None, dict[int, str]()
    for step in reversed(steps(directory)):
        try:
            checkpoint = load(directory, step)
            if found is None:
                check(checkpoint)
                found = checkpoint
        except RecordError as error:
            losses[step] = str(error)
    if losses and found is None:
        newest_loss, count = losses[max(losses)], len(losses)
        raise RecordError(
            f"{newest_loss}; no older checkpoint is left, {count} are damaged: restore one, or "
            f"remove all but config.json from {directory.parent} to train it again"
        )
    for step in losses:
        set_aside(directory / f"step-{step:08d}")
    told = (f"{loss}; checkpoint {step} was set aside" for step, loss in losses.items())
    return Recovery(found, tuple(told))


def set_aside(path: Path) -> None:
    """Rename a damaged checkpoint so that it counts no more and can still be looked at."""
    number = 0
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    durable.rename(path, aside)
    durable.sync_directory(path.parent)


def retain(directory: Path, kept: Iterable[int]) -> None:
    """Remove the checkpoints of all other steps, and what an interrupted save or removal left."""
    unwanted = sorted({*steps(directory)} - {*kept})
    for step in unwanted:
        path = directory / f"step-{step:08d}"
        durable.remove_tree(path.with_name(f"{path.name}.tmp"))
        durable.rename(path, path.with_name(f"{path.name}.tmp"))
    if unwanted:
        # First the names: a half-removed directory must not look like a checkpoint.
        durable.sync_directory(directory)
    for leftover in directory.glob("step-*.tmp"):
        durable.remove_tree(leftover)


def _compare(path: Path, state: bytes) -> None:
    if (path / "state.pt").read_bytes() != state:
        raise DivergedRecordError(
            f"{path}: computed again, the state after this step is another one; the machine, a "
            "library or a file of the run has changed"
        )


def _sha256(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()
