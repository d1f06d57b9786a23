"""What a report says of a sweep that asks for more than the lowest loss of single trials."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]
Page = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("small_library")

OBJECTIVES = [{"metric": m, "direction": "minimize"} for m in ("val_loss", "params", "flops")]
CONDITIONAL = {
    "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
    "train.momentum": {
        "type": "float", "low": 0.5, "high": 1.0, "when": {"train.optimizer": "muon"},
    },
    "model.d_head": {"type": "expr", "expr": "model.d_model // 4"},
}  # fmt: skip


def test_parameter_that_a_trial_does_not_have_is_a_dash(
    write: Write, trial: Trial, page: Page
) -> None:
    chosen = [{"train.optimizer": o, "train.momentum": 0.75} for o in ("adamw", "muon")]
    rows = [trial(n, value=1.0 + n, parameters=p) for n, p in enumerate(chosen)]
    files = report.render(Sweep.load(write(*rows, space=CONDITIONAL)))
    text = page(files["report.html"].decode()).text
    assert "adamw \N{EN DASH} 110 k" in text
    assert "muon 0.75 110 k" in text
    written = list(csv.DictReader(files["leaderboard.csv"].decode().splitlines()))
    assert [row["p.train.momentum"] for row in written] == ["", "0.75"]


def test_replicates_are_ranked_as_configurations(write: Write, trial: Trial, page: Page) -> None:
    values = [(0, 2.0), (0, 2.2), (2, 1.6), (2, 1.5), (4, 1.0)]
    rows = [trial(n, value=v, seed=n, parameters={"train.x": x}) for n, (x, v) in enumerate(values)]
    lost = trial(5, "pruned", value=0.5, seed=5, parameters={"train.x": 4}, steps=(0, 50))
    files = report.render(Sweep.load(write(*rows, lost, replicates=2)))
    table = list(csv.DictReader(files["configurations.csv"].decode().splitlines()))
    assert [(row["trials"], row["mean"], row["n"]) for row in table] == [
        ("2 3", "1.55", "2"), ("0 1", "2.1", "2"), ("4", "1.0", "1"),
    ]  # fmt: skip
    assert [bool(row["sd"]) for row in table] == [True, True, False]
    text = page(files["report.html"].decode()).text
    assert "1 2, 3 1.5500 0.0707 2 0 -0.5500" in text
    assert "those with all 2 complete rank above the others" in text


def test_trade_offs_are_a_table_a_chart_and_a_file(write: Write, trial: Trial, page: Page) -> None:
    rows = [
        trial(n, value=2.0 - n / 4, metrics={"parameters": 10_000 * (n + 1), "flops_per_token": 1})
        for n in range(3)
    ]
    worse = trial(3, value=9.0, metrics={"parameters": 90_000, "flops_per_token": 2})
    files = report.render(Sweep.load(write(*rows, worse, objective=OBJECTIVES)))
    front = list(csv.DictReader(files["pareto.csv"].decode().splitlines()))
    assert [row["trial"] for row in front] == ["2", "1", "0"]
    shown = page(files["report.html"].decode())
    assert "3 of 4 complete trials are on the front" in shown.text
    assert "front" in json.loads(shown.charts)["specs"]
    markdown = files["report.md"].decode()
    assert "| 2 | 1.5000 | 30 k | 192 k |" in markdown
    assert "![Trade-offs](figures/front.png)" in markdown


def test_duplicate_is_shown_once_with_a_note(write: Write, trial: Trial, page: Page) -> None:
    copy = trial(2, value=1.5, same_as=1, reason="the same configuration as trial 1")
    sweep = Sweep.load(write(trial(0), trial(1, value=1.5), copy))
    text = page(report.render(sweep)["report.html"].decode()).text
    assert "All 2 complete trials" in text
    assert "the same again: trial 2" in text
    assert "2 complete 1 duplicate" in text
    assert "384 k" in text  # Characters that two trials were trained on, not three.


def test_earlier_version_of_the_file_is_one_line(write: Write, trial: Trial, page: Page) -> None:
    earlier = [{"until": 2, "sweep": {"space": {"model.n_layers": {"type": "odd"}}}}]
    sweep = Sweep.load(write(*[trial(n) for n in range(3)], earlier=earlier))
    files = report.render(sweep)
    line = "Trials 0-1 came from an earlier version of the file."
    assert page(files["report.html"].decode()).text.count(line) == 1
    assert files["report.md"].decode().count(line) == 1


def test_what_the_file_asks_for_is_in_the_report(write: Write, trial: Trial, page: Page) -> None:
    sweep = Sweep.load(
        write(
            trial(0, "pruned", reason="not promoted at step 60 (rank 5 of 9)", steps=(0, 50)),
            pruner={"type": "halving", "factor": 3, "exempt": None},
            budget={"time": 7200.0, "per_trial": {"tokens": None}},
            constraints=["model.d_model % model.d_head == 0"],
            replicates=3,
            max_disk="2GB",
        )
    )
    text = page(report.render(sweep)["report.html"].decode()).text
    for expected in [
        "50 of 250 not promoted at step 60 (rank 5 of 9)",
        "pruner type halving, factor 3 replicates 3 budget time 7200.0 max disk 2GB "
        "constraints model.d_model % model.d_head == 0 at once",
    ]:
        assert expected in text


@pytest.mark.parametrize(
    "meta",
    [
        {"objective": OBJECTIVES},
        {"replicates": 3},
        {"objective": OBJECTIVES, "replicates": 2},
        {"objective": {"metric": "params", "direction": "minimize"}},
        {"space": CONDITIONAL},
        {"space": {}},
    ],
)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"steps": (), "state": None}],
        [{"state": "pruned", "steps": (0, 50)}] * 2,
        [{"state": "failed", "value": None, "steps": ()}] * 2,
        [{"value": 2.0}, {"value": 2.0, "same_as": 0}],
        [{"state": "failed", "value": None, "steps": ()}, {"state": "failed", "same_as": 0}],
    ],
    ids=["none", "waiting", "pruned", "failed", "duplicate", "duplicate of nothing"],
)
def test_every_sweep_of_every_kind_has_a_report(
    write: Write, trial: Trial, rows: list[dict[str, Any]], meta: dict[str, Any], page: Page
) -> None:
    directory = write(*[trial(number, **row) for number, row in enumerate(rows)], **meta)
    assert "Sweep small" in page(report.render(Sweep.load(directory))["report.html"].decode()).text
