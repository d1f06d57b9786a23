"""What a run's timings come to."""

from pathlib import Path
from typing import Any

import pytest

from experiments.contest import ContestError
from experiments.overheads import INTERVAL, from_timings, measured, overheads

OFFER = {"gpu": False, "gpu_bf16": False, "cpu_bf16": False}


def timings() -> list[dict[str, Any]]:
    """A run of 40 steps: 0.05 s a step, and a last evaluation that takes long."""
    rows: list[dict[str, Any]] = []
    for step in range(0, 41, 10):
        if step:
            rows.append({"kind": "train", "step": step, "seconds": 0.5})
        if step % 20 == 0:
            rows.append({"kind": "checkpoint", "step": step, "seconds": 0.01 * (step + 1)})
            rows.append({"kind": "eval", "step": step, "seconds": 9.0 if step == 40 else 0.2})
        if step == 20:
            rows.append({"kind": "sample", "step": step, "seconds": 0.1})
    return rows


def test_overheads_are_medians_in_milliseconds_and_in_steps() -> None:
    found = from_timings(timings(), verdict_seconds=0.001)
    assert found.step == pytest.approx(50.0)
    assert found.checkpoint == pytest.approx(110.0)
    assert found.evaluation == pytest.approx(200.0)
    assert (found.sample, found.verdict) == (pytest.approx(100.0), pytest.approx(1.0))
    assert found.in_steps()["evaluation"] == pytest.approx(4.0)


@pytest.mark.parametrize("count", [1, 7])
def test_the_run_that_is_measured_has_so_many_evaluations_before_its_last(count: int) -> None:
    run = measured({"data.corpus": "python_docs"}, count, OFFER)
    before_the_last = range(INTERVAL, run.train.max_iters, run.train.eval_interval)
    assert len(before_the_last) == count
    assert run.train.precision == "fp32"
    assert run.sample.max_new_tokens > 0


def test_a_real_worker_is_measured_over_its_pipe(text_file: Path, tmp_path: Path) -> None:
    found = overheads({"data.corpus": str(text_file)}, 1, tmp_path)
    assert all(times > 0 for times in found.in_steps().values())


def test_a_worker_that_cannot_go_on_ends_the_measurement(tmp_path: Path) -> None:
    text = {"data.corpus": str(tmp_path / "missing.txt")}
    with pytest.raises(ContestError, match="cannot be read"):
        overheads(text, 1, tmp_path / "run")
