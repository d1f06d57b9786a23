"""What a person sees of a run, on a terminal and elsewhere."""

import sys
from collections.abc import Callable

import pytest

from tinygpt.config import RunConfig
from tinygpt.events import Durable, Evaluated, Finished, Started, Trained
from tinygpt.pace import Pace
from tinygpt.progress import Progress, thousands

MakeConfig = Callable[..., RunConfig]
Capture = pytest.CaptureFixture[str]
Tell = Callable[..., tuple[str, str]]

PACE = Pace(tokens_per_second=62_345.6, mfu=0.547, peak_memory=412_300_000)
LAST = 1200
EVENTS: list[Durable] = [
    Started(0, parameters=802_944, flops_per_token=5_100_000, warning=None),
    Evaluated(0, val_loss=4.17, train_loss=4.18, tokens=0),
    Trained(600, train_loss=1.66, learning_rate=1e-3, grad_norm=1.0, tokens=460_800),
    Evaluated(600, val_loss=1.68, train_loss=1.61, tokens=460_800),
    Evaluated(LAST, val_loss=1.5, train_loss=1.4, tokens=921_600, val_loss_subset=1.49),
    Finished(LAST),
]


@pytest.fixture
def told(tiny: MakeConfig, capsys: Capture) -> Tell:
    """All that is said about some events, on standard output and standard error."""

    def tell(events: list[Durable], pace: Pace = PACE) -> tuple[str, str]:
        progress = Progress(tiny({"train.max_iters": LAST}), lambda: pace)
        for event in events:
            progress.show(event)
        captured = capsys.readouterr()
        return captured.out, captured.err

    return tell


def test_without_a_terminal_there_is_a_line_for_each_evaluation_and_a_last_one(
    told: Tell,
) -> None:
    start, first, middle, last, end = told(EVENTS)[0].splitlines()
    assert start == "802,944 parameters  5.1 MFLOP per character  from step 0"
    assert first.startswith("step    0/1200  val 4.1700  train 4.1800")
    assert "left" not in first
    assert middle.startswith("step  600/1200  val 1.6800  train 1.6100  62k characters/s  55% MFU")
    assert middle.endswith("0:00 left")
    assert last == "step 1200/1200  val 1.5000 (whole split)  train 1.4000"
    assert end == "62k characters/s  55% MFU  412 MB of memory"


def test_on_a_terminal_a_line_of_80_columns_renews_itself(
    told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = [line for part in told(EVENTS)[0].split("\r\033[K") for line in part.splitlines()]
    (renewed,) = [line for line in lines if "loss" in line]
    assert renewed.startswith("step  600/1200  loss 1.6600  62k characters/s  55% MFU  412 MB")
    assert renewed.endswith("0:00 left")
    assert max(map(len, lines)) <= 80


def test_a_run_that_goes_on_says_so_and_what_has_changed(told: Tell) -> None:
    started = Started(40, parameters=10, flops_per_token=60, warning="torch was 1, is 2")
    out, err = told([started])
    assert out.endswith("going on at step 40\n")
    assert err == "warning: torch was 1, is 2\n"


def test_what_is_not_known_yet_is_not_said(told: Tell) -> None:
    nothing = Pace(0.0, 0.0, 412_300_000)
    assert "MFU" not in told(EVENTS[:2], nothing)[0]
    assert told([Finished(LAST)], nothing) == ("", "")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (987, "987"), (1000, "1.0k"), (9949, "9.9k"), (9951, "10k"), (1_234_567, "1,235k")],
)
def test_a_number_is_shown_in_four_characters_or_so(number: float, text: str) -> None:
    assert thousands(number) == text
