"""Which weights decay, and that the optimizer is the one the config describes."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from tinygpt.config import ModelConfig, TrainConfig
from tinygpt.model import TinyGPT
from tinygpt.optim import adamw, muon, optimizers, set_learning_rate


def network(bias: bool = True, **values: object) -> TinyGPT:
    basis = {"block_size": 4, "d_model": 8, "d_head": 8, "n_layers": 1, "bias": bias}
    config = ModelConfig(**{**basis, **values})  # type: ignore[arg-type]
    return TinyGPT(config, 5).initialise(0)


@pytest.mark.parametrize("bias", [False, True])
def test_matrices_and_embeddings_decay_and_vectors_do_not(bias: bool) -> None:
    model = network(bias)
    optimizer = adamw(model.parameters(), TrainConfig(weight_decay=0.5))
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
    optimizer = adamw(layer.parameters(), TrainConfig(learning_rate=0.01, weight_decay=0.1))
    (layer(torch.ones(1, 3)) * torch.tensor([1.0, -2.0])).sum().backward()
    gradient = {name: weight.grad for name, weight in layer.named_parameters()}
    optimizer.step()
    for name, weight in layer.named_parameters():
        change = gradient[name]
        assert change is not None
        kept = 1 - 0.01 * (0.1 if name == "weight" else 0.0)
        torch.testing.assert_close(weight, before[name] * kept - 0.01 * change.sign())


def test_the_decay_rates_of_the_moments_come_from_the_config() -> None:
    optimizer = adamw(network().parameters(), TrainConfig(beta1=0.8, beta2=0.95))
    assert all(group["betas"] == (0.8, 0.95) for group in optimizer.param_groups)


def test_a_share_of_its_peak_reaches_every_group() -> None:
    train = TrainConfig(optimizer="muon", learning_rate=1.0, muon_lr=4.0)
    both = optimizers(network(), train)
    for share in (0.5, 0.125):
        set_learning_rate(both, share)
        rates = [group["lr"] for optimizer in both for group in optimizer.param_groups]
        assert rates == [4 * share, share, share]


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("position", ["learned", "rope"])
def test_muon_trains_the_matrices_of_the_blocks_and_adamw_the_rest(
    tie_weights: bool, position: str
) -> None:
    model = network(tie_weights=tie_weights, position=position)
    names = {weight: name for name, weight in model.named_parameters()}
    trained = [
        [names[weight] for group in optimizer.param_groups for weight in group["params"]]
        for optimizer in optimizers(model, TrainConfig(optimizer="muon"))
    ]
    hidden, rest = trained
    assert hidden == [
        f"blocks.0.{name}.weight"
        for name in ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    ]
    assert sorted(hidden + rest) == sorted(names.values())


def spectrum(weight: torch.Tensor) -> torch.Tensor:
    return torch.linalg.svdvals(weight.detach())


@pytest.mark.parametrize("shape", [(24, 24), (24, 96), (96, 24)])
def test_an_update_of_muon_is_orthogonal_whatever_the_gradient(shape: tuple[int, int]) -> None:
    """Five Newton-Schulz steps bring singular values that lie over a decade near to 1 (0.5 to 1.5
    by their design); tall matrices move by sqrt(rows / columns) more."""
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    weight = nn.Parameter(torch.zeros(shape))
    weight.grad = u @ torch.diag(torch.logspace(0, 1, 24)) @ v
    train = TrainConfig(optimizer="muon", muon_lr=1.0, weight_decay=0.0)
    muon([weight], train).step()
    values = spectrum(weight) / max(1, shape[0] / shape[1]) ** 0.5
    assert values.min() > 0.5
    assert values.max() < 1.5
    assert cosine_similarity((-weight).flatten(), (u @ v).flatten(), dim=0) > 0.9


def test_muon_takes_decay_momentum_and_iterations_from_the_config() -> None:
    train = TrainConfig(
        optimizer="muon", weight_decay=0.3, muon_momentum=0.9, muon_ns_steps=3, muon_lr=0.05
    )
    (group,) = muon([nn.Parameter(torch.zeros(2, 2))], train).param_groups
    assert (group["weight_decay"], group["momentum"], group["ns_steps"], group["lr"]) == (
        0.3,
        0.9,
        3,
        0.05,
    )
