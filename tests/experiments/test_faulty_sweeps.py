"""What a user reads who wrote a sweep file wrong: a file of faulty/ each, with every line beside
it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import sweep

FAULTY = sorted((Path(__file__).parent / "faulty").glob("*.yaml"))


def test_there_is_a_fault_of_every_kind() -> None:
    assert len(FAULTY) >= 70
    assert all(file.with_suffix(".txt").exists() for file in FAULTY)


@pytest.mark.parametrize("file", FAULTY, ids=lambda file: file.stem)
def test_a_faulty_file_is_refused_with_place_rule_and_next_move_before_anything_is_written(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    listing: Callable[[Path], dict[str, bytes]],
) -> None:
    monkeypatch.chdir(file.parent)
    code = sweep.main([file.name, "--out", str(tmp_path / "runs")])
    assert capsys.readouterr().err == file.with_suffix(".txt").read_text()
    assert code == 2
    assert listing(tmp_path) == {}
