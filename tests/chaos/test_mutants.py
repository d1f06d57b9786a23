"""Faults made on purpose are seen."""

import random
from pathlib import Path

import pytest

from chaos.mutants import MUTANTS, QUICK, Mutant
from chaos.mutating import ROOT, apply, checked, copy, mutated, seen
from chaos.tally import Options


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product and its tests."""
    return copy(tmp_path_factory.mktemp("mutants") / "copy")


@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: one.name)
def test_the_place_that_a_mutant_changes_is_still_there(one: Mutant, tmp_path: Path) -> None:
    for edit in one.edits:
        path = tmp_path / edit.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((ROOT / edit.file).read_bytes())
        apply(edit, tmp_path)
        compile(path.read_text(), edit.file, "exec")


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_seen_and_the_product_as_it_is_passes(name: str, root: Path) -> None:
    (one,) = [one for one in MUTANTS if one.name == name]
    caught, said = seen(one, root)
    assert caught, said
    passed, said = checked(one.check, root)
    assert passed, said


@pytest.mark.chaos
def test_every_mutant_is_seen(tmp_path: Path) -> None:
    assert mutated(Options(None, random.Random(0)), tmp_path).findings == []
