"""W&B sweep files: what each part becomes here, and what is said of what has no counterpart."""

import math
from pathlib import Path
from typing import Any

import pytest

from experiments import foreign, loading, spec
from tinygpt.schema import ConfigError, Problem

GOOD = """\
program: train.py
name: Learning rates, again!
project: nano
entity: us
method: bayes
metric: {name: val/loss, goal: minimize}
run_cap: 12
parameters:
  lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}
  d_model: {values: [32, 64]}
  model:
    parameters:
      n_layers: {min: 1, max: 3}
      d_head: {value: 16}
  batch_size: {value: 8}
  eval-interval: {value: 20}
early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: true}
"""


def translated(tmp_path: Path, text: str, *, counted: bool = False) -> Any:
    path = tmp_path / "wandb.yaml"
    path.write_text(text)
    return foreign.translated(loading.read(path).data, counted=counted)


def refusal(tmp_path: Path, text: str) -> list[str]:
    """The lines with which a file is refused."""
    with pytest.raises(ConfigError) as caught:
        translated(tmp_path, text)
    return str(caught.value).splitlines()


def parameter(tmp_path: Path, line: str, method: str = "grid") -> Any:
    """What becomes of one parameter: our mapping, the places and the line of it that is told."""
    sweep, places, told = translated(
        tmp_path, f"method: {method}\nparameters:\n  {line}\n", counted=True
    )
    return sweep, places, [line for line in told if line.startswith("parameters.")]


@pytest.mark.parametrize(
    ("data", "wandb"),
    [
        ({"method": "grid", "parameters": {}}, True),
        ({"method": "grid"}, False),
        ({"parameters": {}}, False),
        ({"method": "grid", "parameters": {}, "space": {}}, False),
        ({"space": {}, "trials": 3}, False),
        (["method", "parameters"], False),
        (None, False),
    ],
)
def test_a_wandb_sweep_is_known_by_its_keys(data: Any, wandb: bool) -> None:
    assert foreign.is_wandb_sweep(data) is wandb


def test_every_part_of_a_file_arrives(tmp_path: Path) -> None:
    sweep, _, _ = translated(tmp_path, GOOD)
    assert sweep == {
        "name": "Learning-rates-again",
        "wandb": {"project": "nano", "entity": "us"},
        "trials": 12,
        "sampler": {"type": "tpe"},
        "objective": {"metric": "val_loss", "direction": "minimize"},
        "run": {"model": {"d_head": 16}, "train": {"batch_size": 8, "eval_interval": 20}},
        "space": {
            "train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
            "model.d_model": {"type": "categorical", "choices": [32, 64]},
            "model.n_layers": {"type": "int", "low": 1, "high": 3},
        },
        "pruner": {"type": "hyperband", "min_resource": 60, "reduction_factor": 2},
    }


def test_each_mapping_is_told(tmp_path: Path) -> None:
    _, _, told = translated(tmp_path, GOOD)
    assert told == [
        "project: nano -> wandb.project",
        "entity: us -> wandb.entity",
        "name: Learning rates, again! -> name: Learning-rates-again",
        "method: bayes -> sampler.type: tpe",
        "run_cap: 12 -> trials",
        "metric: val/loss, minimize -> objective: val_loss, minimize",
        "parameters.lr: log_uniform_values 0.0001..0.01 -> space.train.learning_rate: float, log",
        "parameters.d_model: 2 values -> space.model.d_model: categorical",
        "parameters.model.parameters.n_layers: int_uniform 1..3 -> space.model.n_layers: int",
        "parameters.model.parameters.d_head: 16 -> run.model.d_head",
        "parameters.batch_size: 8 -> run.train.batch_size",
        "parameters.eval-interval: 20 -> run.train.eval_interval",
        "early_terminate: hyperband -> pruner: hyperband, min_resource 60, reduction_factor 2 "
        "(in updates: W&B counts evaluations, one every 20 updates)",
        "early_terminate.strict: True -> ignored: Optuna's has no such option",
        "program: 'train.py' -> ignored: the trainer is our own",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("name",), "name"),
        (("trials",), "run_cap"),
        (("sampler", "type"), "method"),
        (("sampler",), "method"),
        (("objective", "metric"), "metric.name"),
        (("wandb", "project"), "project"),
        (("run",), "parameters"),
        (("run", "model", "d_head"), "parameters.model.parameters.d_head.value"),
        (("run", "train", "batch_size"), "parameters.batch_size.value"),
        (("space",), "parameters"),
        (("space", "train.learning_rate"), "parameters.lr"),
        (("space", "train.learning_rate", "low"), "parameters.lr.min"),
        (("space", "train.learning_rate", "high"), "parameters.lr.max"),
        (("space", "train.learning_rate", "log"), "parameters.lr.distribution"),
        (("space", "model.d_model", "choices"), "parameters.d_model.values"),
        (("space", "model.d_model", "choices", 1), "parameters.d_model.values.1"),
        (("pruner", "min_resource"), "early_terminate.min_iter"),
        (("pruner", "reduction_factor"), "early_terminate.eta"),
    ],
)
def test_each_key_of_ours_knows_the_key_it_came_from(
    tmp_path: Path, ours: Any, theirs: str
) -> None:
    _, places, _ = translated(tmp_path, GOOD)
    assert ".".join(map(str, places[ours])) == theirs


