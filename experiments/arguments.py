"""What the commands accept as the value of an option."""

import argparse

from experiments import budget


def positive(text: str) -> int:
    """A whole number from 1; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds, from 90s, 30m or 1.5h; raises ArgumentTypeError."""
    seconds = budget.seconds(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"must be like 90s, 30m or 1.5h, got {text!r}")
    return seconds
