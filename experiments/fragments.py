"""W&B's own directories of a run that was mirrored offline: one for each mirror that began it."""

import itertools
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


def set_aside(home: Path, run_id: str) -> int | None:
    """Move what earlier mirrors wrote of a run out of the way: the whole record follows, and W&B
    must not upload both. Of the last one a copy is kept below `superseded`.

    What has been uploaded stays. Returns the last step of that, None if there is nothing.
    """
    uploaded = [fragment for fragment in of(home, run_id) if is_uploaded(fragment)]
    for fragment in of(home, run_id):
        if fragment not in uploaded:
            aside = home / SUPERSEDED
            durable.make_directory(aside)
            for older in of(aside, run_id):
                durable.remove_tree(older)
            durable.rename(fragment, aside / fragment.name)
    steps = [step for fragment in uploaded for step in client.steps_of(fragment)]
    return max(steps) if steps else None
