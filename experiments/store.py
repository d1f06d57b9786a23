"""The Optuna study in `study.db`: a projection of the trials, written by the driver alone."""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from experiments.frozen import frozen, user_attrs, values
from experiments.search import Search
from experiments.snapshot import STATES
from experiments.spread import widest
from experiments.trial import Trial

LOCK_SECONDS = 60


class DisagreementError(Exception):
    """The study holds something that the trials do not."""


class Store:
    """The study of a sweep, opened and brought level with its trials."""

    def __init__(self, path: Path, search: Search, trials: Sequence[Trial]) -> None:
        """Opens or creates the study. One that is damaged or disagrees with the trials is set aside
        and made anew."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._path, self._sweep = path, search.sweep
        self._distributions = widest(search.sweeps())
        if path.exists() and not is_sound(path):
            set_aside(path)
        self._open()
        try:
            self._level(trials)
        except DisagreementError:
            self.close()
            set_aside(path)
            self._open()
            self._level(trials)

    def add(self, trial: Trial) -> None:
        """Create the next trial; its number is the one that the sweep gave it."""
        template = frozen(trial, self._distributions, self._sweep.objective, trial.number)
        self._storage.create_new_trial(self._study, template_trial=template)

    def report(self, number: int, step: int, value: float) -> None:
        """Add a running trial's loss at a step; the same again changes nothing."""
        self._storage.set_trial_intermediate_value(self._id(number), step, value)

    def tell(self, trial: Trial) -> None:
        """Finish a trial that the study has as running."""
        trial_id = self._id(trial.number)
        for name, attr in user_attrs(trial).items():
            self._storage.set_trial_user_attr(trial_id, name, attr)
        told = values(trial, self._sweep.objective)
        self._storage.set_trial_state_values(trial_id, STATES[trial.state], told)

    def close(self) -> None:
        """Let go of the database."""
        self._storage.engine.dispose()

    def _open(self) -> None:
        options = {"connect_args": {"timeout": LOCK_SECONDS}}
        with reporting_storage_errors():
            self._storage = RDBStorage(f"sqlite:///{self._path}", engine_kwargs=options)
        name, objectives = self._sweep.name, self._sweep.objective
        study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=[one.direction for one in objectives],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one.metric for one in objectives])
        self._study = self._storage.get_study_id_from_name(name)

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, number)

    def _level(self, trials: Sequence[Trial]) -> None:
        stored = self._storage.get_all_trials(self._study)
        if len(stored) > len(trials):
            raise DisagreementError
        for trial, known in zip(trials, stored, strict=False):
            self._catch_up(trial, known)
        for trial in trials[len(stored) :]:
            self.add(trial)

    def _catch_up(self, trial: Trial, known: FrozenTrial) -> None:
        # A resumed trial may have lost reports behind its checkpoint; it will make them again.
        stored = known.intermediate_values
        drawn = {key: self._distributions[key] for key in trial.params}
        same = (known.params, known.distributions) == (trial.params, drawn) and all(
            stored.get(step, loss) == loss for step, loss in trial.reports.items()
        )
        ended, told = known.state != TrialState.RUNNING, values(trial, self._sweep.objective)
        if not same or (ended and (known.state, known.values) != (STATES[trial.state], told)):
            raise DisagreementError
        for step in sorted(trial.reports.keys() - stored.keys()):
            if not ended:
                self.report(trial.number, step, trial.reports[step])
        if trial.state != "running" and not ended:
            self.tell(trial)


@contextlib.contextmanager
def reporting_storage_errors() -> Iterator[None]:
    """Raise StorageInternalError for a failing database also where Optuna passes SQLAlchemy's own
    errors on, which is when it makes its tables."""
    try:
        yield
    except Exception as error:  # SQLAlchemy is Optuna's affair, so its types are not named here
        cause = getattr(error, "orig", None)
        if not isinstance(cause, sqlite3.Error):
            raise
        raise StorageInternalError(str(cause)) from cause


def is_sound(path: Path) -> bool:
    """Whether a file is an SQLite database without damage; waits for whoever has it locked."""
    with contextlib.closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
        try:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            return False


def set_aside(path: Path, why: str = "damaged") -> None:
    """Rename a database and its journal so that they count no more."""
    number = 0
    while (aside := path.with_name(f"{path.name}.{why}-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def opened(path: Path, search: Search, trials: Sequence[Trial]) -> Iterator[Store]:
    """The store, closed at the end."""
    store = Store(path, search, trials)
    try:
        yield store
    finally:
        store.close()
