"""One tracked run: a trial's config again gives the trial's bytes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import run
from experiments.run import default_out

Write = Callable[..., Path]
Listing = Callable[[Path], dict[str, bytes]]
SAME = ("config.json", "metrics.jsonl", "samples.jsonl", "result.json", "tokenizer.json")


def test_a_trials_config_gives_the_trials_bytes_elsewhere_and_once(
    golden: Any, command: Any, listing: Listing, tmp_path: Path, wandb_records: Any
) -> None:
    trial, out = golden.path / "trials" / "0000", tmp_path / "again"
    config = trial / "config.json"
    outcome = command("experiments.run", config, "--out", out, "--wandb", "offline", cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    for name in SAME:
        assert (out / name).read_bytes() == (trial / name).read_bytes(), name
    states = [
        {path.parent.name: path.read_bytes() for path in of.glob("checkpoints/*/state.pt")}
        for of in (trial, out)
    ]
    assert states[0] == states[1]
    (mirrored,) = (out / "wandb").glob("offline-run-*")
    items = [r["history"]["item"] for r in wandb_records(mirrored) if r["type"] == "history"]
    steps = {json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()}
    assert [item["_step"] for item in items] == sorted(steps)
    before = {k: v for k, v in listing(out).items() if not k.startswith("wandb")}
    again = command("experiments.run", config, "--out", out, "--wandb", "disabled", cwd=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert "already complete" in again.out
    assert {k: v for k, v in listing(out).items() if not k.startswith("wandb")} == before


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("runs/small/trials/0007/config.json", "runs/small-trial-0007"),
        ("somewhere/try.yaml", "runs/try"),
        ("somewhere/config.json", "runs/config"),
    ],
)
def test_a_run_is_named_after_its_config(path: str, out: str) -> None:
    assert default_out(Path(path)) == Path(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    code = run.main([*map(str, arguments), "--wandb", "disabled"])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["try.yaml: the file is empty; see sweeps/small.yaml"]),
        ("- 1", ["try.yaml:1:1: must be a mapping of keys"]),
        (
            "train:\n  max_iter: 5\n  seed: 3\nmodel: {d_model: x}\n",
            [
                "try.yaml:2:3: train.max_iter: unknown key (did you mean 'train.max_iters'?)",
                "try.yaml:3:3: train.seed: unknown key (did you mean 'seed'?)",
                "try.yaml:4:9: model.d_model: must be a whole number, got 'x'",
            ],
        ),
        (
            "model: {d_model: 50}\n",
            ["try.yaml:1:9: model.d_model: must be a multiple of d_head (32), got 50"],
        ),
    ],
)
def test_a_faulty_config_is_refused_line_by_line_and_nothing_is_written(
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    text: str,
    lines: list[str],
) -> None:
    (tmp_path / "try.yaml").write_text(text)
    before = listing(tmp_path)
    code, err = refused(capsys, tmp_path / "try.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert err == [f"error: {tmp_path}/{line}" for line in lines]
    assert listing(tmp_path) == before


@pytest.mark.parametrize("setting", ["train.max_iters=7", "seed=9"])
def test_settings_change_a_run(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "try.yaml"
    file.write_text("train: {max_iters: 5, warmup_iters: 2}\n")
    data = run.requested(file, [setting])
    wanted = {"seed": 9} if setting == "seed=9" else {}
    iters = 5 if wanted else 7
    assert data == {"train": {"max_iters": iters, "warmup_iters": 2}, **wanted}


def test_other_settings_under_a_begun_run_are_refused(
    golden: Any, capsys: pytest.CaptureFixture[str], listing: Listing
) -> None:
    trial = golden.path / "trials" / "0000"
    before = listing(trial)
    code, err = refused(
        capsys, trial / "config.json", "--set", "train.max_iters=50", "--out", trial
    )
    assert code == 2
    assert err == [
        f"error: {trial}: begun with other settings (train.max_iters: 40 -> 50); take those, or "
        "another --out"
    ]
    assert listing(trial) == before
