"""Sweep files: what a user may write, and what a user reads who wrote it wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from experiments import spec
from experiments.objective import Objective
from experiments.pruners import MedianPruner
from experiments.samplers import RandomSampler, TpeSampler
from experiments.spec import Sweep
from tinygpt.schema import ConfigError

GOOD = """\
name: try
seed: 3
trials: 4
run:
  model: {d_model: 64}
  train:
    max_iters: 100
space:
  train.learning_rate: {type: float, low: 1e-4, high: 1e-2, log: true}
  model.n_layers: {type: int, low: 1, high: 3}
enqueue:
  - {train.learning_rate: 1e-3, model.n_layers: 2}
"""


def read(tmp_path: Path, text: str, *overrides: str) -> Sweep:
    path = tmp_path / "try.yaml"
    path.write_text(text)
    return spec.read(path, list(overrides))[0]


def refusal(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    """The lines with which a file is refused, without the directory."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, *overrides)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_file_says_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    sweep = read(tmp_path, "trials: 2\nspace:\n  model.dropout: {type: float, low: 0, high: 0.5}\n")
    assert (sweep.name, sweep.seed, sweep.max_concurrent) == ("try", 0, 4)
    assert sweep.sampler == TpeSampler()
    assert sweep.pruner.type == "none"
    assert sweep.objective == (Objective(metric="val_loss", direction="minimize"),)
    assert (sweep.wandb.project, sweep.wandb.mode, sweep.enqueue) == ("tinygpt", "auto", ())


def test_every_part_of_a_file_arrives(tmp_path: Path) -> None:
    more = "sampler: {type: random}\npruner: {type: median, n_warmup_steps: 9}\nmax_concurrent: 2\n"
    sweep = read(tmp_path, GOOD + more)
    assert (sweep.name, sweep.seed, sweep.trials, sweep.max_concurrent) == ("try", 3, 4, 2)
    assert sweep.run.model.d_model == 64
    assert sweep.run.train.max_iters == 100
    assert list(sweep.space) == ["train.learning_rate", "model.n_layers"]
    assert sweep.enqueue == ({"train.learning_rate": 1e-3, "model.n_layers": 2},)
    assert sweep.sampler == RandomSampler()
    assert sweep.pruner == MedianPruner(n_warmup_steps=9)


@pytest.mark.parametrize(("line", "seed"), [("", 3), ("  seed: 7\n", 7)])
def test_the_runs_have_the_sweeps_seed_unless_they_have_their_own(
    tmp_path: Path, line: str, seed: int
) -> None:
    assert read(tmp_path, GOOD.replace("run:\n", f"run:\n{line}")).run.seed == seed


