"""A run on W&B goes on elsewhere, or is done again there, and what comes out is the same."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakewandb import FakeWandb

from experiments import fetch
from experiments.fetch import Reference
from tinygpt.schema import ConfigError


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("wandb:me/p/r1", Reference("me", "p", "r1", "latest")),
        ("wandb:me/p/r1:step-500", Reference("me", "p", "r1", "step-500")),
        ("wandb:me/p/r1:best", Reference("me", "p", "r1", "best")),
    ],
)
def test_a_reference_names_a_run_and_perhaps_a_checkpoint(text: str, reference: Reference) -> None:
    assert fetch.parsed(text) == reference


@pytest.mark.parametrize(
    "text", ["wandb:", "wandb:r1", "wandb:p/r1", "wandb:a/b/c/d", "wandb:a/b/"]
)
def test_what_is_no_reference_is_told_how_one_looks(text: str) -> None:
    with pytest.raises(ConfigError, match="must have the form wandb:ENTITY/PROJECT/RUN_ID"):
        fetch.parsed(text)


ROWS = [{"step": 0, "val_loss": 2.0}, {"step": 5, "val_loss": 1.0}]


@pytest.mark.parametrize(
    ("here", "found"),
    [
        (ROWS, None),
        (ROWS[:1], None),
        ([ROWS[0], {"step": 5, "val_loss": 1.5}], "val_loss was 1.0, is 1.5"),
    ],
)
def test_the_first_row_that_differs_is_named(here: list[Any], found: str | None) -> None:
    first = fetch.first_difference(ROWS, here)
    assert (fetch.differing(*first) if first else None) == found


SLOW = (
    "train.max_iters=100000",
    "train.eval_interval=50",
    "train.log_interval=10",
    "train.batch_size=64",
    "model.block_size=32",
    "model.d_model=64",
)
"""A run that is still far from its end when it is stopped."""
SAME = ("config.json", "metrics.jsonl", "samples.jsonl", "result.json", "tokenizer.json")


def test_a_run_that_was_stopped_goes_on_on_another_machine_in_the_same_run_of_wandb(
    golden: Any,
    command: Any,
    start: Any,
    ended: Any,
    until: Callable[..., None],
    server: FakeWandb,
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    environ = server.environment(tmp_path / "home")
    config = golden.path / "trials/0000/config.json"
    changes = [word for change in SLOW for word in ("--set", change)]
    options = [*changes, "--checkpoints", "all"]
    process = start(
        "experiments.run", config, "--out", here, *options, environ=environ, cwd=tmp_path
    )
    until(lambda: checkpoints(server))
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    (run,) = server.runs.values()
    assert run.state == "preempted"
    rows = run.history_lines[:]
    step = checkpoints(server)[-1]
    process = start(
        "experiments.run",
        f"wandb:me/tinygpt/{run.id}",
        "--out",
        there,
        environ=environ,
        cwd=tmp_path,
    )
    until(lambda: len(run.history_lines) > len(rows) + 5)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130
    assert run.history_lines[: len(rows)] == rows
    assert run.steps == sorted(set(run.steps))
    assert (there / "config.json").read_bytes() == (here / "config.json").read_bytes()
    attempts = (there / "timings.jsonl").read_text().splitlines()
    assert json.loads(attempts[0])["step"] > step


def checkpoints(server: FakeWandb) -> list[int]:
    """The steps of the checkpoints that are whole there, in order."""
    found = [v for v in server.artifacts.versions if v.type == "model" and v.state == "COMMITTED"]
    return sorted(version.metadata["step"] for version in found)


def test_a_run_is_done_again_elsewhere_and_compared_with_the_original(
    golden: Any, command: Any, server: FakeWandb, tmp_path: Path
) -> None:
    environ = server.environment(tmp_path / "home")
    path = tmp_path / "tiny"
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb", "000[1-9]"))
    assert command("experiments.publish", path, cwd=tmp_path, environ=environ).code == 0
    (trial,) = (name for name in server.runs if name.endswith("-t0000"))
    reference = f"wandb:me/tinygpt/{trial}:best"
    again = tmp_path / "again"
    options = ["--anew", "--out", again, "--wandb", "disabled"]
    outcome = command("experiments.run", reference, *options, cwd=tmp_path, environ=environ)
    assert (outcome.code, outcome.err) == (0, "")
    rows = len((path / "trials/0000/metrics.jsonl").read_text().splitlines())
    assert outcome.out.splitlines()[-1] == f"the same as the original, bit for bit: {rows} rows"
    for name in SAME:
        assert (again / name).read_bytes() == (path / "trials/0000" / name).read_bytes(), name


def test_a_run_that_is_not_there_is_named_and_nothing_is_made(
    command: Any, server: FakeWandb, tmp_path: Path
) -> None:
    environ = server.environment(tmp_path / "home")
    outcome = command("experiments.run", "wandb:me/p/none", cwd=tmp_path, environ=environ)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "none-checkpoint:latest" in line
    assert not list((tmp_path / "runs").iterdir())
