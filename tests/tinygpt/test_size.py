"""Sizes told from a config, against the model, its checkpoints and its backward pass."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pairs
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from tinygpt import size
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.execute import Execution
from tinygpt.model import TinyGPT
from tinygpt.rundir import RunDir

MakeConfig = Callable[..., RunConfig]
SETTINGS = pairs.covering(pairs.OPTIONS)


@pytest.mark.parametrize("setting", SETTINGS, ids=pairs.name_of)
@pytest.mark.parametrize("shape", [(16, 8, 1, 8), (40, 20, 3, 24)])
def test_the_parameters_are_the_models(
    tiny: MakeConfig, setting: Mapping[str, Any], shape: tuple[int, ...]
) -> None:
    names = ("d_model", "d_head", "n_layers", "block_size")
    sizes = {f"model.{name}": value for name, value in zip(names, shape, strict=True)}
    model = tiny({**setting, **sizes}).model
    network = TinyGPT(model, 17)
    assert size.parameters(model, 17) == network.n_parameters()
    shapes = sorted(weight.shape for weight in size.weights(model, 17))
    assert shapes == sorted(tuple(weight.shape) for weight in network.parameters())


@pytest.mark.parametrize("width", [16, 128])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_checkpoint_is_about_as_large_as_it_was_told(
    tiny: MakeConfig, corpus: Corpus, tmp_path: Path, width: int, optimizer: str, bias: bool
) -> None:
    values = {"model.d_model": width, "model.bias": bias, "train.optimizer": optimizer}
    config = tiny({**values, "model.n_layers": 2, "train.max_iters": 1, "train.warmup_iters": 0})
    run_dir = RunDir(tmp_path)
    run_dir.write_config(config)
    list(Execution(config, run_dir, corpus).events())
    saved = (tmp_path / "checkpoints" / "step-00000001" / "state.pt").stat().st_size
    told = size.checkpoint_bytes(config, len(corpus.tokenizer))
    assert abs(told - saved) <= 0.03 * saved


def kept_for_the_backward_pass(network: TinyGPT, ids: Tensor, dtype: torch.dtype) -> int:
    """Bytes of what autograd saves, each storage once, without the weights."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        alive.append(tensor)
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    cast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)
    with saved_tensors_hooks(save, lambda tensor: tensor), cast:
        loss = network.loss(ids, ids)
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("setting", SETTINGS, ids=pairs.name_of)
def test_a_backward_pass_keeps_about_what_was_told(
    tiny: MakeConfig, setting: Mapping[str, Any]
) -> None:
    sizes = {"model.block_size": 64, "model.d_model": 64, "model.d_head": 16, "model.n_layers": 3}
    config = tiny({**setting, **sizes, "train.batch_size": 16})
    ids = torch.zeros(16, 64, dtype=torch.int64)
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    network = TinyGPT(config.model, 17).initialise(0).train()
    kept = kept_for_the_backward_pass(network, ids, dtype)
    told = 16 * (size.activation_bytes(config) + size.logits_bytes(config, 17))
    assert 0.8 < told / kept < 1.1


def test_training_needs_more_with_a_longer_batch_but_not_with_more_of_them(
    tiny: MakeConfig,
) -> None:
    base, longer, more = (
        size.training_bytes(tiny({"train.batch_size": 64, **values}), 65)
        for values in ({}, {"train.batch_size": 128}, {"train.accumulation": 4})
    )
    assert base == more < longer


def test_a_small_batch_still_pays_for_the_evaluation(tiny: MakeConfig) -> None:
    one, two = (size.training_bytes(tiny({"train.batch_size": batch}), 4000) for batch in (1, 2))
    assert one == two