# Each row: what is replaced in the good file, by what, and what the user reads.
FAULTS = [
    (
        "seed: 3",
        "sede: 3",
        "try.yaml:2:1: sede: unknown key (did you mean 'seed'?)",
    ),
    (
        "    max_iters: 100",
        "    max_iter: 100",
        "try.yaml:7:5: run.train.max_iter: unknown key (did you mean 'run.train.max_iters'?)",
    ),
    (
        "{d_model: 64}",
        "{learning_rate: 1e-3}",
        "try.yaml:5:11: run.model.learning_rate: unknown key (did you mean "
        "'run.train.learning_rate'?)",
    ),
    (
        "max_iters: 100",
        "max_iters: many",
        "try.yaml:7:5: run.train.max_iters: must be a whole number, got 'many'",
    ),
    (
        "max_iters: 100",
        "max_iters: 1e2",
        "try.yaml:7:5: run.train.max_iters: must be a whole number, got 100.0 (write 100)",
    ),
    (
        "max_iters: 100",
        "max_iters: true",
        "try.yaml:7:5: run.train.max_iters: must be a whole number, got True",
    ),
    (
        "max_iters: 100",
        "max_iters:",
        "try.yaml:7:5: run.train.max_iters: must be a whole number, got nothing",
    ),
    (
        "{d_model: 64}",
        "{d_model: 65}",
        "try.yaml:5:11: run.model.d_model: must be a multiple of d_head (32), got 65",
    ),
    (
        "low: 1e-4, high: 1e-2",
        "low: 1e-1, high: 1e-2",
        "try.yaml:9:38: space.train.learning_rate.low: must be <= high (0.01), got 0.1",
    ),
    (
        "low: 1e-4, high: 1e-2",
        "low: 0, high: 1e-2",
        "try.yaml:9:38: space.train.learning_rate.low: must be > 0 where log is true, got 0",
    ),
    (
        "log: true",
        "log: true, step: 1e-4",
        "try.yaml:9:72: space.train.learning_rate.step: cannot be combined with log: true; leave "
        "one out",
    ),
    (
        "low: 1, high: 3",
        "low: 1, high: 4, step: 2",
        "try.yaml:10:39: space.model.n_layers.high: is not reached from low in steps of 2; "
        "take 3 or 5",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: int, low: 1}",
        "try.yaml:10:3: space.model.n_layers: the key 'high' is missing",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: uniform, low: 1, high: 3}",
        "try.yaml:10:20: space.model.n_layers.type: must be float, int, categorical or expr, "
        "got 'uniform'",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: int, min: 1, low: 1, high: 3}",
        "try.yaml:10:31: space.model.n_layers.min: unknown key; there are low, high, log, "
        "step, hard_low, hard_high, when",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: int, low: 0, high: 3}",
        "try.yaml:10:31: space.model.n_layers.low: must be >= 1, got 0",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: float, low: 1, high: 3}",
        "try.yaml:10:33: space.model.n_layers.low: must be a whole number, got 1.0 (write 1)\n"
        "try.yaml:10:41: space.model.n_layers.high: must be a whole number, got 3.0 (write 3)",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "[1, 2, 3]",
        "try.yaml:10:3: space.model.n_layers: must be a mapping of keys, got [1, 2, 3]",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: categorical, choices: []}",
        "try.yaml:10:39: space.model.n_layers.choices: must hold at least one value",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: categorical, choices: [1, 2, 2]}",
        "try.yaml:10:55: space.model.n_layers.choices.2: 2 stands here twice; remove one",
    ),
    (
        "{type: int, low: 1, high: 3}",
        "{type: categorical, choices: [2, two]}",
        "try.yaml:10:52: space.model.n_layers.choices.1: must be a whole number, got 'two'",
    ),
    (
        "  model.n_layers: {type: int, low: 1, high: 3}",
        "  model.n_layers: {type: int, low: 1, high: 3}\n"
        "  data.val_fraction: {type: float, low: 0.1, high: 0.2}",
        "try.yaml:11:3: space.data.val_fraction: cannot be searched: losses on different texts do "
        "not compare",
    ),
    (
        "  model.n_layers: {type: int, low: 1, high: 3}",
        "  model.n_layers: {type: int, low: 1, high: 3}\n"
        "  model.d_head: {type: categorical, choices: [32, 48]}",
        "try.yaml:8:1: space: model.d_model must be a multiple of d_head (48), got 64, with "
        "model.d_head: 48, model.n_layers: 1; narrow the space, or exclude it by a constraint",
    ),
    (
        "  model.n_layers: {type: int",
        "  n_layers: {type: int",
        "try.yaml:10:3: space.n_layers: unknown key (did you mean 'model.n_layers'?)\n"
        "try.yaml:12:33: enqueue.0.model.n_layers: is not searched in space (did you mean "
        "'n_layers'?); add it there or leave it out",
    ),
    (
        "model.n_layers: 2}",
        "model.d_model: 64}",
        "try.yaml:12:33: enqueue.0.model.d_model: is not searched in space; add it there or "
        "leave it out",
    ),
    (
        "model.n_layers: 2}",
        "model.n_layer: 2}",
        "try.yaml:12:33: enqueue.0.model.n_layer: is not searched in space (did you mean "
        "'model.n_layers'?); add it there or leave it out",
    ),
    (
        "model.n_layers: 2}",
        "model.n_layers: 4}",
        "try.yaml:12:33: enqueue.0.model.n_layers: 4 is outside of what space.model.n_layers "
        "allows",
    ),
    (
        "{train.learning_rate: 1e-3,",
        "{train.learning_rate: '1e-3',",
        "try.yaml:12:6: enqueue.0.train.learning_rate: '1e-3' is outside of what "
        "space.train.learning_rate allows",
    ),
    (
        "  - {train.learning_rate: 1e-3, model.n_layers: 2}",
        "  train.learning_rate: 1e-3",
        "try.yaml:11:1: enqueue: must be a list, got {'train.learning_rate': 0.001}",
    ),
    (
        "name: try",
        "name: ../try",
        "try.yaml:1:1: name: must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter "
        "or digit; got '../try'",
    ),
    ("name: try", "name: 7", "try.yaml:1:1: name: must be text, got 7"),
    ("trials: 4", "trials: 0", "try.yaml:3:1: trials: must be >= 1, got 0"),
    (
        "trials: 4\n",
        "",
        "try.yaml:1:1: trials: is missing; only samplers grid and brute_force end by themselves",
    ),
    (
        "seed: 3",
        "seed: -3",
        "try.yaml:2:1: seed: must be >= 0, got -3\ntry.yaml:4:1: run.seed: must be >= 0, got -3",
    ),
    ("seed: 3", "max_concurrent: 0", "try.yaml:2:1: max_concurrent: must be >= 1, got 0"),
    (
        "seed: 3",
        "sampler: {type: tpee}",
        "try.yaml:2:11: sampler.type: must be tpe, random, grid, brute_force, qmc, cmaes, gp or "
        "nsgaii, got 'tpee' (did you mean 'tpe'?)",
    ),
    (
        "seed: 3",
        "sampler: tpe",
        "try.yaml:2:1: sampler: must be a mapping of keys, got 'tpe'",
    ),
    (
        "seed: 3",
        "sampler: {type: [tpe]}",
        "try.yaml:2:11: sampler.type: must be tpe, random, grid, brute_force, qmc, cmaes, gp or "
        "nsgaii, got ['tpe']",
    ),
    (
        "seed: 3",
        "sampler: {type: random, n_startup_trials: 3}",
        "try.yaml:2:25: sampler.n_startup_trials: unknown key",
    ),
    (
        "seed: 3",
        "pruner: {type: median, warmup_steps: 3}",
        "try.yaml:2:24: pruner.warmup_steps: unknown key (did you mean 'pruner.n_warmup_steps'?)",
    ),
    (
        "seed: 3",
        "pruner: {type: median, interval_steps: 0}",
        "try.yaml:2:24: pruner.interval_steps: must be >= 1, got 0",
    ),
    (
        "seed: 3",
        "objective: {metric: train_loss}",
        "try.yaml:2:13: objective.metric: must be val_loss, params, tokens, flops or "
        "seconds_per_token, got 'train_loss' (did you mean 'val_loss'?)",
    ),
    (
        "seed: 3",
        "wandb: {mode: on}",
        "try.yaml:2:9: wandb.mode: must be auto, online, offline or disabled, got 'on'",
    ),
    (
        "seed: 3",
        "wandb: {project: a/b}",
        "try.yaml:2:9: wandb.project: must have 1 to 128 characters, none of / \\ # ? % :",
    ),
]


