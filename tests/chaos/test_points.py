"""Killed at any point, or out of room there, a run and a sweep end as if nothing had been."""

import pytest

from chaos.command import told


def test_a_run_killed_or_out_of_room_at_some_of_its_points_ends_as_if_it_never_was() -> None:
    said = told("trainer", "full", "chains", "--sample", "10", "--jobs", "1")
    assert said.count(" 0 mismatches") == 3


def test_a_sweep_one_of_whose_processes_is_killed_at_some_points_ends_as_if_none_was() -> None:
    said = told("driver", "worker", "--sample", "5", "--jobs", "1")
    assert said.count(" 0 mismatches") == 2


@pytest.mark.chaos
@pytest.mark.parametrize(
    "layer", ["trainer", "full", "chains", "driver", "worker", "full-driver", "full-worker"]
)
def test_every_point_of_every_process_may_be_the_last(layer: str) -> None:
    assert " 0 mismatches" in told(layer, "--full")
