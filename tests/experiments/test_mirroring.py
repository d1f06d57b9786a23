"""The mirror beside the driver: none where W&B is disabled, and no end of a sweep when it dies."""

import select
from pathlib import Path

import pytest

from experiments.mirroring import Mirroring
from experiments.terminal import Terminal
from experiments.wandbconfig import WandbConfig


@pytest.fixture
def terminal() -> Terminal:
    return Terminal("tiny", 1, 1, progress=False)


@pytest.mark.parametrize(
    ("mode", "variable"), [("disabled", None), ("disabled", "offline"), ("auto", "disabled")]
)
def test_no_mirror_is_started_where_wandb_is_disabled(
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    variable: str | None,
) -> None:
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    mirroring = Mirroring(tmp_path, WandbConfig(mode=mode), terminal)  # type: ignore[arg-type]
    assert mirroring.child is None
    mirroring.finish(1.0)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


def test_a_mirror_that_dies_again_and_again_is_given_up_with_a_warning(
    tmp_path: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("experiments.mirroring.MAX_RESTARTS", 1)
    mirroring = Mirroring(tmp_path, WandbConfig(mode="offline"), terminal)
    mirroring.begin()
    children = set()
    while mirroring.child is not None:
        children.add(mirroring.child)
        select.select([mirroring.child], [], [], 60)
        mirroring.hear()
    captured = capsys.readouterr()
    assert len(children) == 2
    warning = captured.err.splitlines()[-1]
    assert warning.startswith("warning: W&B stopped (exit code 1: ")
    assert warning.endswith(
        f"nothing is lost, `python -m experiments.publish {tmp_path}` makes it level"
    )


def test_a_mirror_that_is_not_level_at_the_end_is_a_warning(
    tmp_path: Path, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not a sweep: the mirror cannot read it.
    mirroring = Mirroring(tmp_path, WandbConfig(mode="offline"), terminal)
    mirroring.begin()
    mirroring.finish(60.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: W&B is not level with the record (")
    assert line.endswith(
        f"; nothing is lost, `python -m experiments.publish {tmp_path}` makes it level"
    )
