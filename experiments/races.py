"""What is compared: how fast a step is, what a second worker brings, how soon a loss is reached."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.contest import Contender, Entry, Ratio, Spent, contending, rounds, warmed

TURN_SECONDS = 0.7

CPU_SHAPE: dict[str, Any] = {
    "model.n_layers": 4,
    "model.d_model": 128,
    "model.d_head": 32,
    "model.block_size": 64,
    "train.batch_size": 12,
}
"""The model and batch of nanoGPT's recipe for a CPU."""
WIDTHS = {128: 32, 32: 16, 64: 32, 256: 32, 384: 32}
"""d_model, and the d_head that goes with it."""
ENDLESS: dict[str, Any] = {
    "train.device": "cpu",
    "train.max_iters": 10**9,
    "train.eval_interval": 10**9,
    "train.eval_iters": 1,
    "train.log_interval": 10,
    "sample.max_new_tokens": 0,
}
"""A run of which only steps are wanted."""
FAST: dict[str, Any] = {
    "model.position": "rope",
    "model.activation": "relu2",
    "model.qk_norm": True,
    "train.optimizer": "muon",
}
FP32 = {"train.precision": "fp32"}

NANOGPT: dict[str, Any] = {
    "train.learning_rate": 1e-3,
    "train.beta1": 0.9,
    "train.beta2": 0.99,
    "train.weight_decay": 0.1,
    "train.schedule": "cosine",
    "train.warmup_iters": 100,
    "train.min_lr_ratio": 0.1,
    "train.max_iters": 2000,
}
"""nanoGPT's recipe for a CPU, config/train_shakespeare_char.py with its README's changes."""
MUON: dict[str, Any] = FAST | {
    "train.learning_rate": 0.02,
    "train.muon_lr": 0.02,
    "train.muon_momentum": 0.85,
    "train.weight_decay": 0.0,
    "train.schedule": "wsd",
    "train.decay_fraction": 0.7,
    "train.warmup_iters": 20,
    "train.min_lr_ratio": 0.0,
}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "reference": ("reference", NANOGPT | FP32),
    "ours, the same recipe": ("ours", NANOGPT),
    "ours, fast": ("ours", MUON | {"train.max_iters": 270}),
    "ours, fast, longer": ("ours", MUON | {"train.max_iters": 500}),
}
"""Whose loop, and the run by dotted keys."""


@dataclass(frozen=True)
class Speed:
    """A contender's characters per second and core, the median of the rounds, and its ratio to the
    first contender's."""

    name: str
    threads: int
    precision: str
    tokens_per_second_per_core: float
    ratio: Ratio


def entries(width: int, text: Mapping[str, Any]) -> list[Entry]:
    """Who contends at one d_model; the first is what the others are measured against."""
    shape = CPU_SHAPE | {"model.d_model": width, "model.d_head": WIDTHS[width]}
    run = ENDLESS | shape | dict(text)
    fast = [Entry("ours, fast", "ours", run | FAST)] if shape == CPU_SHAPE else []
    return [
        Entry("reference", "reference", run | FP32),
        Entry("reference, threaded", "reference", run | FP32, threaded=True),
        Entry("ours, fp32", "ours", run | FP32),
        Entry("ours", "ours", run),
        *fast,
    ]


def speeds(entrants: Sequence[Entry], count: int, turn: float = TURN_SECONDS) -> list[Speed]:
    """The entrants of one shape by turns, in so many rounds of turns of so many seconds."""
    with contending(entrants) as (contenders, hellos):
        played = list(rounds(contenders, warmed(contenders, turn), count))
    found: list[Speed] = []
    per_core: list[list[float]] = []
    for entry, hello in zip(entrants, hellos, strict=True):
        tokens = entry.run.tokens_per_step / hello["threads"]
        per_core.append([tokens * spent[entry.name].steps_per_second for spent in played])
        median, ratio = statistics.median(per_core[-1]), Ratio.of(per_core[-1], per_core[0])
        found.append(Speed(entry.name, hello["threads"], hello["precision"], median, ratio))
    return found


@dataclass(frozen=True)
class Scaling:
    """Steps per second of one worker alone, of two at once together, and the ratio."""

    alone: float
    together: float
    ratio: Ratio


def scaling(text: Mapping[str, Any], count: int, turn: float = TURN_SECONDS) -> Scaling:
    """Two workers, alone by turns and then at once, in so many rounds."""
    run = ENDLESS | CPU_SHAPE | dict(text)
    alone, together = [], []
    with contending([Entry("first", "ours", run), Entry("second", "ours", run)]) as (pair, _):
        steps = warmed(pair, turn)["first"]
        for number in range(count):
            alone.append(pair[number % 2].turn(steps).steps_per_second)
            # Both are done when the slower one is.
            together.append(2 * min(spent.steps_per_second for spent in at_once(pair, steps)))
    medians = statistics.median(alone), statistics.median(together)
    return Scaling(*medians, Ratio.of(together, alone))


def at_once(contenders: Sequence[Contender], steps: int) -> list[Spent]:
    for contender in contenders:
        contender.begin(steps)
    return [contender.end() for contender in contenders]


@dataclass(frozen=True)
class Trained:
    """A recipe at its end: the loss on the whole validation split (nats per character), and what
    its updates took: seconds on the clock, and of one core."""

    name: str
    steps: int
    val_loss: float
    seconds: float
    core_seconds: float


def trained(
    text: Mapping[str, Any], recipes: Mapping[str, tuple[str, Mapping[str, Any]]] = RECIPES
) -> Iterator[Trained]:
    """Each recipe trained to its end, alone."""
    for name, (loop, recipe) in recipes.items():
        run = ENDLESS | CPU_SHAPE | dict(text) | dict(recipe)
        steps = run["train.max_iters"]
        with contending([Entry(name, loop, run)]) as ((contender,), _):
            spent = contender.training(steps)
            yield Trained(name, steps, contender.loss(), spent.seconds, spent.cpu_seconds)
