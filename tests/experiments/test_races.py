"""What is compared with what, and a small race that is really run."""

from pathlib import Path
from typing import Any

import pytest

from experiments.contest import Entry
from experiments.races import (
    CPU_SHAPE,
    ENDLESS,
    FAST,
    RECIPES,
    WIDTHS,
    Trained,
    entries,
    speeds,
    trained,
)

TEXT = {"data.corpus": "python_docs"}
SMALL = {
    "model.block_size": 8,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.n_layers": 1,
    "train.batch_size": 2,
}


@pytest.mark.parametrize("width", WIDTHS)
def test_contenders_of_a_width_differ_in_their_loop_and_options_alone(width: int) -> None:
    first, *others = entries(width, TEXT)
    assert (first.loop, first.run.model.d_model) == ("reference", width)
    allowed = {"train.precision", *FAST}
    for entry in others:
        assert {key for key, _ in entry.values.items() ^ first.values.items()} <= allowed
    assert len({entry.name for entry in [first, *others]}) == len(others) + 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_run(name: str) -> None:
    loop, values = RECIPES[name]
    entry = Entry(name, loop, ENDLESS | CPU_SHAPE | TEXT | values)
    assert entry.run.train.max_iters < 10_000
    assert entry.run.train.eval_interval >= entry.run.train.max_iters, "no evaluation in between"


def test_a_race_gives_speeds_per_core_and_ratios_to_the_first(text_file: Path) -> None:
    run: dict[str, Any] = ENDLESS | SMALL | {"data.corpus": str(text_file)}
    entrants = [Entry("peer", "reference", run), Entry("ours", "ours", run)]
    first, second = speeds(entrants, count=3, turn=0.02)
    assert (first.name, first.ratio.low, first.ratio.high) == ("peer", 1.0, 1.0)
    assert second.name == "ours"
    assert second.ratio.low <= second.ratio.median <= second.ratio.high
    assert min(first.tokens_per_second_per_core, second.ratio.low) > 0


def test_a_recipe_is_trained_to_its_end_and_its_updates_alone_are_timed(text_file: Path) -> None:
    recipe = {**SMALL, "train.max_iters": 120, "train.batch_size": 16, "train.learning_rate": 1e-2}
    (done,) = trained({"data.corpus": str(text_file)}, {"it": ("ours", recipe)})
    assert isinstance(done, Trained)
    assert (done.name, done.steps) == ("it", 120)
    assert done.val_loss < 2.2  # 17 characters: 2.83 nats before anything is learned
    assert done.core_seconds > 0
