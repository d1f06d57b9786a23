import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import frames
from analysis.load import LoadError, Sweep, locate

Write = Callable[..., Path]
Trial = Callable[..., Any]


def test_parameters_are_read_from_the_config_at_the_dotted_keys(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0, parameters={"train.learning_rate": 0.005})))
    row = sweep.trial(0)
    assert (row["p.train.learning_rate"], row["p.model.n_layers"]) == (0.005, 2)


def test_curve_stays_on_the_fixed_windows_while_the_value_is_the_whole_split(
    write: Write, trial: Trial
) -> None:
    sweep = Sweep.load(write(trial(0, value=2.0)))
    last = sweep.curves[sweep.curves["kind"] == "eval"].iloc[-1]
    assert sweep.trial(0)["value"] == last["val_loss_full_nats"] == 2.0
    assert last["val_loss_nats"] > 2.0
    assert sweep.trial(0)["val_last_nats"] == last["val_loss_nats"]


def test_repeated_steps_count_once_and_the_last_one_wins(write: Write, trial: Trial) -> None:
    directory = write(trial(0))
    for name, row in {
        "metrics.jsonl": {"kind": "train", "step": 50, "train_loss": 9.0},
        "timings.jsonl": {"kind": "train", "step": 50, "seconds": 100.5},
    }.items():
        with (directory / "trials/0000" / name).open("a") as file:
            file.write(json.dumps(row) + "\n")
    sweep = Sweep.load(directory)
    repeated = sweep.curves.query("kind == 'train' and step == 50")
    assert repeated["train_loss_nats"].tolist() == [9.0]
    assert sweep.trial(0)["train_s"] == 4 * 0.5 + 100.5


def test_trial_without_result_is_unfinished_and_has_no_value(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0, state=None, steps=(0, 50))))
    row = sweep.trial(0)
    assert row["state"] == "unfinished"
    assert math.isnan(row["value"])
    assert (row["step"], row["tokens"]) == (50, 50 * 768)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_complete_trial_without_a_finite_value_counts_as_failed(
    write: Write, trial: Trial, value: float | None
) -> None:
    sweep = Sweep.load(write(trial(0), trial(1, value=value)))
    assert sweep.trial(1)["state"] == "failed"
    assert "finite" in sweep.trial(1)["reason"]
    assert sweep.trial(0)["rank"] == 1


def test_differences_are_to_the_winner_and_to_trial_0(write: Write, trial: Trial) -> None:
    sweep = Sweep.load(write(trial(0, value=2.0), trial(1, value=1.5), trial(2, value=1.75)))
    assert sweep.trials["delta"].tolist() == [0.5, 0.0, 0.25]
    assert sweep.trials["delta_baseline"].tolist() == [0.0, -0.5, -0.25]


def test_best_checkpoint_is_named_or_else_the_latest(write: Write, trial: Trial) -> None:
    directory = write(trial(0), trial(1))
    best = directory / "trials/0000/checkpoints/step-00000100"
    best.mkdir()
    (best / "manifest.json").touch()
    for number, step in ((0, 100), (1, 50)):
        path = directory / f"trials/{number:04d}/result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"best_step": step}))
    found = Sweep.load(directory).trials["checkpoint"].tolist()
    assert found == [
        "trials/0000/checkpoints/step-00000100",
        "trials/0001/checkpoints/step-00000250",
    ]


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl", "timings.jsonl"])
def test_unreadable_file_of_a_trial_is_named_and_the_rest_is_loaded(
    write: Write, trial: Trial, name: str
) -> None:
    directory = write(trial(0), trial(1))
    (directory / "trials/0001" / name).write_bytes(b"\xff\n\xff\n")
    sweep = Sweep.load(directory)
    assert sweep.unreadable == (f"trials/0001/{name}",)
    assert sweep.trials["trial"].tolist() == [0, 1]


def test_values_of_a_wrong_kind_are_missing(write: Write, trial: Trial) -> None:
    directory = write(trial(0))
    folder = directory / "trials/0000"
    rows = [
        {"kind": ["eval"], "step": 0},
        {"kind": "eval", "step": "0"},
        {"kind": "eval", "step": 50, "val_loss": "low", "tokens": 10**400},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.json").write_text('{"model": 3, "train": {"learning_rate": Infinity}}')
    (directory / "events.jsonl").write_text('{"time": 5, "event": "started"}\n')
    sweep = Sweep.load(directory)
    assert sweep.curves["step"].tolist() == [50]
    assert sweep.curves[["val_loss_nats", "tokens"]].isna().all(axis=None)
    assert sweep.events["time"].isna().all()
    assert sweep.trials["p.model.n_layers"].isna().all()


def test_sweep_without_trials_has_every_column(write: Write) -> None:
    sweep = Sweep.load(write())
    assert sweep.trials.empty
    expected = [*frames.TRIALS, *(f"p.{key}" for key in sweep.meta["space"])]
    assert list(sweep.trials.columns) == expected


def test_frames_have_the_same_types_with_and_without_trials(write: Write, trial: Trial) -> None:
    directory = write()
    empty = Sweep.load(directory)
    (directory / "trials/0000").mkdir()
    assert Sweep.load(directory).trials.dtypes.tolist() == empty.trials.dtypes.tolist()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: small\ntrials: 3\n", "small"),
        ("# sweep\nname:   'other-1'  # quoted\n", "other-1"),
        ('name: "x.y"\r\ntrials: 3\r\n', "x.y"),
        ("run:\n  name: inner\n", "tiny"),
    ],
)
def test_yaml_file_stands_for_the_directory_it_names(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_bytes(text.encode())
    assert locate(path, Path("out")) == Path("out") / name


@pytest.mark.parametrize("name", ["../up", "a/b", "''", "-x", "x" * 65])
def test_name_that_could_leave_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(f"name: {name}\n")
    with pytest.raises(LoadError, match="name: "):
        locate(path, Path("out"))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("{", "restore the file"),
        ("[]", "not an object"),
        ('{"schema": 2}', "schema: must be 1, got 2"),
        ('{"schema": 1, "name": 3}', "name: must be of type str, got 3"),
    ],
)
def test_unusable_sweep_json_is_exit_code_3(write: Write, content: str, rule: str) -> None:
    directory = write()
    (directory / "sweep.json").write_text(content)
    with pytest.raises(LoadError, match=rule) as raised:
        Sweep.load(directory)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "normal"},
        {"type": "float", "low": 1},
        {"type": "float", "low": 0, "high": 1, "log": True},
        {"type": "float", "low": 0, "high": math.inf},
        {"type": "categorical"},
    ],
)
def test_unusable_search_space_names_the_parameter(write: Write, spec: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match=r"space\.model\.x: needs "):
        Sweep.load(write(space={"model.x": spec}))


def test_missing_sweep_is_exit_code_2_and_names_the_next_move(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"python -m experiments\.sweep") as raised:
        Sweep.load(tmp_path)
    assert raised.value.exit_code == 2
