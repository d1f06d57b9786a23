"""From a command line to a sweep that may run: what can be wrong is found before training."""

import argparse
import dataclasses
import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments import disk, edits, proof, space, spec
from experiments.loading import Document
from experiments.parameter import DerivedParameter, Scalar
from experiments.process import Message
from experiments.proposal import Proposer, identity
from experiments.samplers import GpSampler
from experiments.search import Search
from experiments.spec import Sweep
from experiments.sweepdir import SweepDir, search_of
from experiments.trial import Trial
from tinygpt import config, corpus
from tinygpt.corpus import Corpus
from tinygpt.schema import ConfigError, Problem
from tinygpt.source import CorpusError

CHECKED_TRIALS = 50
CHECKED_SLOWLY = 3
"""The same where a proposal takes a second."""


@dataclass(frozen=True)
class Request:
    """The sweep a user asks for, its file (None if a directory was named) and its directory."""

    sweep: Sweep
    document: Document | None
    sweep_dir: SweepDir

    def located(self, problems: list[Problem]) -> ConfigError:
        """The problems with their places in the file."""
        error = ConfigError(problems)
        return self.document.located(error) if self.document else error


def requested(arguments: argparse.Namespace) -> Request:
    """Read what the command line names; raises ConfigError or RecordError."""
    path: Path = arguments.sweep
    if not path.is_dir():
        sweep, document = spec.read(path, arguments.set, arguments.trials)
        return Request(sweep, document, SweepDir(arguments.out / sweep.name))
    sweep_dir = SweepDir(path)
    sweep, _ = sweep_dir.read_sweep()
    data = {**spec.as_dict(sweep), "trials": arguments.trials or sweep_dir.planned(sweep)}
    for override in arguments.set:
        data = spec.overridden(data, override)
    return Request(spec.build(data), None, sweep_dir)


def checked_corpus(request: Request, say: corpus.Say) -> Corpus:
    """The text of the sweep, long enough for every block size and knowing every sample's prompt.

    Raises ConfigError.
    """
    begun, data = request.sweep_dir.begun(), request.sweep.run.data
    if begun:
        data = request.sweep_dir.read_sweep()[0].run.data
    try:
        text = corpus.load(data.corpus, data.sha256, say)
    except CorpusError as error:
        raise request.located([Problem(("run", "data", "corpus"), str(error))]) from None
    problems = [*_misfits(request.sweep, text), *infeasible(request.sweep, len(text.tokenizer))]
    if problems:
        raise request.located(problems)
    return text


def _misfits(sweep: Sweep, text: Corpus) -> Iterator[Problem]:
    searched = sweep.space.get("model.block_size")
    ends = searched.ends() if searched and not isinstance(searched, DerivedParameter) else []
    sizes: list[Any] = [end for _, end in ends]
    for problem in corpus.misfits(
        text,
        val_fraction=sweep.run.data.val_fraction,
        block_size=max(sizes, default=sweep.run.model.block_size),
        prompt=sweep.run.sample.prompt,
    ):
        if searched and problem.path == ("model", "block_size"):
            yield Problem(("space", "model.block_size"), problem.message)
        else:
            yield problem.under(("run",))


def counted(request: Request, text: Corpus) -> Request:
    """The request with its number of trials, where the sampler has an end and none was given: every
    configuration that meets the constraints, and what is queued besides, each with all its seeds.

    Raises ConfigError where so many trials do not go with the rest.
    """
    sweep = request.sweep
    if sweep.trials is not None:
        return request
    proposer = Proposer(sweep, sweep.configurations(len(text.tokenizer)))
    points = {identity(point) for point in proposer.points()}
    queued = {identity(values) for values in sweep.enqueue}
    trials = sweep.replicates * (len(points - queued) + len(sweep.enqueue))
    try:
        return dataclasses.replace(request, sweep=dataclasses.replace(sweep, trials=trials))
    except ConfigError as error:
        raise request.located(error.problems) from None


