"""W&B's files say what the record says, whoever was killed in between."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import client, mirror
from experiments.mirror import Mirror
from experiments.runmirror import Target
from experiments.tracked import Sources
from experiments.wandbconfig import WandbConfig

Records = Callable[[Path], list[dict[str, Any]]]
Rows = Callable[[Path], Sequence[dict[str, Any]]]
Write = Callable[..., Path]


def run_directory(path: Path, number: int) -> Path:
    (found,) = (path / "wandb").glob(f"offline-run-*-t{number:04d}")
    return found


def unfolded(update: dict[str, Any]) -> dict[str, Any]:
    """A run's config without W&B's own part; what was a whole float is an int there."""
    return {name: value for name, value in update.items() if name != "_wandb"}


def test_every_trials_history_is_its_record_step_by_step(
    golden: Any, is_level: Callable[[Path], None]
) -> None:
    is_level(golden.path)


@pytest.fixture(scope="module")
def records(golden: Any, wandb_records: Records) -> Callable[[int], list[dict[str, Any]]]:
    """The records of a trial's run."""
    read: dict[int, list[dict[str, Any]]] = {}

    def of(number: int) -> list[dict[str, Any]]:
        if number not in read:
            read[number] = wandb_records(run_directory(golden.path, number))
        return read[number]

    return of


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in records if record["type"] == kind]


def state_of(golden: Any, number: int) -> dict[str, Any]:
    path = golden.path / "trials" / f"{number:04d}" / "result.json"
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_run_has_the_name_group_tags_and_config_of_its_trial(
    golden: Any, records: Callable[[int], list[dict[str, Any]]], number: int
) -> None:
    first, last = (of_kind(records(number), "run")[i] for i in (0, -1))
    assert first["display_name"] == f"trial-{number:04d}"
    assert first["run_group"] == "tiny"
    assert first["project"] == "tinygpt"
    assert first["job_type"] == "train"
    assert first["run_id"].startswith("tiny-")
    assert first["run_id"].endswith(f"-t{number:04d}")
    config = json.loads((golden.path / "trials" / f"{number:04d}" / "config.json").read_text())
    told = unfolded(first["config"]["update"])
    assert {key: told[key] for key in config} == config
    assert told["trial"] == number
    assert told["sweep"]["name"] == "tiny"
    assert set(last["tags"]) == {"tpe", "text", state_of(golden, number)["state"]}


@pytest.mark.parametrize(("number", "code"), [(0, 0), (1, 1), (4, 0)])
def test_a_run_ends_with_the_result_of_its_trial(
    golden: Any, records: Callable[[int], list[dict[str, Any]]], number: int, code: int
) -> None:
    found, result = records(number), state_of(golden, number)
    assert [end["exit_code"] for end in of_kind(found, "exit")] == [code]
    told: dict[str, Any] = {}
    for record in of_kind(found, "summary"):
        told |= record["update"]
    assert told["state"] == result["state"]
    assert told.get("objective") == result["value"]
    assert told.get("best/step") == result["best_step"]
    assert told.get("best/val_loss_nats") == result["metrics"].get("best_val_loss")
    assert told.get("reason") == result["reason"]


def test_the_best_checkpoint_is_an_artifact_with_tokenizer_and_config(
    golden: Any, records: Callable[[int], list[dict[str, Any]]]
) -> None:
    models = [a for a in of_kind(records(0), "artifact") if a["type"] == "model"]
    (model,) = models
    result = state_of(golden, 0)
    assert {"best", f"step-{result['best_step']}"} <= set(model["aliases"])
    assert model["name"].endswith("-t0000-checkpoint")
    metadata = json.loads(model["metadata"])
    assert metadata["step"] == result["best_step"]
    assert metadata["best_val_loss_nats"] == result["metrics"]["best_val_loss"]
    files = {entry["path"]: entry["local_path"] for entry in model["manifest"]["contents"]}
    run_files = {"tokenizer.json", "config.json", "metrics.jsonl", "samples.jsonl", "result.json"}
    assert set(files) == {"state.pt", "manifest.json"} | run_files
    step = f"step-{result['best_step']:08d}"
    assert f"/trials/0000/checkpoints/{step}/state.pt" in f"/{files['state.pt']}"
    assert not [a for a in of_kind(records(1), "artifact") if a["type"] == "model"]


