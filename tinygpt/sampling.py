"""Text from a model, one character after the other."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tinygpt.block import KVCache
from tinygpt.model import TinyGPT


@torch.inference_mode()
def generate_tokens(
    model: TinyGPT,
    ids: list[int],
    max_new_tokens: int,
    *,
    seed: int,
    temperature: float = 1.0,
    top_k: int = 0,
    use_cache: bool = True,
) -> Iterator[int]:
    """Yield the ids that follow `ids` (at least one), drawn with `temperature` among the `top_k`
    likeliest (0: all).

    The model sees the last block_size characters. While they fit into the block, keys and values
    are kept; after that every position moves by one, so they are computed anew.
    """
    generator = torch.Generator().manual_seed(seed)
    device, block_size = next(model.parameters()).device, model.config.block_size
    cache: KVCache | None = KVCache() if use_cache else None
    context = list(ids[-block_size:])
    fresh = context
    for _ in range(max_new_tokens):
        logits = model(torch.tensor([fresh], device=device), cache)[0, -1]
        token = draw(logits.float().cpu(), temperature, top_k, generator)
        yield token
        full = len(context) == block_size
        context = [*context[full:], token]
        cache = None if full else cache
        fresh = context if cache is None else [token]


def draw(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """One id from logits (V,); temperature 0 takes the likeliest."""
    if temperature == 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        smallest = logits.topk(top_k).values[-1]
        logits = logits.masked_fill(logits < smallest, float("-inf"))
    logits = (logits - logits.max()).double() / temperature
    probabilities = torch.softmax(logits, dim=0)
    return int(torch.multinomial(probabilities, 1, generator=generator))
