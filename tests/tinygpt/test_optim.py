"""Which weights decay, and that the optimizer is the one the config describes."""

import pytest
import torch
from torch import nn

from tinygpt.config import ModelConfig, TrainConfig
from tinygpt.model import TinyGPT
from tinygpt.optim import adamw, set_learning_rate


def network(bias: bool = True) -> TinyGPT:
    config = ModelConfig(block_size=4, d_model=8, d_head=8, n_layers=1, bias=bias)
    return TinyGPT(config, 5).initialise(0)


@pytest.mark.parametrize("bias", [False, True])
def test_matrices_and_embeddings_decay_and_vectors_do_not(bias: bool) -> None:
    model = network(bias)
    optimizer = adamw(model, TrainConfig(weight_decay=0.5))
    decay = {
        id(weight): group["weight_decay"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert len(decay) == len(list(model.parameters()))
    for name, weight in model.named_parameters():
        vector = name.endswith("bias") or "norm" in name
        assert decay[id(weight)] == (0.0 if vector else 0.5), name


def test_one_update_is_the_one_of_the_paper() -> None:
    """Decoupled decay, then a step along the bias-corrected moments; at the first update the ratio
    of the two moments is the sign of the gradient."""
    layer = nn.Linear(3, 2)
    before = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
    optimizer = adamw(layer, TrainConfig(learning_rate=0.01, weight_decay=0.1))
    (layer(torch.ones(1, 3)) * torch.tensor([1.0, -2.0])).sum().backward()
    gradient = {name: weight.grad for name, weight in layer.named_parameters()}
    optimizer.step()
    for name, weight in layer.named_parameters():
        change = gradient[name]
        assert change is not None
        kept = 1 - 0.01 * (0.1 if name == "weight" else 0.0)
        torch.testing.assert_close(weight, before[name] * kept - 0.01 * change.sign())


def test_the_decay_rates_of_the_moments_come_from_the_config() -> None:
    optimizer = adamw(network(), TrainConfig(beta1=0.8, beta2=0.95))
    assert all(group["betas"] == (0.8, 0.95) for group in optimizer.param_groups)


def test_a_learning_rate_reaches_every_group() -> None:
    optimizer = adamw(network(), TrainConfig(learning_rate=1.0))
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]
