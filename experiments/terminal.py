"""What a person sees of a sweep while it runs: a live view on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.trial import Trial
from tinygpt.config import RunConfig
from tinygpt.redaction import redacted


@dataclass
class Running:
    """A trial in training, as it is shown."""

    trial: Trial
    max_iters: int
    tokens_per_step: int
    first_step: int
    since: float
    step: int
    train_loss: float | None = None
    mfu: float | None = None
    val_loss: float | None = None

    def speed(self, now: float) -> float:
        """Characters per second since the trial began or went on."""
        seconds = now - self.since
        return (
            (self.step - self.first_step) * self.tokens_per_step / seconds if seconds > 0 else 0.0
        )

    def left(self, now: float) -> float:
        """Seconds to its end at this speed."""
        done = self.step - self.first_step
        return (self.max_iters - self.step) * (now - self.since) / done if done else 0.0


class StrictConsole(Console):
    """A console that lets a closed output be known, where rich would leave with its own code."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Terminal:
    """The view of one sweep. Standard output gets the story, standard error the warnings."""

    def __init__(self, name: str, total: int, workers: int, progress: bool = True) -> None:
        self.name, self.total, self.workers = name, total, workers
        self.console = StrictConsole(highlight=False, soft_wrap=True)
        self.done: list[Trial] = []
        self._running: dict[int, Running] = {}
        self._earlier = 0
        self._began = time.monotonic()
        self._live: Live | None = None
        if progress and self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self.render, transient=True)

    def __enter__(self) -> "Terminal":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def resume(self, finished: list[Trial]) -> None:
        """The trials that were finished before this command."""
        self.done, self._earlier = list(finished), len(finished)

    def say(self, line: str) -> None:
        self.console.print(Text(redacted(line)))

    def warn(self, line: str) -> None:
        warning = f"warning: {redacted(line)}"
        if self._live:
            self.console.print(Text(warning, style="yellow"))
        else:
            print(warning, file=sys.stderr, flush=True)

    def started(self, trial: Trial, step: int, config: RunConfig) -> None:
        self._running[trial.number] = Running(
            trial, config.train.max_iters, config.tokens_per_step, step, time.monotonic(), step
        )
        if not self._live:
            where = f"going on at step {step}" if step else "starts"
            self.say(f"trial {trial.number:>3}  {where:<22} {described(trial)}")

    def trained(self, number: int, step: int, loss: float, mfu: float) -> None:
        running = self._running[number]
        running.step, running.train_loss, running.mfu = step, loss, mfu

    def evaluated(self, number: int, step: int, loss: float) -> None:
        self._running[number].step, self._running[number].val_loss = step, loss

    def left(self, number: int) -> None:
        self._running.pop(number, None)

    def finished(self, trial: Trial) -> None:
        self.done.append(trial)
        best = self.best()
        line = Text(f"trial {trial.number:>3}  {outcome(trial):<22} {described(trial)}")
        if best is not None and best.number == trial.number:
            line.append("  best so far", style="bold green")
        self.console.print(line)

    def best(self) -> Trial | None:
        complete = [trial for trial in self.done if trial.state == "complete"]
        return min(complete, key=lambda trial: (trial.value, trial.number), default=None)

    def render(self) -> Group:
        """The live view: counts, best so far, time left, and a line per running trial."""
        now = time.monotonic()
        table = Table(box=None, pad_edge=False, show_header=False)
        # Drawn by a thread of its own, while trials come and go.
        for _, running in sorted(self._running.items()):
            table.add_row(*row(running, now))
        return Group(Text(self._headline(now), style="bold"), table)

    def _headline(self, now: float) -> str:
        running = len(self._running)
        parts = [
            f"{self.name}: {len(self.done)} done, {running} running, "
            f"{max(0, self.total - len(self.done) - running)} left"
        ]
        if (best := self.best()) is not None:
            parts.append(f"best {best.value:.4f} (trial {best.number})")
        if (left := self._seconds_left(now)) is not None:
            parts.append(f"about {clock(left)} left")
        return "  ·  ".join(parts)

    def _seconds_left(self, now: float) -> float | None:
        """The time that as many trials took so far, scaled to what is left."""
        done = len(self.done) - self._earlier
        share = sum((r.step - r.first_step) / r.max_iters for r in list(self._running.values()))
        if done < 1:
            return None
        left = self.total - len(self.done) - share
        return max(0.0, left * (now - self._began) / (done + share))


def row(running: Running, now: float) -> tuple[Text | ProgressBar, ...]:
    """A running trial's cells: number, progress, step, losses, speed, model FLOPs utilisation, time
    left."""
    loss = "" if running.train_loss is None else f"loss {running.train_loss:.4f}"
    val = "" if running.val_loss is None else f"val {running.val_loss:.4f}"
    mfu = "" if running.mfu is None else f"{running.mfu:.0%} MFU"
    return (
        Text(f"  trial {running.trial.number:>3}"),
        ProgressBar(total=running.max_iters, completed=running.step, width=16),
        Text(f"{running.step}/{running.max_iters}"),
        Text(loss),
        Text(val),
        Text(f"{running.speed(now) / 1000:.0f}k characters/s"),
        Text(mfu),
        Text(clock(running.left(now))),
    )


def outcome(trial: Trial) -> str:
    """How a trial ended, in a word or two."""
    if trial.state == "complete":
        return f"{trial.value:.4f}"
    if trial.state == "pruned" and trial.reports:
        step = max(trial.reports)
        return f"{trial.reports[step]:.4f} pruned at {step}"
    return f"failed: {redacted(trial.reason or '')}" if trial.state == "failed" else trial.state


def described(trial: Trial) -> str:
    """Which configuration a trial is of, and how it is not the first of it."""
    again = f"  seed {trial.replicate + 1} of this one" if trial.replicate else ""
    same = f"  same as trial {trial.same_as}" if trial.same_as is not None else ""
    return f"{shown(trial.params)}{again}{same}"


def shown(params: Mapping[str, object]) -> str:
    """Parameters in one line: the last part of each name, and a short value."""
    return "  ".join(
        f"{key.rpartition('.')[2]} {value:.3g}"
        if isinstance(value, float)
        else f"{key.rpartition('.')[2]} {value}"
        for key, value in params.items()
    )


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
