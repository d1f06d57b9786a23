"""Seed noise: how much the objective of one configuration differs from seed to seed."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Noise:
    """`sd` is in the unit of the objective, NaN while unknown; `freedom` counts its degrees.

    `source` is what it was measured on: "confirmation", "replicates", or "" while unknown.
    """

    sd: float = math.nan
    freedom: int = 0
    source: str = ""

    @property
    def known(self) -> bool:
        """Whether it was measured."""
        return self.freedom > 0 and math.isfinite(self.sd)
