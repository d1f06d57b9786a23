"""Whether W&B really has what it was sent: uploads are told as done that were not."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from experiments import client
from experiments.client import Held
from experiments.runmirror import Target, corpus, ended_checkpoints
from experiments.tracked import Source, Sources
from tinygpt.files import RecordError, read_rows

PAUSES = (1.0, 2.0, 3.0)
"""Seconds before it is asked again: a server may count late."""
COMMITTED = "COMMITTED"
STATES = {"complete": "finished", "pruned": "finished", "failed": "failed"}
"""What a run that ended so is on W&B."""


@dataclass(frozen=True)
class Expected:
    """What a server should have of a run that has ended: its state in W&B's words, a row per step,
    its checkpoints by their aliases, the name of the corpus that it used. `id` is the mirror's name
    of it, `run_id` the server's."""

    id: str
    run_id: str
    name: str
    rows: int
    state: str
    checkpoints: Sequence[str] = ()
    corpus: str | None = None


@dataclass(frozen=True)
class Finding:
    """A run of which the server has something else, in words. `may_pass`: perhaps it has only not
    counted yet. `more`: it has too much, which no upload mends."""

    expected: Expected
    what: str
    may_pass: bool = True
    more: bool = False


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found."""

    runs: int = 0
    rows: int = 0
    artifacts: int = 0
    findings: Sequence[Finding] = field(default=())


def asked(sources: Sources, target: Target) -> Audit:
    """Compare what the server has of a sweep or a run with the record; raises
    client.UnreachableError."""
    group = sources.sweep.name if sources.sweep else None
    return audited(list(expectations(sources, target)), target, group)


def expectations(sources: Sources, target: Target) -> Iterator[Expected]:
    """What the server should have of a sweep or a run; of what has not ended nothing is said."""
    for source in sources.new():
        # A mirror warns of what cannot be read.
        with contextlib.suppress(RecordError):
            if source.run_dir.result.exists():
                yield expected(source, target)
    if sources.sweep and sources.only is None and sources.sweep_dir.is_finished():
        run_id = target.ledger.entry(sources.id).run_id
        rows = sources.sweep_dir.ended()
        yield Expected(sources.id, run_id, "the sweep's own run", rows, "finished")


def expected(source: Source, target: Target) -> Expected:
    """What the record says of a run that has ended."""
    result = source.run_dir.read_result()
    assert result is not None
    return Expected(
        id=source.id,
        run_id=target.ledger.entry(source.id).run_id,
        name=source.name or source.id,
        rows=len({row["step"] for row in read_rows(source.run_dir.metrics)}),
        state=STATES[result["state"]],
        checkpoints=[f"step-{n}" for n in ended_checkpoints(source, target.options, result)],
        corpus=corpus(source, target.options).name,
    )


def audited(wanted: Sequence[Expected], target: Target, group: str | None) -> Audit:
    """Ask the server until it has all, or will not; raises client.UnreachableError."""
    for pause in (*PAUSES, None):
        options, ids = target.options, [one.run_id for one in wanted]
        there = client.held(options.entity, options.project, group, ids)
        findings = [found for one in wanted for found in compared(one, there.get(one.run_id))]
        if pause is None or not any(finding.may_pass for finding in findings):
            break
        time.sleep(pause)
    rows = sum(held.rows for held in there.values())
    artifacts = sum(len(held.artifacts) for held in there.values())
    return Audit(len(there), rows, artifacts, findings)


def compared(wanted: Expected, held: Held | None) -> Iterator[Finding]:
    """How what the server has differs from what it should have."""
    if held is None:
        yield Finding(wanted, "is not there", may_pass=False)
        return
    if held.rows != wanted.rows:
        what = f"has {held.rows:,} rows, the record {wanted.rows:,}"
        more = held.rows > wanted.rows
        yield Finding(wanted, what, may_pass=not more, more=more)
    if held.state != wanted.state:
        yield Finding(wanted, f"is {held.state}, not {wanted.state}")
    for name, _, state in held.artifacts:
        if state != COMMITTED:
            yield Finding(wanted, f"its artifact {name} is {state.lower()}")
    aliases = {alias for _, those, _ in held.artifacts for alias in those}
    for alias in wanted.checkpoints:
        if alias not in aliases:
            yield Finding(wanted, f"its checkpoint {alias} is not there")
    if wanted.corpus and wanted.corpus not in held.used:
        yield Finding(wanted, f"its corpus {wanted.corpus} is not there")
