"""What W&B is told: names with units, best and last, nothing that is not known, no secret."""

import math
from typing import Any

import pytest

from experiments import tracked
from experiments.tail import Step
from experiments.tracked import Extremes

TRAIN = {"kind": "train", "step": 4, "train_loss": 2.0, "tokens": 128, "learning_rate": 0.1}
EVAL = {"kind": "eval", "step": 4, "val_loss": 1.5, "train_loss": 1.4, "tokens": 128}
TIMING = {"kind": "train", "step": 4, "tokens_per_second": 9.0, "peak_memory": 7, "seconds": 1}


def test_a_step_is_one_row_whose_names_say_their_units() -> None:
    step = Step(4, (TRAIN, EVAL), TIMING, {"step": 4, "prompt": "To", "text": " be"})
    assert tracked.values(step) == {
        "train/loss_nats": 2.0,
        "train/tokens": 128,
        "train/learning_rate": 0.1,
        "eval/val_loss_nats": 1.5,
        "eval/train_loss_nats": 1.4,
        "speed/tokens_per_second": 9.0,
        "machine/peak_memory_bytes": 7,
        "samples/text": "To be",
    }


def test_a_step_without_timing_or_sample_says_nothing_of_them() -> None:
    assert set(tracked.values(Step(4, (EVAL,), None, None))) == {
        "eval/val_loss_nats",
        "eval/train_loss_nats",
        "train/tokens",
    }


def evaluated(step: int, loss: float, **more: Any) -> Step:
    row = {"kind": "eval", "step": step, "val_loss": loss, "train_loss": loss / 2, **more}
    return Step(step, (row,), None, None)


def test_best_and_last_are_of_the_record_and_not_of_what_was_logged_since_a_resume() -> None:
    extremes = Extremes()
    told = [extremes.take(evaluated(step, loss)) for step, loss in ((0, 5.0), (5, 1.0), (9, 4.0))]
    assert told[-1] == {
        "best/val_loss_nats": 1.0,
        "best/step": 5,
        "last/val_loss_nats": 4.0,
        "last/train_loss_nats": 2.0,
        "last/step": 9,
    }
    assert extremes.take(Step(10, (TRAIN,), None, None)) == {}


@pytest.mark.parametrize(
    ("value", "is_told"), [(0, True), (False, True), (None, False), (math.nan, False), ("", True)]
)
def test_what_is_not_known_is_not_told(value: Any, is_told: bool) -> None:
    assert tracked.is_told(value) is is_told


def test_the_summary_is_the_result_without_secrets() -> None:
    result = {
        "state": "failed",
        "value": None,
        "reason": "https://me:hunter2@host refused",
        "metrics": {"steps": 5, "best_val_loss": math.nan},
    }
    told = tracked.summary(result)
    assert told["state"] == "failed"
    assert told["result/steps"] == 5
    assert "hunter2" not in told["reason"]
    assert set(told) == {"state", "reason", "result/steps"}
