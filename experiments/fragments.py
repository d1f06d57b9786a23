"""W&B's own directories of a run that was mirrored offline: one for each mirror that began it."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from experiments import client
from tinygpt import durable

SUPERSEDED = "superseded"


def of(home: Path, run_id: str) -> list[Path]:
    """The directories of a run, the oldest first."""
    return sorted(home.glob(f"offline-run-*-{run_id}"))


def is_uploaded(fragment: Path) -> bool:
    """Whether `wandb sync` has sent it."""
    return any(itertools.chain(fragment.glob("*.wandb.synced"), fragment.glob("*.wandb.syncstate")))


def set_aside(home: Path, run_id: str) -> list[Path]:
    """Move what earlier mirrors wrote of a run out of the way: the whole record follows, and W&B
    must not upload both. Of the last one a copy is kept below `superseded`.

    What has been uploaded stays; returns that.
    """
    uploaded = [fragment for fragment in of(home, run_id) if is_uploaded(fragment)]
    for fragment in of(home, run_id):
        if fragment not in uploaded:
            aside = home / SUPERSEDED
            durable.make_directory(aside)
            for older in of(aside, run_id):
                durable.remove_tree(older)
            durable.rename(fragment, aside / fragment.name)
    return uploaded


def last_step(uploaded: Sequence[Path]) -> int | None:
    """The last step in these directories, None if there is none."""
    return max((step for one in uploaded for step in client.steps_of(one)), default=None)


def drop(home: Path, directory: str) -> None:
    """Remove W&B's directory of a run that is whole on a server: the record can make another."""
    durable.remove_tree(home / directory)


def tidy(home: Path, run_id: str, current: str) -> None:
    """Once a run is open on a server, leave only W&B's `current` directory of it: uploaded by hand,
    an earlier one would be there twice."""
    set_aside(home, run_id)
    for older in home.glob(f"run-*-{run_id}"):
        if older.name != current:
            durable.remove_tree(older)
