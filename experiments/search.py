"""What to try next and what to stop, as functions of the sweep and its finished trials.

Trial n sees the results of trials 0 ... n - max_concurrent and, of those after them, only the
parameters, whatever else is known by then; with cohorts (experiments/halving.py) it sees those
before its own. Nothing that cannot be computed again is kept between two questions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from experiments import halving, replication, space
from experiments.frozen import frozen
from experiments.halving import Cohort, Standing
from experiments.parameter import Scalar
from experiments.pruners import Halving
from experiments.replication import seed_of
from experiments.spec import Sweep
from experiments.trial import Trial, begun
from experiments.verdict import Verdict, by_standing
from experiments.version import Earlier, Version
from tinygpt import config


class Search:
    """The decisions of one sweep."""

    def __init__(self, sweep: Sweep, vocabulary: int, earlier: Sequence[Earlier] = ()) -> None:
        """`vocabulary` is the number of different characters of the text; `earlier` are the
        versions that the file had before, in their order."""
        ends = [one.until for one in earlier]
        sweeps = [*(one.sweep for one in earlier), sweep]
        self.sweep, self.vocabulary = sweep, vocabulary
        self._versions = [
            Version(one, vocabulary, first) for one, first in zip(sweeps, [0, *ends], strict=True)
        ]
        self._keys: list[str] = []
        self._first: dict[str, int] = {}

    def sweeps(self) -> list[Sweep]:
        """All versions of the sweep, the oldest first."""
        return [version.sweep for version in self._versions]

    def version(self, number: int) -> Version:
        """The version of the file that a trial comes from."""
        return next(v for v in reversed(self._versions) if v.first <= number)

    def run_of(self, trial: Trial) -> dict[str, Any]:
        """The nested run config of a trial; raises ConfigError if it has none."""
        version = self.version(trial.number)
        run = version.runs.nested(trial.params)
        if trial.replicate:
            run = {**run, "seed": seed_of(version.sweep.run.seed, trial.replicate)}
        return run

    def cohort(self, number: int) -> Cohort | None:
        """The cohort of a trial, if its sweep has any."""
        sweep = self.version(number).sweep
        if not isinstance(sweep.pruner, Halving):
            return None
        return halving.cohort_of(sweep.pruner, sweep.run.train.max_iters, number)

    def horizon(self, number: int) -> int:
        """How many of the first trials must be finished before a trial may begin, and are known to
        it and to those who judge it."""
        cohort = self.cohort(number)
        if cohort is None:
            return max(0, number - self.version(number).sweep.max_concurrent + 1)
        before = self.cohort(cohort.first - 1) if cohort.first else None
        return before.first if before else 0

    def may_start(self, number: int, trials: Sequence[Trial]) -> bool:
        """Whether everything that a trial must see is known."""
        needed = self.horizon(number)
        if len(trials) < needed or any(trial.state == "running" for trial in trials[:needed]):
            return False
        return all(self._at_first_rung(other) for other in self._last_cohort(number, trials))

    def propose(self, number: int, trials: Sequence[Trial]) -> Trial | None:
        """Trial `number` as it begins, given the trials before it at least; None if the sampler has
        come to its end. Raises ConfigError if no configuration meets the constraints."""
        if (again := self._replicate(number, trials)) is not None:
            return again
        params = self._proposal(number, trials)
        if params is None:
            return self._replicate(number, trials, nothing_new=True)
        trial = Trial(number, params)
        return replace(trial, same_as=self.twin(trial, trials))

    def twin(self, trial: Trial, trials: Sequence[Trial]) -> int | None:
        """The first trial before this one that trains the same run."""
        for number in range(len(self._keys), trial.number):
            self._keys.append(self._key(trials[number]))
            self._first.setdefault(self._keys[-1], number)
        first = self._first.get(self._key(trial))
        if first is None or first >= trial.number:
            return None
        # Under another pruner the same run may have come to another end.
        pruners = [self.version(number).sweep.pruner for number in (first, trial.number)]
        return first if pruners[0] == pruners[1] else None

    def with_twin(self, trial: Trial, trials: Sequence[Trial]) -> Trial:
        """A running trial of the record with the earlier one whose result it is to take."""
        if trial.state != "running":
            return trial
        return replace(trial, same_as=self.twin(trial, trials))

    def verdict(self, trial: Trial, step: int, trials: Sequence[Trial]) -> Verdict:
        """What becomes of a running trial at a step that it has reported."""
        if (standing := self.standings(trial.number, trials).get(trial.number)) is not None:
            return by_standing(standing, step)
        reports = {at: loss for at, loss in trial.reports.items() if at <= step}
        visible = self.visible(trial.number, trials)
        judge = self.version(trial.number).judge
        stops = judge.stops(replace(trial, reports=reports), visible)
        return Verdict("prune", f"pruned at step {step}") if stops else Verdict("go on")

    def standings(self, number: int, trials: Sequence[Trial]) -> dict[int, Standing]:
        """How the begun trials of a trial's cohort do; nothing in a sweep without cohorts."""
        cohort, pruner = self.cohort(number), self.version(number).sweep.pruner
        if cohort is None or not isinstance(pruner, Halving):
            return {}
        return halving.standings(self._filled(cohort, trials), pruner.reduction_factor, trials)

    def _filled(self, cohort: Cohort, trials: Sequence[Trial]) -> Cohort:
        """A cohort without the places for which the sampler has no configuration left."""
        version, begun = self._versions[-1], len(trials)
        more = begun >= cohort.end or begun - version.first < len(self._queue(version, trials))
        if more or not version.proposer.is_exhausted(self._tried(version, trials)):
            return cohort
        return replace(cohort, size=max(0, begun - cohort.first))

    def visible(self, number: int, trials: Sequence[Trial]) -> list[Trial]:
        """The trials before `number` as it may see them: finished ones, then, of the cohort before
        its own, what they came to at the first rung, then only parameters."""
        known = self.horizon(number)
        cohort = self._last_cohort(number, trials)
        after = known + len(cohort)
        return [
            *trials[:known],
            *map(self._as_at_first_rung, cohort),
            *map(begun, trials[after:number]),
        ]

    def _last_cohort(self, number: int, trials: Sequence[Trial]) -> list[Trial]:
        """The trials of the cohort before that of `number`."""
        cohort = self.cohort(number)
        return [] if cohort is None else list(trials[self.horizon(number) : cohort.first])

    def _first_rung(self, trial: Trial) -> int:
        cohort = self.cohort(trial.number)
        assert cohort is not None
        return cohort.rungs[0]

    def _at_first_rung(self, trial: Trial) -> bool:
        reached = self._first_rung(trial) in trial.reports
        return reached or trial.state == "failed" or trial.same_as is not None

    def _as_at_first_rung(self, trial: Trial) -> Trial:
        step = self._first_rung(trial)
        if trial.same_as is not None:
            return begun(trial)
        if step not in trial.reports:
            return Trial(trial.number, trial.params, state="failed")
        reports = {at: loss for at, loss in trial.reports.items() if at <= step}
        return Trial(trial.number, trial.params, "pruned", reports[step], reports)

    def _replicate(
        self, number: int, trials: Sequence[Trial], *, nothing_new: bool = False
    ) -> Trial | None:
        """A configuration that is to be trained with another seed: because it may be the best, or
        because there is nothing new to try."""
        sweep, known = self.version(number).sweep, self.horizon(number)
        if sweep.replicates == 1:
            return None
        version = self.version(number)
        seen = [*trials[:known], *map(begun, trials[known:number])]
        there = [self._as_of(version, trial) for trial in seen]
        entrants = replication.entrants(
            [one for one in there[:known] if one is not None],
            [one for one in there[known:] if one is not None],
        )
        choose = replication.fewest if nothing_new else replication.contender
        chosen = choose(entrants, sweep.replicates)
        return None if chosen is None else Trial(number, chosen.params, replicate=chosen.begun)

    def _proposal(self, number: int, trials: Sequence[Trial]) -> Mapping[str, Scalar] | None:
        version = self.version(number)
        proposer = version.proposer
        if proposer.remembers():
            for earlier in range(version.first, number):
                if earlier not in proposer.left and not trials[earlier].replicate:
                    self._asked(version, earlier, trials)
        return self._asked(version, number, trials)

    def _asked(
        self, version: Version, number: int, trials: Sequence[Trial]
    ) -> Mapping[str, Scalar] | None:
        place = sum(not trial.replicate for trial in trials[version.first : number])
        queue = self._queue(version, trials)
        fixed = queue[place] if place < len(queue) else {}
        tried = self._tried(version, trials[:number])
        seen = list(self._configurations(version, number, trials))
        free = place - sum(bool(queued) for queued in queue[:place])
        return version.proposer.proposed(number, free, seen, tried, fixed)

    def _queue(self, version: Version, trials: Sequence[Trial]) -> list[Mapping[str, Scalar]]:
        """What a version queues and none before it has tried."""
        place = self._versions.index(version)
        done: list[Mapping[str, Scalar]] = []
        for one, after in zip(self._versions, self._versions[1 : place + 1], strict=False):
            begun = sum(not trial.replicate for trial in trials[one.first : after.first])
            done += self._queue(one, trials)[:begun]
        return [queued for queued in version.sweep.enqueue if queued not in done]

    def _tried(self, version: Version, trials: Sequence[Trial]) -> Iterator[Mapping[str, Scalar]]:
        """The parameters of trials as a version of the file has them."""
        there = (self._as_of(version, trial) for trial in trials)
        return (trial.params for trial in there if trial is not None)

    def _as_of(self, version: Version, trial: Trial) -> Trial | None:
        """A trial with the parameters that a version has for its run; None if it has none."""
        if self.version(trial.number) is version:
            return trial
        if trial.number not in version.older:
            version.older[trial.number] = self._in_space(version, trial)
        params = version.older[trial.number]
        return None if params is None else replace(trial, params=params)

    def _configurations(
        self, version: Version, number: int, trials: Sequence[Trial]
    ) -> Iterator[FrozenTrial]:
        """The configurations that a trial may see as its sampler takes them: those of earlier
        versions of the file that lie in its space too; replicates together."""
        visible = self.visible(number, trials)
        replicated = version.sweep.replicates > 1
        means = replication.means(visible) if replicated else {}
        known, count = self.horizon(number), 0
        for trial in visible:
            if trial.replicate:
                continue
            if trial.number in means and trial.state == "complete":
                trial = replace(trial, value=means[trial.number])
            final = trial.number < known and trial.state != "running" and not replicated
            made = self._seen(version, trial, count, final)
            if made is not None:
                yield made
                count += 1

    def _seen(self, version: Version, trial: Trial, place: int, final: bool) -> FrozenTrial | None:
        if final and trial.number in version.seen:
            return version.seen[trial.number]
        made = self._frozen(version, trial, place)
        if final:
            version.seen[trial.number] = made
        return made

    def _frozen(self, version: Version, trial: Trial, place: int) -> FrozenTrial | None:
        there, sweep = self._as_of(version, trial), version.sweep
        if there is None:
            return None
        own = self.version(trial.number) is version
        left = version.proposer.left.get(trial.number) if own else None
        if trial.state == "pruned" and len(sweep.objective) > 1:
            there = replace(there, reports={})  # Optuna cannot rank them; now they count as worst
        return frozen(there, version.proposer.distributions, sweep.objective, place, left)

    def informs(self, trial: Trial) -> bool:
        """Whether a trial lies in the space that the sweep has now."""
        return self._as_of(self._versions[-1], trial) is not None

    def _in_space(self, version: Version, trial: Trial) -> Mapping[str, Scalar] | None:
        """The parameters that a trial of an earlier version has in the space of this one; None if
        its run is none of this version's."""
        run = self.run_of(trial)
        params = space.active(version.sweep.space, config.flat(run))
        if trial.replicate:
            run = {**run, "seed": version.sweep.run.seed}
        if params is None or version.runs.nested(params) != run:
            return None
        return params if version.runs.objection(params) is None else None

    def _key(self, trial: Trial) -> str:
        return json.dumps(self.run_of(trial), sort_keys=True)
