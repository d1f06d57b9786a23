"""The peer: nanoGPT's learning rate, and a model of ours at the same loss."""

from collections.abc import Callable

import pytest
import torch

from experiments import reference
from experiments.spec import Sweep
from tinygpt.config import TrainConfig
from tinygpt.model import TinyGPT

TRAIN = TrainConfig(learning_rate=1e-3, warmup_iters=100, max_iters=2000, min_lr_ratio=0.1)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 1e-3 / 101), (99, 1e-3 * 100 / 101), (100, 1e-3), (1050, 5.5e-4), (2000, 1e-4)],
)
def test_the_rate_rises_and_falls_as_in_nanogpt(step: int, rate: float) -> None:
    assert reference.learning_rate(step, TRAIN) == pytest.approx(rate)


def test_the_network_is_ours_with_its_default_options(make_sweep: Callable[..., Sweep]) -> None:
    """With the same weights it has the same loss, so that only the speed of a step differs."""
    config = make_sweep().run
    theirs, ours = reference.GPT(config, 17), TinyGPT(config.model, 17).initialise(0)
    weights = dict(ours.named_parameters())
    names = {
        "lm_head": "token_embedding",
        "wte": "token_embedding",
        "wpe": "pos_embedding",
        "ln_f": "norm",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attention": "attention.qkv",
        "projection": "attention.out",
        "mlp.0": "mlp.up",
        "mlp.2": "mlp.down",
    }
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            layer, last = name.removesuffix(".weight"), ""
            if layer.startswith("blocks."):
                number, _, layer = layer.removeprefix("blocks.").partition(".")
                last = f"blocks.{number}."
            weight.copy_(weights[f"{last}{names[layer]}.weight"])
    assert sum(w.numel() for w in theirs.parameters()) == ours.n_parameters()
    ids = torch.arange(24).view(3, 8) % 17
    torch.testing.assert_close(theirs(ids, ids), ours.loss(ids, ids))
