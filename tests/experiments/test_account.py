"""Where the workers' time went, in seconds that add up."""

import pytest

from experiments.account import Account


def test_every_second_of_every_worker_is_counted_once() -> None:
    account = Account(began=100.0, workers=2)
    account.starts(0, 102.0)
    account.starts(1, 103.0)
    account.ends(0, 110.0, {"train": 5.0, "eval": 2.0})
    account.starts(0, 111.0)
    account.ends(1, 113.0, {"train": 9.0})
    account.ends(0, 115.0, {"train": 4.0})
    account.closes(115.0, 118.0, 118.5)
    assert account.seconds == {
        "start": 5.0,
        "train": 18.0,
        "eval": 2.0,
        "record": 2.0,
        "idle": 3.0,
        "report": 6.0,
        "mirror": 1.0,
    }
    assert sum(account.seconds.values()) == 2 * (118.5 - 100.0)


def test_a_worker_that_never_got_a_trial_waited_all_the_time() -> None:
    account = Account(began=0.0, workers=2)
    account.starts(0, 1.0)
    account.ends(0, 4.0, {"train": 3.0})
    account.closes(4.0, 5.0, 5.0)
    assert account.seconds == {
        "start": 1.0,
        "train": 3.0,
        "record": 0.0,
        "idle": 4.0,
        "report": 2.0,
        "mirror": 0.0,
    }


def test_what_a_worker_overstates_is_no_negative_record() -> None:
    account = Account(began=0.0, workers=1)
    account.starts(0, 0.0)
    account.ends(0, 1.0, {"train": 1.5})
    assert account.seconds["record"] == 0.0


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (
            {"train": 7.0, "eval": 1.0, "checkpoint": 0.5, "start": 1.5},
            "80.0% of the workers' time in the model (training steps 70.0%, evaluation 10.0%), "
            "20.0% outside it (starting 15.0%, checkpoints 5.0%)",
        ),
        (
            {"idle": 3.0, "report": 1.0},
            "0.0% of the workers' time in the model (), 100.0% outside it (waiting for trials "
            "75.0%, report 25.0%)",
        ),
    ],
)
def test_the_summary_says_the_models_share_and_then_the_largest_of_the_rest(
    seconds: dict[str, float], line: str
) -> None:
    account = Account(began=0.0, workers=1)
    account.seconds.update(seconds)
    assert account.summary() == line


def test_an_account_of_nothing_can_be_summed_up() -> None:
    assert Account(began=0.0, workers=0).summary().startswith("0.0% of the workers' time")
