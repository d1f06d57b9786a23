"""The directory of one run: where its files lie, and the result they add up to.

Needs no torch, so that whoever only looks at a run need not load it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tinygpt import config, durable
from tinygpt.config import RunConfig
from tinygpt.files import RecordError, read_json, read_rows, sound_rows, write_atomically
from tinygpt.record import settle
from tinygpt.schema import ConfigError, Problem
from tinygpt.seal import sealed, unsealed

State = Literal["complete", "pruned", "failed"]
Row = Mapping[str, Any]

RESULT_KEYS = {"state", "value", "metrics", "best_step", "reason"}
OPTIONAL_KEYS = {"same_as", "log"}


class RunDir:
    """The files of one run. `config.json` is written first and never changed; `result.json` ends
    the run. One that was brought here from W&B has its `origin`, the text of its `corpus` where
    that was uploaded, and the record of the `original` that it reproduces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.tokenizer = path / "tokenizer.json"
        self.metrics = path / "metrics.jsonl"
        self.timings = path / "timings.jsonl"
        self.samples = path / "samples.jsonl"
        self.checkpoints = path / "checkpoints"
        self.result = path / "result.json"
        self.lock = path / "run.lock"
        self.log = path / "worker.log"
        self.corpus = path / "corpus"
        self.origin = path / "origin.json"
        self.original = path / "original.jsonl"

    def write_config(self, settled: RunConfig | Mapping[str, Any]) -> None:
        """Begin the run, unless it has begun."""
        if not self.config.exists():
            durable.make_directory(self.path)
            write_atomically(self.config, config.to_json(settled))

    def read_config(self) -> RunConfig:
        """The run's config; raises ConfigError if there is no run, RecordError if it is damaged."""
        if not self.config.exists():
            problem = "not a run directory, it has no config.json"
            raise ConfigError([Problem((), f"{self.path}: {problem}")])
        try:
            return config.run_config(read_json(self.config))
        except ConfigError as error:
            first = error.problems[0]
            raise RecordError(f"{self.config}: {first}; restore it from a copy") from None

    def read_result(self) -> dict[str, Any] | None:
        """What `conclude` wrote, None while the run has not ended. Raises RecordError if that or a
        file that it names is not as it was then."""
        if not self.result.exists():
            return None
        advice = "restore it from a copy, or remove it: the same command makes it again"
        result = unsealed(self.result, RESULT_KEYS | OPTIONAL_KEYS, advice)
        if missing := RESULT_KEYS - result.keys():
            raise RecordError(f"{self.result}: {min(missing)} is missing; restore it from a copy")
        if result["state"] not in get_args(State):
            raise RecordError(f"{self.result}: no state is {result['state']!r}; restore it")
        self._refuse_changes(result.pop("files", {}))
        return result

    def _refuse_changes(self, promised: Mapping[str, str | None]) -> None:
        there = self.digests() if promised else {}
        for name, digest in there.items():
            if promised.get(name) != digest:
                raise RecordError(
                    f"{self.path / name}: not as it was when the run ended; restore it from a "
                    f"copy, or remove all but config.json from {self.path} to train it again"
                )

    def digests(self) -> dict[str, str | None]:
        """The sha256 of each file that a result rests on, by its name; None if there is none."""
        paths = (self.config, self.tokenizer, self.metrics, self.samples)
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
            for path in paths
        }

    def evaluations(self) -> list[dict[str, Any]]:
        """The rows of kind "eval", in the order of their steps. Of a run that has not ended those
        before the first line that is no row: what a power cut has spoilt is computed again."""
        rows = read_rows(self.metrics) if self.result.exists() else sound_rows(self.metrics)
        evaluations = [row for row in rows if row.get("kind") == "eval"]
        if not all(row.keys() >= {"kind", "step"} for row in rows) or not all(
            "val_loss" in row for row in evaluations
        ):
            raise RecordError(f"{self.metrics}: a row lacks its kind, step or loss; restore it")
        return evaluations

    def conclude(
        self, state: State, reason: str | None = None, log: str | None = None, /, **facts: float
    ) -> None:
        """End the run: write `result.json`, a function of the record and these words. `log` is what
        the process that failed wrote last."""
        for record in (self.metrics, self.samples):
            settle(record)
        result = summary(self.evaluations(), state, reason, facts)
        self.write_result(result if log is None else {**result, "log": log})

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, sealed with the digests of the files that it rests on."""
        write_atomically(self.result, sealed({**result, "files": self.digests()}))


def summary(
    evaluations: Sequence[Row], state: State, reason: str | None, facts: Mapping[str, float]
) -> dict[str, Any]:
    """The contents of `result.json`. `value` is the objective of a complete run, the last
    validation loss of a pruned one, and null for a failed one."""
    if not evaluations:
        return {
            "state": state,
            "value": None,
            "metrics": dict(facts),
            "best_step": None,
            "reason": reason,
        }
    last, best = evaluations[-1], best_of(evaluations)
    metrics = {name: last[name] for name in last if name not in ("kind", "step")}
    metrics |= {"best_val_loss": comparable_loss(best), "steps": last["step"], **facts}
    value = None if state == "failed" else last["val_loss"]
    return {
        "state": state,
        "value": value,
        "metrics": metrics,
        "best_step": best["step"],
        "reason": reason,
    }


def best_of(evaluations: Sequence[Row]) -> Row:
    """The evaluation with the lowest loss on the windows they share; of equal ones the first."""
    return min(evaluations, key=comparable_loss)


def comparable_loss(row: Row) -> float:
    """The validation loss of a row on the windows that all evaluations of a run share."""
    return float(row.get("val_loss_subset", row["val_loss"]))
