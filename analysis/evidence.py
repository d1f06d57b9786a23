"""All that is known of a sweep: the verdict, and the findings and checks that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis import noise, verdict
from analysis.checks import run_checks
from analysis.finding import LEVELS, LIGHTS, Check, Finding
from analysis.findings import (
    ablation,
    confirmation,
    curves,
    feasibility,
    history,
    importance,
    interactions,
    interruptions,
    isolation,
    length,
    optimism,
    pruning,
    resources,
    sampler,
    samples,
    sampling,
    scaling,
    space,
    tradeoffs,
)
from analysis.load import Sweep
from analysis.noise import Noise
from analysis.verdict import Verdict

QUESTIONS = (
    confirmation,
    optimism,
    space,
    importance,
    isolation,
    interactions,
    ablation,
    curves,
    length,
    history,
    sampling,
    sampler,
    pruning,
    feasibility,
    interruptions,
    tradeoffs,
    scaling,
    resources,
    samples,
)


@dataclass(frozen=True)
class Evidence:
    """`findings` are by id, in reading order; `checks` are the sweep's, then those of all."""

    verdict: Verdict
    noise: Noise
    findings: Mapping[str, Finding]
    checks: tuple[Check, ...]

    def chances(self) -> dict[int, float]:
        """Return the probability of each trial to be the best one, as far as it is known."""
        frame = self.findings["optimism"].frame
        return dict(zip(frame["trial"].tolist(), frame["p_best"].tolist(), strict=True))

    def lights(self) -> list[Check]:
        """Return one check for each of LIGHTS, the gravest that belongs to it."""
        return [_light(name, self.checks) for name in LIGHTS]


def gather(sweep: Sweep) -> Evidence:
    """Return what the record of a sweep in any state says; the same record gives the same."""
    measured = noise.measured(sweep)
    found = [question.find(sweep, measured) for question in QUESTIONS]
    checks = [*run_checks(sweep), *(check for finding in found for check in finding.checks)]
    return Evidence(
        verdict.judge(sweep), measured, {finding.id: finding for finding in found}, tuple(checks)
    )


def _light(name: str, checks: tuple[Check, ...]) -> Check:
    belonging = [check for check in checks if check.light == name]
    none = Check(name, "unknown", "Nothing on record says so.", light=name)
    return max(belonging, key=lambda check: LEVELS.index(check.level), default=none)
