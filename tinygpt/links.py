"""Symbolic links that somebody has put where a command is about to write."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tinygpt.files import RecordError
from tinygpt.schema import ConfigError, Problem

WANDB = "wandb"
_WANDB_LINK = re.compile(r"latest-run|debug(-\w+)?\.log")
"""The links that W&B makes, and makes anew when it needs them."""
BEGUN = ("sweep.json", "config.json")


def refuse_links(root: Path) -> None:
    """Refuse to write below a directory if it is a link, or if there is one at any depth of it:
    what lies behind is not ours. Follows none; a directory that is not there is fine.

    In `wandb/`, whose inside belongs to W&B, it looks at the names alone. Raises RecordError if a
    run or a sweep was begun there, ConfigError if not.
    """
    if root.is_symlink():
        advice = f"name what it leads to ({os.path.realpath(root)}), or remove it"
        raise ConfigError([Problem((), f"{root}: is a symbolic link; {advice}")])
    for path in _links(root):
        problem = f"{path}: is a symbolic link, and nothing is written through one; remove it"
        if any(os.path.lexists(root / name) for name in BEGUN):
            raise RecordError(f"{problem}, and put back what was there")
        raise ConfigError([Problem((), problem)])


def _links(root: Path) -> Iterator[str]:
    pending = [os.fspath(root)] if root.is_dir() else []
    while pending:
        directory = pending.pop()
        ours = directory == os.fspath(root) or os.path.basename(directory) != WANDB
        # One may have been removed meanwhile, by the process that owns the whole.
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    if ours or not _WANDB_LINK.fullmatch(entry.name):
                        yield entry.path
                elif ours and entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
