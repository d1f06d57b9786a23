"""What the parts of a run take, in seconds; needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds that the parts of a run take: making its trainer, an update, the loss of one batch of
    evaluation windows, the text of one evaluation, the bytes of one checkpoint."""

    setup: float
    update: float
    evaluation: float
    sample: float
    snapshot: float
