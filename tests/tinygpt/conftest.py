"""A small text, a small run, and what tests of runs compare."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus, load
from tinygpt.execute import Execution
from tinygpt.rundir import RunDir

MakeConfig = Callable[..., RunConfig]
FilesOf = Callable[[Path], dict[str, bytes]]

UNEQUAL = ("timings.jsonl", "run.lock")
TINY: dict[str, Any] = {
    "model.block_size": 8,
    "model.d_model": 16,
    "model.d_head": 8,
    "model.n_layers": 1,
    "train.batch_size": 4,
    "train.max_iters": 12,
    "train.warmup_iters": 2,
    "train.eval_interval": 4,
    "train.eval_iters": 1,
    "train.log_interval": 2,
    "train.precision": "fp32",
    "train.device": "cpu",
    "sample.max_new_tokens": 4,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def text() -> str:
    """About 2,400 characters, 17 different ones, of a language with a little structure."""
    draw = random.Random(0)
    words = ["the", "sea", "a", "stone", "and", "then", "rain", "old", "no", "wind", "so"]
    lines = (" ".join(draw.choice(words) for _ in range(6)) for _ in range(96))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def text_file(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text in a file outside every run."""
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_bytes(text.encode())
    return path


@pytest.fixture(scope="session")
def corpus(text_file: Path) -> Corpus:
    """The text as a run loads it."""
    return load(str(text_file))


@pytest.fixture(scope="session")
def tiny() -> MakeConfig:
    """Make a settled config of the smallest useful run, with some dotted keys set."""

    def make(values: Mapping[str, Any] | None = None) -> RunConfig:
        return config.run_config(config.with_values({}, {**TINY, **(values or {})}))

    return make


@pytest.fixture(scope="session")
def tiny_settings(text_file: Path) -> list[str]:
    """The same run as settings of the command line."""
    return [f"data.corpus={text_file}", *(f"{key}={value}" for key, value in TINY.items())]


@pytest.fixture(scope="session")
def files_of() -> FilesOf:
    """Read all that a run leaves but wall-clock times and the lock, by path below the run."""

    def read(path: Path) -> dict[str, bytes]:
        return {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file() and file.name not in UNEQUAL
        }

    return read


@pytest.fixture(scope="session")
def trained(tiny: MakeConfig, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A complete run; only to be read."""
    run_dir = RunDir(tmp_path_factory.mktemp("trained"))
    settled = tiny({"train.learning_rate": 0.03})
    run_dir.write_config(settled)
    list(Execution(settled, run_dir, corpus).events())
    return run_dir
