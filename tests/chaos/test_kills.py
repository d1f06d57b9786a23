"""The real command, killed at moments that nobody has named, ends as if it never was."""

import pytest

from chaos.command import told


@pytest.mark.chaos
def test_a_sweep_that_is_killed_at_three_moments_ends_as_if_it_never_was() -> None:
    assert " 3 faults, 0 mismatches" in told("kills", "--sample", "3", "--jobs", "1")


@pytest.mark.chaos
def test_a_sweep_that_is_killed_at_a_hundred_moments_ends_as_if_it_never_was() -> None:
    assert " 0 mismatches" in told("kills", "--full")
