"""Sweeps made up for the tests, written as the files that the trainer and the driver write."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

STEPS = (0, 50, 100, 150, 200, 250)
SPACE: dict[str, dict[str, Any]] = {
    "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "step": None},
    "model.n_layers": {"type": "int", "low": 1, "high": 4, "log": False, "step": 1},
    "model.d_model": {"type": "categorical", "choices": [32, 64, 96]},
}
DEFAULTS = {"train.learning_rate": 1e-3, "model.n_layers": 2, "model.d_model": 64}


@dataclass(frozen=True)
class Trial:
    """A trial to write; `state` None leaves it without a result."""

    number: int
    state: str | None = "complete"
    value: float | None = 2.0
    steps: Sequence[int] = STEPS
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    text: str = "the model writes"
    seed: int = 123
    metrics: Mapping[str, Any] = field(default_factory=dict)
    same_as: int | None = None


Write = Callable[..., Path]


@pytest.fixture(name="trial")
def trial_class() -> type[Trial]:
    """Return the class of trials that `write` takes."""
    return Trial


class Page(HTMLParser):
    """What a browser without JavaScript shows, and how many elements of a kind there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.shown: list[str] = []
        self.sources: list[str] = []
        self.charts = ""
        self._script: str | None = None
        self.feed(html)
        self.text = " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.sources += [given[key] or "" for key in ("src", "href") if key in given]
        self._script = str(given.get("id")) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script == "charts":
            self.charts += data
        elif self._script is None:
            self.shown.append(data)


@pytest.fixture(name="page")
def page_class() -> type[Page]:
    """Return the class that reads a page as a browser without JavaScript shows it."""
    return Page


@pytest.fixture
def small_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test the real drawing library: it is 0.9 MB and takes a second to bundle."""
    monkeypatch.setattr("analysis.page.library", lambda: "/* library */")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a sweep of trials and returns its directory."""

    def write_sweep(*trials: Trial, planned: int | None = None, **meta: Any) -> Path:
        directory = tmp_path / "runs" / "small"
        (directory / "trials").mkdir(parents=True)
        planned = len(trials) if planned is None else planned
        dump(directory / "sweep.json", sweep_json(trials=planned, **meta))
        for trial in trials:
            write_trial(directory, trial)
        rows: list[dict[str, Any]] = [{"time": "2026-11-23T12:00:00.123+00:00", "event": "started"}]
        rows += [
            {"time": "2026-11-23T12:00:01+00:00", "event": "trial_started", "trial": trial.number}
            for trial in trials
        ]
        dump_rows(directory / "events.jsonl", rows)
        return directory

    return write_sweep


def sweep_json(**changes: Any) -> dict[str, Any]:
    """Return a valid sweep.json with `changes` to its top-level keys."""
    return {
        "schema": 1,
        "name": "small",
        "seed": 0,
        "trials": 0,
        "max_concurrent": 4,
        "objective": {"metric": "val_loss", "direction": "minimize"},
        "sampler": {"type": "tpe"},
        "pruner": {"type": "median", "n_warmup_steps": 100},
        "run": {"model": {"n_layers": 2}},
        "space": SPACE,
        "enqueue": [DEFAULTS],
        "wandb": {"mode": "auto"},
        "corpus": {
            "name": "python_docs",
            "sha256": "ab" * 32,
            "characters": 464000,
            "vocabulary": 120,
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0+cpu"},
        **changes,
    }


def write_trial(directory: Path, trial: Trial) -> Path:
    """Write one trial's files and return its folder."""
    folder = directory / "trials" / f"{trial.number:04d}"
    folder.mkdir(parents=True)
    dump(folder / "config.json", config({**DEFAULTS, **trial.parameters}, trial.seed))
    dump_rows(folder / "metrics.jsonl", metrics(trial))
    dump_rows(
        folder / "timings.jsonl",
        [
            {"kind": "train", "step": step, "seconds": 0.5, "tokens_per_second": 76800.0}
            for step in trial.steps[1:]
        ],
    )
    if trial.steps:
        row = {"step": trial.steps[-1], "prompt": "def ", "text": trial.text}
        dump_rows(folder / "samples.jsonl", [row])
        saved = folder / "checkpoints" / f"step-{trial.steps[-1]:08d}"
        saved.mkdir(parents=True)
        dump(saved / "manifest.json", {})
    if trial.state is not None:
        dump(folder / "result.json", result(trial))
    return folder


def config(parameters: Mapping[str, Any], seed: int = 123) -> dict[str, Any]:
    """Return a run config that has `parameters`, given by dotted key."""
    nested: dict[str, Any] = {"seed": seed, "train": {"max_iters": STEPS[-1]}, "model": {}}
    for key, value in parameters.items():
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    return nested


def metrics(trial: Trial) -> list[dict[str, Any]]:
    """Return the record of a trial whose loss falls from ln 120 towards its value."""
    rows: list[dict[str, Any]] = []
    for step in trial.steps:
        loss = _loss(trial, step)
        if step:
            rows.append(
                {
                    "kind": "train",
                    "step": step,
                    "train_loss": loss - 0.05,
                    "learning_rate": 1e-3,
                    "grad_norm": 0.8,
                    "tokens": step * 768,
                }
            )
        row = {
            "kind": "eval",
            "step": step,
            "val_loss": loss,
            "train_loss": loss - 0.04,
            "tokens": step * 768,
        }
        if step == STEPS[-1]:
            row |= {"val_loss": trial.value, "val_loss_subset": loss}
        rows.append(row)
    return rows


def result(trial: Trial) -> dict[str, Any]:
    """Return the result of a trial."""
    copied = {} if trial.same_as is None else {"same_as": trial.same_as}
    return {
        **copied,
        "state": trial.state,
        "value": trial.value,
        "metrics": {
            "val_loss": trial.value,
            "tokens": max(trial.steps, default=0) * 768,
            "parameters": 110_000,
            "best_val_loss": trial.value,
            **trial.metrics,
        },
        "best_step": trial.steps[-1] if trial.steps else None,
        "reason": trial.reason,
    }


def dump(path: Path, value: Any) -> None:
    """Write one JSON file."""
    path.write_text(json.dumps(value), encoding="utf-8")


def dump_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _loss(trial: Trial, step: int) -> float:
    end = 2.5 if trial.value is None else trial.value
    return end + 0.01 + (math.log(120) - end) * math.exp(-step / 40)
