"""What the decisions of a sweep cost, on trials that are computed from a formula: the time of a
proposal, the price of looking back over a fixed distance, and what promotion saves."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments import spec
from experiments.search import Search
from experiments.simulation import Outcome, Simulation
from experiments.spec import Sweep
from experiments.trial import Trial, begun
from tinygpt.seeding import derive

VOCABULARY = 65
SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "train.weight_decay": {"type": "float", "low": 0.0, "high": 0.3},
    "train.warmup_iters": {"type": "int", "low": 10, "high": 200},
    "model.n_layers": {"type": "int", "low": 1, "high": 10},
    "model.norm": {"type": "categorical", "choices": ["layernorm", "rmsnorm"]},
}
MAX_ITERS, INTERVAL = 540, 20
HALVING = {"type": "halving", "min_iters": 20, "reduction_factor": 3}
STOPPING = {"type": "successive_halving", "min_resource": 20, "reduction_factor": 3}


class Asynchronous(Search):
    """The decisions as Optuna's users make them: whatever is finished is seen at once, so another
    number of workers has other trials."""

    def horizon(self, number: int) -> int:
        return 0

    def may_start(self, number: int, trials: Sequence[Trial]) -> bool:
        return True

    def visible(self, number: int, trials: Sequence[Trial]) -> list[Trial]:
        return [t if t.state != "running" else begun(t) for t in trials[:number]]


def made(**changes: Any) -> Sweep:
    """A sweep over five parameters."""
    train = {"max_iters": MAX_ITERS, "eval_interval": INTERVAL}
    run = {"data": {"corpus": "python_docs"}, "train": train}
    return spec.build({"name": "simulated", "trials": 9, "run": run, "space": SPACE, **changes})


def loss(trial: Trial, step: int) -> float:
    """A made-up validation loss: best at a learning rate of 0.01 and six layers, falling with the
    steps, faster at first where the learning rate is high; with the noise of a seed."""
    rate = math.log10(float(trial.params["train.learning_rate"] or 1))
    far = (rate + 2) ** 2 / 4 + (float(trial.params["model.n_layers"] or 0) - 6) ** 2 / 60
    far += 2 * (float(trial.params["train.weight_decay"] or 0) - 0.1) ** 2
    far += 0.05 * (trial.params["model.norm"] == "layernorm")
    falling = (1.5 + 0.3 * (rate + 2)) / math.sqrt(1 + step / 20)
    seed = derive(0, str(sorted(trial.params.items())), step)
    return 1.5 + far + max(0.0, falling) + 0.01 * random.Random(seed).gauss(0, 1)


def seconds(trial: Trial) -> float:
    """A step takes as long as the trial has layers: 1 to 10."""
    return float(trial.params["model.n_layers"] or 1)


@dataclass(frozen=True)
class Proposal:
    """Milliseconds of a decision after so many finished trials: the harness's own part of a
    proposal, what TPE adds, a verdict, and the first proposal of a command that goes on, which
    makes everything again."""

    trials: int
    proposal: float
    tpe: float
    verdict: float
    again: float


def proposals(count: int, rounds: int) -> Proposal:
    """The medians of some decisions after `count` trials."""
    random_, tpe = ({"type": "random"}, {"type": "tpe"})
    trials = list(_finished(count + rounds))
    own = _asked(Search(made(sampler=random_), VOCABULARY), trials, count, rounds)
    search = Search(made(sampler=tpe, pruner={"type": "median"}), VOCABULARY)
    began = time.perf_counter()
    search.propose(count, trials)
    again = time.perf_counter() - began
    with_tpe = _asked(search, trials, count, rounds)
    running = replace(trials[count], state="running", value=None)
    search.verdict(running, INTERVAL, trials)
    verdict = _timed(lambda _: search.verdict(running, INTERVAL, trials), rounds)
    return Proposal(count, *(1000 * s for s in (own, with_tpe - own, verdict, again)))


def _asked(search: Search, trials: Sequence[Trial], count: int, rounds: int) -> float:
    search.propose(count, trials)  # the trials so far, taken in once
    return _timed(lambda n: search.propose(count + n, trials), rounds)


def _timed(question: Callable[[int], object], rounds: int) -> float:
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        question(number)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _finished(count: int) -> Iterator[Trial]:
    """Finished trials with ten reports each."""
    draw = random.Random(0)
    for number in range(count):
        params: dict[str, Any] = {
            "model.n_layers": draw.randint(1, 10),
            "model.norm": draw.choice(["layernorm", "rmsnorm"]),
            "train.learning_rate": 10 ** draw.uniform(-4, -1),
            "train.warmup_iters": draw.randint(10, 200),
            "train.weight_decay": draw.uniform(0, 0.3),
        }
        trial = Trial(number, params)
        reports = {step: loss(trial, step) for step in range(INTERVAL, 11 * INTERVAL, INTERVAL)}
        yield replace(trial, state="complete", value=reports[10 * INTERVAL], reports=reports)


@dataclass(frozen=True)
class Distance:
    """A way to decide, for some workers: the idle share of their time, the trials finished and the
    best loss by the same time, medians over the seeds."""

    workers: int
    max_concurrent: int | None
    """None: asynchronous."""
    idle: float
    trials: float
    best: float


def distances(seeds: int, length: float = 60_000.0) -> Iterator[Distance]:
    """The price of the fixed distance, at equal time on the clock: trials differ in length by a
    factor of ten, and the sampler is TPE."""
    for workers in (2, 4):
        for distance in (None, workers, 2 * workers, 4 * workers):
            runs = [_raced(workers, distance, seed, length) for seed in range(seeds)]
            idle, trials, best = zip(*runs, strict=True)
            medians = (statistics.median(of) for of in (idle, trials, best))
            yield Distance(workers, distance, *medians)


def _raced(
    workers: int, distance: int | None, seed: int, length: float
) -> tuple[float, float, float]:
    sweep = made(trials=10**6, seed=seed, max_concurrent=distance or workers)
    kind = Search if distance else Asynchronous
    search = kind(sweep, VOCABULARY)
    outcome = Simulation(search, loss, workers, seconds, 10**6, seconds=length).run()
    return outcome.idle, float(len(outcome.trials)), outcome.best()


@dataclass(frozen=True)
class Promotion:
    """One seed: the steps both may train, the best losses with promotion and with stopping, and the
    steps that either trained twice."""

    seed: int
    steps: int
    promoted: float
    stopped: float
    trained_again: int


def promotions(seeds: int, cohorts: int = 3, workers: int = 4) -> Iterator[Promotion]:
    """Promotion against stopping at equal total steps: the same sampler, rungs and factor."""
    for seed in range(seeds):
        promoted = _halved({"pruner": HALVING, "trials": 27 * cohorts}, seed, workers)
        stopped = _halved({"pruner": STOPPING, "trials": 10**6}, seed, workers, promoted.steps)
        again = promoted.trained_again + stopped.trained_again
        yield Promotion(seed, promoted.steps, promoted.best(), stopped.best(), again)


def _halved(changes: dict[str, Any], seed: int, workers: int, steps: float = math.inf) -> Outcome:
    sweep = made(seed=seed, max_concurrent=workers, **changes)
    search = Search(sweep, VOCABULARY)
    count = sweep.trials or 0
    return Simulation(search, loss, workers, seconds, count, steps=steps).run()
