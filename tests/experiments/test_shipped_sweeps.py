"""Every sweep that is shipped can be run as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import space, spec, sweep
from tinygpt import config
from tinygpt.flops import flops_per_token

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_sweep_loads_and_has_a_complete_baseline(file: Path) -> None:
    read, _ = spec.read(file, [])
    assert read.name == file.stem
    assert read.enqueue
    assert space.active(read.space, read.enqueue[0]) == read.enqueue[0]
    assert read.planned() >= 12


def test_the_comparison_of_choices_names_every_trial_at_the_same_compute() -> None:
    read, _ = spec.read(ROOT / "sweeps" / "architecture.yaml", [])
    assert len(read.enqueue) == read.trials
    assert all(set(values) == set(read.space) for values in read.enqueue)
    assert len({tuple(values.items()) for values in read.enqueue}) == read.trials
    for parameter, choices in read.space.items():
        tried = {values[parameter] for values in read.enqueue}
        assert tried == set(choices.values() or ()), parameter
    base = config.as_dict(read.run)
    costs = [
        flops_per_token(config.run_config(config.with_values(base, values)).model, 65)
        for values in read.enqueue
    ]
    assert max(costs) < 1.01 * min(costs)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_sweep_can_be_previewed_on_any_text(
    file: Path, text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"data.corpus={text_file}", "model.block_size=16", "sample.prompt=the"]
    options = [part for setting in settings for part in ("--set", setting)]
    code = sweep.main([str(file), *options, "--dry-run", "--out", str(tmp_path / "runs")])
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    lines = captured.out.splitlines()
    assert len([line for line in lines if line.startswith("  trial ")]) >= 4
    assert [line for line in lines if line.startswith("time ")]
    assert not (tmp_path / "runs").exists()


def test_the_small_sweep_runs_in_little_on_the_text_that_it_names(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    little = {
        "train.max_iters": 4,
        "train.warmup_iters": 2,
        "train.eval_interval": 2,
        "train.eval_iters": 1,
        "train.batch_size": 2,
        "model.block_size": 8,
        "data.val_fraction": 0.001,
        "sample.max_new_tokens": 5,
        "wandb.mode": "disabled",
    }
    options = [part for k, v in little.items() for part in ("--set", f"{k}={v}")]
    file = ROOT / "sweeps" / "small.yaml"
    outcome = command("experiments.sweep", file, *options, "--trials", 2, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    report = tmp_path / "runs" / "small" / "report" / "report.html"
    assert report.exists()
