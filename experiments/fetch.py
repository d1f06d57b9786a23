"""A run that is on W&B, brought here to be continued or reproduced: `wandb:ENTITY/PROJECT/RUN_ID`.

All of it lies beside a checkpoint in that run's artifact: config, vocabulary, record. It is put
together under another name and becomes the run directory at once, so a download that is cut off
leaves nothing.
"""

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinygpt import checkpoint, durable
from tinygpt.files import RecordError, read_mapping, read_rows, write_atomically
from tinygpt.rundir import RunDir
from tinygpt.schema import ConfigError, Problem

SCHEME = "wandb:"
FORM = re.compile(r"wandb:([^/:]+)/([^/:]+)/([^/:]+)(?::([^/:]+))?")


@dataclass(frozen=True)
class Reference:
    """A run on W&B, and which of its checkpoints: an alias, such as best or step-500."""

    entity: str
    project: str
    run_id: str
    alias: str = "latest"

    @property
    def artifact(self) -> str:
        return f"{self.entity}/{self.project}/{self.run_id}-checkpoint:{self.alias}"


@dataclass(frozen=True)
class Origin:
    """Where a run directory came from. `continued`: it goes on in the same run of W&B, which had
    not ended."""

    entity: str
    project: str
    run_id: str
    artifact: str
    continued: bool


def parsed(text: str) -> Reference:
    """What `wandb:ENTITY/PROJECT/RUN_ID`, with `:ALIAS` if wanted, refers to; raises
    ConfigError."""
    found = FORM.fullmatch(text)
    if not found:
        rule = "must have the form wandb:ENTITY/PROJECT/RUN_ID or wandb:ENTITY/PROJECT/RUN_ID:ALIAS"
        raise ConfigError([Problem((), f"{text}: {rule}")])
    entity, project, run_id, alias = found.groups()
    return Reference(entity, project, run_id, alias or "latest")


def fetch(reference: Reference, run_dir: RunDir, *, anew: bool) -> None:
    """Make a run directory of a run on W&B, unless it is there. `anew`: only its config comes, and
    its record to compare with; else it goes on where its checkpoint is.

    Raises ConfigError if there is no such run, client.UnreachableError if W&B cannot be had, and
    RecordError if what came is not what was saved.
    """
    if run_dir.path.exists() and any(run_dir.path.iterdir()):
        return
    parent = run_dir.path.parent
    durable.make_directory(parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".fetch-") as scratch:
        downloaded, made = Path(scratch) / "downloaded", RunDir(Path(scratch) / "made")
        _download(reference, downloaded)
        put_together(downloaded, made, anew=anew)
        origin = Origin(
            reference.entity,
            reference.project,
            reference.run_id,
            reference.artifact,
            continued=not anew and not (downloaded / "result.json").exists(),
        )
        write_atomically(made.origin, (json.dumps(asdict(origin), indent=2) + "\n").encode())
        durable.rename(made.path, run_dir.path)
    durable.sync_directory(parent)


def _download(reference: Reference, root: Path) -> None:
    from experiments import client  # W&B takes half a second to load

    client.isolate(root.parent / "wandb")
    try:
        texts = client.download(reference.artifact, root)
    except LookupError as error:
        raise ConfigError([Problem((), f"wandb: {error}")]) from None
    for text in texts:
        client.download(text, root / "used")


def put_together(downloaded: Path, made: RunDir, *, anew: bool) -> None:
    """A run directory from the files of a checkpoint's artifact. The result of a run that was
    pruned stays behind: it goes on. Raises RecordError if a file is not as it was saved."""
    durable.make_directory(made.path)
    _take(downloaded / "config.json", made.config)
    made.read_config()
    if anew:
        _take(downloaded / "metrics.jsonl", made.original)
    else:
        step = int(read_mapping(downloaded / "manifest.json")["step"])
        directory = made.checkpoints / f"step-{step:08d}"
        durable.make_directory(directory)
        for name in ("state.pt", "manifest.json"):
            _take(downloaded / name, directory / name)
        for path in (made.tokenizer, made.metrics, made.samples):
            _take(downloaded / path.name, path)
        checkpoint.load(made.checkpoints, step)
        if ended_complete(downloaded / "result.json"):
            _take(downloaded / "result.json", made.result)
            made.read_result()
    texts = downloaded / "used" / "text"
    for text in filter(Path.is_file, texts.rglob("*")):
        target = made.corpus / text.relative_to(texts)
        durable.make_directory(target.parent)
        _take(text, target)


def ended_complete(result: Path) -> bool:
    """Whether a run came to its end."""
    return result.exists() and read_mapping(result).get("state") == "complete"


def _take(source: Path, target: Path) -> None:
    if source.exists():
        write_atomically(target, source.read_bytes())


def origin_of(run_dir: RunDir) -> Origin | None:
    """Where a run directory came from, None if it began here. Raises RecordError."""
    if not run_dir.origin.exists():
        return None
    try:
        return Origin(**read_mapping(run_dir.origin))
    except TypeError:
        raise RecordError(f"{run_dir.origin}: not as it was written; restore it") from None


def comparison(run_dir: RunDir) -> str:
    """How the record of a run compares with that of the original it reproduces; empty if it
    reproduces none."""
    if not run_dir.original.exists():
        return ""
    there, here = read_rows(run_dir.original), read_rows(run_dir.metrics)
    if there == here:
        return f"the same as the original, bit for bit: {len(here)} rows"
    if (first := first_difference(there, here)) is None:
        return f"the same as the original as far as both go: {min(len(there), len(here))} rows"
    theirs, ours = first
    return f"not the original's bits: first at step {ours['step']}, where {differing(theirs, ours)}"


def first_difference(there: list[Any], here: list[Any]) -> tuple[Any, Any] | None:
    """The first pair of rows that are not equal."""
    pairs = zip(there, here, strict=False)
    return next((pair for pair in pairs if pair[0] != pair[1]), None)


def differing(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """In what two rows differ."""
    keys = [key for key in ours if theirs.get(key) != ours[key]]
    return ", ".join(f"{key} was {theirs.get(key)}, is {ours[key]}" for key in keys)
