"""Whether a trial is the one that its sweep proposes: a proposal can be made again at any time."""

from collections.abc import Sequence

from experiments.search import Search
from experiments.sweepdir import SweepDir
from experiments.trial import Trial
from tinygpt.files import RecordError


def refuse_other(
    search: Search, trial: Trial, trials: Sequence[Trial], sweep_dir: SweepDir
) -> None:
    """Raise RecordError if a trial, all whose predecessors that it may know are finished, has other
    parameters or another seed than the sweep proposes for it."""
    proposed = search.propose(trial.number, trials)
    there = (dict(trial.params), trial.replicate)
    if proposed is None or there != (dict(proposed.params), proposed.replicate):
        path = sweep_dir.trial(trial.number).config
        raise RecordError(
            f"{path}: not what this sweep proposes for trial {trial.number}; it, or an earlier "
            "trial, was edited: restore it from a copy"
        )
