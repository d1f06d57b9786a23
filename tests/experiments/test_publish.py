"""Late upload: whom it asks, and what it says when it cannot."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import publish
from experiments.wandbconfig import WandbConfig

Listing = Callable[[Path], dict[str, bytes]]


def test_without_an_account_nothing_is_uploaded_and_nothing_is_changed(
    golden: Any, tmp_path: Path, command: Any, listing: Listing
) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(golden.path, copy, ignore=shutil.ignore_patterns("wandb"))
    before = listing(copy)
    outcome = command("experiments.publish", copy, cwd=tmp_path)
    assert outcome.code == 2
    assert outcome.errors == ["error: W&B: not logged in; `wandb login`, then run this again"]
    assert {name: data for name, data in listing(copy).items() if name != "wandb"} == before


def test_a_directory_without_a_sweep_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listing: Listing
) -> None:
    assert publish.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: no sweep or run was begun here; name the directory of one, or of "
        "several\n"
    )
    assert listing(tmp_path) == {}


def test_what_is_published_is_a_sweep_a_trial_a_run_or_all_that_a_directory_holds(
    golden: Any, tmp_path: Path
) -> None:
    def targets(path: Path) -> list[tuple[Path, WandbConfig]]:
        arguments = publish.parser().parse_args([str(path), "--out", str(golden.path.parent)])
        return publish.targets(arguments)

    offline, trial = WandbConfig(mode="offline"), golden.path / "trials" / "0000"
    run = tmp_path / "a-run"
    shutil.copytree(trial, run)
    (tmp_path / "a-sweep").symlink_to(golden.path)
    (tmp_path / "something else").mkdir()
    assert targets(golden.file) == [(golden.path, offline)]
    assert targets(golden.path) == [(golden.path, offline)]
    assert targets(trial) == [(trial, offline)]
    assert targets(run) == [(run, WandbConfig())]
    assert targets(tmp_path) == [(run, WandbConfig()), (tmp_path / "a-sweep", offline)]
