"""Sweeps that train in no time, by workers that chance hurries, delays and kills."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from experiments.search import Search
from experiments.spec import Sweep
from experiments.spending import affordable
from experiments.trial import State, Trial
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token
from tinygpt.size import parameters

VOCABULARY = 17

Loss = Callable[[Trial, int], float]
"""A made-up validation loss of a trial at a step; NaN makes it fail."""


def smooth(trial: Trial, step: int) -> float:
    """A loss that falls, lowest where every number lies in the middle of what is asked here."""
    rate = float(trial.params.get("train.learning_rate", 0.01) or 0)
    decay = float(trial.params.get("train.weight_decay", 0.1) or 0)
    beta = float(trial.params.get("train.beta1", 0.9) or 0)
    spoilt = 30 * abs(rate - 0.012) + abs(decay - 0.1) + 2 * abs(beta - 0.9)
    return 2.0 + spoilt + 5.0 / (step + 1) + 0.01 * trial.replicate


class Workers:
    """So many workers of one sweep. Which of them comes to its next evaluation is chance, and now
    and then all of them and the driver are killed, and everything but the record is lost."""

    def __init__(
        self, sweep: Sweep, count: int, *, seed: int = 0, kills: float = 0.0, loss: Loss = smooth
    ) -> None:
        self.sweep, self.count, self.loss = sweep, count, loss
        self.draw, self.kills = random.Random(seed), kills
        self.search = Search(sweep, VOCABULARY)
        self.trials: list[Trial] = []
        self.at: dict[int, int] = {}
        """The trials that are trained now, and the step they are at."""
        self.saved: dict[int, int] = {}
        """The steps of the newest checkpoints."""
        self.trained: Counter[int] = Counter()
        """How many updates each trial took, those that a kill cost included."""
        self.ended = False
        self._configs: dict[int, RunConfig] = {}

    def finish_all(self) -> list[Trial]:
        """The trials at the end of the sweep."""
        while self._assign():
            self._evaluate(self.draw.choice(sorted(self.at)))
            if self.draw.random() < self.kills:
                self._kill()
        return self.trials

    def _assign(self) -> bool:
        while len(self.at) < self.count and (number := self._next()) is not None:
            self.at[number] = self.saved.get(number, 0)
        waiting = [trial.number for trial in self.trials if trial.state == "running"]
        assert self.at or not waiting, f"trials {waiting} wait for ever"
        return bool(self.at)

    def _next(self) -> int | None:
        while True:
            ready = [t for t in self.trials if t.number not in self.at and self._is_ready(t)]
            if ready:
                return min(ready, key=lambda trial: (-self._until(trial), trial.number)).number
            if not self._begin():
                return None

    def _begin(self) -> bool:
        number = len(self.trials)
        if self.ended or number == self.sweep.planned():
            return False
        if not self.search.may_start(number, self.trials):
            return False
        trial = self.search.propose(number, self.trials)
        if trial is None or not affordable(self.search, trial, self.trials):
            self.ended = True
            return False
        self.trials.append(trial)
        self._take(trial)
        return True

    def _is_ready(self, trial: Trial) -> bool:
        standing = self.search.standings(trial.number, self.trials).get(trial.number)
        going = standing is None or standing.state == "training"
        return trial.state == "running" and trial.same_as is None and going

    def _until(self, trial: Trial) -> int:
        standing = self.search.standings(trial.number, self.trials).get(trial.number)
        return standing.until if standing else 0

    def _evaluate(self, number: int) -> None:
        train = self.sweep.run.train
        before = self.at[number]
        step = min(before + train.eval_interval, self.config_of(number).train.max_iters)
        self.at[number], trial = step, self.trials[number]
        self.trained[number] += step - before
        loss = self.loss(trial, step)
        if loss != loss:
            self._conclude(number, "failed", None)
            return
        self.saved[number] = step
        self.trials[number] = trial = replace(trial, reports={**trial.reports, step: loss})
        if step == self.config_of(number).train.max_iters:
            self._conclude(number, "complete", loss)
            return
        verdict = self.search.verdict(trial, step, self.trials)
        if verdict.word == "prune":
            self._conclude(number, "pruned", loss, verdict.reason)
        elif verdict.word == "pause":
            del self.at[number]
        self._settle(number)

    def _conclude(self, number: int, state: State, value: float | None, reason: str = "") -> None:
        trial = self.trials[number]
        step = max(trial.reports, default=0)
        ended = replace(
            trial, state=state, value=value, reason=reason or None, metrics=self._facts(trial, step)
        )
        self.trials[number] = ended
        self.at.pop(number, None)
        for twin in self.trials:
            self._take(twin)
        self._settle(number)

    def _facts(self, trial: Trial, step: int) -> Mapping[str, Any]:
        run = self.config_of(trial.number)
        return {
            "parameters": parameters(run.model, VOCABULARY),
            "flops_per_token": flops_per_token(run.model, VOCABULARY),
            "tokens": step * run.tokens_per_step,
        }

    def config_of(self, number: int) -> RunConfig:
        """The run of a trial."""
        if number not in self._configs:
            self._configs[number] = config.run_config(self.search.run_of(self.trials[number]))
        return self._configs[number]

    def _take(self, twin: Trial) -> None:
        """Give a trial the result of the one that trained the same, if there is one."""
        source = None if twin.same_as is None else self.trials[twin.same_as]
        if twin.state == "running" and source is not None and source.state != "running":
            self.trials[twin.number] = replace(
                source, number=twin.number, params=twin.params, same_as=source.number
            )

    def _settle(self, number: int) -> None:
        for other, standing in self.search.standings(number, self.trials).items():
            idle = self.trials[other].state == "running" and other not in self.at
            if standing.state == "out" and idle:
                value = self.trials[other].reports[standing.until]
                self._conclude(other, "pruned", value, standing.reason)

    def _kill(self) -> None:
        """Lose all that is not in the record; some of the newest checkpoints too."""
        self.search, self.at, self.ended = Search(self.sweep, VOCABULARY), {}, False
        self.trials = [replace(t, same_as=None) if t.state == "running" else t for t in self.trials]
        self.trials = [self.search.with_twin(trial, self.trials) for trial in self.trials]
        for number, step in self.saved.items():
            if self.trials[number].state == "running" and self.draw.random() < 0.5:
                self.saved[number] = max(0, step - self.sweep.run.train.eval_interval)
        for trial in self.trials:
            if trial.state == "running":
                self._take(trial)
        for trial in self.trials:
            if trial.state == "running":
                self._settle(trial.number)


def outcomes(sweep: Sweep, loss: Loss = smooth) -> list[list[Trial]]:
    """The trials of one sweep trained by one worker without a kill, and by 1, 2 and 4 with some."""
    whole = Workers(sweep, 1, loss=loss).finish_all()
    return [
        whole,
        *(
            Workers(sweep, count, seed=count, kills=0.15, loss=loss).finish_all()
            for count in (1, 2, 4)
        ),
    ]
