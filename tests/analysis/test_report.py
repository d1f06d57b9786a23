import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.evidence import QUESTIONS
from analysis.load import Sweep

Write = Callable[..., Path]
Trial = Callable[..., Any]
Page = Callable[[str], Any]
FIGURES = [
    f"figures/{name}.{form}"
    for name in ("curves", "history", "parallel", "resources", "space")
    for form in ("png", "svg")
]
TABLES = sorted(f"tables/{module.__name__.rpartition('.')[2]}.csv" for module in QUESTIONS)
HOSTILE = "</script><script>alert(1)</script><!--"


pytestmark = pytest.mark.usefixtures("small_library")


def test_page_says_the_verdict_and_every_state_without_javascript(
    write: Write, trial: Trial, page: Page
) -> None:
    sweep = Sweep.load(
        write(
            trial(0, value=1.75, text="as the median would"),
            trial(1, value=1.5, text="as the winner would"),
            trial(2, "pruned", value=2.5, steps=(0, 50), reason="above the median"),
            trial(3, "failed", value=None, steps=(0,), reason="loss is nan"),
            trial(4, state=None, steps=(0, 50)),
            planned=6,
        )
    )
    text = page(report.render(sweep)["report.html"].decode()).text
    for expected in [
        "2 complete", "1 pruned", "1 failed", "1 unfinished", "1 not started",
        "Trial 1 is best so far: 1.5000 nats per character, 0.2500 below the baseline (trial 0).",
        "python -m tinygpt.generate runs/small/trials/0001",
        "python -m experiments.run runs/small/trials/0001/config.json --out runs/small-trial-0001",
        "runs/small/trials/0001/checkpoints/step-00000250",
        "50 of 250 above the median", "0 of 250 loss is nan",
        "as the winner would", "as the median would", "python_docs",
    ]:  # fmt: skip
        assert expected in text


def test_names_and_texts_cannot_become_markup(write: Write, trial: Trial, page: Page) -> None:
    directory = write(
        trial(0, value=1.0, text=HOSTILE, parameters={"model.x": HOSTILE}),
        trial(1, "failed", value=None, reason=HOSTILE, parameters={"model.x": HOSTILE}),
        trial(2, value=2.0, text=HOSTILE, parameters={"model.x": "a"}),
        name=HOSTILE,
        corpus={"name": HOSTILE, "sha256": HOSTILE},
        space={"model.x": {"type": "categorical", "choices": [HOSTILE, "a"]}},
        objective={"metric": HOSTILE, "direction": "minimize"},
        versions={HOSTILE: HOSTILE},
        sampler={"type": HOSTILE},
    )
    files = report.render(Sweep.load(directory))
    shown = page(files["report.html"].decode())
    assert shown.tags.count("script") == 3
    assert shown.text.count(HOSTILE) >= 6
    assert json.loads(shown.charts)["specs"]
    outside = re.sub(r"```.*?\n```", "", files["report.md"].decode(), flags=re.DOTALL)
    assert "<" not in outside


def test_page_loads_nothing_and_carries_numbers_that_json_knows(
    write: Write, trial: Trial, page: Page
) -> None:
    directory = write(trial(0), trial(1, value=math.nan), trial(2, "pruned", value=math.inf))
    shown = page(report.render(Sweep.load(directory))["report.html"].decode())
    assert all(source.startswith(("data:", "#", "tables/")) for source in shown.sources)
    charts = json.loads(shown.charts, parse_constant=lambda word: pytest.fail(word))
    assert "curves" in charts["specs"]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{"steps": (), "state": None}],
        [{"state": "pruned", "steps": (0, 50)}] * 2,
        [{"state": "failed", "value": None, "steps": ()}] * 2,
        [{"value": math.nan}, {"value": math.inf}, {"value": -math.inf}],
        [{"value": 2.0}] * 3,
        [{"parameters": {"train.learning_rate": math.inf, "model.d_model": None}}] * 2,
    ],
    ids=["none", "one", "waiting", "pruned", "failed", "not finite", "equal", "unknown"],
)
def test_every_sweep_has_a_report(write: Write, trial: Trial, rows: list[dict[str, Any]]) -> None:
    directory = write(*[trial(number, **row) for number, row in enumerate(rows)])
    files = report.render(Sweep.load(directory))
    assert {"report.html", "report.md", "leaderboard.csv", "curves.csv", "checks.json"} <= set(
        files
    )


def test_leaderboard_lists_the_ranked_first_and_then_all_others(write: Write, trial: Trial) -> None:
    directory = write(trial(0, "pruned", value=1.0), trial(1, value=3.0), trial(2, value=1.0 / 3.0))
    text = report.render(Sweep.load(directory))["leaderboard.csv"].decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["rank"], row["trial"]) for row in rows] == [("1", "2"), ("2", "1"), ("", "0")]
    assert float(rows[0]["value"]) == 1.0 / 3.0
    assert "\r" not in text


def test_report_is_whole_on_disk_and_the_record_untouched(write: Write, trial: Trial) -> None:
    directory = write(trial(0), trial(1, value=1.5))
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    folder = report.write(Sweep.load(directory))
    after = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert {path: content for path, content in after.items() if path in before} == before
    assert sorted(str(path.relative_to(folder)) for path in after if path not in before) == [
        "checks.json", "curves.csv",
        *FIGURES, "leaderboard.csv", "next_space.yaml", "report.html", "report.md", *TABLES,
    ]  # fmt: skip


def test_same_record_gives_the_same_bytes_wherever_it_lies(
    write: Write, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write(trial(0), trial(1, value=1.5), trial(2, "pruned", steps=(0, 50)))
    first = report.render(Sweep.load(directory))
    moved = directory.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    again = report.render(Sweep.load(moved.name))
    assert [name for name in first if first[name] != again[name]] == []


def test_links_of_the_markdown_report_exist(write: Write, trial: Trial) -> None:
    files = report.render(Sweep.load(write(trial(0), trial(1, value=1.5))))
    images = re.findall(r"!\[.*?\]\((.*?)\)", files["report.md"].decode())
    assert {"figures/curves.png", "figures/history.png", "figures/space.png"} <= set(images)
    assert set(images) <= set(files)
