"""No damage to any file leads to another result without a word."""

import random
from pathlib import Path

import pytest

from chaos import damage
from chaos.corruption import damaged
from chaos.tally import Options, sample

LINES = b'{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize("kind", damage.OF_ANY)
def test_damage_changes_a_file_that_holds_something(kind: damage.Damage) -> None:
    draw = random.Random(0)
    assert all(kind(LINES, draw) != LINES for _ in range(100))


@pytest.mark.parametrize("kind", damage.OF_ANY + damage.OF_LINES)
def test_an_empty_file_can_be_damaged_too(kind: damage.Damage) -> None:
    assert set(kind(b"", random.Random(0))) <= set(range(256))


@pytest.mark.parametrize("kind", damage.OF_LINES)
def test_damage_of_lines_leaves_whole_lines(kind: damage.Damage) -> None:
    draw, whole = random.Random(0), LINES.splitlines(keepends=True)
    for _ in range(100):
        lines = kind(LINES, draw).splitlines(keepends=True)
        assert lines != whole
        assert set(lines) <= set(whole)


def test_damage_is_never_silent(tmp_path: Path) -> None:
    tally = damaged(sample(16), tmp_path)
    assert (tally.findings, tally.cases) == ([], 16)


@pytest.mark.chaos
def test_no_damage_of_a_thousand_is_silent(tmp_path: Path) -> None:
    assert damaged(Options(None, random.Random(0)), tmp_path).findings == []
