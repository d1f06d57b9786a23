"""Optuna's remarks on features that it may change, which are not for the user of a sweep."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning


@contextmanager
def quiet(*others: type[Warning]) -> Iterator[None]:
    """Leave out that something is experimental, and other kinds of warnings that are named."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        for category in others:
            warnings.simplefilter("ignore", category)
        yield
