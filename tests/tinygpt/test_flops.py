"""What a character costs, against torch's own count of the operations it does."""

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tinygpt.config import ModelConfig
from tinygpt.flops import flops_per_token
from tinygpt.model import TinyGPT

SMALL: dict[str, Any] = {"block_size": 8, "d_model": 32, "d_head": 8, "n_layers": 2}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"d_head": 16, "n_layers": 1, "block_size": 24},
        {"position": "rope", "qk_norm": True, "norm": "rmsnorm"},
        {"activation": "relu2", "bias": True},
        {"activation": "swiglu", "d_model": 40},
        {"tie_weights": False},
    ],
)
@pytest.mark.parametrize("vocabulary", [11, 65])
def test_a_character_costs_what_torch_counts_forwards_and_backwards(
    values: dict[str, Any], vocabulary: int
) -> None:
    """With attention as the matrix products that it is by its definition, so that they count."""
    config = ModelConfig(**{**SMALL, **values})
    network, B = TinyGPT(config, vocabulary).initialise(0), 3
    ids = torch.zeros(B, config.block_size, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        torch.autograd.backward(network.loss(ids, ids))
    tokens = B * config.block_size
    assert flops_per_token(config, vocabulary) * tokens == counter.get_total_flops()


def test_nanogpts_model_for_a_cpu_costs_what_the_formula_says_by_hand() -> None:
    config = ModelConfig(block_size=64, d_model=128, d_head=32, n_layers=4)
    weights = 4 * 12 * 128**2 + 65 * 128
    assert flops_per_token(config, 65) == 6 * weights + 12 * 4 * 128 * 64
