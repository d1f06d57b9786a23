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


def test_a_directory_that_is_no_sweep_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listing: Listing
) -> None:
    assert publish.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no sweep was begun here; ")
    assert listing(tmp_path) == {}


def test_a_sweep_is_published_under_its_own_project_and_a_run_under_the_default(
    golden: Any,
) -> None:
    def target(path: Path) -> tuple[Path, WandbConfig]:
        arguments = publish.parser().parse_args([str(path), "--out", str(golden.path.parent)])
        return publish.target(arguments)

    assert target(golden.file) == (golden.path, WandbConfig(mode="offline"))
    assert target(golden.path) == (golden.path, WandbConfig(mode="offline"))
    trial = golden.path / "trials" / "0000"
    assert target(trial) == (trial, WandbConfig())