def infeasible(sweep: Sweep, vocabulary: int) -> Iterator[Problem]:
    """Constraints that nothing meets, queued configurations that do not meet them, and a limit of
    disk that one trial alone would pass."""
    runs, searched = sweep.configurations(vocabulary), space.searched(sweep.space)
    for place, queued in enumerate(sweep.enqueue):
        whole = space.active(sweep.space, queued) == queued and queued.keys() <= searched.keys()
        if whole and (objection := runs.objection(queued)):
            yield Problem(("enqueue", place), f"cannot be trained: {objection}")
    yield from unmet(sweep, vocabulary)
    limit, needed = sweep.disk(), disk.reserve(sweep, vocabulary)
    if limit is not None and limit < needed:
        message = f"must be at least {math.ceil(needed / 1e6)}MB, what the trials at work take"
        yield Problem(("max_disk",), f"{message}; got {sweep.max_disk}")


def unmet(sweep: Sweep, vocabulary: int) -> Iterator[Problem]:
    """Constraints that no configuration of the space meets; of a space that cannot be counted as
    far as chance finds out."""
    runs, where = sweep.configurations(vocabulary), ("constraints",)
    example = runs.objection(_first_point(sweep))
    if not sweep.constraints or example is None:
        return
    count = space.size(sweep.space)
    if count is not None:
        if all(runs.objection(values) for values in space.points(sweep.space)):
            message = f"none of the {count:,} configurations meets all of them; widen the space"
            yield Problem(where, f"{message}: {example}")
        return
    try:
        Search(dataclasses.replace(sweep, enqueue=()), vocabulary).propose(0, [])
    except ConfigError as error:
        for problem in error.problems:
            yield Problem(problem.path, f"{problem.message}: {example}")


def _first_point(sweep: Sweep) -> dict[str, Scalar]:
    chosen: dict[str, Scalar] = {}
    for key, parameter in space.searched(sweep.space).items():
        if space.applies(parameter, chosen):
            chosen[key] = parameter.ends()[0][1]
    return chosen


def refuse_changes(request: Request, text: Corpus) -> None:
    """Raise ConfigError naming every key that a begun sweep's file has changed and may not."""
    if not request.sweep_dir.begun():
        return
    begun, _ = request.sweep_dir.read_sweep()
    problems = list(edits.refused(begun, request.sweep))
    problems += _changed_corpus(request.sweep.run.data.corpus, begun.run.data.corpus, text)
    if problems:
        way = f"; put it back, or give the sweep another name than {request.sweep.name}"
        raise request.located([Problem(p.path, p.message + way) for p in problems])


def _changed_corpus(asked: str, begun: str, text: Corpus) -> Iterator[Problem]:
    if asked in ("auto", begun) or os.path.realpath(asked) == begun:
        return
    try:
        same = corpus.load(asked).sha256 == text.sha256
    except CorpusError:
        same = False
    if not same:
        message = f"was {begun!r} when the sweep was begun, is {asked!r}, another text"
        yield Problem(("run", "data", "corpus"), message)


@dataclass(frozen=True)
class Begun:
    """A sweep that may run: its decisions, what is not as it was, and what its file has changed."""

    search: Search
    warnings: list[str]
    edits: list[str]


def begin(request: Request, text: Corpus, hello: Message | None) -> Begun:
    """The settled sweep, written down if it or a version of it is new.

    `hello` is what a worker says of the machine and its torch, None if all trials are finished.
    Raises ConfigError if the machine lacks what the config asks for.
    """
    sweep_dir, now = request.sweep_dir, versions(hello)
    if not sweep_dir.begun():
        assert hello is not None, "a new sweep has trials left"
        sweep = settled(request, text, hello)
        facts: dict[str, Any] = {"corpus": facts_of(text), "versions": now}
        sweep_dir.write_sweep(sweep, facts)
        return Begun(search_of(sweep, facts), [], [])
    begun, facts = sweep_dir.read_sweep()
    if hello is not None:
        config.refuse_absent(begun.run.train.device, gpu=hello["offer"]["gpu"])
    then = facts["versions"]
    changed = [
        f"{name} was {then[name]}, is {now[name]}" for name in now if then[name] != now[name]
    ]
    warnings = [f"{'; '.join(changed)}: last bits may differ"] if changed else []
    told = edits_of(request)
    sweep, facts = renewed(request, begun, facts)
    if told:
        facts = {**facts, "outside": outside(search_of(sweep, facts), sweep_dir)}
    if sweep != begun:
        sweep_dir.write_sweep(sweep, {k: v for k, v in facts.items() if k != "schema"})
    return Begun(search_of(sweep, facts), warnings, told)


