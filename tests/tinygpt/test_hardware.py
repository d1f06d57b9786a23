"""What is measured of the machine."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch

from tinygpt import hardware


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    """Set torch's threads for one test."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


def test_a_peak_is_measured_once_for_a_precision_and_a_number_of_threads(
    with_threads: Callable[[int], None],
) -> None:
    """Two measurements would not agree to the last digit."""
    single = hardware.peak_flops("cpu", "fp32")
    assert single == hardware.peak_flops("cpu", "fp32") > 0
    assert hardware.peak_flops("cpu", "bf16") != single
    with_threads(2)
    assert hardware.peak_flops("cpu", "fp32") != single


def test_a_peak_draws_no_random_number(with_threads: Callable[[int], None]) -> None:
    with_threads(3)  # so that it is measured here
    before = torch.get_rng_state()
    hardware.peak_flops("cpu", "fp32")
    assert torch.equal(torch.get_rng_state(), before)


def test_peak_memory_is_in_bytes_and_remembers_what_was_given_back() -> None:
    size = 1 << 26
    block = bytearray(b"x") * size
    del block
    assert size < hardware.peak_memory("cpu") < 1 << 40


KEPT = """\
import resource, sys, torch
from tinygpt import hardware
from tinygpt.config import TrainConfig

if sys.argv[1] == "configured":
    hardware.configure(TrainConfig(device="cpu", precision="fp32"))
for step in range(44):
    if step == 40:  # small blocks among the large ones have found their places
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensor = torch.ones(1 << 22)
    del tensor
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GIVING = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}
"""Else it depends on what was freed before whether glibc gives a block back."""


def faults(how: str) -> int:
    command = [sys.executable, "-c", KEPT, how]
    environment = {**os.environ, **GIVING}
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is meant")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    """A tensor of 16 MB, made four times: its pages are new each time, or none is."""
    assert faults("plain") >= 4 * 4096
    assert faults("configured") < 100
