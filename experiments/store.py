"""The Optuna study in `study.db`: a projection of the trials, written by the driver alone."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from experiments.database import (
    DamagedError,
    Database,
    Patience,
    StorageError,
    is_sound,
    parts_of,
)
from experiments.frozen import frozen, user_attrs, values
from experiments.search import Search
from experiments.snapshot import STATES
from experiments.spread import widest
from experiments.trial import Trial
from tinygpt import durable


class DisagreementError(Exception):
    """The study holds something that the trials do not."""


class Store:
    """The study of a sweep, opened and brought level with its trials.

    Everything raises StorageError if the database cannot be used; nothing of a trial is lost then,
    since the next opening brings it level again.
    """

    def __init__(
        self,
        path: Path,
        search: Search,
        trials: Sequence[Trial],
        patience: Patience = Patience(),  # noqa: B008 (frozen)
    ) -> None:
        """Opens or creates the study. One that is damaged or disagrees with the trials is set aside
        and made anew."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._path, self._sweep, self._patience = path, search.sweep, patience
        self._distributions = widest(search.sweeps())
        if not is_sound(path, patience):
            self._replace()
        try:
            self._open(trials)
        except Exception as error:  # whatever Optuna cannot read is not what was written
            here = isinstance(error, StorageError) and not isinstance(error, DamagedError)
            if here or isinstance(error, MemoryError):
                raise
            self._replace()
            self._open(trials)

    def _replace(self) -> None:
        if (aside := set_aside(self._path)) is not None:
            self._patience.say(f"{self._path}: made again from the trials; {aside.name} is the old")

    def add(self, trial: Trial) -> None:
        """Create the next trial; its number is the one that the sweep gave it."""
        template = frozen(trial, self._distributions, self._sweep.objective, trial.number)
        with self._undisturbed():
            trial_id = self._storage.create_new_trial(self._study, template_trial=template)
            self._ids[trial.number] = trial_id
            if self._storage.get_trial(trial_id).number != trial.number:
                raise DisagreementError  # another program has added a trial

    def report(self, number: int, step: int, value: float) -> None:
        """Add a running trial's loss at a step; the same again changes nothing."""
        with self._undisturbed():
            self._storage.set_trial_intermediate_value(self._ids[number], step, value)

    def tell(self, trial: Trial) -> None:
        """Finish a trial that the study has as running."""
        told = values(trial, self._sweep.objective)
        with self._undisturbed():
            trial_id = self._ids[trial.number]
            for name, attr in user_attrs(trial).items():
                self._storage.set_trial_user_attr(trial_id, name, attr)
            self._storage.set_trial_state_values(trial_id, STATES[trial.state], told)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _open(self, trials: Sequence[Trial]) -> None:
        self._database = Database(self._path, self._patience)
        try:
            # Optuna is given a connection and no path, in which it would read braces and SQLAlchemy
            # a `?`; always the same one, since it opens two at a time and would wait for itself.
            options = {"creator": lambda: self._database}
            self._storage = RDBStorage("sqlite:///study.db", engine_kwargs=options)
            self._study = self._the_study()
            self._ids: dict[int, int] = {}
            self.doubted: dict[int, int] = {}
            """The steps from which on running trials have other losses here than in their record:
            one of the two is damaged, and which one it is only computing them again will tell."""
            self._level(trials)
        except BaseException:
            self.close()
            raise

    def _the_study(self) -> int:
        """The id of the only study that there may be, made if there is none."""
        name, objectives = self._sweep.name, self._sweep.objective
        if {study.study_name for study in self._storage.get_all_studies()} - {name}:
            raise DisagreementError
        study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=[one.direction for one in objectives],
            load_if_exists=True,
        )
        if [direction.name.lower() for direction in study.directions] != [
            one.direction for one in objectives
        ]:
            raise DisagreementError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one.metric for one in objectives])
        return self._storage.get_study_id_from_name(name)

    def _level(self, trials: Sequence[Trial]) -> None:
        stored = self._storage.get_all_trials(self._study)
        if [known.number for known in stored] != list(range(len(stored))):
            raise DisagreementError
        if len(stored) > len(trials):
            raise DisagreementError
        for trial, known in zip(trials, stored, strict=False):
            self._ids[trial.number] = known._trial_id
            self._catch_up(trial, known)
        for trial in trials[len(stored) :]:
            self.add(trial)

    def _catch_up(self, trial: Trial, known: FrozenTrial) -> None:
        if not self._may_become(known, trial):
            raise DisagreementError
        stored = known.intermediate_values
        other = [step for step, loss in trial.reports.items() if stored.get(step, loss) != loss]
        if other:
            self.doubted[trial.number] = min(other)
        for step in sorted(trial.reports.keys() - stored.keys()):
            if step < min(other, default=step + 1):
                self.report(trial.number, step, trial.reports[step])
        if trial.state != "running" and known.state == TrialState.RUNNING:
            self.tell(trial)

    def _may_become(self, known: FrozenTrial, trial: Trial) -> bool:
        """Whether what the study has of a trial is the trial, or what it was at some time."""
        stored, reports = known.intermediate_values, trial.reports
        drawn = {key: self._distributions[key] for key in trial.params}
        if (known.params, known.distributions) != (trial.params, drawn):
            return False
        if known.state != TrialState.RUNNING:
            attrs = {**known.user_attrs, **user_attrs(trial)}
            state, told = STATES[trial.state], values(trial, self._sweep.objective)
            there = (known.state, known.values, stored, known.user_attrs)
            return there == (state, told, reports, attrs)
        # A resumed trial may have lost reports behind its checkpoint; it will make them again.
        return trial.state == "running" or (
            stored.keys() <= reports.keys()
            and all(stored.get(step, loss) == loss for step, loss in reports.items())
        )

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Raise DamagedError if the study is not as this process left it."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:  # what Optuna could do before, it cannot do with another's rows
            how = "another program has changed it, or it was damaged; run it again"
            raise DamagedError(f"{self._path}: {how}") from error


def set_aside(path: Path, why: str = "damaged") -> Path | None:
    """Rename a database and what SQLite keeps beside it, so that they count no more; where it is
    now, None if there was none."""
    number, there = 0, bool(parts_of(path))
    while parts_of(aside := path.with_name(f"{path.name}.{why}-{number}")):
        number += 1
    for part in parts_of(path):
        durable.rename(part, aside.with_name(part.name.replace(path.name, aside.name, 1)))
    durable.sync_directory(path.parent)
    return aside if there else None


@contextlib.contextmanager
def opened(
    path: Path,
    search: Search,
    trials: Sequence[Trial],
    patience: Patience = Patience(),  # noqa: B008 (frozen)
) -> Iterator[Store]:
    """The store, closed at the end."""
    store = Store(path, search, trials, patience)
    try:
        yield store
    finally:
        store.close()
