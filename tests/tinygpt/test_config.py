"""Every name, range and default of a run."""

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tinygpt import config
from tinygpt.config import ModelConfig, RunConfig, TrainConfig, run_config
from tinygpt.schema import ConfigError


def with_value(key: str, value: object) -> dict[str, Any]:
    return config.with_values({"train": {"max_iters": 100}}, {key: value})


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("seed", [0, 2**40], [-1, 0.5, None]),
        ("data.corpus", ["auto", "a b.txt"], ["", 3]),
        ("data.val_fraction", [0.001, 0.999], [0, 1, -0.1]),
        ("model.block_size", [1], [0, 8.0]),
        ("model.d_model", [32, 320], [0, 48]),
        ("model.d_head", [1, 128], [0, 33, 256]),
        ("model.n_layers", [1], [0]),
        ("model.dropout", [0, 0.99], [1, -0.1]),
        ("model.position", ["learned", "rope"], ["rotary"]),
        ("model.norm", ["layernorm", "rmsnorm"], ["batchnorm"]),
        ("model.activation", ["gelu", "relu2", "swiglu"], ["relu"]),
        ("model.qk_norm", [True, False], [1, "true"]),
        ("model.bias", [True, False], [0]),
        ("model.tie_weights", [True, False], [1]),
        ("train.batch_size", [1], [0]),
        ("train.max_iters", [1], [0]),
        ("train.learning_rate", [1e-9, 1e30], [0, -1e-3, "1e-3"]),
        ("train.optimizer", ["adamw", "muon"], ["sgd"]),
        ("train.muon_lr", [1e-9, 1], [0, -1]),
        ("train.muon_momentum", [0, 0.999], [1, -0.1]),
        ("train.muon_ns_steps", [1, 99], [0, 100]),
        ("train.decay_fraction", [0.01, 1], [0, 1.1]),
        ("train.weight_decay", [0, 10], [-1]),
        ("train.beta1", [0, 0.999], [1, -0.1]),
        ("train.beta2", [0, 0.999], [1, -0.1]),
        ("train.grad_clip", [0, 1e9], [-1]),
        ("train.schedule", ["cosine", "wsd", "linear", "constant"], ["step"]),
        ("train.warmup_iters", [0, 101], [-1]),
        ("train.min_lr_ratio", [0, 1], [-0.1, 1.1]),
        ("train.accumulation", [1], [0]),
        ("train.precision", ["auto", "fp32", "bf16"], ["fp16"]),
        ("train.deterministic", [True, False], ["yes"]),
        ("train.compile", [True, False], [0]),
        ("train.threads", [1], [0]),
        ("train.device", ["auto", "cpu", "cuda"], ["gpu"]),
        ("train.eval_interval", [1, 10**6], [0]),
        ("train.eval_iters", [0], [-1]),
        ("train.log_interval", [1], [0]),
        ("checkpoint.interval", [0], [-1]),
        ("checkpoint.keep", [2], [1, 0]),
        ("sample.prompt", ["", "ROMEO:"], [None]),
        ("sample.max_new_tokens", [0], [-1]),
        ("sample.temperature", [0, 2], [-0.1]),
        ("sample.top_k", [0], [-1]),
        ("sample.top_p", [1e-9, 1], [0, 1.1]),
    ],
)
def test_each_key_takes_the_values_it_promises_and_no_other(
    key: str, right: list[object], wrong: list[object]
) -> None:
    for value in right:
        flat = config.flat(config.as_dict(run_config(with_value(key, value))))
        assert flat[key] == value
    for value in wrong:
        with pytest.raises(ConfigError):
            run_config(with_value(key, value))


def test_each_key_is_explained_in_the_source() -> None:
    tree = ast.parse(Path(config.__file__).read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for cls in (RunConfig, TrainConfig, ModelConfig, config.DataConfig, config.SampleConfig):
        body = classes[cls.__name__].body
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and "field(" not in ast.unparse(field):
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert told, f"{cls.__name__}: {ast.unparse(field)} has no docstring"


def test_defaults_are_valid_and_need_no_key() -> None:
    assert run_config({}) == RunConfig()


def test_a_config_survives_its_own_file() -> None:
    one = run_config(with_value("sample.prompt", "naïve \u2028 🙂"))
    assert run_config(json.loads(config.to_json(one))) == one
    assert config.to_json(one) == config.to_json(config.as_dict(one))


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"train": {"learning_rat": 1}}, "train.learning_rat: unknown key (did you mean 'train.le"),
        ({"learning_rate": 1}, "learning_rate: unknown key (did you mean 'train.learning_rate'?)"),
        ({"model": {"batch_size": 1}}, "model.batch_size: unknown key (did you mean 'train.batch_"),
        ({"model": {"d_model": 48}}, "model.d_model: must be a multiple of d_head (32), got 48"),
        (
            {"model": {"position": "rope", "d_model": 33, "d_head": 11}},
            "model.d_head: must be even for position rope, got 11",
        ),
        ({"data": {"corpus": ""}}, "data.corpus: must name a corpus or a file, got nothing"),
    ],
)
def test_a_wrong_key_or_value_is_named_by_its_dotted_key(
    data: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        run_config(data)
    assert str(raised.value).startswith(problem)


def test_problems_of_all_sections_are_reported_together() -> None:
    data = {"seed": -1, "model": {"d_model": 48}, "train": {"beta1": 1, "schedule": "x"}, "x": 0}
    with pytest.raises(ConfigError) as raised:
        run_config(data)
    assert [".".join(map(str, problem.path)) for problem in raised.value.problems] == [
        "x",
        "seed",
        "model.d_model",
        "train.beta1",
        "train.schedule",
    ]


def test_dotted_values_are_set_without_touching_the_original() -> None:
    nested: dict[str, Any] = {"seed": 1, "model": {"d_model": 64}}
    changed = config.with_values(nested, {"model.bias": True, "seed": 2, "train.max_iters": 5})
    assert changed == {
        "seed": 2,
        "model": {"d_model": 64, "bias": True},
        "train": {"max_iters": 5},
    }
    assert nested == {"seed": 1, "model": {"d_model": 64}}


def test_flat_keys_are_the_known_keys() -> None:
    assert list(config.flat(config.as_dict(RunConfig()))) == list(config.known_keys())


def test_differences_name_each_key_with_both_values() -> None:
    old = config.as_dict(RunConfig())
    new = config.with_values(old, {"seed": 3, "train.learning_rate": 0.01})
    assert config.differences(old, new) == ["seed: 0 -> 3", "train.learning_rate: 0.001 -> 0.01"]
    assert config.differences(old, old) == []
    assert config.differences({"seed": 0}, {}) == ["seed: 0 -> '(none)'"]


def test_the_characters_of_an_update_count_every_micro_batch() -> None:
    data = {"model": {"block_size": 16}, "train": {"batch_size": 5, "accumulation": 3}}
    assert run_config(data).tokens_per_step == 240
    assert RunConfig().model.n_heads == 4
