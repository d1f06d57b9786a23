"""Ours and the peer, trained and judged in the same way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.contender import LOOPS, Loop
from experiments.races import ENDLESS
from tinygpt import config, corpus

SMALL = {
    "model.block_size": 8,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.n_layers": 1,
    "train.batch_size": 16,
    "train.max_iters": 120,
    "train.warmup_iters": 5,
    "train.learning_rate": 1e-2,
    "train.precision": "fp32",
}


@pytest.fixture
def begin(text_file: Path) -> Callable[[str], Loop]:
    """Begin a loop on a small run."""
    run = config.run_config(config.with_values({}, ENDLESS | SMALL))
    return lambda name: LOOPS[name](run, corpus.load(str(text_file)))


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_learns_in_as_many_turns_as_it_gets(begin: Callable[[str], Loop], name: str) -> None:
    loop = begin(name)
    for steps in (1, 49, 70):
        loop.train(steps)
    assert loop.loss() < 2.2  # 17 characters: 2.83 nats before anything is learned
