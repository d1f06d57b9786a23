"""The commands that look at one trial, or at some, of a sweep."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import show
from analysis.__main__ import main
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def directory(write: Write, trial: Trial) -> Path:
    return write(
        trial(0, value=2.0),
        trial(1, value=1.5, parameters={"model.n_layers": 4}, text="as it likes it"),
        trial(2, value=1.75, parameters={"model.n_layers": 4, "train.learning_rate": 5e-3}),
        trial(3, "pruned", value=3.0, steps=(0, 50), reason="above the median"),
        trial(4, "failed", value=None, steps=(), reason="loss is nan"),
    )


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], ["1", "2", "0"]),
        (["model.n_layers=4"], ["1", "2"]),
        (["model.n_layers!=4"], ["0"]),
        (["value < 1.8", "train.learning_rate>=5e-3"], ["2"]),
        (["state=COMPLETE"], ["1", "2", "0"]),
        (["value<1"], []),
    ],
)
def test_top_lists_the_complete_trials_that_meet_all_conditions(
    directory: Path, capsys: Capture, conditions: list[str], expected: list[str]
) -> None:
    given = [part for one in conditions for part in ("--where", one)]
    assert main(["top", str(directory), *given, "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["trial"] for row in rows] == expected
    assert main(["top", str(directory), *given, "-n", "1"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 3
    assert "no complete trial meets" in out or f" {expected[0]} " in out


@pytest.mark.parametrize("condition", ["", "n_layers", "x=1", "value~2"])
def test_condition_that_cannot_be_met_is_refused_in_one_line(
    directory: Path, capsys: Capture, condition: str
) -> None:
    assert main(["top", str(directory), "--where", condition]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"--where {condition}: " in captured.err


def test_show_tells_what_became_of_a_trial(directory: Path, capsys: Capture) -> None:
    assert main(["show", str(directory), "1"]) == 0
    out = capsys.readouterr().out
    for expected in [
        "trial 1: complete, rank 1, val_loss 1.5000 nats per character",
        "step 250 of 250", "as it likes it", "model.n_layers", "baseline (trial 0)",
        f"python -m tinygpt.generate {directory}/trials/0001\n",
    ]:  # fmt: skip
        assert expected in out


@pytest.mark.parametrize(("number", "expected"), [(3, "above the median"), (4, "loss is nan")])
def test_show_says_why_a_trial_did_not_come_to_its_end(
    directory: Path, capsys: Capture, number: int, expected: str
) -> None:
    assert main(["show", str(directory), str(number)]) == 0
    assert f"because {expected}" in capsys.readouterr().out


def test_diff_shows_what_differs_and_nothing_else(directory: Path, capsys: Capture) -> None:
    assert main(["diff", str(directory), "1", "2"]) == 0
    out = capsys.readouterr().out
    settings = out.partition("\n\n")[0]
    assert "train.learning_rate" in settings
    assert "n_layers" not in settings
    assert "at step 250" in out
    assert "trial 1 writes: def as it likes it" in out
    assert main(["diff", str(directory), "1", "4"]) == 0
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["show", "7"], ["diff", "0", "7"]])
def test_trial_that_has_not_started_is_refused(
    directory: Path, capsys: Capture, command: list[str]
) -> None:
    assert main([command[0], str(directory), *command[1:]]) == 2
    assert "there is no trial 7; its trials are 0 to 4" in capsys.readouterr().err


def test_next_prints_a_file_for_the_next_sweep(directory: Path, capsys: Capture) -> None:
    assert main(["next", str(directory)]) == 0
    assert "name: small-next\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0], "▁█"), ([2.0, 2.0], "▁▁"), ([], ""), ([float("nan"), 1.0], "?▁")],
)
def test_sparkline_has_a_bar_for_each_value(values: list[float], expected: str) -> None:
    assert show.spark(values) == expected


def test_notebook_shows_the_verdict_and_the_best(directory: Path) -> None:
    html = Sweep.load(directory)._repr_html_()
    assert "Trial 1 is best: 1.5000 nats per character" in html
    assert html.count("<tr") == 4


@pytest.mark.usefixtures("small_library")
@pytest.mark.parametrize(
    ("level", "code"), [(None, 0), ("fail", 0), ("warn", 1), ("unknown", 1), ("info", 1)]
)
def test_command_fails_on_a_check_that_is_grave_enough(
    write: Write, trial: Trial, capsys: Capture, level: str | None, code: int
) -> None:
    directory = write(trial(0), trial(1, value=1.5))  # too few trials: a warning
    limit = [] if level is None else ["--fail-on", level]
    assert main([str(directory), *limit]) == code
    found = json.loads((directory / "report/checks.json").read_text())
    assert found["lights"]["sampling"] == "warn"


@pytest.mark.usefixtures("small_library")
def test_page_alone_is_renewed_silently(directory: Path, capsys: Capture) -> None:
    assert main([str(directory), "--renew"]) == 0
    assert capsys.readouterr().out == ""
    assert [path.name for path in (directory / "report").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("small_library")
def test_watching_a_sweep_that_is_over_ends_with_its_report(
    directory: Path, capsys: Capture
) -> None:
    assert main([str(directory), "--watch", "1"]) == 0
    out = capsys.readouterr().out
    assert "report.html: 3 complete, 1 pruned, 1 failed\n" in out
    assert "Trial 1 is best" in out
    assert 'http-equiv="refresh"' not in (directory / "report/report.html").read_text()
