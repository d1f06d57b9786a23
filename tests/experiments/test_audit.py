"""What a server lacks is named, and what only a person can mend is told apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments import publish
from experiments.audit import Audit, Expected, Finding, compared
from experiments.client import Held
from experiments.wandbconfig import WandbConfig

WANTED = Expected("a", "a", "trial-0007", 20, "finished", ["step-5", "step-9"], "corpus-text")
MODEL = ("a-checkpoint:v0", ("best", "step-5"), "COMMITTED")
LAST = ("a-checkpoint:v1", ("latest", "step-9"), "COMMITTED")
WHOLE = Held(20, "finished", [MODEL, LAST], ["corpus-text"])


@pytest.mark.parametrize(
    ("held", "findings"),
    [
        (WHOLE, []),
        (None, ["is not there"]),
        (replace(WHOLE, rows=19), ["has 19 rows, the record 20"]),
        (replace(WHOLE, rows=21), ["has 21 rows, the record 20"]),
        (replace(WHOLE, state="running"), ["is running, not finished"]),
        (replace(WHOLE, artifacts=[MODEL]), ["its checkpoint step-9 is not there"]),
        (replace(WHOLE, used=[]), ["its corpus corpus-text is not there"]),
        (
            replace(WHOLE, artifacts=[MODEL, (*LAST[:2], "PENDING")]),
            ["its artifact a-checkpoint:v1 is pending"],
        ),
        (
            Held(0, "crashed"),
            [
                "has 0 rows, the record 20",
                "is crashed, not finished",
                "its checkpoint step-5 is not there",
                "its checkpoint step-9 is not there",
                "its corpus corpus-text is not there",
            ],
        ),
    ],
)
def test_whatever_the_server_lacks_is_named(held: Held | None, findings: list[str]) -> None:
    assert [finding.what for finding in compared(WANTED, held)] == findings


def test_what_no_upload_mends_comes_with_advice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [Finding(WANTED, "has 21 rows, the record 20", may_pass=False, more=True)]
    path = Path("runs/small")
    assert publish.told(path, WandbConfig(), Audit(1, 21, 2, found)) == 75
    assert capsys.readouterr().err.splitlines() == [
        "warning: runs/small: trial-0007 has 21 rows, the record 20; delete that run there and "
        "publish again",
        "error: W&B: runs/small is not level; run the same command again",
    ]
