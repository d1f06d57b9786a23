"""The sweep's pages on W&B: made once, replaced when they are made again."""

import json
import shutil
from pathlib import Path
from typing import Any

from fakewandb import FakeWandb


def test_a_workspace_and_a_report_are_made_and_made_again_they_are_replaced(
    golden: Any, command: Any, server: FakeWandb, tmp_path: Path
) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb", "trials"))
    environ = server.environment(tmp_path / "home")
    outcome = command("experiments.workspace", path, cwd=tmp_path, environ=environ)
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()
    assert first.startswith(f"workspace {server.url}/me/tinygpt?nw=")
    assert second.startswith(f"report    {server.url}/me/tinygpt/reports/Sweep-tiny--")
    again = command("experiments.workspace", path, cwd=tmp_path, environ=environ)
    assert again.out == outcome.out
    page, report = server.views
    assert [page["type"], report["type"]] == ["project-view", "runs"]
    shown = json.loads(page["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in shown] == [
        "Learning curves",
        "Search",
        "Samples",
        "Speed and machine",
    ]
    kinds = {panel["viewType"] for section in shown for panel in section["panels"]}
    assert {"Run History Line Plot", "Parallel Coordinates Plot", "Parameter Importance"} <= kinds
    assert (path / "report/report.md").read_text()[:200] in json.dumps(
        json.loads(report["spec"]), ensure_ascii=False
    ).replace("\\n", "\n").replace('\\"', '"')


def test_what_is_no_sweep_has_no_workspace(
    golden: Any, command: Any, server: FakeWandb, tmp_path: Path
) -> None:
    trial = golden.path / "trials" / "0000"
    environ = server.environment(tmp_path / "home")
    outcome = command("experiments.workspace", trial, cwd=tmp_path, environ=environ)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {trial}: is no sweep; name a sweep's file or directory"]
    assert server.views == []
