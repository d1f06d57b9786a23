"""A small text, a small sweep, the commands as processes, and what tests of sweeps compare."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from fakewandb import FakeWandb
from told import logged, recorded, rows

from experiments import spec
from experiments.spec import Sweep
from tinygpt.config import with_values

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.01

TINY_RUN: dict[str, Any] = {
    "model": {"block_size": 8, "d_head": 8, "n_layers": 1, "d_model": 16},
    "train": {
        "batch_size": 4,
        "max_iters": 40,
        "warmup_iters": 2,
        "eval_interval": 5,
        "eval_iters": 1,
        "log_interval": 2,
        "precision": "fp32",
        "device": "cpu",
    },
    "sample": {"max_new_tokens": 5},
}
SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "model.d_model": {"type": "categorical", "choices": [8, 16]},
    "model.d_head": {"type": "categorical", "choices": [4, 8, 16]},
    "model.dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.0001},
    "train.weight_decay": {"type": "categorical", "choices": [0.0, 0.05, 0.1, 1e38]},
    "seed": {"type": "int", "low": 0, "high": 9999},
}
BASELINE: dict[str, Any] = {
    "train.learning_rate": 1e-2,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.dropout": 0.1,
    "train.weight_decay": 0.1,
    "seed": 1,
}
DIVERGING = BASELINE | {"train.weight_decay": 1e38}
WORST = {
    "train.learning_rate": 1e-4,
    "model.d_model": 8,
    "model.d_head": 4,
    "train.weight_decay": 0.1,
}
# Trial 1 diverges, trial 4 is worse than trial 0 at every step; 5 and later are proposed.
ENQUEUED = [BASELINE, DIVERGING, {}, {"model.d_head": 8}, WORST]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


Command = Callable[..., Outcome]
MakeSweep = Callable[..., Sweep]
WriteSweep = Callable[..., Path]
Facts = Callable[[Path], dict[str, Any]]
Until = Callable[..., None]


@pytest.fixture(scope="session")
def text() -> str:
    """About 2,400 characters, 17 different ones, of a language with a little structure."""
    draw = random.Random(0)
    words = ["the", "sea", "a", "stone", "and", "then", "rain", "old", "no", "wind", "so"]
    lines = (" ".join(draw.choice(words) for _ in range(6)) for _ in range(96))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def text_file(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text in a file outside every sweep."""
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_bytes(text.encode())
    return path


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which no account, key or setting of a person counts."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TINYGPT_"))}
    return kept | {
        "HOME": str(home),
        "NETRC": str(home / "netrc"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "WANDB_CONFIG_DIR": str(home / "wandb"),
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(autouse=True)
def _isolated(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "TINYGPT_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "NETRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, environment[name])
    for name in ("WANDB_CONFIG_DIR", "WANDB_BASE_URL"):
        monkeypatch.setenv(name, environment[name])


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what `isolate` sets."""
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "SILENT", "ERROR_REPORTING"):
        monkeypatch.setenv(f"WANDB_{name}", "before")
    monkeypatch.setenv("WANDB_SERVICE", "of a parent")


@pytest.fixture(scope="session")
def start(environment: dict[str, str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `python -m MODULE ...` in a session of its own; whole groups are gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def start_command(module: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
        environ = environment | options.pop("environ", {})
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            start_new_session=True,
            **options,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        # Not read to their ends: W&B's service, in a session of its own, may still hold them.
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def ended() -> Callable[["subprocess.Popen[str]"], Outcome]:
    """Wait for a started command."""

    def wait(process: "subprocess.Popen[str]", seconds: float = 120) -> Outcome:
        out, err = process.communicate(timeout=seconds)
        return Outcome(process.returncode, out, err)

    return wait


@pytest.fixture(scope="session")
def command(
    start: Callable[..., "subprocess.Popen[str]"],
    ended: Callable[["subprocess.Popen[str]"], Outcome],
) -> Command:
    """Run `python -m MODULE ...` to its end."""

    def run(module: str, *arguments: object, **options: Any) -> Outcome:
        return ended(start(module, *arguments, **options))

    return run


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until something is true; the test fails if that takes a minute."""

    def wait(condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(POLL_SECONDS)

    return wait


@pytest.fixture(scope="session")
def tiny(text_file: Path) -> Callable[..., dict[str, Any]]:
    """The plain values of a small sweep, with some top-level keys set and run keys dotted."""

    def make(run: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        settings = with_values(TINY_RUN, {"data.corpus": str(text_file), **(run or {})})
        return {
            "name": "tiny",
            "trials": 9,
            "max_concurrent": 3,
            "sampler": {"type": "tpe", "n_startup_trials": 2},
            "pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 6},
            "run": settings,
            "space": SPACE,
            "enqueue": ENQUEUED,
            "wandb": {"mode": "disabled"},
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def make_sweep(tiny: Callable[..., dict[str, Any]]) -> MakeSweep:
    """The small sweep as the code has it."""
    return lambda *arguments, **changes: spec.build(tiny(*arguments, **changes))


@pytest.fixture(scope="session")
def write_sweep(tiny: Callable[..., dict[str, Any]]) -> WriteSweep:
    """Write the small sweep into `directory/tiny.yaml` (JSON is YAML)."""

    def write(directory: Path, *arguments: Any, **changes: Any) -> Path:
        path = directory / "tiny.yaml"
        path.write_text(json.dumps(tiny(*arguments, **changes), indent=1))
        return path

    return write


@dataclass(frozen=True)
class Finished:
    """A sweep that a command has brought to its end; only to be read."""

    file: Path
    path: Path
    outcome: Outcome


@pytest.fixture(scope="session")
def golden(
    write_sweep: WriteSweep, command: Command, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """The small sweep, trained by one worker without an interruption, mirrored offline."""
    directory = tmp_path_factory.mktemp("golden")
    file = write_sweep(directory, wandb={"mode": "offline"})
    outcome = command("experiments.sweep", file, "--workers", 1, cwd=directory)
    return Finished(file, directory / "runs" / "tiny", outcome)


UNEQUAL = ("timings.jsonl", "run.lock", "worker.log")
"""What of a trial tells of wall-clock time and of processes."""


@pytest.fixture(scope="session")
def facts() -> Facts:
    """All that must be equal however a sweep was run: the bytes of its trials, and its study."""

    def read(path: Path) -> dict[str, Any]:
        files: dict[str, Any] = {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted((path / "trials").rglob("*"))
            if file.is_file() and file.name not in UNEQUAL
        }
        return files | {f"study {row[0]}": row for row in study_rows(path)}

    return read


def study_rows(path: Path) -> list[tuple[Any, ...]]:
    """Number, parameters, state, value and losses of each trial in `study.db`, as Optuna reads
    them."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path / 'study.db'}")
    try:
        trials = optuna.load_study(study_name=path.name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return [(t.number, t.params, t.state.name, t.value, t.intermediate_values) for t in trials]


@pytest.fixture(scope="session", name="study_rows")
def study_rows_fixture() -> Callable[[Path], list[tuple[Any, ...]]]:
    """Read the trials of a `study.db`."""
    return study_rows


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a directory with its bytes; directories count too."""

    def read(path: Path) -> dict[str, bytes]:
        return {
            str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else b"(directory)"
            for entry in sorted(path.rglob("*"))
        }

    return read


@dataclass(frozen=True)
class Process:
    """A living process as the kernel lists it."""

    pid: int
    group: int
    words: tuple[str, ...]

    def is_module(self, name: str) -> bool:
        return name in self.words


def processes() -> list[Process]:
    """Every living process; a zombie is not one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError, IndexError):
            state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if state != "Z":
                found.append(Process(int(entry.name), int(group), tuple(words)))
    return found


@pytest.fixture(scope="session")
def group_of() -> Callable[..., list[Process]]:
    """The living processes of a group, of one module if it is named."""

    def find(group: int, module: str = "") -> list[Process]:
        members = [process for process in processes() if process.group == group]
        return [process for process in members if not module or process.is_module(module)]

    return find


@pytest.fixture(scope="session", name="rows")
def rows_fixture() -> Callable[[Path], Sequence[dict[str, Any]]]:
    """Read a JSONL file."""
    return rows


@pytest.fixture(scope="session")
def wandb_records(command: Command) -> Callable[[Path], list[dict[str, Any]]]:
    """The records that W&B's own tool finds in a run's directory."""

    def read(path: Path) -> list[dict[str, Any]]:
        outcome = command("wandb", "leet", "inspect", "--json", path)
        assert (outcome.code, outcome.err) == (0, "")
        return [json.loads(line) for line in outcome.out.splitlines()]

    return read


@pytest.fixture(scope="session")
def is_level(
    wandb_records: Callable[[Path], list[dict[str, Any]]],
) -> Callable[[Path], None]:
    """Assert that W&B's files hold each trial's record: every step once, in order, all values."""

    def check(path: Path) -> None:
        for trial in sorted((path / "trials").iterdir()):
            (run,) = (path / "wandb").glob(f"offline-run-*-t{trial.name}")
            records = wandb_records(run)
            items = [r["history"]["item"] for r in records if r["type"] == "history"]
            assert logged(items) == recorded(trial), trial.name
            assert records[-1]["type"] == "exit"

    return check


@pytest.fixture
def server() -> Iterator[FakeWandb]:
    """A W&B server that knows everything it was asked."""
    with FakeWandb() as fake:
        yield fake
    assert fake.unknown == []


@pytest.fixture(scope="session")
def is_level_on() -> Callable[[FakeWandb, Path], None]:
    """Assert that a server holds each trial's record: every step once, in order, all values, its
    state, and whole artifacts."""

    def check(fake: FakeWandb, path: Path) -> None:
        for trial in sorted((path / "trials").iterdir()):
            (run,) = (r for r in fake.runs.values() if r.id.split("-t")[-1][:4] == trial.name)
            assert logged(run.history) == recorded(trial), trial.name
            result = json.loads((trial / "result.json").read_text())
            assert run.state == ("failed" if result["state"] == "failed" else "finished")
            assert result["state"] in run.tags
            assert run.summary["state"] == result["state"]
        assert {version.state for version in fake.artifacts.versions} == {"COMMITTED"}

    return check
