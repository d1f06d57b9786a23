"""What the trials of a sweep take, from figures measured at a few of its runs."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygpt import size
from tinygpt.config import RunConfig
from tinygpt.figures import Figures
from tinygpt.flops import flops_per_token
from tinygpt.size import WINDOWS_PER_EVALUATION

ALIKE = 1.02
"""Runs whose operations differ by less tell nothing of what an operation takes."""
SAVE_SECONDS, SAVE_SECONDS_PER_BYTE = 0.003, 2.5e-9
"""Hashing a checkpoint and bringing it to the disk."""
HANDSHAKE_SECONDS = 0.012
"""Writing an evaluation down and hearing whether to go on."""


@dataclass(frozen=True)
class Point:
    """A run and what its parts take."""

    run: RunConfig
    figures: Figures


@dataclass(frozen=True)
class Line:
    """y = base + slope x."""

    base: float
    slope: float

    def at(self, x: float) -> float:
        return self.base + self.slope * x


def fitted(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line nearest to some points, by their relative distances; neither of its numbers is
    negative."""
    weights = [1 / max(y, 1e-9) ** 2 for y in ys]
    if max(xs) <= ALIKE * min(xs):
        return through_origin(xs, ys)
    total = math.fsum(weights)
    x = math.fsum(w * v for w, v in zip(weights, xs, strict=True)) / total
    y = math.fsum(w * v for w, v in zip(weights, ys, strict=True)) / total
    spread = math.fsum(w * (v - x) ** 2 for w, v in zip(weights, xs, strict=True))
    both = math.fsum(w * (v - x) * (u - y) for w, v, u in zip(weights, xs, ys, strict=True))
    slope = both / spread
    if slope <= 0:
        return Line(statistics.fmean(ys), 0.0)
    return Line(y - slope * x, slope) if y >= slope * x else through_origin(xs, ys)


def through_origin(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line of the mean ratio, or a constant where there is nothing to divide by."""
    if min(xs) <= 0:
        return Line(statistics.fmean(ys), 0.0)
    return Line(0.0, statistics.fmean(y / x for x, y in zip(xs, ys, strict=True)))


class Rates:
    """What the parts of any run take: linear in the operations of the part, or in the bytes of a
    checkpoint, between the runs that were measured."""

    def __init__(self, points: Sequence[Point], vocabulary: int) -> None:
        self._measures = measures(vocabulary)
        # The first trainer of a process is slow; it was made for the probe.
        self._setup = min(point.figures.setup for point in points)
        self._lines = {
            part: fitted(
                [measure(point.run) for point in points],
                [getattr(point.figures, part) for point in points],
            )
            for part, measure in self._measures.items()
        }
        self._bytes = self._measures["snapshot"]

    def figures(self, run: RunConfig) -> Figures:
        """What the parts of a run take."""
        found = {part: line.at(self._measures[part](run)) for part, line in self._lines.items()}
        return Figures(setup=self._setup, **found)

    def seconds(self, run: RunConfig, characters: int, until: int | None = None) -> float:
        """What a trial takes on a text of so many characters, to the step `until` or its end."""
        figures, counts = self.figures(run), counted(run, characters, until)
        save = figures.snapshot + SAVE_SECONDS + SAVE_SECONDS_PER_BYTE * self._bytes(run)
        return (
            figures.setup
            + counts.updates * figures.update
            + counts.batches * figures.evaluation
            + counts.samples * figures.sample
            + counts.saves * save
            + counts.evaluations * HANDSHAKE_SECONDS
        )


def measures(vocabulary: int) -> dict[str, Callable[[RunConfig], float]]:
    """By part of a run, what its time grows with."""
    return {
        "update": lambda run: update_operations(run, vocabulary),
        "evaluation": lambda run: flops_per_token(run.model, vocabulary) * run.model.block_size,
        "sample": lambda run: flops_per_token(run.model, vocabulary) * run.sample.max_new_tokens,
        "snapshot": lambda run: size.checkpoint_bytes(run, vocabulary),
    }


def update_operations(run: RunConfig, vocabulary: int) -> float:
    """The operations of an update, Muon's own among them."""
    model = flops_per_token(run.model, vocabulary) * run.tokens_per_step
    if run.train.optimizer != "muon":
        return model
    matrices = [weight.shape for weight in size.weights(run.model, vocabulary) if weight.hidden]
    return model + sum(newton_schulz(min(s), max(s), run.train.muon_ns_steps) for s in matrices)


def newton_schulz(short: int, long: int, steps: int) -> float:
    """The operations by which Muon makes a matrix orthogonal: three products in each step."""
    return steps * (4 * short**2 * long + 2 * short**3)


@dataclass(frozen=True)
class Counts:
    """How often a trial does what."""

    updates: int
    evaluations: int
    batches: int
    samples: int
    saves: int


def counted(run: RunConfig, characters: int, until: int | None = None) -> Counts:
    """What a trial does on a text of so many characters, up to the step `until` or its end."""
    train, last = run.train, run.train.max_iters
    end = last if until is None else min(until, last)
    whole = end == last
    evaluated = {*range(0, end + 1, train.eval_interval), *([last] if whole else [])}
    interval = run.checkpoint.interval
    saved = evaluated | (set(range(0, end + 1, interval)) if interval else set())
    return Counts(
        updates=end,
        evaluations=len(evaluated),
        batches=_batches(run, characters, len(evaluated), whole),
        samples=len(evaluated) - 1 if run.sample.max_new_tokens else 0,
        saves=len(saved),
    )


def _batches(run: RunConfig, characters: int, evaluations: int, whole: bool) -> int:
    """Batches of windows: of each split the same number, the last time the whole validation split
    besides."""
    held_out = round(characters * run.data.val_fraction)
    validation = max(1, (held_out - 1) // run.model.block_size)
    training = max(1, (characters - held_out - 1) // run.model.block_size)
    wanted = WINDOWS_PER_EVALUATION * run.train.eval_iters or validation
    each = _in_batches(min(wanted, validation)) + _in_batches(min(wanted, training))
    return evaluations * each + (_in_batches(validation) if whole and run.train.eval_iters else 0)


def _in_batches(windows: int) -> int:
    return math.ceil(windows / WINDOWS_PER_EVALUATION)


def measured(run: RunConfig, rows: Sequence[dict[str, object]], characters: int) -> Point | None:
    """What the parts of a run took, by the rows of its `timings.jsonl`; None if it did not reach
    its first evaluation after a training."""
    seconds: dict[str, list[float]] = {"train": [], "eval": [], "sample": [], "checkpoint": []}
    steps = [0]
    for row in rows:
        kind, took, step = row["kind"], row["seconds"], row["step"]
        if isinstance(kind, str) and isinstance(took, float) and isinstance(step, int):
            seconds[kind].append(took)
            steps += [step] if kind == "train" else []
    until = max(steps)
    counts = counted(run, characters, until)
    if not until or not seconds["eval"] or not seconds["checkpoint"]:
        return None
    save = statistics.fmean(seconds["checkpoint"])
    figures = Figures(
        setup=0.0,
        update=sum(seconds["train"]) / until,
        evaluation=sum(seconds["eval"]) / counts.batches,
        sample=statistics.fmean(seconds["sample"]) if seconds["sample"] else 0.0,
        snapshot=max(0.0, save - SAVE_SECONDS),
    )
    return Point(run, figures)