@pytest.mark.parametrize(("old", "new", "lines"), FAULTS)
def test_a_faulty_file_is_refused_with_place_key_and_rule(
    tmp_path: Path, old: str, new: str, lines: str
) -> None:
    assert old in GOOD
    assert refusal(tmp_path, GOOD.replace(old, new, 1)) == lines.splitlines()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "  model: {d_model: 64}",
            "  modle: {d_model: 64}",
            "try.yaml:5:3: run.modle: unknown key (did you mean 'run.model'?)",
        ),
        ("max_iters: 100", "epochs: 100", "try.yaml:7:5: run.train.epochs: unknown key"),
    ],
)
def test_what_is_suggested_resembles_the_part_that_is_wrong(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    assert refusal(tmp_path, GOOD.replace(old, new, 1)) == [line]


def test_a_file_without_a_space_or_with_an_empty_one_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "trials: 2\n") == ["try.yaml:1:1: the key 'space' is missing"]
    assert refusal(tmp_path, "trials: 2\nspace: {}\n") == [
        "try.yaml:2:1: space: must name at least one parameter to search"
    ]
    assert refusal(tmp_path, "trials: 2\nspace:\n") == [
        "try.yaml:2:1: space: must be a mapping, got nothing"
    ]


@pytest.mark.parametrize("text", ["- trials\n", "5\n", "---\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (line,) = refusal(tmp_path, text)
    assert re.fullmatch(r"try.yaml:[12]:1: must be a mapping of keys", line)


def test_all_problems_of_a_file_are_told_at_once_in_its_order(tmp_path: Path) -> None:
    text = """\
trials: none
run:
  train: {max_iters: -1, max_iter: 3}
space:
  train.learning_rate: {type: float, low: 2, high: 1}
  model.dropout: {type: uniform}
sampler: {type: tpee}
worker: 3
"""
    assert refusal(tmp_path, text) == [
        "try.yaml:1:1: trials: must be a whole number or null, got 'none'",
        "try.yaml:3:11: run.train.max_iters: must be >= 1, got -1",
        "try.yaml:3:26: run.train.max_iter: unknown key (did you mean 'run.train.max_iters'?)",
        "try.yaml:5:38: space.train.learning_rate.low: must be <= high (1), got 2",
        "try.yaml:6:19: space.model.dropout.type: must be float, int, categorical or expr, got "
        "'uniform'",
        "try.yaml:7:11: sampler.type: must be tpe, random, grid, brute_force, qmc, cmaes, gp or "
        "nsgaii, got 'tpee' (did you mean 'tpe'?)",
        "try.yaml:8:1: worker: unknown key (did you mean 'worker_timeout'?)",
    ]


def test_a_bad_name_and_a_bad_enqueue_are_told_beside_an_unknown_key(tmp_path: Path) -> None:
    text = (
        GOOD.replace("name: try", "name: ..")
        .replace("seed", "sede")
        .replace("model.n_layers: 2}", "model.n_layers: 9}")
    )
    assert [line.split(": ")[1] for line in refusal(tmp_path, text)] == [
        "name",
        "sede",
        "enqueue.0.model.n_layers",
    ]


@pytest.mark.parametrize(
    ("override", "got"),
    [
        ("trials=9", lambda s: s.trials == 9),
        ("seed=5", lambda s: (s.seed, s.run.seed) == (5, 5)),
        ("train.max_iters=200", lambda s: s.run.train.max_iters == 200),
        ("run.train.max_iters=200", lambda s: s.run.train.max_iters == 200),
        ("run.seed=5", lambda s: (s.seed, s.run.seed) == (3, 5)),
        ("train.learning_rate=1e-3", lambda s: s.run.train.learning_rate == 1e-3),
        ("data.corpus=yes", lambda s: s.run.data.corpus == "yes"),
        ("sample.prompt==", lambda s: s.run.sample.prompt == "="),
        ("sampler.type=random", lambda s: s.sampler == RandomSampler()),
        ("pruner={type: median}", lambda s: s.pruner == MedianPruner()),
        ("wandb.entity=null", lambda s: s.wandb.entity is None),
        (
            "space.train.learning_rate.high=0.5",
            lambda s: s.space["train.learning_rate"].high == 0.5,
        ),
        ("space.train.learning_rate.log=false", lambda s: not s.space["train.learning_rate"].log),
        (
            "space.model.n_layers={type: categorical, choices: [2]}",
            lambda s: s.space["model.n_layers"].values() == [2],
        ),
        ("enqueue=[]", lambda s: s.enqueue == ()),
        ("name=other", lambda s: s.name == "other"),
    ],
)
def test_a_key_can_be_set_on_the_command_line(tmp_path: Path, override: str, got: Any) -> None:
    assert got(read(tmp_path, GOOD, override))


def test_a_later_setting_wins_and_the_file_stays_as_it_was(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD, "trials=5", "trials=6").trials == 6
    assert (tmp_path / "try.yaml").read_text() == GOOD


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("trials", "try.yaml:1:1: --set trials: must have the form key=value"),
        ("trials=", "try.yaml:3:1: trials: is missing; "),
        (
            "max_iters=5",
            "try.yaml:1:1: max_iters: unknown key (did you mean 'run.train.max_iters'?)",
        ),
        (
            "train.max_iters=1e2",
            "try.yaml:7:5: run.train.max_iters: must be a whole number, got 100.0 (write 100)",
        ),
        (
            "space.model.n_layers.high=0",
            "try.yaml:10:39: space.model.n_layers.high: ",
        ),
        ("run=5", "try.yaml:4:1: run: must be a mapping of keys, got 5"),
        ("train.max_iters=!!int ten", "try.yaml:7:5: run.train.max_iters: "),
    ],
)
def test_a_faulty_setting_is_refused_in_one_line(tmp_path: Path, override: str, line: str) -> None:
    (told,) = refusal(tmp_path, GOOD, override)
    if override.endswith("high=0"):
        assert told == "try.yaml:10:31: space.model.n_layers.low: must be <= high (0), got 1"
    else:
        assert told.startswith(line)


def test_a_sweep_reads_back_what_it_writes(tmp_path: Path) -> None:
    sweep = read(tmp_path, GOOD + "sampler: {type: random}\npruner: {type: median}\n")
    assert spec.build(spec.as_dict(sweep)) == sweep


def test_names_allow_what_a_directory_can_bear() -> None:
    good = ["a", "7", "a.b_c-d", "A" * 64]
    bad = ["", ".", "..", "-a", "_a", "a b", "a/b", "A" * 65, "\u00e9", "a\n"]
    assert [bool(spec.NAME.fullmatch(name)) for name in good + bad] == [True] * 4 + [False] * 10
