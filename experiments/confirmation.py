"""The confirmation of a sweep: its best configurations with fresh seeds, as a sweep that is queued
from beginning to end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments import spec
from experiments.objective import measured
from experiments.parameter import Scalar
from experiments.replication import identity, seed_of
from experiments.spec import Sweep
from experiments.trial import Trial
from tinygpt import config
from tinygpt.config import RunConfig
from tinygpt.seeding import derive

BASELINE = 0
NAME_LENGTH = 64
ENDING = "-confirm"


def chosen(sweep: Sweep, trials: Sequence[Trial], top: int) -> list[int]:
    """The trials to train again: the best one of each of the `top` best configurations, and the
    baseline; none where no trial is complete.

    Ranked as reports do: by the only objective, or by val_loss; where there are replicates by the
    mean, configurations with a single complete one last.
    """
    best = [group[0].number for group in ranked(sweep, trials)[:top]]
    if not best or BASELINE in best:
        return best
    return [*best, BASELINE]


def ranked(sweep: Sweep, trials: Sequence[Trial]) -> list[list[Trial]]:
    """The complete trials by configuration, the best configuration first, in it the best trial."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        if trial.state == "complete" and trial.same_as is None:
            alone = sweep.replicates == 1
            groups.setdefault(trial.number if alone else identity(trial), []).append(trial)
    ordered = [sorted(group, key=lambda trial: _order(sweep, trial)) for group in groups.values()]
    return sorted(ordered, key=lambda group: _rank(sweep, group))


def of(sweep: Sweep, configs: Sequence[RunConfig], seeds: int, before: Sweep | None) -> Sweep:
    """The sweep that trains `configs` with so many fresh seeds, seed by seed, so that one that is
    interrupted has as many seeds of each; `before` is what was confirmed already, and stands first.

    Its parameters are those of the sweep, what is derived from them too, as the values that the
    configurations have: so none depends on a range, a condition or a budget.
    """
    values = [_values(sweep, one) for one in configs]
    asked = [{**one, "seed": seed} for seed in fresh(sweep, seeds) for one in values]
    queue: list[Mapping[str, Scalar]] = [] if before is None else list(before.enqueue)
    queue += [one for one in asked if one not in queue]
    kept = ("max_concurrent", "max_retries", "worker_timeout", "devices", "wandb", "run")
    whole = spec.as_dict(sweep)
    return spec.build(
        {
            **{name: whole[name] for name in kept},
            "name": sweep.name[: NAME_LENGTH - len(ENDING)] + ENDING,
            "seed": sweep.seed,
            "objective": whole["objective"],
            "sampler": {"type": "random"},
            "trials": len(queue),
            "space": {key: _choices(key, queue) for key in queue[0]},
            "enqueue": queue,
        }
    )


def fresh(sweep: Sweep, count: int) -> list[int]:
    """The first `count` seeds that no replicate of the sweep has, the same for every command."""
    used = {seed_of(sweep.run.seed, replicate) for replicate in range(sweep.replicates)}
    found: list[int] = []
    index = 0
    while len(found) < count:
        seed = derive(sweep.run.seed, "confirm", index) % 2**32
        found += [seed] if seed not in used else []
        index += 1
    return found


def _order(sweep: Sweep, trial: Trial) -> tuple[float, float, int]:
    return _value(sweep, trial), trial.metrics.get("tokens", 0), trial.number


def _rank(sweep: Sweep, group: Sequence[Trial]) -> tuple[int, float, float, int]:
    lacking = min(2, sweep.replicates) - min(2, len(group))
    mean = sum(_value(sweep, trial) for trial in group) / len(group)
    _, tokens, number = _order(sweep, group[0])
    return lacking, mean, tokens, number


def _value(sweep: Sweep, trial: Trial) -> float:
    """The value that a trial is ranked by; less is better."""
    assert trial.value is not None, "a complete trial has a value"
    if len(sweep.objective) > 1:
        return trial.value
    (objective,) = sweep.objective
    value = measured(objective.metric, trial.value, trial.metrics)
    return -value if objective.direction == "maximize" else value


def _values(sweep: Sweep, run: RunConfig) -> dict[str, Scalar]:
    """What a run has for every parameter of the sweep, and for what a budget decides."""
    flat = config.flat(config.as_dict(run))
    return {key: flat[key] for key in _keys(sweep)}


def _keys(sweep: Sweep) -> Iterator[str]:
    yield from (key for key in sweep.space if key != "seed")
    if sweep.budget.per_trial.limited() and "train.max_iters" not in sweep.space:
        yield "train.max_iters"


def _choices(key: str, queue: Sequence[Mapping[str, Scalar]]) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(dict.fromkeys(one[key] for one in queue))}
