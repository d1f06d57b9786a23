"""Where a run's files lie, and the result they add up to."""

from pathlib import Path
from typing import Any

import pytest

from tinygpt.config import RunConfig, as_dict, run_config, to_json
from tinygpt.files import RecordError, json_line, read_json
from tinygpt.rundir import RunDir, best_of
from tinygpt.schema import ConfigError


def evaluation(step: int, val_loss: float, subset: float | None = None) -> dict[str, Any]:
    row = {"kind": "eval", "step": step, "val_loss": val_loss, "train_loss": 1.0, "tokens": step}
    return row if subset is None else {**row, "val_loss_subset": subset}


def run_of(tmp_path: Path, *rows: dict[str, Any]) -> RunDir:
    run_dir = RunDir(tmp_path)
    run_dir.metrics.write_bytes(b"".join(json_line(row) for row in rows))
    return run_dir


def test_a_config_is_written_first_and_never_again(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "deep" / "run")
    first, second = RunConfig(), run_config({"seed": 1})
    run_dir.write_config(first)
    run_dir.write_config(second)
    assert run_dir.read_config() == first
    assert [path.name for path in run_dir.path.iterdir()] == ["config.json"]


def test_a_config_may_be_given_as_a_mapping(tmp_path: Path) -> None:
    RunDir(tmp_path / "a").write_config(RunConfig())
    RunDir(tmp_path / "b").write_config(as_dict(RunConfig()))
    assert (tmp_path / "a/config.json").read_bytes() == (tmp_path / "b/config.json").read_bytes()


def test_a_directory_without_a_config_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a run directory, it has no config\.json"):
        RunDir(tmp_path).read_config()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not readable as JSON"),
        (b"[]", "must be a mapping of keys"),
        (b'{"seed": -1}', "seed: must be >= 0, got -1"),
        (b'{"sed": 1}', "sed: unknown key"),
    ],
)
def test_a_config_that_cannot_be_used_is_an_unusable_record(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"config\.json") as raised:
        RunDir(tmp_path).read_config()
    assert said in str(raised.value)


def test_a_run_that_has_not_ended_has_no_result(tmp_path: Path) -> None:
    assert RunDir(tmp_path).read_result() is None


def test_evaluations_are_the_rows_of_their_kind(tmp_path: Path) -> None:
    train = {"kind": "train", "step": 1, "train_loss": 2.0}
    run_dir = run_of(tmp_path, evaluation(0, 3.0), train, evaluation(4, 2.0))
    assert [row["step"] for row in run_dir.evaluations()] == [0, 4]


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([evaluation(0, 3.0)], 0),
        ([evaluation(0, 3.0), evaluation(4, 2.0), evaluation(8, 2.5)], 4),
        ([evaluation(0, 3.0), evaluation(4, 2.0), evaluation(8, 2.0)], 4),
        # The last loss is on the whole split; what is compared is the one on the shared windows.
        ([evaluation(4, 2.0), evaluation(8, 2.1, subset=1.9)], 8),
        ([evaluation(4, 2.0), evaluation(8, 1.9, subset=2.1)], 4),
    ],
)
def test_the_best_has_the_lowest_loss_on_the_windows_that_all_share(
    rows: list[dict[str, Any]], best: int
) -> None:
    assert best_of(rows)["step"] == best


@pytest.mark.parametrize(("state", "value"), [("complete", 2.1), ("pruned", 2.1), ("failed", None)])
def test_a_result_is_the_last_loss_and_the_best_step(
    tmp_path: Path, state: Any, value: float | None
) -> None:
    run_dir = run_of(tmp_path, evaluation(4, 2.0), evaluation(8, 2.1, subset=2.2))
    run_dir.conclude(state, "a reason", parameters=17)
    assert run_dir.read_result() == {
        "state": state,
        "value": value,
        "metrics": {
            "val_loss": 2.1,
            "train_loss": 1.0,
            "tokens": 8,
            "val_loss_subset": 2.2,
            "best_val_loss": 2.0,
            "steps": 8,
            "parameters": 17,
        },
        "best_step": 4,
        "reason": "a reason",
    }


def test_a_run_that_failed_before_its_first_evaluation_has_no_best_step(tmp_path: Path) -> None:
    run_dir = run_of(tmp_path)
    run_dir.conclude("failed", "diverged")
    assert run_dir.read_result() == {
        "state": "failed",
        "value": None,
        "metrics": {},
        "best_step": None,
        "reason": "diverged",
    }


@pytest.mark.parametrize("name", ["config", "tokenizer", "metrics", "samples"])
@pytest.mark.parametrize("change", ["edited", "removed", "made"])
def test_a_result_holds_for_the_files_it_was_made_of(
    tmp_path: Path, name: str, change: str
) -> None:
    run_dir = run_of(tmp_path, evaluation(4, 2.0))
    path: Path = getattr(run_dir, name)
    if change != "made":
        path.write_bytes(path.read_bytes() if path.exists() else b"some")
    else:
        path.unlink(missing_ok=True)
    run_dir.conclude("complete")
    assert run_dir.read_result() is not None
    path.unlink() if change == "removed" else path.write_bytes(b"other")
    with pytest.raises(RecordError, match=f"{path.name}: not as it was when the run ended"):
        run_dir.read_result()


def test_a_result_is_a_function_of_the_record(tmp_path: Path) -> None:
    run_dir = run_of(tmp_path, evaluation(0, 3.0), evaluation(4, 2.0))
    run_dir.conclude("complete", parameters=1)
    before = run_dir.result.read_bytes()
    run_dir.conclude("complete", parameters=1)
    assert run_dir.result.read_bytes() == before == to_json(read_json(run_dir.result))
