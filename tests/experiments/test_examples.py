"""The examples say in two lines what they show, and each of them runs."""

import dataclasses
from pathlib import Path

import pytest

from experiments import opening, spec, sweep
from experiments.search import Search
from experiments.sweepdir import SweepDir
from experiments.trial import Trial

EXAMPLES = sorted((Path(__file__).parents[2] / "sweeps" / "examples").glob("*.yaml"))
TELLING = {"derived"}
VOCABULARY = 103


def named(file: Path) -> str:
    return file.stem


def test_there_is_an_example_of_everything() -> None:
    read = [spec.read(file, [])[0] for file in EXAMPLES]
    assert {one.sampler.type for one in read} == {
        "tpe",
        "random",
        "grid",
        "brute_force",
        "qmc",
        "cmaes",
        "gp",
        "nsgaii",
    }
    assert {one.pruner.type for one in read} >= {
        "hyperband",
        "successive_halving",
        "wilcoxon",
        "patient",
        "threshold",
        "halving",
    }
    assert any(len(one.objective) > 1 for one in read)
    assert any(one.constraints for one in read)
    assert any(one.replicates > 1 for one in read)
    assert any(one.budget.per_trial.limited() for one in read)


@pytest.mark.parametrize("file", EXAMPLES, ids=named)
def test_an_example_begins_with_two_lines_of_comment_and_needs_no_account(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert [line.startswith("# ") for line in lines[:3]] == [True, True, False]
    read, _ = spec.read(file, [])
    assert (read.name, read.wandb.mode) == (file.stem, "disabled")
    assert read.run.train.max_iters <= 60


@pytest.mark.parametrize("file", EXAMPLES, ids=named)
def test_every_trial_of_an_example_can_be_trained(file: Path) -> None:
    read, _ = spec.read(file, [])
    assert not list(opening.infeasible(read, VOCABULARY))
    search, runs = Search(read, VOCABULARY), read.configurations(VOCABULARY)
    trials: list[Trial] = []
    for number in range(read.planned()):
        trial = search.propose(number, trials)
        assert trial is not None
        if not trial.replicate:
            assert runs.objection(trial.params) is None
        loss = 3.0 + (number * 7 % 5) / 10
        steps = range(10, read.run.train.max_iters + 1, 10)
        metrics = {"parameters": 1000 + number, "tokens": 1000, "flops_per_token": 10}
        reports = {step: loss + 1 / step for step in steps}
        done = dataclasses.replace(
            trial, state="complete", value=loss, reports=reports, metrics=metrics
        )
        trials.append(done)
    assert search.propose(read.planned(), trials) is None or read.trials is not None


def run(file: Path, tmp_path: Path) -> None:
    """Run an example with real workers and look at its record."""
    out = tmp_path / "runs"
    assert sweep.main([str(file), "--dry-run", "--out", str(out)]) == 0
    assert not out.exists()
    assert sweep.main([str(file), "--out", str(out), "--no-progress"]) == 0
    sweep_dir = SweepDir(out / file.stem)
    trials = sweep_dir.history(sweep_dir.search())
    planned, _ = spec.read(file, [])
    assert (len(trials) == planned.planned()) == (planned.budget.tokens is None)
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert (sweep_dir.report / "report.html").exists()


@pytest.mark.parametrize("file", [f for f in EXAMPLES if f.stem in TELLING], ids=named)
def test_a_telling_example_runs_to_its_report(file: Path, tmp_path: Path) -> None:
    run(file, tmp_path)


@pytest.mark.chaos
@pytest.mark.parametrize("file", [f for f in EXAMPLES if f.stem not in TELLING], ids=named)
def test_an_example_runs_to_its_report(file: Path, tmp_path: Path) -> None:
    run(file, tmp_path)