def test_every_place_stands_in_the_file(tmp_path: Path) -> None:
    _, places, _ = translated(tmp_path, GOOD)
    assert set(places.values()) <= set(loading.read(tmp_path / "wandb.yaml").places)


def test_what_is_translated_is_a_sweep(tmp_path: Path) -> None:
    sweep, _, _ = translated(tmp_path, GOOD)
    built = spec.build(sweep)
    assert (built.name, built.trials, built.sampler.type) == ("Learning-rates-again", 12, "tpe")
    assert built.run.model.d_head == 16
    assert list(built.space) == ["train.learning_rate", "model.d_model", "model.n_layers"]


FLOAT = {"type": "float", "low": 0.5, "high": 2.0}
INT = {"type": "int", "low": 2, "high": 8}
# Each row: a parameter in W&B's words, the key it becomes and what it becomes.
PARAMETERS: list[tuple[str, str, Any]] = [
    ("train.grad_clip: {min: 0.5, max: 2}", "train.grad_clip", FLOAT),
    ("grad_clip: {distribution: uniform, min: 0.5, max: 2}", "train.grad_clip", FLOAT),
    ("n_layers: {distribution: int_uniform, min: 2, max: 8}", "model.n_layers", INT),
    ("n_layers: {distribution: int_uniform, min: 2.0, max: 8.0}", "model.n_layers", INT),
    (
        "n_layers: {distribution: q_uniform, min: 2, max: 8, q: 2}",
        "model.n_layers",
        INT | {"step": 2},
    ),
    ("n_layers: {distribution: q_uniform, min: 2, max: 8}", "model.n_layers", INT | {"step": 1}),
    (
        "dropout: {distribution: q_uniform, min: 0.0, max: 0.3, q: 0.1}",
        "model.dropout",
        {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1},
    ),
    (
        "grad_clip: {distribution: log_uniform_values, min: 0.5, max: 2}",
        "train.grad_clip",
        FLOAT | {"log": True},
    ),
    (
        "grad_clip: {distribution: log_uniform, min: -1, max: 1}",
        "train.grad_clip",
        {"type": "float", "low": math.exp(-1), "high": math.exp(1), "log": True},
    ),
    (
        "grad_clip: {distribution: inv_log_uniform, min: -1, max: 2}",
        "train.grad_clip",
        {"type": "float", "low": math.exp(-2), "high": math.exp(1), "log": True},
    ),
    (
        "grad_clip: {distribution: inv_log_uniform_values, min: 0.5, max: 2}",
        "train.grad_clip",
        FLOAT | {"log": True},
    ),
    (
        "batch_size: {distribution: q_log_uniform_values, min: 2, max: 8}",
        "train.batch_size",
        INT | {"log": True},
    ),
    (
        "batch_size: {distribution: q_log_uniform, q: 1, min: 0.6931, max: 2.0794}",
        "train.batch_size",
        INT | {"log": True},
    ),
    (
        "activation: {distribution: categorical, values: [gelu, relu2]}",
        "model.activation",
        {"type": "categorical", "choices": ["gelu", "relu2"]},
    ),
    ("n_embd: {values: [8]}", "model.d_model", {"type": "categorical", "choices": [8]}),
    ("seed: {values: [1, 2]}", "seed", {"type": "categorical", "choices": [1, 2]}),
]