def renewed(request: Request, begun: Sweep, facts: dict[str, Any]) -> tuple[Sweep, dict[str, Any]]:
    """A begun sweep as its file has it now, and the facts with the version it had before, if that
    decided otherwise about a trial."""
    sweep = edits.edited(begun, request.sweep)
    until = request.sweep_dir.count()
    if edits.searches_alike(begun, sweep) or until == 0:
        return sweep, facts
    earlier = [*facts.get("earlier", []), {"until": until, "sweep": spec.as_dict(begun)}]
    return sweep, {**facts, "earlier": earlier}


def outside(search: Search, sweep_dir: SweepDir) -> list[int]:
    """The trials of earlier versions that the sweep, as it is now, could not have."""
    return [t.number for t in sweep_dir.history(search) if not search.informs(t)]


def edits_of(request: Request) -> list[str]:
    """What the file of a begun sweep changes of its search, and what that means, a line each."""
    if not request.sweep_dir.begun():
        return []
    begun, facts = request.sweep_dir.read_sweep()
    sweep = edits.edited(begun, request.sweep)
    if edits.searches_alike(begun, sweep):
        return []
    old, count = search_of(begun, facts), request.sweep_dir.count()
    new = search_of(*renewed(request, begun, facts))
    trials = request.sweep_dir.history(old)
    fitting = sum(new.informs(trial) for trial in trials)
    effect = f"trials from {count} on come from the changed file"
    if trials:
        effect += f"; {fitting} of the {count} before lie in its space and inform the search"
    return [*edits.differences(begun, sweep), effect]


def settled(request: Request, text: Corpus, hello: Message) -> Sweep:
    """The sweep without `auto`: its corpus pinned by digest, its device and precision chosen."""
    run = request.sweep.run
    if request.sweep.devices and not hello["offer"]["gpu"]:
        problem = "torch finds no such GPU here; leave devices out, or install torch's CUDA build"
        raise request.located([Problem(("devices",), problem)])
    data = dataclasses.replace(run.data, corpus=text.name, sha256=text.sha256)
    try:
        run = config.settled(dataclasses.replace(run, data=data), **hello["offer"])
    except ConfigError as error:
        raise request.located([problem.under(("run",)) for problem in error.problems]) from None
    return dataclasses.replace(request.sweep, run=run)


def versions(hello: Message | None) -> dict[str, str]:
    """What besides the file decides the bits of a sweep, as far as it is known."""
    own = {"python": platform.python_version(), "optuna": version("optuna")}
    return own | (hello["versions"] if hello else {})


def refuse_edits(search: Search, trials: Sequence[Trial], sweep_dir: SweepDir) -> set[int]:
    """Raise RecordError if a trial is not the one that the sweep proposes. Of long sweeps the last
    ones are looked at; the rest rests on the digests in their results.

    Returns the trials for which that cannot be said yet: what they saw is computed again, since a
    result was lost, or they are copies of others.
    """
    slow = isinstance(search.sweep.sampler, GpSampler)
    early = {trial.number for trial in trials if not search.may_start(trial.number, trials)}
    for trial in trials[-(CHECKED_SLOWLY if slow else CHECKED_TRIALS) :]:
        if trial.number not in early:
            proof.refuse_other(search, trial, trials, sweep_dir)
    return early


def facts_of(text: Corpus) -> dict[str, str | int]:
    """What `sweep.json` says of a corpus."""
    return {
        "name": text.name,
        "sha256": text.sha256,
        "characters": len(text),
        "vocabulary": len(text.tokenizer),
    }
