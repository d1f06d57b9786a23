"""W&B's client, which only this file imports: accounts, runs, artifacts, what a server holds."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError
from wandb.sdk.mailbox.mailbox_handle import ServerResponseError

from experiments.watchdog import Watchdog

INIT_SECONDS = 30
FINISH_SECONDS = 60
FLUSH_SECONDS = 2

SETTINGS: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "silent": True,
    "init_timeout": INIT_SECONDS,
    "finish_timeout": FINISH_SECONDS,
    "finish_timeout_raises": True,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": FLUSH_SECONDS,
    "x_file_stream_transmit_interval": FLUSH_SECONDS,
}
"""Those with x_ are W&B's own affair and are passed only where the installed version has them.
An environment variable as WANDB_INIT_TIMEOUT wins."""

GONE = "its own process is gone"
LOST = (ConnectionError, MailboxClosedError, HandleAbandonedError, ServerResponseError)
"""What W&B's client raises when that is so."""
DELETED = "previously created and deleted"
"""What a server says of a run id that was used before and may not be used again."""


class UnreachableError(ConnectionError):
    """W&B cannot be had now: no server, no answer, no permission; the message says why."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why, "W&B")

    def __str__(self) -> str:
        return str(self.strerror)


class GoneError(ConnectionError):
    """W&B's own process is gone, or does not come to an end: this process can do no more with it,
    another one can."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why, "W&B")

    def __str__(self) -> str:
        return f"W&B: {self.strerror}"


class DeletedError(LookupError):
    """The server had a run of this id, and somebody removed it; the id is spent."""