@pytest.mark.parametrize(("line", "key", "ours"), PARAMETERS)
def test_a_distribution_becomes_a_parameter(tmp_path: Path, line: str, key: str, ours: Any) -> None:
    sweep, _, (told,) = parameter(tmp_path, line)
    (got,) = sweep["space"].items()
    assert got == (key, ours)
    assert {name: type(value) for name, value in got[1].items()} == {
        name: type(value) for name, value in ours.items()
    }
    assert f"-> space.{key}: {ours['type']}" in told


def test_whole_bounds_of_a_real_number_are_pointed_out(tmp_path: Path) -> None:
    sweep, _, (told,) = parameter(tmp_path, "weight_decay: {min: 0, max: 1}")
    assert sweep["space"]["train.weight_decay"]["type"] == "int"
    assert told.endswith("int, as W&B reads whole bounds; write 1.0 for real numbers")


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("lr: {value: 1e-3}", {"train": {"learning_rate": 1e-3}}),
        ("lr: {distribution: constant, value: 1e-3}", {"train": {"learning_rate": 1e-3}}),
        ("seed: {value: 3}", {"seed": 3}),
        ("data.corpus: {value: python_docs}", {"data": {"corpus": "python_docs"}}),
        ("prompt: {value: null}", {"sample": {"prompt": None}}),
    ],
)
def test_a_constant_is_shared_by_all_runs(tmp_path: Path, line: str, run: Any) -> None:
    sweep, _, _ = parameter(tmp_path, line)
    assert (sweep["run"], sweep["space"]) == (run, {})


# Each row: a parameter that cannot be mapped, the key that is blamed and what the user reads.
MISFITS: list[tuple[str, str, str]] = [
    ("lr: 0.1", "lr", "must be a mapping of keys, got 0.1; give it `value`, `values`, or `min`"),
    ("lr: {}", "lr", "says nothing to draw from; give it `value`"),
    ("lr: {min: 0.1}", "lr", "the key 'max' is missing, which uniform needs"),
    ("lr: {min: low, max: 1.0}", "lr.min", "must be a number, got 'low'"),
    ("lr: {min: true, max: 1.0}", "lr.min", "must be a number, got True"),
    ("lr: {min: 0.1, max: .inf}", "lr.max", "must be a number, got inf"),
    ("lr: {values: 3}", "lr.values", "must be a list, got 3"),
    ("lr: {distribution: categorical}", "lr", "the key 'values' is missing"),
    ("lr: {distribution: constant}", "lr", "the key 'value' is missing, which constant needs"),
    ("lr: {value: 1.0, min: 1}", "lr.min", "means nothing for constant"),
    ("lr: {min: 0.1, max: 1.0, q: 0.1}", "lr.q", "use distribution: q_uniform"),
    ("lr: {distribution: unifrom, min: 0.1, max: 1.0}", "lr.distribution", "mean 'uniform'?"),
    ("lr: {distribution: [uniform]}", "lr.distribution", "got ['uniform']"),
    (
        "lr: {distribution: normal, mu: 1, sigma: 0.5}",
        "lr.distribution",
        "normal has no bounds, which a search here needs; use uniform, with min: 0 and max: 2",
    ),
    (
        "lr: {distribution: q_log_normal}",
        "lr.distribution",
        "use log_uniform_values, with min: 0.135335 and max: 7.38906",
    ),
    ("lr: {distribution: normal, mu: x}", "lr.distribution", "min and max two sigma around mu"),
    ("lr: {distribution: beta, a: 1, b: 2}", "lr.distribution", "beta has no counterpart here"),
    (
        "lr: {values: [1, 2], probabilities: [0.1, 0.9]}",
        "lr.probabilities",
        "choices are equally likely here",
    ),
    (
        "n_layers: {distribution: q_uniform, min: 1, max: 8, q: 2}",
        "n_layers.min",
        "must be a multiple of q (2), to which W&B rounds; got 1, use 2",
    ),
    (
        "n_layers: {distribution: q_uniform, min: 2, max: 7.5}",
        "n_layers.max",
        "must be a multiple of q (1), to which W&B rounds; got 7.5, use 7",
    ),
    ("lr: {distribution: q_uniform, min: 0, max: 1, q: 0}", "lr.q", "must be a number > 0, got 0"),
    (
        "lr: {distribution: q_log_uniform_values, min: 1, max: 9, q: 2}",
        "lr.q",
        "a logarithmic parameter has no steps but 1 here; use `values`",
    ),
    (
        "n_layers: {distribution: int_uniform, min: 0.5, max: 3}",
        "n_layers.min",
        "must be a whole number for int_uniform, got 0.5",
    ),
    (
        "n_layers: {distribution: uniform, min: 1, max: 3}",
        "n_layers.distribution",
        "draws real numbers, but model.n_layers is a whole one; use distribution: int_uniform",
    ),
    (
        "batch_size: {distribution: log_uniform_values, min: 8, max: 64}",
        "batch_size.distribution",
        "use distribution: q_log_uniform_values",
    ),
    (
        "lr: {distribution: log_uniform, min: 1, max: 1000}",
        "lr.max",
        "use log_uniform_values, whose bounds are the values themselves",
    ),
    ("epochs: {value: 3}", "epochs", "a run is measured in updates; use max_iters"),
    ("n_head: {value: 3}", "n_head", "use d_head"),
    ("learning_rat: {value: 3}", "learning_rat", "(did you mean 'train.learning_rate'?)"),
    ("model.lr: {value: 3}", "model.lr", "(did you mean 'train.learning_rate'?)"),
    ("model.batch_size: {value: 3}", "model.batch_size", "(did you mean 'train.batch_size'?)"),
    ("colour: {value: red}", "colour", "unknown key"),
    ("model: {parameters: {depht: {value: 3}}}", "model.parameters.depht", "unknown key"),
    ("model: {parameters: {}}", "model.parameters", "must be a mapping of parameters, got {}"),
]


