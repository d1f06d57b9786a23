"""From a command line to a sweep that may run: what can be wrong is found before training."""

import argparse
import dataclasses
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments import search, spec
from experiments.loading import Document
from experiments.process import Message
from experiments.search import Trial
from experiments.spec import Sweep
from experiments.sweepdir import SweepDir
from tinygpt import config, corpus
from tinygpt.corpus import Corpus
from tinygpt.files import RecordError
from tinygpt.schema import ConfigError, Problem
from tinygpt.source import CorpusError

CHECKED_TRIALS = 50


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
    if path.is_dir():
        sweep_dir, document = SweepDir(path), None
        sweep, _ = sweep_dir.read_sweep()
        data = {**spec.as_dict(sweep), "trials": sweep_dir.planned(sweep)}
        for override in arguments.set:
            data = spec.overridden(data, override)
        sweep = spec.build(data)
    else:
        sweep, document = spec.read(path, arguments.set)
        sweep_dir = SweepDir(arguments.out / sweep.name)
    trials = arguments.trials or sweep.trials
    return Request(dataclasses.replace(sweep, trials=trials), document, sweep_dir)


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
    if problems := list(_misfits(request.sweep, text)):
        raise request.located(problems)
    return text


def _misfits(sweep: Sweep, text: Corpus) -> Iterator[Problem]:
    searched = sweep.space.get("model.block_size")
    sizes: list[Any] = [end for _, end in searched.ends()] if searched else []
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


def refuse_changes(request: Request, text: Corpus) -> None:
    """Raise ConfigError naming every key on which a begun sweep's file has changed."""
    if not request.sweep_dir.begun():
        return
    begun, _ = request.sweep_dir.read_sweep()
    problems = list(spec.changes(spec.as_dict(begun), request.sweep))
    problems += _changed_corpus(request.sweep.run.data.corpus, begun.run.data.corpus, text)
    if problems:
        way = f"; put it back, or give the sweep another name than {request.sweep.name}"
        raise request.located([Problem(p.path, p.message + way) for p in problems])


def _changed_corpus(asked: str, begun: str, text: Corpus) -> Iterator[Problem]:
    if asked in ("auto", begun) or str(Path(asked).resolve()) == begun:
        return
    try:
        same = corpus.load(asked).sha256 == text.sha256
    except CorpusError:
        same = False
    if not same:
        message = f"was {begun!r} when the sweep was begun, is {asked!r}, another text"
        yield Problem(("run", "data", "corpus"), message)


def begin(request: Request, text: Corpus, hello: Message | None) -> tuple[Sweep, list[str]]:
    """The settled sweep, written down if it is new, and warnings about what is not as it was.

    `hello` is what a worker says of the machine and its torch, None if all trials are finished.
    Raises ConfigError if the machine lacks what the config asks for.
    """
    sweep_dir, now = request.sweep_dir, versions(hello)
    if sweep_dir.begun():
        begun, facts = sweep_dir.read_sweep()
        if hello is not None:
            config.refuse_absent(begun.run.train.device, gpu=hello["offer"]["gpu"])
        then = facts["versions"]
        changed = [
            f"{name} was {then[name]}, is {now[name]}" for name in now if then[name] != now[name]
        ]
        warnings = [f"{'; '.join(changed)}: last bits may differ"] if changed else []
        asked = request.sweep
        sweep = dataclasses.replace(
            begun, trials=asked.trials, devices=asked.devices, wandb=asked.wandb
        )
        return sweep, warnings
    assert hello is not None, "a new sweep has trials left"
    sweep = settled(request, text, hello)
    sweep_dir.write_sweep(sweep, {"corpus": facts_of(text), "versions": now})
    return sweep, []


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


def refuse_edits(sweep: Sweep, trials: Sequence[Trial], sweep_dir: SweepDir) -> None:
    """Raise RecordError if a trial has other parameters than the sweep proposes for it: a proposal
    can be made again at any time. Of long sweeps the last ones are looked at."""
    for trial in trials[-CHECKED_TRIALS:]:
        if dict(trial.params) != search.propose(sweep, trial.number, trials):
            path = sweep_dir.trial(trial.number).config
            raise RecordError(
                f"{path}: not what this sweep proposes for trial {trial.number}; it, or an earlier "
                "trial, was edited: restore it from a copy"
            )


def facts_of(text: Corpus) -> dict[str, str | int]:
    """What `sweep.json` says of a corpus."""
    return {
        "name": text.name,
        "sha256": text.sha256,
        "characters": len(text),
        "vocabulary": len(text.tokenizer),
    }
