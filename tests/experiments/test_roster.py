"""The roster writes trials down before they are trained, and can be made again from the record."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from simulation import VOCABULARY

from experiments.roster import Roster
from experiments.search import Search
from experiments.spec import Sweep
from experiments.store import opened
from experiments.sweepdir import SweepDir
from experiments.terminal import Terminal
from tinygpt.files import json_line

Make = Callable[..., Sweep]
Open = Callable[..., Roster]

SPACE = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}
TWO = {"model.n_layers": {"type": "int", "low": 1, "high": 2}}
FEW = {"name": "tiny", "space": SPACE, "enqueue": [], "trials": 4, "sampler": {"type": "random"}}
HALVING = {"type": "halving", "min_iters": 10, "reduction_factor": 2}


@pytest.fixture
def sweep_dir(tmp_path: Path) -> SweepDir:
    (tmp_path / "tiny").mkdir()
    return SweepDir(tmp_path / "tiny")


@pytest.fixture
def take_over(sweep_dir: SweepDir, make_sweep: Make) -> Iterator[Open]:
    """What a new driver finds in the directory; the one before is gone."""
    with ExitStack() as stack:

        def make(**options: Any) -> Roster:
            deadline = options.pop("deadline", None)
            search = Search(
                make_sweep(**{**FEW, "pruner": {"type": "none"}, **options}), VOCABULARY
            )
            trials = sweep_dir.history(search)
            store = stack.enter_context(opened(sweep_dir.study, search, trials))
            terminal = Terminal("tiny", 4, 1, progress=False)
            return Roster(sweep_dir, search, store, trials, terminal, deadline=deadline)

        yield make


def evaluate(roster: Roster, sweep_dir: SweepDir, number: int, step: int, loss: float) -> str:
    """Let a worker write down a loss; returns the verdict."""
    row = {"kind": "eval", "step": step, "val_loss": loss, "tokens": 32 * step}
    with open(sweep_dir.trial(number).metrics, "ab") as file:
        file.write(json_line(row))
    roster.report(number, step, loss)
    return roster.verdict(number, step).word


def train(roster: Roster, sweep_dir: SweepDir, number: int, loss: float = 2.0) -> None:
    evaluate(roster, sweep_dir, number, 40, loss)
    sweep_dir.trial(number).conclude("complete", parameters=400, flops_per_token=7)
    roster.conclude(number)


def test_a_trial_is_in_the_record_before_it_is_trained(
    take_over: Open, sweep_dir: SweepDir, study_rows: Any
) -> None:
    roster = take_over()
    trial = roster.next(())
    assert trial is not None
    assert sweep_dir.trial(0).read_config() == roster.config_of(0)
    assert [row[:3] for row in study_rows(sweep_dir.path)] == [(0, trial.params, "RUNNING")]
    assert roster.left() == 4


def test_begun_trials_are_given_again_to_whoever_takes_over(take_over: Open) -> None:
    first = [take_over().next(()), take_over().next({0}), take_over().next({0, 1})]
    again = take_over()
    assert [again.next(()), again.next({0}), again.next({0, 1})] == first
    assert again.next({0, 1, 2}) is None  # it must see the result of the first


def test_after_the_deadline_no_trial_begins(take_over: Open, sweep_dir: SweepDir) -> None:
    take_over().next(())
    roster = take_over(deadline=0.0)
    train(roster, sweep_dir, 0)
    assert roster.next(()) is None
    assert roster.ended == "budget.time is used up after 1 trials"
    assert roster.left() == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"budget": {"tokens": 1.0}}, "the budget has no room for more than 0 trials"),
        (
            {"space": TWO, "constraints": ["n_layers > 2"], "sampler": {"type": "grid"}},
            "sampler grid has proposed all there is",
        ),
    ],
)
def test_why_a_sweep_ends_early_is_told(
    take_over: Open, options: dict[str, Any], reason: str
) -> None:
    roster = take_over(**options)
    assert roster.next(()) is None
    assert (roster.ended, roster.left()) == (reason, 0)


@pytest.mark.parametrize("killed", [True, False])
def test_a_trial_that_was_to_train_the_same_is_done_with_the_first(
    take_over: Open, sweep_dir: SweepDir, killed: bool
) -> None:
    options = {"space": TWO, "enqueue": [{"model.n_layers": 1}] * 3, "trials": 3}
    roster = take_over(**options)
    assert [roster.next({0} if number else ()) for number in (0, 1)][1] is None
    assert [trial.same_as for trial in roster.trials] == [None, 0, 0]
    if killed:
        evaluate(roster, sweep_dir, 0, 40, 2.0)
        sweep_dir.trial(0).conclude("complete")
        roster = take_over(**options)
    else:
        train(roster, sweep_dir, 0)
    assert [(t.state, t.value) for t in roster.trials] == [("complete", 2.0)] * 3
    assert sweep_dir.history(roster.search) == roster.trials


@pytest.mark.parametrize("killed", [True, False])
def test_a_cohort_pauses_and_the_best_go_on(
    take_over: Open, sweep_dir: SweepDir, killed: bool
) -> None:
    options = {"pruner": HALVING, "trials": 4}
    roster = take_over(**options)
    for number in range(4):
        assert (trial := roster.next(())) is not None
        assert trial.number == number
        word = evaluate(roster, sweep_dir, number, 10, 2.0 + number)
        assert word == ("pause" if number < 3 else "prune")
    if killed:
        roster = take_over(**options)
    else:
        roster.settle(3, ())
    assert [t.state for t in roster.trials] == ["running", "running", "pruned", "pruned"]
    assert roster.trials[3].reason == "not promoted at step 10: place 4 of 4"
    assert [roster.next(()), roster.next({0}), roster.next({0, 1})] == [*roster.trials[:2], None]
    assert sweep_dir.history(roster.search) == roster.trials


def test_checkpoints_of_the_worst_make_room(take_over: Open, sweep_dir: SweepDir) -> None:
    roster = take_over(max_disk="1MB", max_concurrent=1)
    for number, loss in enumerate((3.0, 2.0)):
        roster.next(())
        (sweep_dir.trial(number).checkpoints / "step-1").mkdir(parents=True)
        train(roster, sweep_dir, number, loss)
    assert [sweep_dir.trial(n).checkpoints.exists() for n in (0, 1)] == [True, True]
    roster = take_over(max_disk="1KB", max_concurrent=1)
    assert [sweep_dir.trial(n).checkpoints.exists() for n in (0, 1)] == [False, True]
    assert roster.left() == 2


def test_a_cohort_that_has_begun_is_filled_though_fewer_trials_are_asked_now(
    take_over: Open, sweep_dir: SweepDir
) -> None:
    roster = take_over(pruner={**HALVING, "cohort": 2})
    for number in range(2):
        begun = roster.next(range(number))
        assert begun is not None
        assert begun.number == number
        evaluate(roster, sweep_dir, number, 10, 2.0 + number)
    third = roster.next({0, 1})
    assert third is not None
    assert third.number == 2
    fewer = take_over(pruner={**HALVING, "cohort": 2}, trials=2)
    last = fewer.next({0, 1, 2})
    assert last is not None
    assert last.number == 3
    assert fewer.next({0, 1, 2, 3}) is None