class KeyFormatError(ValueError):
    """What is set as the API key is none."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a run is called and belongs to."""

    id: str
    name: str | None
    group: str | None
    job_type: str
    project: str
    entity: str | None
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    commit: str | None = None
    remote: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Files that become one version of an artifact. `kept` files stay where they are, so they are
    not copied; `written` ones exist only here."""

    name: str
    type: str
    metadata: Mapping[str, Any]
    kept: Mapping[str, Path] = field(default_factory=dict)
    copied: Mapping[str, Path] = field(default_factory=dict)
    written: Mapping[str, bytes] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    ttl_days: int | None = None


@dataclass(frozen=True)
class Held:
    """What the server has of a run: how many rows, its state in W&B's words, the artifacts that it
    made (their names, aliases and states) and the names of those that it used."""

    rows: int
    state: str
    artifacts: Sequence[tuple[str, Sequence[str], str]] = ()
    used: Sequence[str] = ()


def isolate(home: Path) -> None:
    """Keep W&B's files below the sweep, and W&B from printing or asking."""
    os.environ.pop("WANDB_SERVICE", None)
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # W&B takes an empty one for a mode
    os.environ |= {
        "WANDB_DIR": str(home / "data"),
        "WANDB_DATA_DIR": str(home / "data"),
        "WANDB_CACHE_DIR": str(home / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }


def logged_in() -> bool:
    """Whether there is a key; never asks for one, and no server. Raises KeyFormatError if what is
    there is none."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return bool(wandb.login(prompt=False, verify=False))
    except wandb.errors.AuthenticationError as error:
        raise KeyFormatError(str(error).splitlines()[0].rstrip(".")) from None


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """Talk about an open run in this context. Raises GoneError if there is nobody to talk to,
    UnreachableError if it cannot be done now."""
    try:
        yield
    except (GoneError, UnreachableError):
        raise
    except LOST:
        raise GoneError(GONE) from None
    except wandb.errors.Error as error:
        raise UnreachableError(brief(error)) from None


class Run:
    """A run of W&B, open in this process. What it does raises GoneError and UnreachableError."""

    def __init__(
        self, about: About, run_id: str, home: Path, *, online: bool, resume: bool
    ) -> None:
        """Open it below `home`. With `resume` it goes on behind what is there; without, it is new.

        Raises UnreachableError if that is impossible now, DeletedError if it never will be.
        """
        settings = wanted() | {"git_commit": about.commit, "git_remote_url": about.remote}
        settings["disable_git"] = about.commit is None
        try:
            self._run = wandb.init(
                project=about.project,
                entity=about.entity,
                id=run_id,
                name=about.name,
                group=about.group,
                job_type=about.job_type,
                tags=about.tags or None,
                config=dict(about.config),
                dir=str(home.parent),
                mode="online" if online else "offline",
                resume="allow" if resume else None,
                reinit="create_new",
                settings=wandb.Settings(**settings),
            )
        except (wandb.errors.CommError, wandb.errors.UsageError) as error:
            if DELETED in str(error):
                raise DeletedError(run_id) from None
            raise UnreachableError(brief(error)) from None
        except LOST:
            raise GoneError(GONE) from None
        self.id = run_id
        self.next_step: int = self._run.starting_step if online and resume else 0

    @property
    def directory(self) -> str:
        """The name of W&B's own directory of the run."""
        return Path(self._run.dir).parent.name

    @property
    def place(self) -> str:
        """ENTITY/PROJECT/ID on the server."""
        return str(self._run.path)

    @property
    def url(self) -> str | None:
        """Its page; None offline."""
        return self._run.url or None

    @talking()
    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Add the row of a step."""
        # Without commit W&B would hold the row back until a larger step arrives.
        self._run.log(dict(values), step=step, commit=True)

    @talking()
    def summarise(self, values: Mapping[str, Any]) -> None:
        """Set what stands for the whole run."""
        self._run.summary.update(dict(values))

    @talking()
    def tag(self, tag: str) -> None:
        """Add a tag."""
        self._run.tags = tuple(dict.fromkeys((*(self._run.tags or ()), tag)))

    @talking()
    def save(self, name: str, data: bytes) -> None:
        """Attach a file."""
        path = Path(self._run.dir) / name
        path.write_bytes(data)
        self._run.save(str(path), base_path=self._run.dir, policy="now", glob=False)

    @talking()
    def output(self, bundle: Bundle) -> None:
        """Log an artifact that this run made. Raises FileNotFoundError if a file of it is gone."""
        self._run.log_artifact(artifact_of(bundle), aliases=list(bundle.aliases))

    @talking()
    def input(self, bundle: Bundle) -> None:
        """Log an artifact, unless it is known, and say that this run used it."""
        artifact = artifact_of(bundle)
        # The public way raises a TypeError offline, and online waits for the server.
        self._run._log_artifact(artifact, is_user_created=True, use_after_commit=True)

    @talking()
    def finish(self, exit_code: int) -> None:
        """Close the run with everything uploaded; raises GoneError if that takes too long."""
        try:
            self._run.finish(exit_code=exit_code)
        except TimeoutError:
            raise GoneError("it does not take what is sent") from None

    @talking()
    def interrupt(self) -> None:
        """Close the run as one that will go on."""
        self._run.mark_preempting()
        self.finish(exit_code=1)


def wanted() -> dict[str, Any]:
    """The settings that the installed version has, but for those that the user's environment
    sets."""
    known = wandb.Settings.model_fields
    return {
        name: value
        for name, value in SETTINGS.items()
        if name in known and f"WANDB_{name.upper()}" not in os.environ
    }


def artifact_of(bundle: Bundle) -> wandb.Artifact:
    """The artifact that a bundle describes."""
    artifact = wandb.Artifact(bundle.name, type=bundle.type, metadata=dict(bundle.metadata))
    for name, path in bundle.kept.items():
        artifact.add_file(str(path), name=name, policy="immutable", skip_cache=True)
    for name, path in bundle.copied.items():
        artifact.add_file(str(path), name=name, policy="mutable", skip_cache=True)
    for name, data in bundle.written.items():
        with artifact.new_file(name, mode="wb") as file:
            file.write(data)
    if bundle.ttl_days is not None:
        artifact.ttl = timedelta(days=bundle.ttl_days)
    return artifact


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A table to log."""
    return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def html(text: str) -> Any:
    """A page to log."""
    return wandb.Html(text, inject=False)


def leave() -> None:
    """End W&B's own process, if it is still there."""
    with contextlib.suppress(ConnectionError):
        wandb.teardown()


def abandon(code: int) -> NoReturn:
    """End this process at once: W&B's client would complain of the process that it has lost."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def server() -> str:
    """The address of the server that this machine uses."""
    return str(wandb.setup().settings.base_url)


def as_json(value: Any) -> bytes:
    """A value as the contents of a file."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def brief(error: Exception) -> str:
    """An error of W&B's in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def steps_of(directory: Path) -> list[int]:
    """The steps in a run's directory, as W&B's own tool reads them."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(directory)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    records = (json.loads(line) for line in shown.stdout.splitlines())
    return [int(one["history"]["step"]["num"]) for one in records if one["type"] == "history"]


def download(name: str, root: Path) -> list[str]:
    """Download an artifact, ENTITY/PROJECT/NAME:ALIAS, into a directory; the names of the data sets
    that the run which made it was trained on.

    Raises LookupError if there is none, UnreachableError if W&B cannot be had.
    """
    with answering():
        artifact = asked().artifact(name)
        artifact.download(root=str(root), skip_cache=True)
        maker = artifact.logged_by() if artifact.type == "model" else None
        used = maker.used_artifacts() if maker else []
        return [one.qualified_name for one in used if one.type == "dataset"]


def held(
    entity: str | None, project: str, group: str | None, ids: Sequence[str]
) -> dict[str, Held]:
    """What the server has of runs, by their ids; those it lacks are left out.

    Raises UnreachableError if W&B cannot be had.
    """
    filters = {"group": group} if group else {"name": {"$in": list(ids)}}
    with answering():
        api = asked()
        runs = api.runs(f"{entity or api.default_entity}/{project}", filters=filters, per_page=100)
        try:
            return {run.id: _held(run) for run in runs if run.id in ids}
        except ValueError:  # there is no such project
            return {}


def own_entity() -> str:
    """The account's own user or team. Raises UnreachableError if W&B cannot be had."""
    with answering():
        return str(asked().default_entity)


def asked() -> wandb.Api:
    """What asks the server, and waits no longer than for a run."""
    return wandb.Api(timeout=INIT_SECONDS)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Ask the server in this context: LookupError for what it has not, UnreachableError where it
    does not answer."""
    try:
        with Watchdog():
            yield
    except (MailboxClosedError, HandleAbandonedError):
        raise GoneError(GONE) from None
    except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a disk's affair: what W&B's client raises of the network has no number
        if "not found in" in str(error):
            raise LookupError(brief(error)) from None
        raise UnreachableError(brief(error)) from None


def _held(run: Any) -> Held:
    made = [(one.name, tuple(one.aliases), one.state) for one in run.logged_artifacts()]
    used = [one.name.partition(":")[0] for one in run.used_artifacts()]
    return Held(run.historyLineCount, run.state, made, used)
