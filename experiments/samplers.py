"""The samplers a sweep may name, in Optuna's words, and how Optuna is asked."""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers.nsgaii import BaseCrossover
from optuna.trial import FrozenTrial

from experiments.operations import Scalar
from experiments.quiet import quiet
from experiments.sequence import QmcPoint
from tinygpt.config import Count, Fraction, Positive
from tinygpt.schema import Checked, Problem, Range

Above0 = Annotated[float, Range(above=0)]
Two = Annotated[int, Range(minimum=2)]
Crossover = Literal["uniform", "blxalpha", "spx", "sbx", "vsbx", "undx"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TpeSampler(Checked):
    """Tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127)."""

    type: Literal["tpe"] = "tpe"
    n_startup_trials: Count = 10
    """Finished trials before which it draws at random."""
    n_ei_candidates: Positive = 24
    """Candidates drawn for each proposal."""
    multivariate: bool | None = None
    """Whether parameters are modelled jointly (Falkner et al. 2018, arXiv:1807.01774); null: where
    there is one objective, or group is true."""
    group: bool | None = None
    """Whether parameters that occur together are modelled together, apart from the others; null:
    where the space has conditions and multivariate is not false."""
    constant_liar: bool = True
    """Whether running trials count as bad, so that their neighbourhood is avoided."""

    def rules(self) -> Iterator[Problem]:
        if self.group and self.multivariate is False:
            yield Problem(("group",), "needs multivariate: true; leave one of the two out")


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomSampler(Checked):
    """Independent uniform draws (Bergstra and Bengio 2012, jmlr.org v13/bergstra12a)."""

    type: Literal["random"] = "random"


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSampler(Checked):
    """Every combination of some values of each parameter, in an order drawn by the seed."""

    type: Literal["grid"] = "grid"
    search_space: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """Values to try of the parameters that have too many of their own, or shall have fewer, by the
    keys of the space. Those that are not named are tried at all their values."""

    def rules(self) -> Iterator[Problem]:
        for key, values in self.search_space.items():
            if not values:
                yield Problem(("search_space", key), "must hold at least one value")
            elif any(value in values[:place] for place, value in enumerate(values)):
                yield Problem(("search_space", key), "holds a value twice; remove one")


@dataclass(frozen=True, kw_only=True, slots=True)
class BruteForceSampler(Checked):
    """Every configuration of a finite space once, in an order drawn by the seed. Optuna's
    avoid_premature_stop has no place here: what is left is counted, not guessed."""

    type: Literal["brute_force"] = "brute_force"


@dataclass(frozen=True, kw_only=True, slots=True)
class QmcSampler(Checked):
    """A sequence that fills the space evenly, trial n being its point n (Bergstra and Bengio 2012,
    jmlr.org v13/bergstra12a)."""

    type: Literal["qmc"] = "qmc"
    qmc_type: Literal["sobol", "halton"] = "sobol"
    """sobol (Sobol 1967): best with a power of two of trials. halton (Halton 1960): for any number
    of trials and few parameters."""
    scramble: bool = True
    """Whether the seed moves the points, evenness kept (Owen 1998); false: the same for all seeds,
    the first one in the corner of the space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CmaesSampler(Checked):
    """CMA-ES, a normal distribution that learns its shape (Hansen 2016, arXiv:1604.00772). For
    numbers: categorical and conditional parameters are drawn at random beside it."""

    type: Literal["cmaes"] = "cmaes"
    n_startup_trials: Count = 1
    """Finished trials before which it draws at random."""
    popsize: Annotated[int, Range(minimum=4)] | None = None
    """Trials per generation, half of which it learns from; null: 4 + 3 ln(parameters), rounded
    down."""
    use_separable_cma: bool = False
    """Whether the shape lies along the axes, for many parameters (Ros and Hansen 2008,
    doi.org/10.1007/978-3-540-87700-4_30)."""
    with_margin: bool = False
    """Whether every step of a stepped parameter keeps some probability (Hamano et al. 2022,
    arXiv:2205.13482)."""
    lr_adapt: bool = False
    """Whether it learns more slowly where losses are noisy (Nomura et al. 2023,
    arXiv:2304.03473)."""
    consider_pruned_trials: bool = False
    """Whether a pruned trial counts with its last loss; Optuna advises it beside hyperband, not
    beside median."""
    x0: dict[str, float] | None = None
    """Where the distribution begins, by keys of the space; all its numbers must be named. null: in
    the middle."""
    sigma0: Above0 | None = None
    """How wide it begins, as a share of each parameter's range; null: a sixth."""

    def rules(self) -> Iterator[Problem]:
        modes = ("use_separable_cma", "with_margin", "lr_adapt")
        chosen = [name for name in modes if getattr(self, name)]
        if len(chosen) > 1:
            yield Problem((chosen[1],), f"cannot be combined with {chosen[0]}; leave one out")


@dataclass(frozen=True, kw_only=True, slots=True)
class GpSampler(Checked):
    """A Gaussian process and its expected improvement (Ament et al. 2023, arXiv:2310.20708), for
    few trials; each proposal takes a second or more."""

    type: Literal["gp"] = "gp"
    n_startup_trials: Count = 10
    """Finished trials before which it draws at random."""
    deterministic_objective: bool = False
    """Whether the loss is taken to have no noise; another seed is noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NsgaiiSampler(Checked):
    """NSGA-II, a genetic algorithm for several objectives (Deb et al. 2002,
    doi.org/10.1109/4235.996017)."""

    type: Literal["nsgaii"] = "nsgaii"
    population_size: Two = 50
    """Trials per generation."""
    mutation_prob: Fraction | None = None
    """Probability that a parameter is drawn anew; null: 1 / parameters."""
    crossover: Crossover | None = None
    """How parents' numbers are mixed; null: uniform, each parameter from one of two parents.
    blxalpha: Eshelman and Schaffer 1993. sbx: Deb and Agrawal 1995. vsbx: Ballester and Carter
    2004. spx and undx, of three parents: Tsutsui et al. 1999; Kita et al. 1999. Categorical
    parameters are always mixed uniformly."""
    crossover_prob: Fraction = 0.9
    """Probability that a trial has several parents."""
    swapping_prob: Fraction = 0.5
    """Probability that uniform crossover takes a parameter from the second parent."""

    def rules(self) -> Iterator[Problem]:
        if self.crossover in ("spx", "undx") and self.population_size < 3:
            rule = f"must be >= 3, the parents that crossover {self.crossover} takes"
            yield Problem(("population_size",), f"{rule}, got {self.population_size}")


Sampler = (
    TpeSampler
    | RandomSampler
    | GridSampler
    | BruteForceSampler
    | QmcSampler
    | CmaesSampler
    | GpSampler
    | NsgaiiSampler
)

PACKAGES = {"cmaes": "cmaes", "gp": "scipy", "qmc": "scipy"}
"""What a sampler needs besides Optuna."""


def missing_package(options: Sampler) -> str | None:
    """The package that a sampler needs and that is not installed."""
    needs = PACKAGES.get(options.type)
    return needs if needs and importlib.util.find_spec(needs) is None else None


def accepts_objectives(options: Sampler, count: int) -> bool:
    """Whether a sampler can search for so many objectives at a time."""
    return count == 1 or not isinstance(options, CmaesSampler)


def optuna_sampler(
    options: Sampler, *, seed: int, conditional: bool, objectives: int
) -> BaseSampler:
    """Optuna's sampler, new: what it learnt is in the study's trials, for cmaes and nsgaii in their
    system attributes too. `conditional` says whether some parameters depend on others.

    Not for grid and brute_force, which are enumerated, nor for qmc: see `qmc_sampler`.
    """
    match options:
        case TpeSampler():
            return _tpe(options, seed, conditional, objectives)
        case RandomSampler():
            return optuna.samplers.RandomSampler(seed=seed)
        case CmaesSampler():
            return _cmaes(options, seed)
        case GpSampler():
            with quiet():
                return optuna.samplers.GPSampler(
                    seed=seed,
                    n_startup_trials=options.n_startup_trials,
                    deterministic_objective=options.deterministic_objective,
                    warn_independent_sampling=False,
                )
        case NsgaiiSampler():
            return optuna.samplers.NSGAIISampler(
                seed=seed,
                population_size=options.population_size,
                mutation_prob=options.mutation_prob,
                crossover=_crossover(options),
                crossover_prob=options.crossover_prob,
                swapping_prob=options.swapping_prob,
            )
    raise TypeError(f"{options.type} is not asked through Optuna's sampler")


def _tpe(options: TpeSampler, seed: int, conditional: bool, objectives: int) -> BaseSampler:
    group, multivariate = options.group, options.multivariate
    if group is None:
        joint = objectives == 1 if multivariate is None else multivariate
        group = conditional and joint
    if multivariate is None:
        multivariate = objectives == 1 or group
    with quiet():
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=options.n_startup_trials,
            n_ei_candidates=options.n_ei_candidates,
            multivariate=multivariate,
            group=group,
            constant_liar=options.constant_liar,
        )


class QuietCmaes(optuna.samplers.CmaEsSampler):
    """CMA-ES that takes a single parameter for separable without a word."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal for the numbers of the space."""
        with quiet(UserWarning):
            return super().sample_relative(study, trial, search_space)


def _cmaes(options: CmaesSampler, seed: int) -> BaseSampler:
    with quiet(FutureWarning):  # x0 and sigma0, which Optuna 6 will not have
        return QuietCmaes(
            seed=seed,
            n_startup_trials=options.n_startup_trials,
            popsize=options.popsize,
            use_separable_cma=options.use_separable_cma,
            with_margin=options.with_margin,
            lr_adapt=options.lr_adapt,
            consider_pruned_trials=options.consider_pruned_trials,
            x0=options.x0,
            sigma0=options.sigma0,
            warn_independent_sampling=False,
        )


def _crossover(options: NsgaiiSampler) -> BaseCrossover:
    kinds = optuna.samplers.nsgaii
    with quiet():
        match options.crossover:
            case "blxalpha":
                return kinds.BLXAlphaCrossover()
            case "spx":
                return kinds.SPXCrossover()
            case "sbx":
                return kinds.SBXCrossover()
            case "vsbx":
                return kinds.VSBXCrossover()
            case "undx":
                return kinds.UNDXCrossover()
        return kinds.UniformCrossover(options.swapping_prob)


def qmc_sampler(
    options: QmcSampler, *, seed: int, index: int, space: Mapping[str, BaseDistribution]
) -> BaseSampler:
    """A sampler that proposes point `index`, from 0, of the sequence over the space; `seed` is that
    of the sequence, the same for all its points."""
    return QmcPoint(options.qmc_type, options.scramble, seed, index, space)
