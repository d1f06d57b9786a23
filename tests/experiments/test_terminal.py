"""What a person sees of a sweep, with and without a terminal."""

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from experiments.spec import Sweep
from experiments.terminal import Running, Terminal, clock, outcome, row, shown
from experiments.trial import Trial

PARAMS = {"train.learning_rate": 0.00123456, "model.d_model": 16}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")],
)
def test_seconds_are_shown_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("trial", "text"),
    [
        (Trial(0, {}, "complete", 2.34567), "2.3457"),
        (Trial(0, {}, "pruned", 2.5, {5: 3.0, 10: 2.5}), "2.5000 pruned at 10"),
        (Trial(0, {}, "pruned"), "pruned"),
        (Trial(0, {}, "failed", reason="it would not"), "failed: it would not"),
        (Trial(0, {}), "running"),
    ],
)
def test_how_a_trial_ended_is_said_in_a_word_or_two(trial: Trial, text: str) -> None:
    assert outcome(trial) == text


def test_parameters_are_shown_by_their_last_names_and_short() -> None:
    params = {**PARAMS, "train.schedule": "cosine", "model.bias": True}
    assert shown(params) == "learning_rate 0.00123  d_model 16  schedule cosine  bias True"


def test_without_a_terminal_there_is_a_line_per_event(
    capsys: pytest.CaptureFixture[str], make_sweep: Callable[..., Sweep]
) -> None:
    terminal, config = Terminal("tiny", 3, 1), make_sweep().run
    with terminal:
        terminal.started(Trial(0, PARAMS), 0, config)
        terminal.trained(0, 2, 2.5, 0.25)
        terminal.evaluated(0, 5, 2.25)
        terminal.left(0)
        terminal.finished(Trial(0, PARAMS, "complete", 2.0))
        terminal.started(Trial(1, PARAMS), 15, config)
        terminal.left(1)
        terminal.finished(Trial(1, PARAMS, "complete", 2.5))
        terminal.finished(Trial(2, PARAMS, "complete", 1.5))
        terminal.warn("the disk hums")
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "trial   0  starts                 learning_rate 0.00123  d_model 16",
        "trial   0  2.0000                 learning_rate 0.00123  d_model 16  best so far",
        "trial   1  going on at step 15    learning_rate 0.00123  d_model 16",
        "trial   1  2.5000                 learning_rate 0.00123  d_model 16",
        "trial   2  1.5000                 learning_rate 0.00123  d_model 16  best so far",
    ]
    assert captured.err == "warning: the disk hums\n"


def test_no_line_is_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal("tiny", 1, 1).say("runs/[bold]x[/bold] :smile: [link=a]")
    assert capsys.readouterr().out == "runs/[bold]x[/bold] :smile: [link=a]\n"


def test_the_best_is_the_lowest_complete_one_and_of_equal_ones_the_first() -> None:
    terminal = Terminal("tiny", 9, 1)
    assert terminal.best() is None
    trials = [
        Trial(0, {}, "failed"),
        Trial(1, {}, "pruned", 0.5),
        Trial(3, {}, "complete", 2.0),
        Trial(2, {}, "complete", 2.0),
    ]
    terminal.resume(trials)
    best = terminal.best()
    assert best is not None
    assert best.number == 2


def rendered(terminal: Terminal) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(terminal.render())
    file: Any = console.file
    return str(file.getvalue())


def test_the_live_view_shows_counts_best_and_running_trials(
    make_sweep: Callable[..., Sweep],
) -> None:
    terminal, config = Terminal("tiny", 5, 2), make_sweep().run
    terminal.resume([Trial(0, PARAMS, "complete", 2.0)])
    first, second = Trial(1, PARAMS), Trial(2, PARAMS)
    terminal.started(second, 20, config)
    terminal.started(first, 0, config)
    terminal.trained(1, 10, 2.75, 0.417)
    terminal.evaluated(2, 30, 2.5)
    head, *lines = rendered(terminal).splitlines()
    assert head.startswith("tiny: 1 done, 2 running, 2 left  \u00b7  best 2.0000 (trial 0)")
    assert "about" not in head
    assert "trial   1" in lines[0]
    assert "10/40" in lines[0]
    assert "loss 2.7500" in lines[0]
    assert "42% MFU" in lines[0]
    assert "MFU" not in lines[1]
    assert "30/40" in lines[1]
    assert "val 2.5000" in lines[1]
    terminal.left(1)
    terminal.finished(Trial(1, PARAMS, "failed", reason="it would not"))
    assert "left" in rendered(terminal).splitlines()[0].rpartition("about")[2]


def test_speed_and_time_left_follow_from_the_steps_since_the_trial_went_on() -> None:
    now = time.monotonic()
    running = Running(Trial(0, {}), 100, tokens_per_step=50, first_step=20, since=now - 4, step=60)
    assert running.speed(now) == 500.0
    assert running.left(now) == 4.0
    waiting = Running(Trial(0, {}), 100, 50, first_step=20, since=now, step=20)
    assert (waiting.speed(now), waiting.left(now)) == (0.0, 0.0)
    assert len(row(running, now)) == 8
