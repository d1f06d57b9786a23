"""The W&B run of the sweep itself: one page that tells its story."""

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from experiments import client
from experiments.client import Bundle
from experiments.runmirror import Target
from experiments.story import Story
from experiments.tracked import Sources, tags_of
from experiments.trial import Trial

REFRESH_SECONDS = 600.0
"""How often the study and the settled sweep are uploaded while the sweep runs."""


class SweepMirror:
    """The run of a sweep: a row for each trial in the order of their numbers, and what stands for
    the whole in its summary."""

    def __init__(self, sources: Sources, target: Target) -> None:
        assert sources.sweep is not None
        self._sources, self._target, self._sweep = sources, target, sources.sweep
        self._story = Story(self._sweep)
        self._ended: dict[int, Trial] = {}
        self._held: dict[str, Any] | None = None
        self._run: client.Run | None = None
        self._uploaded_at = time.monotonic()

    @property
    def directory(self) -> str:
        return self._run.directory if self._run else ""

    @property
    def url(self) -> str | None:
        """The sweep's page; None offline, or not yet open."""
        return self._run.url if self._run else None

    def take(self, trial: Trial) -> None:
        """Hear of a trial that has ended."""
        self._ended[trial.number] = trial

    def catch_up(self) -> None:
        """Log what follows from the trials heard of; raises client.UnreachableError."""
        self._open()
        fresh = False
        while (trial := self._ended.pop(len(self._story.trials), None)) is not None:
            self._log_held()
            self._held, fresh = self._story.take(trial), True
            if len(self._story.trials) < self._sources.planned():
                self._log_held()
            if self._story.is_milestone():
                self._show_ranking()
        if fresh:
            self._opened().summarise(self._story.summary())
        if time.monotonic() - self._uploaded_at > REFRESH_SECONDS:
            self._upload(())

    def close(self) -> None:
        """Log the last row with the report, the final ranking, and all that the sweep left."""
        self.catch_up()
        report = self._sources.sweep_dir.report
        if self._held is not None:
            self._held |= {name: client.html(page) for name, page in pages(report).items()}
            self._log_held()
        self._show_ranking()
        self._opened().summarise({"state": "complete", **self._story.summary()})
        if self._target.provenance and self._target.provenance.diff:
            self._opened().save("diff.patch", self._target.provenance.diff.encode())
        self._upload(("final",))
        self._opened().tag("complete")
        self._opened().finish(exit_code=0)

    def interrupt(self) -> None:
        """Let go of a sweep that will go on."""
        self._log_held()
        self._upload(())
        self._opened().interrupt()

    def _open(self) -> None:
        if self._run is not None:
            return
        sources, sweep = self._sources, self._sweep
        self._run = self._target.open(
            self._target.about(
                id=sources.id,
                name=sweep.name,
                group=sweep.name,
                job_type="sweep",
                tags=tags_of(sweep),
                config=sources.settled(),
            )
        )

    def _opened(self) -> client.Run:
        self._open()
        assert self._run is not None
        return self._run

    def _log_held(self) -> None:
        """Log the row of the newest trial; that of the last one waits for the report."""
        if self._held is not None:
            step, run = len(self._story.trials) - 1, self._opened()
            if step >= run.next_step:
                run.log(self._held, step)
            self._held = None

    def _show_ranking(self) -> None:
        told: dict[str, Any] = {"leaderboard": client.table(*self._story.leaderboard())}
        shares = self._story.importances()
        if shares:
            rows = [[key, share] for key, share in shares.items()]
            told["importances"] = client.table(["parameter", "importance"], rows)
            told |= {f"importance/{key}": share for key, share in shares.items()}
        self._opened().summarise(told)

    def _upload(self, aliases: tuple[str, ...]) -> None:
        """The study, the settled sweep and the report as one artifact."""
        self._uploaded_at = time.monotonic()
        sweep_dir = self._sources.sweep_dir
        report = [path for path in sorted(sweep_dir.report.rglob("*")) if path.is_file()]
        copied = {str(path.relative_to(sweep_dir.path)): path for path in report}
        with tempfile.TemporaryDirectory(dir=self._target.home) as scratch:
            study = Path(scratch) / "study.db"
            if sweep_dir.study.exists():
                copy_of(sweep_dir.study, study)
                copied["study.db"] = study
            self._opened().output(
                Bundle(
                    name=f"{self._opened().id}-sweep",
                    type="sweep",
                    metadata={"trials": len(self._story.trials)},
                    copied=copied | {"sweep.json": sweep_dir.sweep},
                    aliases=("latest", *aliases),
                )
            )


def copy_of(source: Path, target: Path) -> None:
    """Copy a database that may be in use, as of one moment."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live:
        live.execute("PRAGMA busy_timeout = 5000")
        with closing(sqlite3.connect(target)) as copy:
            live.backup(copy)


def pages(report: Path) -> dict[str, str]:
    """The report and its figures, as pages that W&B shows."""
    found = {"report": report / "report.html"}
    figures = sorted((report / "figures").glob("*.svg"))
    found |= {f"figures/{figure.stem}": figure for figure in figures}
    return {name: path.read_text() for name, path in found.items() if path.exists()}
