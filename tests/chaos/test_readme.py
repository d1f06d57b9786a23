"""The table of faults names tests and layers that are there."""

import re
from pathlib import Path

from chaos.__main__ import LAYERS

TESTS = Path(__file__).resolve().parents[1]


def test_every_fault_of_the_table_names_tests_and_layers_that_are_there() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", (TESTS / "chaos" / "README.md").read_text(), re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 48))
    named = {name for _, row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[-1])}
    sources = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    there = {*LAYERS, *re.findall(r"^def (test_\w+)", sources, re.M)}
    assert named - there == set()
