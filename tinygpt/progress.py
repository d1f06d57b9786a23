"""What a person sees of one run while it trains."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tinygpt.config import RunConfig
from tinygpt.events import Durable, Evaluated, Finished, Started, Trained

if TYPE_CHECKING:
    from tinygpt.pace import Pace  # loads torch


class Progress:
    """Lines about a run, of 80 columns at most as long as its numbers are not unusual; on a
    terminal one line that renews itself between them."""

    def __init__(self, settled: RunConfig, pace: "Callable[[], Pace]") -> None:
        """`pace` tells that of the training so far."""
        self.last, self._pace = settled.train.max_iters, pace
        self._began, self._first = time.perf_counter(), 0

    def show(self, event: Durable) -> None:
        match event:
            case Started():
                self._start(event)
            case Evaluated(step=self.last):
                losses = f"val {event.val_loss:.4f} (whole split)  train {event.train_loss:.4f}"
                self._line(self._place(event.step), losses)
            case Evaluated():
                losses = f"val {event.val_loss:.4f}  train {event.train_loss:.4f}"
                self._line(self._place(event.step), losses, *self._speed(), self._left(event.step))
            case Trained() if sys.stdout.isatty():
                parts = (f"loss {event.train_loss:.4f}", *self._speed(), self._memory())
                line = joined(self._place(event.step), *parts, self._left(event.step))
                print(f"\r\033[K{line}", end="", flush=True)
            case Finished() if speed := self._speed():
                self._line(*speed, f"{self._memory()} of memory")

    def _start(self, event: Started) -> None:
        self._began, self._first = time.perf_counter(), event.step
        self._line(
            f"{event.parameters:,} parameters",
            f"{event.flops_per_token / 1e6:.3g} MFLOP per character",
            f"going on at step {event.step}" if event.step else "from step 0",
        )
        if event.warning:
            print(f"warning: {event.warning}", file=sys.stderr)

    def _place(self, step: int) -> str:
        return f"step {step:>{len(str(self.last))}}/{self.last}"

    def _speed(self) -> tuple[str, ...]:
        pace = self._pace()
        if not pace.tokens_per_second:
            return ()
        return f"{thousands(pace.tokens_per_second)} characters/s", f"{pace.mfu:.0%} MFU"

    def _memory(self) -> str:
        return f"{self._pace().peak_memory / 1e6:,.0f} MB"

    def _left(self, step: int) -> str:
        done = step - self._first
        if not done:
            return ""
        seconds = (self.last - step) * (time.perf_counter() - self._began) / done
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes}:{seconds:02} left"

    def _line(self, *parts: str) -> None:
        start = "\r\033[K" if sys.stdout.isatty() else ""
        print(start + joined(*parts), flush=True)


def joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def thousands(number: float) -> str:
    """A number in four characters or so: 987, 9.8k, 62k."""
    if number < 1000:
        return f"{number:.0f}"
    return f"{number / 1000:.1f}k" if number < 9950 else f"{number / 1000:,.0f}k"
