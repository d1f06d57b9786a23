"""A sweep as one run of W&B: its trials in their order, the ranking, what mattered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from experiments import space
from experiments.frozen import frozen
from experiments.objective import measured
from experiments.snapshot import distribution, study_of
from experiments.spec import Sweep
from experiments.trial import Trial

LEADERS = 100
"""Rows that a leaderboard has at most."""
ENOUGH = 10
"""Complete trials below which nothing is said of importances."""


class Story:
    """What W&B shows of a sweep after each of its trials. Trials are taken in the order of their
    numbers, whoever ended first, so the story is a function of the record."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.trials: list[Trial] = []
        self._states: Counter[str] = Counter()
        self._tokens = 0.0
        self._best: dict[str, float] = {}

    def take(self, trial: Trial) -> dict[str, Any]:
        """The row of the next trial; its step is the trial's number."""
        self.trials.append(trial)
        self._states[trial.state] += 1
        self._tokens += trial.metrics.get("tokens", 0) if trial.same_as is None else 0
        row: dict[str, Any] = {
            f"trials/{s}": self._states[s] for s in ("complete", "pruned", "failed")
        }
        row["trials/tokens"] = self._tokens
        for name, value in self.objectives(trial).items():
            row[f"trial/{name}"] = value
            better = max if self._direction(name) == "maximize" else min
            self._best[name] = better(value, self._best.get(name, value))
        return row | {f"best/{name}": value for name, value in self._best.items()}

    def objectives(self, trial: Trial) -> dict[str, float]:
        """What a complete trial came to, under names with units; nothing for others."""
        if trial.state != "complete" or trial.value is None:
            return {}
        return {
            unit(one.metric): measured(one.metric, trial.value, trial.metrics)
            for one in self.sweep.objective
        }

    def is_milestone(self) -> bool:
        """Whether the ranking is worth a look after the newest trial: 5, 10, 20, 50, 100 ..."""
        count = len(self.trials)
        while count >= 10 and count % 10 == 0:
            count //= 10
        return len(self.trials) >= ENOUGH // 2 and count in (1, 2, 5)

    def ranked(self) -> list[Trial]:
        """Complete trials, the best by the first objective first, then the others as they came."""
        name = unit(self.sweep.objective[0].metric)
        sign = -1 if self._direction(name) == "maximize" else 1
        complete = [trial for trial in self.trials if self.objectives(trial)]
        rest = [trial for trial in self.trials if not self.objectives(trial)]
        return sorted(complete, key=lambda t: (sign * self.objectives(t)[name], t.number)) + rest

    def leaderboard(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of the ranking."""
        names = [unit(one.metric) for one in self.sweep.objective]
        keys = list(space.searched(self.sweep.space))
        rows = []
        for rank, trial in enumerate(self.ranked()[:LEADERS], start=1):
            reached = self.objectives(trial)
            row: list[Any] = [rank if reached else None, f"trial-{trial.number:04d}", trial.state]
            row += [*(reached.get(name) for name in names), trial.metrics.get("steps")]
            rows.append([*row, *(_cell(trial, key) for key in keys)])
        return ["rank", "trial", "state", *names, "steps", *keys], rows

    def importances(self) -> dict[str, float]:
        """The share of each parameter in what makes a trial good (PED-ANOVA: Watanabe et al. 2023,
        arXiv:2304.10255, as Optuna computes it); empty while there are too few trials."""
        found = space.searched(self.sweep.space)
        distributions = {key: distribution(parameter) for key, parameter in found.items()}
        fitting = [trial for trial in self.trials if self._fits(trial, distributions)]
        if len(fitting) < ENOUGH or len({t.value for t in fitting}) < 2:
            return {}
        objective = self.sweep.objective[:1]
        made = [frozen(trial, distributions, objective, n) for n, trial in enumerate(fitting)]
        study = study_of("importances", [objective[0].direction], made)
        return dict(optuna.importance.get_param_importances(study))

    def _fits(self, trial: Trial, distributions: Mapping[str, Any]) -> bool:
        """Whether a trial is complete and of the space as it is now."""
        return bool(self.objectives(trial)) and all(
            key in distributions
            and distributions[key]._contains(distributions[key].to_internal_repr(value))
            for key, value in trial.params.items()
        )

    def _direction(self, name: str) -> str:
        return next(o.direction for o in self.sweep.objective if unit(o.metric) == name)

    def summary(self) -> dict[str, Any]:
        """What stands for the whole sweep so far."""
        told: dict[str, Any] = {f"trials/{s}": n for s, n in self._states.items()}
        leaders: Sequence[Trial] = [t for t in self.ranked()[:1] if self.objectives(t)]
        for best in leaders:
            told |= {f"best/{name}": value for name, value in self.objectives(best).items()}
            told |= {"best/trial": best.number}
            told |= {f"best/params/{key}": value for key, value in best.params.items()}
        return told


def unit(metric: str) -> str:
    """An objective's name with its unit."""
    return f"{metric}_nats" if metric == "val_loss" else metric


def _cell(trial: Trial, key: str) -> Any:
    value = trial.params.get(key)
    return value if value is None or isinstance(value, int | float | str) else str(value)
