"""The next sweep's file, read by the reader of sweeps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis import nextspace, ranges
from analysis.finding import Finding, unknown
from analysis.findings.space import SCHEMA
from analysis.frames import frame
from analysis.load import Sweep
from analysis.unit import is_ordered
from experiments import space, spec
from experiments.parameter import CategoricalParameter, FloatParameter, IntParameter

SWEEPS = Path(__file__).parents[2] / "sweeps"
SHIPPED = sorted([*SWEEPS.glob("*.yaml"), *SWEEPS.glob("examples/*.yaml")])
KEPT = ("objective", "sampler", "pruner", "run", "constraints", "budget", "replicates", "wandb")


def record(sweep: spec.Sweep) -> dict[str, Any]:
    """What sweep.json holds of a sweep, without what `write` names by itself."""
    data = json.loads(json.dumps(spec.as_dict(sweep)))
    data["run"]["data"] |= {"corpus": "python_docs", "sha256": "0123456789" * 6 + "abcd"}
    return {key: value for key, value in data.items() if key != "trials"}


def at_ends(sweep: spec.Sweep, end: int) -> dict[str, Any]:
    """A point of the space: every parameter at its first or its last end."""
    return {key: one.ends()[end][1] for key, one in space.searched(sweep.space).items()}


def finding(*rows: Mapping[str, Any]) -> Finding:
    """What the analysis of the space advises."""
    table = frame([{"evidence": "the best lie there", **row} for row in rows], SCHEMA)
    return Finding("space", "Is it right?", "No.", table, SCHEMA, "")


def widened(sweep: Sweep) -> Finding:
    """The advice to widen every range of a sweep at both ends."""
    rows: list[dict[str, Any]] = []
    for row in sweep.space.to_dict("records"):
        one: dict[str, Any] = {"parameter": row["parameter"], "advice": "widen"}
        if row["type"] != "categorical":
            one |= {"new_low": ranges.widened(row, "low"), "new_high": ranges.widened(row, "high")}
        elif is_ordered(row):
            one |= {"new_choices": ranges.further(row["choices"], "high")}
        rows.append(one)
    return finding(*rows)


NOTHING = unknown("space", "Is it right?", "Nothing is known.", SCHEMA, "")


@pytest.fixture
def swept(write: Any, trial: Any) -> Any:
    """Return a function that makes a sweep with a baseline at one end of its space and a winner at
    the other."""

    def make(sweep: spec.Sweep, **changes: Any) -> Sweep:
        directory = write(
            trial(0, value=2.5, parameters=at_ends(sweep, 0)),
            trial(1, value=2.0, parameters=at_ends(sweep, -1)),
            planned=sweep.planned(),
            **{**record(sweep), **changes},
        )
        return Sweep.load(directory)

    return make


def read_back(text: str, tmp_path: Path) -> spec.Sweep:
    path = tmp_path / "next.yaml"
    path.write_text(text, encoding="utf-8")
    return spec.read(path, [])[0]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_sweep_comes_back_as_it_was_with_another_name_and_seed(
    path: Path, swept: Any, tmp_path: Path
) -> None:
    before, _ = spec.read(path, [])
    after = read_back(nextspace.text(swept(before), NOTHING), tmp_path)
    then, now = record(before), record(after)
    assert {key: now[key] for key in KEPT} == {key: then[key] for key in KEPT}
    assert now["space"] == then["space"]
    assert after.trials == before.planned()
    assert (after.name, after.seed) == (f"{before.name}-next", before.seed + 1)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_sweep_can_be_widened_all_around(
    path: Path, swept: Any, tmp_path: Path
) -> None:
    before, _ = spec.read(path, [])
    sweep = swept(before)
    after = read_back(nextspace.text(sweep, widened(sweep)), tmp_path)
    assert {key: record(after)[key] for key in KEPT} == {key: record(before)[key] for key in KEPT}
    for key, one in space.searched(before.space).items():
        assert all(value in after.space[key] for _, value in one.ends())


SMALL = spec.build(
    {
        "name": "small",
        "trials": 8,
        "space": {
            "train.learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
            "model.n_layers": {"type": "int", "low": 1, "high": 3},
            "model.d_model": {"type": "categorical", "choices": [32, 64, 96]},
        },
    }
)


def test_a_changed_parameter_has_its_evidence_beside_it_and_a_whole_number_stays_whole(
    swept: Any, tmp_path: Path
) -> None:
    lines = nextspace.text(
        swept(SMALL),
        finding(
            {"parameter": "train.learning_rate", "new_low": 2e-05, "evidence": "so\nthey say"},
            {"parameter": "model.n_layers", "new_high": 4.0},
            {"parameter": "model.d_model", "new_choices": (32, 64, 96, 128)},
        ),
    ).splitlines()
    place = lines.index("  # so they say")
    assert lines[place + 1].startswith("  train.learning_rate: {type: float, low: 2.0e-05,")
    after = read_back("\n".join(lines), tmp_path).space
    assert after["train.learning_rate"] == FloatParameter(low=2e-5, high=1e-2, log=True)
    assert after["model.n_layers"] == IntParameter(low=1, high=4)
    assert after["model.d_model"] == CategoricalParameter(choices=(32, 64, 96, 128))


@pytest.mark.parametrize(
    ("row", "comment", "queued"),
    [
        ({}, "# the baseline, then the winner", [1, 3]),
        ({"new_high": 2.0}, "# the baseline", [1]),
        ({"new_low": 2.0}, "# the winner", [3]),
    ],
)
def test_the_next_sweep_begins_with_what_is_known_as_far_as_it_lies_in_the_space(
    row: dict[str, Any], comment: str, queued: list[int], swept: Any, tmp_path: Path
) -> None:
    text = nextspace.text(swept(SMALL), finding({"parameter": "model.n_layers", **row}))
    assert f"enqueue: {comment}\n" in text
    enqueued = read_back(text, tmp_path).enqueue
    assert [one["model.n_layers"] for one in enqueued] == queued
    ends = {1: at_ends(SMALL, 0), 3: at_ends(SMALL, -1)}
    assert list(enqueued) == [ends[layers] for layers in queued]


def test_a_winner_that_is_the_baseline_with_another_seed_is_queued_once(
    write: Any, trial: Any
) -> None:
    same = at_ends(SMALL, 0)
    trials = [trial(n, value=2.0 - n, parameters=same, seed=n) for n in range(2)]
    text = nextspace.text(Sweep.load(write(*trials, **record(SMALL))), NOTHING)
    assert text.count("model.n_layers: 1") == 1
    assert "enqueue: # the baseline\n" in text


def test_without_any_trial_nothing_is_queued(write: Any, tmp_path: Path) -> None:
    text = nextspace.text(Sweep.load(write(planned=8, **record(SMALL))), NOTHING)
    assert "enqueue" not in text
    assert read_back(text, tmp_path).trials == 8


def test_a_parameter_that_a_trial_does_not_have_is_not_queued(
    swept: Any, trial: Any, tmp_path: Path
) -> None:
    before, _ = spec.read(SWEEPS / "shakespeare.yaml", [])
    baseline, winner = read_back(nextspace.text(swept(before), NOTHING), tmp_path).enqueue
    assert baseline["train.optimizer"] == "adamw"
    assert "train.muon_lr" not in baseline
    assert winner["train.muon_lr"] == 0.04


@pytest.mark.parametrize(
    ("choices", "head", "changes"),
    [([64, 128, 256], 64, False), ([64, 128, 256], 32, True), ([64, 128, 250], 64, True)],
)
def test_no_width_is_advised_that_the_heads_do_not_divide_unless_there_was_one(
    choices: list[int], head: int, changes: bool, swept: Any, tmp_path: Path
) -> None:
    data = {
        "name": "wide",
        "trials": 8,
        "run": {"model": {"d_head": head, "d_model": head}},
        "constraints": ["model.d_model % model.d_head == 0"],
        "space": {"model.d_model": {"type": "categorical", "choices": choices}},
    }
    row = {"parameter": "model.d_model", "new_choices": (32, *choices)}
    text = nextspace.text(swept(spec.build(data)), finding(row))
    after = read_back(text, tmp_path).space["model.d_model"]
    assert after == CategoricalParameter(choices=(32, *choices) if changes else (*choices,))
    assert ("# as it was: widths have to be multiples of model.d_head" in text) != changes


@pytest.mark.parametrize("length", [3, 59, 60, 64])
def test_a_name_of_any_length_makes_a_name_that_is_short_enough(
    length: int, swept: Any, tmp_path: Path
) -> None:
    sweep = swept(SMALL, name="n" * length)
    name = read_back(nextspace.text(sweep, NOTHING), tmp_path).name
    assert name == f"{'n' * min(length, 59)}-next"


@pytest.mark.parametrize("name", ["true", "null", "no", "1e5", "007", "0x1F", "-", "a.b-c_d", "on"])
def test_a_name_that_reads_as_something_else_stays_a_name(
    name: str, swept: Any, tmp_path: Path
) -> None:
    text = nextspace.text(swept(SMALL, wandb={"project": name}), NOTHING)
    assert read_back(text, tmp_path).wandb.project == name


@pytest.mark.parametrize(
    "prompt", ["ROMEO:", 'a "b" \\ c', "two\nlines\t#", "\N{GRINNING FACE}\x7f\u2028", "- é", " "]
)
def test_a_prompt_comes_back_character_by_character(
    prompt: str, swept: Any, tmp_path: Path
) -> None:
    run = {**record(SMALL)["run"], "sample": {"prompt": prompt}}
    text = nextspace.text(swept(SMALL, run=run), NOTHING)
    assert read_back(text, tmp_path).run.sample.prompt == prompt


def test_what_is_set_to_null_is_not_left_to_its_default(swept: Any, tmp_path: Path) -> None:
    text = nextspace.text(swept(SMALL, wandb={"mode": "disabled", "ttl_days": None}), NOTHING)
    assert read_back(text, tmp_path).wandb.ttl_days is None


@pytest.mark.parametrize("value", [1e-5, 1e16, 1.0, 0.1, 3e-300, -2.5e-7, 0.30000000000000004])
def test_a_float_is_read_back_as_the_same_float_by_any_yaml_reader(value: float) -> None:
    written = nextspace._scalar(value)
    assert "." in written  # YAML 1.1 takes 1e-5 for a text
    assert float(written) == value


def test_the_fragment_shows_what_changes_and_nothing_else() -> None:
    advised = finding(
        {"parameter": "train.learning_rate", "new_low": 2e-5},
        {"parameter": "model.n_layers", "new_low": 2.0, "new_high": 4.0},
        {"parameter": "train.beta1"},
    )
    assert nextspace.fragment(advised) == (
        "space:\n  train.learning_rate: {low: 2.0e-05}\n  model.n_layers: {low: 2, high: 4}\n"
    )
    assert nextspace.fragment(finding({"parameter": "train.beta1"})) == ""
    assert nextspace.fragment(NOTHING) == ""


def test_the_text_is_the_same_every_time(swept: Any) -> None:
    sweep = swept(SMALL)
    assert nextspace.text(sweep, NOTHING) == nextspace.text(sweep, NOTHING)
