import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main

Write = Callable[..., Path]
Trial = Callable[..., Any]


def test_verdict_is_printed_and_the_report_is_one_page_that_can_draw(
    write: Write, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write(
        *[trial(n, value=2.0 - n / 100) for n in range(7)],
        trial(7, "failed", value=None, reason="loss is nan\nat step 61 [red]"),
    )
    assert main([str(directory)]) == 0
    out = capsys.readouterr().out
    table = re.findall(r"^ +(\d) +(\d) ", out, re.MULTILINE)
    assert "Trial 6 is best: 1.9400 nats per character" in out.replace("\n", " ")
    assert table == [("1", "6"), ("2", "5"), ("3", "4"), ("4", "3"), ("5", "2")]
    assert "7 complete, 1 failed" in out
    assert "trial 7 failed: loss is nan at step 61 [red]\n" in out
    assert f"{directory}/trials/0006/checkpoints/step-00000250\n" in out
    assert (
        f"python -m experiments.run {directory}/trials/0006/config.json"
        f" --out {directory}-trial-0006\n" in out
    )
    assert "\x1b" not in out
    page = (directory / "report/report.html").read_text()
    assert "window.vegaEmbed" in page
    assert page.count("</script>") == 3


@pytest.mark.usefixtures("small_library")
def test_table_keeps_to_100_columns_by_leaving_columns_out(
    write: Write, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"model.parameter_{number}" for number in range(12)]
    space = {name: {"type": "float", "low": 0, "high": 1} for name in names}
    assert main([str(write(trial(0), trial(1), space=space))]) == 0
    table, _, _ = capsys.readouterr().out.partition("report ")
    assert max(len(line.rstrip()) for line in table.splitlines()) <= 100
    assert "not shown here: parameter_" in table


@pytest.mark.usefixtures("small_library")
def test_yaml_file_is_found_under_out(
    write: Write, trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write(trial(0))
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("name: small\n")
    assert main([str(sweep), "--out", str(directory.parent)]) == 0
    assert "Only trial 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "code", "expected"),
    [
        ("nowhere.yaml", 2, "nowhere.yaml: No such file"),
        ("empty", 2, "empty/sweep.json: no such file"),
        ("broken", 3, "broken/sweep.json: "),
    ],
)
def test_errors_are_one_line_with_their_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argument: str,
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/sweep.json").write_text("{")
    assert main([argument]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(expected)
    assert captured.err.count("\n") == 1


@pytest.mark.usefixtures("small_library")
def test_report_that_cannot_be_written_is_a_temporary_failure(
    write: Write, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write(trial(0))
    (directory / "report").touch()
    assert main([str(directory)]) == 75
    assert capsys.readouterr().err.count("\n") == 1


def test_help_needs_neither_drawing_nor_training() -> None:
    code = (
        "import sys; import analysis.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'altair', 'vl_convert', 'torch', 'optuna', 'wandb', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m analysis sweeps/small.yaml" in done.stdout
