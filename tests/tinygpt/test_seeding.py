"""Randomness is a function of (seed, stream, index)."""

import itertools

import pytest

from tinygpt.seeding import derive


@pytest.mark.parametrize(
    ("seed", "stream", "index", "expected"),
    [
        (0, "init", 0, 4213802666853728012),
        (0, "data", 7, 7507418319056934429),
        (123456789, "sample", 1000, 6375200673570234607),
    ],
)
def test_a_derived_seed_never_changes_between_versions(
    seed: int, stream: str, index: int, expected: int
) -> None:
    assert derive(seed, stream, index) == expected, "every run ever made would change its result"


def test_seeds_of_other_arguments_are_other_seeds() -> None:
    streams = ("init", "data", "dropout", "sampler", "sample")
    uses = list(itertools.product(range(20), streams, range(20)))
    assert len({derive(*use) for use in uses}) == len(uses)


def test_digits_do_not_move_from_one_argument_to_the_next() -> None:
    assert derive(1, "data", 11) != derive(11, "data", 1)


def test_seeds_fill_the_range_that_a_torch_generator_takes() -> None:
    seeds = [derive(0, "data", index) for index in range(1000)]
    assert min(seeds) >= 0
    assert 2**62 < max(seeds) < 2**63
