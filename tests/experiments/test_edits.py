"""A file that is changed under a begun sweep: what goes on, and what says the way out."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments import edits, opening
from experiments.opening import Begun, Request
from experiments.search import Search
from experiments.spec import Sweep
from experiments.sweepdir import search_of
from experiments.trial import Trial
from tinygpt import config
from tinygpt.schema import ConfigError

Write = Callable[..., Path]
Make = Callable[..., Sweep]
HELLO = {
    "event": "ready",
    "offer": {"gpu": False, "gpu_bf16": False, "cpu_bf16": False},
    "versions": {"torch": "2", "cpu_capability": "AVX2"},
}
SPACE: dict[str, Any] = {
    "train.learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
    "model.d_model": {"type": "categorical", "choices": [8, 16]},
    "model.n_layers": {"type": "int", "low": 1, "high": 3},
}
DIVISION = {"train.weight_decay": {"type": "float", "low": 0.0, "high": 0.2}}
VOCABULARY = 17


def with_parameter(key: str, **changes: Any) -> dict[str, Any]:
    """The space with some keys of a parameter set."""
    return {**SPACE, key: {**SPACE[key], **changes}}


def without(key: str) -> dict[str, Any]:
    return {name: one for name, one in SPACE.items() if name != key}


def asked(path: Path) -> Request:
    out = path.parent / "runs"
    return opening.requested(argparse.Namespace(sweep=path, set=[], out=out, trials=None))


def begin(file: Path) -> tuple[Request, Begun]:
    """Begin or continue the sweep of a file, as the command does."""
    request = asked(file)
    text = opening.checked_corpus(request, print)
    opening.refuse_changes(request, text)
    request.sweep_dir.path.mkdir(parents=True, exist_ok=True)
    return request, opening.begin(request, text, HELLO)


def finish(request: Request, search: Search, count: int) -> list[Trial]:
    """Write the records of trials up to `count` as a training would leave them."""
    trials = request.sweep_dir.history(search)
    for number in range(len(trials), count):
        trial = search.propose(number, trials)
        assert trial is not None
        run_dir = request.sweep_dir.trial(number)
        run_dir.path.mkdir(parents=True)
        run_dir.config.write_bytes(config.to_json(search.run_of(trial)))
        loss = loss_of(number)
        metrics: dict[str, Any] = {"tokens": 100, "flops_per_token": 10, "parameters": 1000}
        result = {"state": "complete", "value": loss, "metrics": metrics, "best_step": 40}
        result |= {"reason": None}
        row = {"kind": "eval", "step": 40, "val_loss": loss, "train_loss": loss, "tokens": 100}
        run_dir.metrics.write_text(json.dumps(row) + "\n")
        run_dir.result.write_bytes(config.to_json(result))
        trials = request.sweep_dir.history(search)
    return trials


def loss_of(number: int) -> float:
    return 2.0 + (number * 7 % 11) / 10


BASE: dict[str, Any] = {
    "space": SPACE,
    "enqueue": [],
    "trials": 6,
    "max_concurrent": 2,
    "sampler": {"type": "tpe", "n_startup_trials": 2},
    "pruner": {"type": "none"},
}
GO_ON: list[tuple[dict[str, Any], list[str], int]] = [
    (
        {"space": with_parameter("train.learning_rate", high=1e-1)},
        ["space.train.learning_rate.high: 0.01 -> 0.1"],
        6,
    ),
    (
        {"space": with_parameter("model.d_model", choices=[8, 16, 32])},
        ["space.model.d_model.choices.2: (none) -> 32"],
        6,
    ),
    ({"sampler": {"type": "qmc"}}, ["sampler.type: 'tpe' -> 'qmc'"], 6),
    ({"pruner": {"type": "median"}}, ["pruner.type: 'none' -> 'median'"], 6),
    ({"max_concurrent": 3}, ["max_concurrent: 2 -> 3"], 6),
    ({"constraints": ["n_layers >= 1"]}, ["constraints.0: (none) -> 'n_layers >= 1'"], 6),
    (
        {"space": {**SPACE, **DIVISION}},
        ["space.train.weight_decay: new"],
        6,
    ),
    ({"enqueue": [{"model.n_layers": 2}]}, ["enqueue.0.model.n_layers: (none) -> 2"], 6),
]


@pytest.mark.parametrize(("changes", "told", "fitting"), GO_ON, ids=[str(c[1]) for c in GO_ON])
def test_a_changed_search_goes_on_from_the_next_trial_and_says_what_that_means(
    tmp_path: Path, write_sweep: Write, changes: dict[str, Any], told: list[str], fitting: int
) -> None:
    request, begun = begin(write_sweep(tmp_path, **BASE))
    before = finish(request, begun.search, 6)
    request, again = begin(write_sweep(tmp_path, **{**BASE, "trials": 9, **changes}))
    assert set(told) <= set(again.edits)
    assert again.edits[-1] == (
        "trials from 6 on come from the changed file; "
        f"{fitting} of the 6 before lie in its space and inform the search"
    )
    _, facts = request.sweep_dir.read_sweep()
    assert [one["until"] for one in facts["earlier"]] == [6]
    assert request.sweep_dir.history(again.search) == before
    trials = finish(request, again.search, 9)
    assert all(set(trial.params) <= set(again.search.sweep.space) for trial in trials[6:])
    opening.refuse_edits(again.search, trials, request.sweep_dir)


def test_a_narrower_range_says_how_many_trials_still_count(
    tmp_path: Path, write_sweep: Write
) -> None:
    request, begun = begin(write_sweep(tmp_path, **BASE))
    trials = finish(request, begun.search, 6)
    space = with_parameter("model.n_layers", high=2)
    fitting = sum(trial.params["model.n_layers"] != 3 for trial in trials)
    assert 0 < fitting < 6
    _, again = begin(write_sweep(tmp_path, **{**BASE, "space": space}))
    assert f"; {fitting} of the 6 before lie in its space" in again.edits[-1]


def test_a_removed_parameter_leaves_the_trials_that_have_what_all_now_share(
    tmp_path: Path, write_sweep: Write
) -> None:
    request, begun = begin(write_sweep(tmp_path, **BASE))
    trials = finish(request, begun.search, 6)
    shared = begun.search.sweep.run.model.d_model
    fitting = sum(trial.params["model.d_model"] == shared for trial in trials)
    request, again = begin(write_sweep(tmp_path, **{**BASE, "space": without("model.d_model")}))
    assert f"; {fitting} of the 6 before lie in its space" in again.edits[-1]
    assert "model.d_model" not in finish(request, again.search, 7)[6].params


def test_only_more_trials_another_budget_or_another_place_is_no_new_version(
    tmp_path: Path, write_sweep: Write
) -> None:
    request, begun = begin(write_sweep(tmp_path, **BASE))
    finish(request, begun.search, 6)
    more = {"trials": 9, "budget": {"time": "2h"}, "max_disk": "2GB"}
    request, again = begin(write_sweep(tmp_path, **{**BASE, **more}))
    assert again.edits == []
    _, facts = request.sweep_dir.read_sweep()
    assert "earlier" not in facts
    assert again.search.sweep.trials == 9


def test_a_file_changed_before_its_first_trial_is_as_if_it_had_always_been_so(
    tmp_path: Path, write_sweep: Write
) -> None:
    begin(write_sweep(tmp_path, **BASE))
    request, _ = begin(write_sweep(tmp_path, **{**BASE, "sampler": {"type": "random"}}))
    sweep, facts = request.sweep_dir.read_sweep()
    assert (sweep.sampler.type, facts.get("earlier")) == ("random", None)


def test_two_edits_are_two_versions_and_every_trial_stays_what_its_version_proposed(
    tmp_path: Path, write_sweep: Write
) -> None:
    request, begun = begin(write_sweep(tmp_path, **BASE))
    finish(request, begun.search, 3)
    _, second = begin(write_sweep(tmp_path, **{**BASE, "sampler": {"type": "random"}}))
    finish(request, second.search, 5)
    wide = with_parameter("model.n_layers", high=4)
    request, third = begin(
        write_sweep(tmp_path, **{**BASE, "sampler": {"type": "random"}, "space": wide})
    )
    _, facts = request.sweep_dir.read_sweep()
    assert [one["until"] for one in facts["earlier"]] == [3, 5]
    trials = finish(request, third.search, 8)
    again = search_of(*request.sweep_dir.read_sweep())
    assert [again.propose(n, trials[:n]) for n in range(8)] == [
        Trial(trial.number, trial.params, same_as=trial.same_as) for trial in trials
    ]


HALVING = {"type": "halving", "min_iters": 10, "reduction_factor": 2}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, {"objective": [{"metric": "val_loss"}, {"metric": "params"}]}, "objective"),
    ({}, {"train.batch_size": 5}, {}, "run.train.batch_size: was 4 when the sweep was begun, is 5"),
    ({}, {"data.corpus": "python_docs"}, {}, "run.data.corpus: was "),
    ({}, {}, {"seed": 4}, "seed: was 0 when the sweep was begun, is 4"),
    ({}, {}, {"replicates": 2}, "replicates: was 1 when the sweep was begun, is 2"),
    ({}, {}, {"budget": {"per_trial": {"tokens": 1e4}}}, "budget.per_trial.tokens: was nothing"),
    ({}, {}, {"pruner": HALVING, "trials": 8}, "pruner: pruner halving compares whole cohorts"),
    (
        {"pruner": HALVING, "trials": 8},
        {},
        {"pruner": {"type": "none"}},
        "pruner: pruner halving compares whole cohorts",
    ),
    (
        {},
        {},
        {
            "space": {
                **SPACE,
                "model.n_layers": {"type": "categorical", "choices": [1, 2, 3]},
            }
        },
        "space.model.n_layers.type: was int when the sweep was begun, is categorical",
    ),
]


@pytest.mark.parametrize(
    ("first", "run", "changes", "told"), REFUSED, ids=[row[3] for row in REFUSED]
)
def test_what_would_make_trials_incomparable_is_refused_with_the_way_out(
    tmp_path: Path,
    write_sweep: Write,
    first: dict[str, Any],
    run: dict[str, Any],
    changes: dict[str, Any],
    told: str,
) -> None:
    request, _ = begin(write_sweep(tmp_path, **{**BASE, **first}))
    before = request.sweep_dir.sweep.read_bytes()
    with pytest.raises(ConfigError) as caught:
        begin(write_sweep(tmp_path, run, **{**BASE, **changes}))
    lines = str(caught.value).splitlines()
    assert any(line.split(": ", 1)[1].startswith(told) for line in lines), lines
    assert all(line.startswith(f"{tmp_path}/tiny.yaml:") for line in lines)
    assert all(line.endswith("give the sweep another name than tiny") for line in lines)
    assert request.sweep_dir.sweep.read_bytes() == before


def table(sweep: Sweep, counts: Iterable[int]) -> list[Mapping[str, Any]]:
    """The parameters of the trials of a sweep that is asked for more and more of them."""
    trials: list[Trial] = []
    for count in counts:
        search = Search(dataclasses.replace(sweep, trials=count), VOCABULARY)
        for number in range(len(trials), count):
            trial = search.propose(number, trials)
            assert trial is not None
            value = loss_of(number)
            done = dataclasses.replace(trial, state="complete", value=value, reports={40: value})
            trials.append(done)
    return [trial.params for trial in trials]


@pytest.mark.parametrize(
    ("sampler", "halves"),
    [
        ({"type": "tpe", "n_startup_trials": 2}, False),
        ({"type": "random"}, False),
        ({"type": "qmc"}, False),
        ({"type": "cmaes", "popsize": 4}, False),
        (
            {
                "type": "grid",
                "search_space": {"train.learning_rate": [1e-3, 2e-3, 4e-3, 8e-3]},
            },
            False,
        ),
        ({"type": "tpe", "n_startup_trials": 2}, True),
    ],
    ids=["tpe", "random", "qmc", "cmaes", "grid", "halving"],
)
def test_a_sweep_continued_with_more_trials_is_the_one_that_had_them_from_the_start(
    make_sweep: Make, sampler: dict[str, Any], halves: bool
) -> None:
    changes = {**BASE, "trials": 12, "sampler": sampler}
    if halves:
        changes["pruner"] = HALVING
    sweep = make_sweep(**changes)
    assert table(sweep, [4, 8, 12]) == table(sweep, [12])


def test_the_trials_of_a_shorter_sweep_are_the_first_of_a_longer(make_sweep: Make) -> None:
    sweep = make_sweep(**BASE)
    assert table(sweep, [12])[:6] == table(sweep, [6])


def test_leaves_are_values_by_their_paths() -> None:
    assert edits.leaves({"a": [1, {"b": 2}], "c": {}}) == {
        ("a", 0): 1,
        ("a", 1, "b"): 2,
        ("c",): {},
    }
