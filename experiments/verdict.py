"""What becomes of a trial after an evaluation."""

from dataclasses import dataclass
from typing import Literal

from experiments.halving import Standing

Word = Literal["go on", "pause", "prune"]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trial after an evaluation, and why it ends if it does."""

    word: Word
    reason: str = ""


def by_standing(standing: Standing, step: int) -> Verdict:
    """What becomes of a trial of a cohort at a step."""
    if standing.state == "training" or step < standing.until:
        return Verdict("go on")
    if standing.state == "out":
        return Verdict("prune", standing.reason)
    return Verdict("pause")
