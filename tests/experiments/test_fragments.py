"""What an interrupted mirror wrote is out of the way of `wandb sync`; what was uploaded stays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import client, fragments
from experiments.client import About

RUN = "small-12345678-t0007"


def made(home: Path, when: int, run: str = RUN, mark: str | None = None) -> Path:
    """A directory as W&B makes one."""
    directory = home / f"offline-run-2026010{when}_000000-{run}"
    directory.mkdir(parents=True)
    (directory / f"run-{run}.wandb").write_text(f"{when}")
    if mark:
        (directory / f"run-{run}.wandb{mark}").touch()
    return directory


def written(home: Path, steps: Sequence[int]) -> Path:
    """A directory that W&B has made."""
    facts: dict[str, Any] = {"name": "trial-0007", "group": None, "entity": None, "tags": ()}
    about = About(id=RUN, job_type="train", project="p", config={}, **facts)
    home.mkdir(exist_ok=True)
    client.isolate(home)
    run = client.Run(about, RUN, home, online=False, resume=False)
    for step in steps:
        run.log({"loss": 1.0}, step)
    run.finish(0)
    client.leave()
    return home / run.directory


def test_earlier_directories_of_a_run_are_set_aside_and_those_of_others_stay(
    tmp_path: Path,
) -> None:
    mine, other = made(tmp_path, 1), made(tmp_path, 1, run="small-12345678-t0008")
    assert fragments.set_aside(tmp_path, RUN) == []
    assert not mine.exists()
    assert (tmp_path / fragments.SUPERSEDED / mine.name).exists()
    assert other.exists()


def test_of_what_was_set_aside_the_newest_is_kept(tmp_path: Path) -> None:
    for when in (1, 2, 3):
        made(tmp_path, when)
        fragments.set_aside(tmp_path, RUN)
    (kept,) = (tmp_path / fragments.SUPERSEDED).iterdir()
    assert "20260103" in kept.name


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("mark", [".synced", ".syncstate"])
def test_what_has_been_uploaded_stays_and_its_last_step_is_gone_on_from(
    tmp_path: Path, mark: str
) -> None:
    home = tmp_path / "wandb"
    uploaded = written(home, steps=(0, 5))
    next(uploaded.glob("*.wandb")).with_suffix(f".wandb{mark}").touch()
    later = made(home, 9)
    assert fragments.set_aside(home, RUN) == [uploaded]
    assert fragments.last_step([uploaded]) == 5
    assert uploaded.exists()
    assert not later.exists()


def test_once_a_run_is_online_only_its_current_directory_stays(tmp_path: Path) -> None:
    offline = made(tmp_path, 1)
    for when in (2, 3):
        (tmp_path / f"run-2026010{when}_000000-{RUN}").mkdir()
    fragments.tidy(tmp_path, RUN, f"run-20260103_000000-{RUN}")
    assert not offline.exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {fragments.SUPERSEDED, f"run-20260103_000000-{RUN}"}
