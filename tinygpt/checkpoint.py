"""Checkpoints: directories `step-00000250/{state.pt,manifest.json}` that are whole or not there.

A checkpoint is written under another name, synced, renamed, and the rename synced, before anything
older is removed; it is read only after its digests were checked. Pillai et al. 2014, "All File
Systems Are Not Created Equal", says why each of these is needed.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygpt.files import RecordError, sync_directory, write_synced

SCHEMA = 1
_NAME = re.compile(r"step-(\d{8})")


class DamagedError(RecordError):
    """A checkpoint whose bytes are not the ones that were saved."""


class DivergedRecordError(RecordError):
    """A step was computed twice with different results."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: the state's bytes, and what the manifest says about them."""

    step: int
    state: bytes
    manifest: Mapping[str, Any]


def save(directory: Path, step: int, state: bytes, about: Mapping[str, Any]) -> None:
    """Save the state after `step` updates; once this returns it survives a power cut.

    If the step was saved before, the two states must be equal: raises DivergedRecordError if not.
    """
    target = directory / f"step-{step:08d}"
    if target.exists():
        return _compare(target, state)
    temporary = directory / f"{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write_synced(temporary / "state.pt", state)
        write_synced(temporary / "manifest.json", _manifest(step, state, about))
        sync_directory(temporary)
        os.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(directory)


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
        manifest = json.loads((path / "manifest.json").read_bytes())
        digest = manifest.pop("digest")
        state = (path / "state.pt").read_bytes()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"{path}: the manifest or the state cannot be read ({error!r})"
        ) from None
    if manifest.get("step") != step:
        raise DamagedError(f"{path}: holds another step than its name says")
    if digest != _digest(manifest) or manifest["sha256"] != hashlib.sha256(state).hexdigest():
        raise DamagedError(f"{path}: the bytes are not the ones that were saved")
    if manifest["schema"] != SCHEMA:
        raise RecordError(
            f"{path}: schema {manifest['schema']}, this version reads {SCHEMA}; update"
        )
    return Checkpoint(step, state, manifest)


def newest(directory: Path, check: Callable[[Checkpoint], None]) -> Checkpoint | None:
    """The newest sound checkpoint that `check` does not refuse with RecordError, None if there
    never was one.

    Damaged ones are set aside under another name. Raises RecordError if there are checkpoints and
    none is sound: starting from zero would hide the loss.
    """
    saved = steps(directory)
    for step in reversed(saved):
        try:
            checkpoint = load(directory, step)
            check(checkpoint)
        except RecordError as error:
            if step == saved[0]:
                raise RecordError(f"{error}; no older checkpoint is left, restore one") from None
            continue
        for damaged in (later for later in saved if later > step):
            set_aside(directory / f"step-{damaged:08d}")
        return checkpoint
    return None


def set_aside(path: Path) -> None:
    """Rename a damaged checkpoint so that it counts no more and can still be looked at."""
    number = 0
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    os.rename(path, aside)
    sync_directory(path.parent)


def retain(directory: Path, kept: Iterable[int]) -> None:
    """Remove the checkpoints of all other steps, and what an interrupted save or removal left."""
    wanted = {f"step-{step:08d}" for step in kept}
    for path in directory.glob("step-*"):
        if path.suffix == ".tmp":
            shutil.rmtree(path)
        elif _NAME.fullmatch(path.name) and path.name not in wanted:
            # Renamed first: a half-removed directory must not look like a checkpoint.
            trash = path.with_name(f"{path.name}.tmp")
            shutil.rmtree(trash, ignore_errors=True)
            os.rename(path, trash)
            shutil.rmtree(trash)


def _compare(path: Path, state: bytes) -> None:
    if (path / "state.pt").read_bytes() != state:
        raise DivergedRecordError(
            f"{path}: computed again, the state after this step is another one; the machine, a "
            "library or a file of the run has changed"
        )


def _manifest(step: int, state: bytes, about: Mapping[str, Any]) -> bytes:
    sha256 = hashlib.sha256(state).hexdigest()
    manifest = {"schema": SCHEMA, "step": step, "bytes": len(state), "sha256": sha256, **about}
    return (json.dumps({**manifest, "digest": _digest(manifest)}, indent=2) + "\n").encode()


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
