"""Points of a sequence that fills a space evenly."""

from collections.abc import Mapping

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import QMCSampler
from optuna.trial import FrozenTrial

from experiments.quiet import quiet


class QmcPoint(QMCSampler):
    """Proposes one point of a sequence over a space, whatever the study holds."""

    def __init__(
        self,
        kind: str,
        scramble: bool,
        seed: int,
        index: int,
        space: Mapping[str, BaseDistribution],
    ) -> None:
        with quiet():
            super().__init__(
                qmc_type=kind, scramble=scramble, seed=seed, warn_independent_sampling=False
            )
        self._index, self._space = index, space

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The whole space, in the order of its names; what has one value needs no coordinate."""
        wide = {key: one for key, one in self._space.items() if not one.single()}
        return {key: wide[key] for key in sorted(wide)}

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        """Which point to take: Optuna counts its proposals in the study, here it is given."""
        return self._index