@pytest.mark.parametrize(("line", "where", "message"), MISFITS)
def test_a_parameter_without_a_counterpart_is_refused_with_advice(
    tmp_path: Path, line: str, where: str, message: str
) -> None:
    (got,) = refusal(tmp_path, f"method: grid\nparameters:\n  {line}\n")
    assert got.startswith(f"parameters.{where}: ")
    assert message in got


def test_two_names_for_one_key_are_refused(tmp_path: Path) -> None:
    text = "method: grid\nparameters: {lr: {value: 1.0}, learning_rate: {values: [1.0]}}\n"
    assert refusal(tmp_path, text) == [
        "parameters.learning_rate: means train.learning_rate, as parameters.lr does; remove one"
    ]


# Each row: what is replaced in the good file, by what, and what the user reads.
FAULTS = [
    ("bayes", "bays", "method: must be grid, random or bayes, got 'bays' (did you mean 'bayes'?)"),
    ("bayes", "[bayes]", "method: must be grid, random or bayes, got ['bayes']"),
    (
        "val/loss",
        "accuracy",
        "metric.name: must be val_loss, eval/val_loss, val/loss or loss/val, got 'accuracy'; it is "
        "the loss on the validation split",
    ),
    (
        "goal: minimize",
        "goal: maximize",
        "metric.goal: must be minimize, for a loss is; got 'maximize'",
    ),
    (
        "goal: minimize",
        "target: 1.5",
        "metric.target: has no counterpart: a sweep ends with its last trial; leave it out",
    ),
    ("goal: minimize", "gaol: minimize", "metric.gaol: unknown key (did you mean 'goal'?)"),
    (
        "metric: {name: val/loss, goal: minimize}",
        "metric: val_loss",
        "metric: must be a mapping of keys, got 'val_loss'; write {name: val_loss, goal: minimize}",
    ),
    (
        "Learning rates, again!",
        "'…'",
        "name: must be text with a letter or digit of ASCII, got '…'; give it another, or leave it "
        "out",
    ),
    ("run_cap: 12\n", "", "says no number of trials; add run_cap: 20, or give --trials 20"),
    (
        "run_cap: 12",
        "run_cpa: 12\nrun_cap: 12",
        "run_cpa: is no key of a W&B sweep (did you mean 'run_cap'?); a key of ours goes on the "
        "command line: --set run_cpa=VALUE",
    ),
    (
        "program: train.py",
        "scheduler: {engine: optuna}",
        "scheduler: has no counterpart; write a sweep of this project, with its sampler",
    ),
    (
        "hyperband,",
        "envelope,",
        "early_terminate.type: must have type hyperband, got 'envelope'",
    ),
    (
        "{type: hyperband, min_iter: 3, eta: 2, strict: true}",
        "hyperband",
        "early_terminate: must be a mapping of keys, got 'hyperband'; write {type: hyperband, "
        "min_iter: 3}",
    ),
    (
        "min_iter: 3",
        "min_iter: 3, max_iter: 9, s: 2",
        "early_terminate: must have either min_iter, the first look, or max_iter, after the last",
    ),
    (
        "min_iter: 3",
        "max_iter: 9",
        "early_terminate: the key 's' is missing: how often to look before max_iter",
    ),
    ("eta: 2", "eta: 1.5", "early_terminate.eta: must be a whole number >= 2, got 1.5"),
    ("eta: 2", "eat: 2", "early_terminate.eat: unknown key (did you mean 'eta'?)"),
    (
        "eval-interval: {value: 20}",
        "eval-interval: {values: [20, 40]}",
        "early_terminate: counts evaluations, and eval_interval is searched; give that one a value",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), FAULTS)