def test_the_samples_are_a_table_and_the_text_of_their_steps(
    golden: Any, records: Callable[[int], list[dict[str, Any]]], rows: Rows
) -> None:
    (table,) = (run_directory(golden.path, 0) / "files/media/table").glob("samples*.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["step", "prompt", "text"]
    expected = rows(golden.path / "trials/0000/samples.jsonl")
    assert content["data"] == [[row["step"], row["prompt"], row["text"]] for row in expected]
    items = [record["item"] for record in of_kind(records(0), "history")]
    texts = {item["_step"]: item["samples/text"] for item in items if "samples/text" in item}
    assert texts == {row["step"]: row["prompt"] + row["text"] for row in expected}


def test_no_file_of_wandb_lies_outside_the_sweep(golden: Any, environment: dict[str, str]) -> None:
    assert not list(Path(environment["HOME"]).rglob("*.wandb"))
    assert not (golden.file.parent / "wandb").exists()
    outside = [entry.name for entry in golden.file.parent.iterdir()]
    assert sorted(outside) == ["runs", "tiny.yaml"]


def test_ids_follow_from_the_sweep_and_not_from_its_budget(golden: Any, tmp_path: Path) -> None:
    ids = [source.id for source in Sources(golden.path).new()]
    assert len(set(ids)) == 9
    other = tmp_path / "tiny"
    (other / "trials").mkdir(parents=True)
    data = json.loads((golden.path / "sweep.json").read_text())
    del data["digest"]
    for number in range(2):
        shutil.copytree(golden.path / f"trials/{number:04d}", other / f"trials/{number:04d}")

    def with_changes(**changes: Any) -> list[str]:
        (other / "sweep.json").write_text(json.dumps({**data, **changes}))
        return [source.id for source in Sources(other).new()]

    assert with_changes(trials=99, wandb={"mode": "disabled"}) == ids[:2]
    assert not set(with_changes(seed=9)) & set(ids)


def test_a_single_run_is_named_after_its_directory_and_config(golden: Any, tmp_path: Path) -> None:
    for number in ("0000", "0001"):
        shutil.copytree(golden.path / "trials" / number, tmp_path / number)
    (source,) = Sources(tmp_path / "0000").new()
    (other,) = Sources(tmp_path / "0001").new()
    assert (source.name, source.group) == ("0000", None)
    assert source.id.startswith("0000-")
    assert source.id.rpartition("-")[2] != other.id.rpartition("-")[2]


def test_a_trials_directory_is_mirrored_as_the_trial_of_its_sweep(golden: Any) -> None:
    of_sweep = list(Sources(golden.path).new())[4]
    (alone,) = Sources(golden.path / "trials" / "0004").new()
    assert alone.run_dir.path == of_sweep.run_dir.path
    assert replace(alone, run_dir=of_sweep.run_dir) == of_sweep


def test_a_mirror_that_is_killed_is_started_again_and_nothing_is_missing_or_double(
    start: Any,
    ended: Any,
    write_sweep: Write,
    until: Any,
    group_of: Any,
    is_level: Callable[[Path], None],
    tmp_path: Path,
) -> None:
    run = {"train.max_iters": 3000, "train.eval_interval": 300, "train.log_interval": 20}
    file = write_sweep(tmp_path, run, trials=1, wandb={"mode": "offline"})
    home = tmp_path / "runs" / "tiny" / "wandb"
    process = start("experiments.sweep", file, "--workers", 1, cwd=tmp_path)
    # Killed while it follows a trial that is still in training.
    until(lambda: list(home.glob("offline-run-*-t0000/*.wandb")))
    (killed,) = group_of(process.pid, "experiments.mirror")
    os.kill(killed.pid, signal.SIGKILL)
    outcome = ended(process)
    assert (outcome.code, outcome.err) == (0, "")
    assert list((home / "superseded").iterdir())
    is_level(tmp_path / "runs" / "tiny")


def test_a_mirror_that_is_level_makes_no_second_run(
    golden: Any, command: Any, tmp_path: Path, listing: Callable[[Path], dict[str, bytes]]
) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(golden.path, copy, symlinks=True)
    before = {name for name in listing(copy / "wandb") if name.endswith(".wandb")}
    options = json.dumps({"project": "tinygpt", "entity": None, "mode": "offline"})
    # Its input is closed from the start: it catches up once and leaves.
    outcome = command("experiments.mirror", copy, options, cwd=tmp_path)
    assert outcome.code == 0
    assert "offline" in json.loads(outcome.out.splitlines()[0])["text"]
    assert {name for name in listing(copy / "wandb") if name.endswith(".wandb")} == before


def test_a_record_is_mirrored_late_if_there_was_no_mirror(
    golden: Any, command: Any, tmp_path: Path, wandb_records: Records
) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(golden.path, copy, ignore=shutil.ignore_patterns("wandb"))
    for number in range(1, 9):
        shutil.rmtree(copy / f"trials/{number:04d}")
    options = json.dumps({"project": "other", "entity": None, "mode": "offline"})
    assert command("experiments.mirror", copy, options, cwd=tmp_path).code == 0
    found = wandb_records(run_directory(copy, 0))
    assert of_kind(found, "run")[0]["project"] == "other"
    early = wandb_records(run_directory(golden.path, 0))
    steps = [[r["step"]["num"] for r in of_kind(of, "history")] for of in (found, early)]
    assert steps[0] == steps[1]


def test_what_was_uploaded_by_hand_is_not_told_again(
    golden: Any, command: Any, tmp_path: Path, wandb_records: Records
) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(golden.path, copy)
    for number in range(1, 9):
        shutil.rmtree(copy / f"trials/{number:04d}")
    uploaded = run_directory(copy, 0)
    (log,) = uploaded.glob("*.wandb")
    log.with_name(f"{log.name}.synced").touch()
    (copy / "wandb" / "mirror.jsonl").unlink()
    options = json.dumps({"project": "tinygpt", "entity": None, "mode": "offline"})
    assert command("experiments.mirror", copy, options, cwd=tmp_path).code == 0
    (later,) = set((copy / "wandb").glob("offline-run-*-t0000")) - {uploaded}
    assert of_kind(wandb_records(later), "history") == []


@pytest.mark.parametrize(
    ("mode", "variable", "online"),
    [
        ("offline", None, False),
        ("online", None, True),
        ("auto", None, False),
        ("auto", "offline", False),
        ("auto", "online", True),
        ("offline", "online", False),
    ],
)
def test_where_the_runs_go_follows_from_the_file_then_the_environment_then_the_account(
    monkeypatch: pytest.MonkeyPatch, mode: Any, variable: str | None, online: bool
) -> None:
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert mirror.is_online(WandbConfig(mode=mode)) is online


def test_one_line_says_where_the_runs_go_and_what_to_do_later() -> None:
    path = Path("runs/tiny")
    later = "; upload later with `python -m experiments.publish runs/tiny`"
    line = mirror.mode_line
    assert line(WandbConfig(), False, path) == f"W&B: offline (not logged in){later}"
    assert line(WandbConfig(mode="offline"), False, path) == f"W&B: offline (as asked){later}"
    assert line(WandbConfig(project="p"), True, path) == "W&B: online, project p"


@pytest.mark.usefixtures("own_environment")
def test_isolation_keeps_wandbs_files_below_the_sweep(tmp_path: Path) -> None:
    client.isolate(tmp_path / "wandb")
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "wandb" / "data")
    assert os.environ["WANDB_CACHE_DIR"] == str(tmp_path / "wandb" / "cache")
    assert "WANDB_SERVICE" not in os.environ


def test_a_trial_that_has_written_nothing_has_no_run_yet(golden: Any, tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    (copy / "trials" / "0000").mkdir(parents=True)
    shutil.copy(golden.path / "sweep.json", copy)
    shutil.copy(golden.path / "trials/0000/config.json", copy / "trials/0000")
    target = Target(copy / "wandb", WandbConfig(mode="offline"), online=False)
    mirrored = Mirror(Sources(copy / "trials" / "0000"), target)
    mirrored.catch_up()
    assert not (copy / "wandb").exists()
