"""What is written down of the sweep file is what the code reads."""

import json
from pathlib import Path

from experiments import keys, keytable
from experiments.spec import Sweep

ROOT = Path(__file__).parent.parent


def test_the_json_schema_beside_the_sweeps_is_of_this_code() -> None:
    written = json.loads((ROOT / "sweeps" / "sweep.schema.json").read_text())
    assert written == keys.sweep_schema(), (
        "run: python -m experiments.keys > sweeps/sweep.schema.json"
    )


def test_the_table_in_the_readme_is_of_this_code() -> None:
    assert keytable.table(Sweep).strip() in (ROOT / "README.md").read_text(), (
        "copy the output of: python -m experiments.keys --table"
    )
