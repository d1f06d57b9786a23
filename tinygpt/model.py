"""TinyGPT: token embeddings and positions, transformer blocks, a head that gives logits."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.block import Block, Context, KVCache, norm, rotation
from tinygpt.config import ModelConfig


class TinyGPT(nn.Module):
    """A character-level GPT; ids (B, T) in, logits (B, T, V) out, T <= block_size."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(vocab_size, config.d_model)
        if config.position == "learned":
            self.pos_embedding = nn.Embedding(config.block_size, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = norm(config)
        self.lm_head = nn.Linear(config.d_model, vocab_size, bias=False)
        if config.tie_weights:
            self.lm_head.weight = self.token_embedding.weight

    def forward(
        self, ids: Tensor, cache: KVCache | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """The logits of the character after each position.

        With a cache, `ids` are the positions after those it holds, which it then holds as well:
        several at first, then one at a time. `padding` (B,) says how many positions at the left of
        each row, cached ones included, are no text: they do not count and are not looked at.
        """
        seen = 0 if cache is None else len(cache)
        positions = torch.arange(seen, seen + ids.shape[1], device=ids.device)
        mask = None
        if padding is not None:
            mask = visible(positions, padding)
            positions = (positions - padding[:, None]).clamp(min=0)
        x, turns = self.token_embedding(ids), None
        if self.config.position == "learned":
            x = x + self.pos_embedding(positions)
        else:
            turns = rotation(positions, self.config.d_head)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, Context(turns, mask, cache))
        logits: Tensor = self.lm_head(self.norm(x))
        return logits

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy over all B * T predictions, in nats per character."""
        logits = self(ids)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def initialise(self, seed: int) -> "TinyGPT":
        """Draw all weights anew from `seed`, as GPT-2 does: N(0, 0.02), the layers that write into
        the residual stream narrower by sqrt(2 n_layers), gains 1, biases 0."""
        generator = torch.Generator().manual_seed(seed)
        residual = 0.02 / math.sqrt(2 * self.config.n_layers)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 1:
                    parameter.fill_(float(name.endswith("weight")))
                else:
                    writes = name.endswith(("attention.out.weight", "mlp.down.weight"))
                    std = residual if writes else 0.02
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
        return self

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over a checkpoint's weights by name; a tied head is not among them."""
        for name, parameter in self.named_parameters():
            parameter.copy_(weights[name])

    def n_parameters(self) -> int:
        """How many numbers are learned; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())


def visible(positions: Tensor, padding: Tensor) -> Tensor:
    """Which of the positions 0 ... positions[-1] each of `positions` (T,) may look at, in rows with
    `padding` (B,) at their left: (B, 1, T, S). Padding looks at itself, since a row of nothing has
    no softmax."""
    keys = torch.arange(int(positions[-1]) + 1, device=positions.device)
    causal = keys <= positions[:, None]
    text = keys >= padding[:, None, None]
    return ((causal & text) | (keys == positions[:, None])).unsqueeze(1)