def test_a_part_without_a_counterpart_is_refused_with_advice(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    assert old in GOOD
    assert refusal(tmp_path, GOOD.replace(old, new, 1)) == [line]


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = """\
method: gird
metric: {name: accuracy, goal: maximize}
run_cap: 3
parameters: {lr: {distribution: normal}, epochs: {value: 1}}
early_terminate: {type: hyperband}
workers: 3
"""
    assert [line.split(": ")[0] for line in refusal(tmp_path, text)] == [
        "method",
        "metric.name",
        "metric.goal",
        "parameters.lr.distribution",
        "parameters.epochs",
        "early_terminate",
        "workers",
    ]


def test_parameters_must_be_a_mapping(tmp_path: Path) -> None:
    assert refusal(tmp_path, "method: grid\nparameters: [lr]\n") == [
        "parameters: must be a mapping of parameters, got ['lr']"
    ]


def test_a_grid_needs_no_number_of_runs(tmp_path: Path) -> None:
    sweep, _, told = translated(tmp_path, "method: grid\nparameters: {lr: {values: [1.0]}}\n")
    assert "trials" not in sweep
    assert sweep["sampler"] == {"type": "grid"}
    assert "run_cap: none -> trials: every point of the grid" in told


def test_the_number_of_runs_may_come_from_the_command_line(tmp_path: Path) -> None:
    text = "method: random\nparameters: {lr: {values: [1.0]}}\n"
    sweep, _, _ = translated(tmp_path, text, counted=True)
    assert "trials" not in sweep
    assert refusal(tmp_path, text) == [str(Problem((), foreign.UNCOUNTED))]


def test_a_metric_may_be_left_out(tmp_path: Path) -> None:
    sweep, places, _ = translated(tmp_path, "method: grid\nparameters: {lr: {values: [1.0]}}\n")
    assert sweep["objective"] == {"metric": "val_loss", "direction": "minimize"}
    assert places["objective", "metric"] == ()


@pytest.mark.parametrize(
    ("options", "pruner"),
    [
        ("min_iter: 3", {"min_resource": 300, "reduction_factor": 3}),
        ("min_iter: 2, eta: 4", {"min_resource": 200, "reduction_factor": 4}),
        (
            "max_iter: 27, s: 2",
            {"min_resource": 300, "reduction_factor": 3, "max_resource": 2700},
        ),
        (
            "max_iter: 9, s: 5, eta: 2.0",
            {"min_resource": 100, "reduction_factor": 2, "max_resource": 900},
        ),
    ],
)
def test_early_termination_counts_updates_instead_of_evaluations(
    tmp_path: Path, options: str, pruner: Any
) -> None:
    text = (
        "method: grid\nparameters: {lr: {values: [1.0]}}\n"
        f"early_terminate: {{type: hyperband, {options}}}\n"
    )
    sweep, _, told = translated(tmp_path, text)
    assert sweep["pruner"] == {"type": "hyperband"} | pruner
    assert "W&B counts evaluations, one every 100 updates" in told[-1]


def test_what_cannot_matter_here_is_told_as_ignored(tmp_path: Path) -> None:
    text = (
        "method: grid\nparameters: {lr: {values: [1.0]}}\n"
        "metric: {name: val_loss, impute: worst}\ncommand: ['${env}', python]\ndescription: x\n"
    )
    _, _, told = translated(tmp_path, text)
    assert [line.split(":")[0] for line in told if "ignored" in line] == [
        "metric.impute",
        "command",
        "description",
    ]
