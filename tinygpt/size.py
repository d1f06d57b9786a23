"""How large a run is, from its config alone: numbers learned, bytes of a checkpoint, of a step.

Loads no torch, so that thousands of configurations can be looked at before one is trained.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinygpt.config import ModelConfig, RunConfig

WINDOWS_PER_EVALUATION = 32
"""Windows in one batch of an evaluation, as the data set cuts them."""
ZIP_BYTES, TENSOR_BYTES = 1024, 304
"""What the archive costs by itself, and for each tensor: its names, its padding and its digest."""

SCORE_BYTES = 9
"""A score of attention where all T x T are kept: before and after the dropout, and its mask."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One learned tensor, and whether it is a matrix inside a block."""

    shape: tuple[int, ...]
    hidden: bool = False

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def inner_width(model: ModelConfig) -> int:
    """How wide the MLP is inside: 4 d_model, and for swiglu, which has three matrices, the multiple
    of 4 that comes nearest to the same number of parameters."""
    if model.activation == "swiglu":
        return max(4, 4 * round(2 * model.d_model / 3))
    return 4 * model.d_model


def up_width(model: ModelConfig) -> int:
    """How wide the MLP's first product is: a gate comes beside the rest in swiglu."""
    return (2 if model.activation == "swiglu" else 1) * inner_width(model)


def parameters(model: ModelConfig, vocab_size: int) -> int:
    """How many numbers are learned; a tied head counts once."""
    return sum(weight.count for weight in weights(model, vocab_size))


def weights(model: ModelConfig, vocab_size: int) -> Iterator[Weight]:
    """Every tensor that is learned, once."""
    yield Weight((vocab_size, model.d_model))
    if model.position == "learned":
        yield Weight((model.block_size, model.d_model))
    for _ in range(model.n_layers):
        yield from _block(model)
    yield from _norm(model)
    if not model.tie_weights:
        yield Weight((vocab_size, model.d_model))


def _block(model: ModelConfig) -> Iterator[Weight]:
    C, inner = model.d_model, inner_width(model)
    yield from _norm(model)
    yield from _norm(model)
    for wide, narrow in ((3 * C, C), (C, C), (up_width(model), C), (C, inner)):
        yield Weight((wide, narrow), hidden=True)
        if model.bias:
            yield Weight((wide,))


def _norm(model: ModelConfig) -> Iterator[Weight]:
    yield Weight((model.d_model,))
    if model.bias and model.norm == "layernorm":
        yield Weight((model.d_model,))


def moments(config: RunConfig, vocab_size: int) -> list[int]:
    """How many numbers each tensor of the optimizers holds: Muon keeps one mean per matrix, AdamW
    two and the count of its updates."""
    sizes: list[int] = []
    for weight in weights(config.model, vocab_size):
        by_muon = config.train.optimizer == "muon" and weight.hidden
        sizes += [weight.count] if by_muon else [1, weight.count, weight.count]
    return sizes


def checkpoint_bytes(config: RunConfig, vocab_size: int) -> int:
    """About how large `state.pt` is after the first update, weights and moments being fp32."""
    learned = [weight.count for weight in weights(config.model, vocab_size)]
    tensors = learned + moments(config, vocab_size)
    return ZIP_BYTES + sum(4 * count + TENSOR_BYTES for count in tensors)


def training_bytes(config: RunConfig, vocab_size: int) -> int:
    """About how much memory training takes at its height, besides the process itself: weights,
    gradients and moments, with what the backward pass of a micro-batch needs or what an evaluation
    holds, whichever is more."""
    learned = parameters(config.model, vocab_size)
    state = 4 * (2 * learned + sum(moments(config, vocab_size)))
    windows = config.train.batch_size
    step = windows * (activation_bytes(config) + logits_bytes(config, vocab_size))
    evaluation = WINDOWS_PER_EVALUATION * logits_bytes(config, vocab_size)
    casts = 2 * learned if config.train.precision != "fp32" else 0
    return state + casts + max(step, evaluation)


def activation_bytes(config: RunConfig) -> int:
    """What one window keeps for the backward pass, without its logits."""
    model, C = config.model, config.model.d_model
    wide = 4 if config.train.precision == "fp32" else 2
    attention = 4 if config.train.device != "cuda" else wide
    kept = C * (8 + 2 * wide)  # the residual stream, twice; what enters the two norms' products
    kept += C * (3 * attention + attention + (wide if wide != attention else 0))
    if model.qk_norm:
        kept += 2 * C * attention
    products = {"gelu": 1, "relu2": 2, "swiglu": 2}[model.activation]
    kept += wide * (up_width(model) + products * inner_width(model))
    if model.dropout:
        kept += 2 * C * 4
    if model.dropout and config.train.device != "cuda":  # where no other kernel can drop
        kept += model.n_heads * model.block_size * SCORE_BYTES
    return model.block_size * (model.n_layers * kept + 2 * C * 4)


def logits_bytes(config: RunConfig, vocab_size: int) -> int:
    """Logits of one window, their log-probabilities and the gradient, in fp32."""
    return config.model.block_size * vocab_size * 3 * 4
