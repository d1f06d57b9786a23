"""A preview fits eighty columns, says what is certain, and writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulation import VOCABULARY

from experiments import preview, sweep
from experiments.preflight import Estimate, Time
from experiments.spec import Sweep
from experiments.trial import Trial

Make = Callable[..., Sweep]

ESTIMATE = Estimate(2, Time(90.0, 130.0, 4.0, 20.0), 40e6, 4e8, 8e8, 24e9)


def test_a_run_begins_with_one_line_of_what_it_takes(tmp_path: Path) -> None:
    line = preview.in_a_line(ESTIMATE, tmp_path / "runs" / "small")
    start, _, free = line.partition(" of ")
    assert start == "about 1:30 with 2 workers, at most 2:10; disk 40.0 MB"
    assert free.endswith(" free")


def test_memory_is_in_that_line_if_there_is_too_little(tmp_path: Path) -> None:
    full = Estimate(2, ESTIMATE.time, 40e6, 4e8, 8e8, 8e8)
    line = preview.in_a_line(full, tmp_path)
    assert line.endswith("; memory 2 x 400 MB of 800 MB, too much: take fewer --workers")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0 kB"),
        (4321, "4 kB"),
        (40.04e6, "40.0 MB"),
        (310e9, "310 GB"),
        (1.5e12, "1.5 TB"),
    ],
)
def test_bytes_are_shown_in_the_unit_that_suits_them(number: float, expected: str) -> None:
    assert preview.amount(number) == expected


def test_parameters_stand_in_columns_and_break_between_them() -> None:
    long = {f"train.name_{i}": 0.5 for i in range(8)}
    ahead = [Trial(9, {"a": 1, **long}), Trial(10, {"a": 100, **long}, same_as=9)]
    first, *lines = preview.told(ahead, count=5, whole=False)
    assert first == "the next 5, exactly (later ones depend on results):"
    assert all(len(line) <= preview.WIDTH for line in lines)
    assert lines[0].index("name_0") == lines[2].index("name_0")
    assert lines[0].startswith("  trial   9  a 1    ")
    assert lines[-2].endswith("same as trial 9")
    assert lines[-1] == "  and 3 more"


def test_a_parameter_that_does_not_apply_leaves_its_place_blank() -> None:
    rows = preview.columns([{"a": "a 1", "b": "b 22"}, {"b": "b 3"}])
    assert rows == [["a 1", "b 22"], ["   ", "b 3 "]]


COUNTED: list[tuple[dict[str, Any], int | None]] = [
    ({"model.d_model": {"type": "categorical", "choices": [8, 16, 24]}}, 3),
    ({"train.weight_decay": {"type": "float", "low": 0, "high": 0.2, "step": 0.05}}, 5),
    ({"train.weight_decay": {"type": "float", "low": 0, "high": 0.2}}, None),
    (
        {
            "train.optimizer": {"type": "categorical", "choices": ["adamw", "muon"]},
            "train.muon_ns_steps": {
                "type": "int",
                "low": 3,
                "high": 6,
                "when": {"train.optimizer": "muon"},
            },
            "train.batch_size": {"type": "int", "low": 1, "high": 1000},
        },
        (1 + 4) * 1000,
    ),
]


@pytest.mark.parametrize(("space", "expected"), COUNTED, ids=range(len(COUNTED)))
def test_the_points_of_a_space_are_counted_where_they_can_be(
    make_sweep: Make, space: dict[str, Any], expected: int | None
) -> None:
    made = make_sweep({"model.d_head": 8}, space=space, enqueue=[])
    assert preview.points(made.configurations(VOCABULARY)) == expected


def test_what_is_there_is_told_with_the_best() -> None:
    trials = [
        Trial(0, {}, "complete", 2.5),
        Trial(1, {}, "complete", 2.25),
        Trial(2, {}, "pruned", 2.0),
        Trial(3, {}),
    ]
    assert preview.standing(trials) == "3 trials finished, 1 begun, best 2.2500 (trial 1)"
    assert preview.standing(trials[2:3]) == "1 trial finished"


def test_a_dry_run_tells_the_trials_and_what_they_take(
    write_sweep: Callable[..., Path],
    tmp_path: Path,
    listing: Callable[[Path], dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write_sweep(tmp_path, enqueue=[], sampler={"type": "random"}, trials=30)
    before = listing(tmp_path)
    arguments = [str(file), "--dry-run", "--workers", "2", "--out", str(tmp_path / "runs")]
    assert sweep.main(arguments) == 0
    assert listing(tmp_path) == before
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert "all 30, exactly:" in lines
    assert sum(line.startswith("  trial ") for line in lines) == 30
    # The first two lines name paths.
    assert all(len(line) <= preview.WIDTH for line in lines[2:])
    names = [line.split("  ")[0] for line in lines]
    for name in ("space", "infeasible", "parameters", "time", "one trial", "memory", "disk"):
        assert name in names


def test_a_dry_run_of_a_finished_sweep_says_what_is_there(
    golden: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main([str(golden.path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("there already: 9 trials finished, best ") for line in lines)
    assert not any(line.startswith(("time", "  trial")) for line in lines)


@pytest.mark.parametrize(
    ("needed", "free", "expected"),
    [
        (0, 0, None),
        (40e6, 40e6, None),
        (
            40e6,
            39.9e6,
            "runs/small: what is left of the sweep takes about 40.0 MB, its disk has 39.9 MB free; "
            "make room, set a smaller max_disk, or choose another --out",
        ),
    ],
)
def test_a_disk_that_has_too_little_is_told_with_both_figures_and_the_next_move(
    needed: float, free: float, expected: str | None
) -> None:
    assert preview.shortage(needed, free, Path("runs/small")) == expected


def test_the_line_of_what_a_run_takes_leaves_the_warning_to_the_line_before_it(
    tmp_path: Path,
) -> None:
    huge = Estimate(2, ESTIMATE.time, 1e18)
    assert preview.in_a_line(huge, tmp_path).endswith(" free")
    assert dict(preview.figures(huge, tmp_path))["disk"].endswith(" free, too little")
