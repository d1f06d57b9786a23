"""Where the runs go without an account, with a bad one, and with a server that is not there."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakewandb import FakeWandb

QUICK = {"train.max_iters": 10, "train.eval_interval": 5}
HASTY = {"WANDB_INIT_TIMEOUT": "2", "WANDB_FINISH_TIMEOUT": "4"}


def sweep_of(write_sweep: Any, tmp_path: Path, **wandb: Any) -> Path:
    path: Path = write_sweep(tmp_path, QUICK, trials=1, enqueue=[], wandb=wandb)
    return path


def test_without_an_account_the_runs_are_offline_and_that_is_said_without_a_question(
    command: Any, tmp_path: Path
) -> None:
    # Its input is closed and no sweep has begun: it says where the runs would go, and leaves.
    outcome = command("experiments.mirror", tmp_path / "tiny", "{}", cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    said = json.loads(outcome.out)
    later = f"upload later with `python -m experiments.publish {tmp_path / 'tiny'}`"
    assert said == {"event": "mode", "text": f"W&B: offline (not logged in); {later}"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "key", "complaint"),
    [
        ("auto", "short", "error: W&B: WANDB_API_KEY invalid: "),
        ("online", None, "error: wandb.mode: is online and there is no key for it; `wandb login`"),
    ],
)
def test_an_account_that_cannot_be_is_an_error_before_anything_is_trained(
    write_sweep: Any, command: Any, tmp_path: Path, mode: str, key: str | None, complaint: str
) -> None:
    file = sweep_of(write_sweep, tmp_path, mode=mode)
    environ = {"WANDB_API_KEY": key} if key else {}
    outcome = command("experiments.sweep", file, "--workers", 1, cwd=tmp_path, environ=environ)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert line.startswith(complaint)
    assert not (tmp_path / "runs").exists()


def test_a_sweep_whose_server_is_gone_ends_well_and_says_how_to_upload_later(
    write_sweep: Any,
    command: Any,
    server: FakeWandb,
    tmp_path: Path,
    is_level_on: Any,
) -> None:
    file = sweep_of(write_sweep, tmp_path, finish_timeout="3s")
    environ = server.environment(tmp_path / "home")
    server.stop()
    outcome = command(
        "experiments.sweep", file, "--workers", 1, cwd=tmp_path, environ=environ | HASTY
    )
    assert outcome.code == 0
    assert outcome.errors[0].startswith("warning: W&B cannot be had (")
    assert outcome.errors[-1].endswith(
        "; nothing is lost, `python -m experiments.publish runs/tiny` makes it level"
    )
    server.start()
    outcome = command("experiments.publish", file, cwd=tmp_path, environ=environ)
    assert (outcome.code, outcome.err) == (0, "")
    is_level_on(server, tmp_path / "runs" / "tiny")


@pytest.mark.chaos
def test_a_server_that_hangs_is_waited_for_no_longer_than_the_file_says(
    write_sweep: Any,
    command: Any,
    server: FakeWandb,
    tmp_path: Path,
    until: Any,
    start: Any,
    ended: Any,
) -> None:
    file = sweep_of(write_sweep, tmp_path, finish_timeout="2s")
    environ = server.environment(tmp_path / "home")
    process = start("experiments.sweep", file, "--workers", 1, cwd=tmp_path, environ=environ)
    until(lambda: server.runs)
    server.faults.hang()
    outcome = ended(process)
    server.faults.heal()
    assert outcome.code == 0
    assert "W&B is not level with the record" in outcome.err
