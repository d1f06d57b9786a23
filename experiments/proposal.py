"""What to try next: one proposal of a sweep's sampler, as a function of the trials it may see.

Optuna is asked through a study made for each question, with a sampler seeded by the trial's number.
What some samplers keep between trials is made again from the questions before.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from experiments import fit, samplers, space
from experiments.configuration import Configurations
from experiments.frozen import frozen
from experiments.parameter import Scalar
from experiments.samplers import BruteForceSampler, GridSampler, QmcSampler
from experiments.snapshot import ask, distribution, study_of, suggested
from experiments.spec import Sweep
from experiments.trial import Trial
from tinygpt.schema import ConfigError, Problem
from tinygpt.seeding import derive

MAX_DRAWS = 64
"""How often the sampler is asked for a configuration that meets the constraints; the configurations
it proposed in vain are shown to it as running. After that chance is asked."""
MAX_RANDOM_DRAWS = 10_000

Values = Mapping[str, Scalar]


class Proposer:
    """The sampler of one version of a sweep."""

    def __init__(self, sweep: Sweep, runs: Configurations, first: int = 0) -> None:
        """`first` is the number of the first trial that comes from this version."""
        self._sweep, self._runs = sweep, runs
        self._searched = space.searched(sweep.space)
        self.distributions = {key: distribution(one) for key, one in self._searched.items()}
        self._points: list[Values] | None = None
        self._sequence: list[Values] = []
        # A sequence goes on behind the points that earlier versions may have taken of it.
        self._next_in_sequence = first
        self.left: dict[int, Mapping[str, Any]] = {}
        """By the number of a trial, what the sampler left in it."""

    def remembers(self) -> bool:
        """Whether the sampler needs what it left in every trial before."""
        return isinstance(self._sweep.sampler, samplers.CmaesSampler | samplers.NsgaiiSampler)

    def proposed(
        self,
        number: int,
        place: int,
        seen: list[FrozenTrial],
        tried: Iterable[Values],
        fixed: Values,
    ) -> Values | None:
        """The parameters of trial `number`, some of them fixed beforehand; None if the sampler has
        no point left.

        `place` counts the proposals before it of which nothing was fixed. `seen` are the
        configurations that it may see, `tried` the parameters of all before it.
        Raises ConfigError if no configuration meets the constraints.
        """
        if isinstance(self._sweep.sampler, GridSampler | BruteForceSampler):
            found = self._untried(tried, fixed)
            return self._chance(number, fixed) if found is None and fixed else found
        if isinstance(self._sweep.sampler, QmcSampler):
            return self._chance(number, fixed) if fixed else self._in_sequence(place)
        return self._drawn(number, seen, fixed)

    def is_exhausted(self, tried: Iterable[Values]) -> bool:
        """Whether every configuration was tried, if their number is finite."""
        finite = isinstance(self._sweep.sampler, GridSampler | BruteForceSampler)
        return finite and self._untried(tried) is None

    def points(self) -> list[Values]:
        """Every configuration that meets the constraints, in an order that the seed decides."""
        if self._points is None:
            listed = space.points(self._sweep.space, self._sweep.listed())
            fitting = [values for values in listed if self._runs.objection(values) is None]
            order = {i: derive(self._sweep.seed, "grid", i) for i in range(len(fitting))}
            self._points = [fitting[i] for i in sorted(order, key=order.__getitem__)]
        return self._points

    def _untried(self, tried: Iterable[Values], fixed: Values | None = None) -> Values | None:
        """The first point with the fixed values that was not tried."""
        known, wanted = {identity(values) for values in tried}, (fixed or {}).items()
        return next(
            (one for one in self.points() if wanted <= one.items() and identity(one) not in known),
            None,
        )

    def _in_sequence(self, index: int) -> Values:
        """The index-th configuration of the sequence that meets the constraints."""
        options = self._sweep.sampler
        assert isinstance(options, QmcSampler)
        failures = 0
        while len(self._sequence) <= index:
            sampler = samplers.qmc_sampler(
                options,
                seed=self._seed(0, "sequence"),
                index=self._next_in_sequence,
                space=self.distributions,
            )
            values = self._asked(sampler, [], {})[0]
            self._next_in_sequence += 1
            if self._runs.objection(values) is None:
                self._sequence.append(values)
                failures = 0
            elif (failures := failures + 1) > MAX_RANDOM_DRAWS:
                raise self._infeasible(failures)
        return self._sequence[index]

    def _drawn(self, number: int, seen: list[FrozenTrial], fixed: Values) -> Values:
        """The first of the sampler's proposals that meets the constraints."""
        rejected: list[FrozenTrial] = []
        for draw in range(MAX_DRAWS):
            sampler = self._sampler(self._seed(number, "sampler", draw))
            values, left = self._asked(sampler, [*seen, *rejected], fixed)
            if self.remembers():  # else a driver that was killed would propose otherwise
                self.left[number] = left
            if self._runs.objection(values) is None:
                return values
            there = Trial(len(seen) + draw, values)
            objectives, at = self._sweep.objective, len(seen) + draw
            rejected.append(frozen(there, self.distributions, objectives, at))
        return self._chance(number, fixed)

    def _chance(self, number: int, fixed: Values) -> Values:
        """A configuration drawn at random that meets the constraints."""
        for draw in range(MAX_RANDOM_DRAWS):
            sampler = optuna.samplers.RandomSampler(seed=self._seed(number, "chance", draw))
            values, _ = self._asked(sampler, [], fixed)
            if self._runs.objection(values) is None:
                return values
        raise self._infeasible(MAX_RANDOM_DRAWS)

    def _asked(
        self, sampler: BaseSampler, seen: list[FrozenTrial], fixed: Values
    ) -> tuple[Values, Mapping[str, Any]]:
        """The parameters a sampler proposes, and what it leaves in the trial."""
        directions = [objective.direction for objective in self._sweep.objective]
        study = study_of(self._sweep.name, directions, seen, sampler)
        trial = ask(study)
        values: dict[str, Scalar] = {}
        for key, parameter in self._searched.items():
            if space.applies(parameter, values):
                value = fixed[key] if key in fixed else suggested(trial, key, parameter)
                values |= fit.typed({key: value})
        left = study._storage.get_trial_system_attrs(trial._trial_id)
        return values, {key: value for key, value in left.items() if key != "fixed_params"}

    def _sampler(self, seed: int) -> BaseSampler:
        conditional = space.conditional(self._sweep.space)
        options, objectives = self._sweep.sampler, len(self._sweep.objective)
        return samplers.optuna_sampler(
            options, seed=seed, conditional=conditional, objectives=objectives
        )

    def _seed(self, number: int, stream: str, draw: int = 0) -> int:
        """A seed of 32 bits, as Optuna's samplers take."""
        seed = derive(self._sweep.seed, stream, number)
        return (derive(seed, stream, draw) if draw else seed) % 2**32

    def _infeasible(self, draws: int) -> ConfigError:
        message = f"none of {draws:,} configurations drawn meets all of them; widen the space"
        return ConfigError([Problem(("constraints",), message)])


def identity(values: Values) -> tuple[tuple[str, Scalar], ...]:
    """What two equal choices of parameters share."""
    return tuple(sorted(values.items()))
