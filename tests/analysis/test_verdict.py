import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.load import Sweep
from analysis.verdict import generate, judge, place, reproduce

Write = Callable[..., Path]
Trial = Callable[..., Any]


def test_winner_is_compared_with_the_baseline(write: Write, trial: Trial) -> None:
    verdict = judge(Sweep.load(write(trial(0, value=1.6), trial(1, value=1.4821))))
    assert verdict.winner == 1
    assert verdict.sentence == (
        "Trial 1 is best: 1.4821 nats per character, 0.1179 below the baseline (trial 0). "
        "One seed each: how sure is not known yet."
    )


@pytest.mark.parametrize(
    ("trials", "planned", "expected"),
    [
        ([], 3, "No winner: no trial has started."),
        ([{"state": "failed", "value": None}], 1, "every trial failed"),
        ([{"state": "pruned"}], 1, "every trial was pruned"),
        ([{"state": None, "steps": ()}], 1, "No winner yet. No trial is complete."),
        ([{"state": None, "steps": (0, 50)}], 1, "(trial 0 at step 50)"),
        ([{}], 3, "Only trial 0, the baseline, is complete so far"),
        ([{}, {"value": 3.0}], 2, "Trial 0, the baseline, is best: 2.0000"),
        ([{"value": 3.0}, {}], 3, "Trial 1 is best so far"),
        ([{"state": "failed"}, {}, {"value": 3.0}], 3, "nothing to compare with"),
        ([{}, {"value": 2.0}], 2, "Trial 0, the baseline, is best"),
    ],
)
def test_every_state_of_a_sweep_has_its_sentence(
    write: Write, trial: Trial, trials: list[dict[str, Any]], planned: int, expected: str
) -> None:
    directory = write(*[trial(n, **row) for n, row in enumerate(trials)], planned=planned)
    assert expected in judge(Sweep.load(directory)).sentence


def test_maximized_objective_may_lie_above_the_baseline(write: Write, trial: Trial) -> None:
    objective = {"metric": "accuracy", "direction": "maximize"}
    directory = write(trial(0, value=0.5), trial(1, value=0.75), objective=objective)
    sentence = judge(Sweep.load(directory)).sentence
    assert sentence.startswith("Trial 1 is best: 0.7500 accuracy, 0.2500 above the baseline")


def test_commands_name_the_trial_and_survive_a_shell(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(7)))
    assert reproduce(place(sweep, 7), sweep, 7) == (
        "python -m experiments.run runs/small/trials/0007/config.json --out runs/small-trial-0007"
    )
    assert generate("my runs/small/trials/0007") == (
        "python -m tinygpt.generate 'my runs/small/trials/0007'"
    )


def test_a_winner_that_the_file_would_not_have_any_more_is_said_to_be_one(
    write: Write, trial: Trial
) -> None:
    sweep = Sweep.load(write(trial(0), trial(1, value=1.5)))
    for outside, said in (([1], True), ([0], False), (None, False)):
        now = dataclasses.replace(sweep, meta={**sweep.meta, "outside": outside})
        assert ("lies outside of the space as it is now" in judge(now).sentence) == said


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            [{"state": "pruned"}],
            "Trial 0, the baseline, is best: 2.0000 nats per character. "
            "The other trial was pruned on the way.",
        ),
        ([{"state": "pruned"}] * 3, "The other 3 were pruned on the way."),
        ([{"state": "failed"}], "Only trial 0, the baseline, is complete: 2.0000"),
    ],
)
def test_the_only_one_that_was_not_pruned_is_best_once_all_are_done(
    write: Write, trial: Trial, others: list[dict[str, Any]], said: str
) -> None:
    rows = [{}, *others]
    directory = write(*[trial(n, **row) for n, row in enumerate(rows)], planned=len(rows))
    assert said in judge(Sweep.load(directory)).sentence


LOSS, SIZE = ({"metric": metric, "direction": "minimize"} for metric in ("val_loss", "params"))


@pytest.mark.parametrize(
    ("trials", "planned", "expected"),
    [
        (
            [(0, 1.7), (0, 1.8), (1, 1.4), (1, 1.5)], 4,
            "The configuration of trials 2 and 3 is best: mean 1.4500 nats per character, 95 % "
            "interval 1.2349 to 1.6651, 0.3000 below the baseline's mean (trial 0); 1 other is "
            "tied with it (0). "
            "Over 2 seeds the standard deviation is 0.0707.",
        ),
        (
            [(0, 1.7), (0, 1.8), (1, 1.4)], 4,
            "The configuration of trials 0 and 1, the baseline, is best so far: mean 1.7500 nats "
            "per character, 95 % interval 1.1147 to 2.3853. Over 2 seeds the standard deviation "
            "is 0.0707. "
            "Those with one complete seed come after it, whatever its loss.",
        ),
        (
            [(0, 1.7), (1, 1.4)], 4,
            "The configuration of trial 1 is best so far: mean 1.4000 nats per character, 0.3000 "
            "below the baseline's mean (trial 0). "
            "That is one seed of 2: how sure is not known yet.",
        ),
        (
            [(0, 1.7)], 4,
            "Only the configuration of trial 0, the baseline, has a complete trial so far: mean "
            "1.7000 nats per character. That is one seed of 2: how sure is not known yet. "
            "There is nothing to rank it with.",
        ),
    ],
)  # fmt: skip
def test_with_replicates_the_verdict_is_on_a_configuration(
    write: Write, trial: Trial, trials: list[tuple[int, float]], planned: int, expected: str
) -> None:
    rows = [
        trial(n, value=value, seed=n, parameters={"train.x": one})
        for n, (one, value) in enumerate(trials)
    ]
    verdict = judge(Sweep.load(write(*rows, planned=planned, replicates=2)))
    assert verdict.sentence == expected


def test_winner_is_the_best_seed_of_the_best_configuration(write: Write, trial: Trial) -> None:
    values = [(0, 1.0), (0, 3.0), (1, 1.6), (1, 1.5)]
    rows = [trial(n, value=v, seed=n, parameters={"train.x": x}) for n, (x, v) in enumerate(values)]
    assert judge(Sweep.load(write(*rows, replicates=2))).winner == 3


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([9, 10], "2 trials are on the front"), ([10, 9], "1 trial is on the front")],
)
def test_with_several_objectives_the_verdict_counts_the_front(
    write: Write, trial: Trial, sizes: list[int], expected: str
) -> None:
    rows = [
        trial(n, value=2.0 - n / 4, metrics={"parameters": size}) for n, size in enumerate(sizes)
    ]
    sentence = judge(Sweep.load(write(*rows, objective=[SIZE, LOSS]))).sentence
    assert sentence.startswith("Trial 1 has the best val_loss: 1.7500 nats per character")
    assert sentence.endswith(f"{expected} of params and val_loss: see the trade-offs.")
