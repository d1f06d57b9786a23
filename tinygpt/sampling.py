"""Text from a model, one character after the other."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tinygpt.block import KVCache
from tinygpt.model import TinyGPT


class NotFiniteError(ArithmeticError):
    """The model is spoilt: its logits are no numbers to draw by."""


class Choice(NamedTuple):
    """How the next character is chosen."""

    temperature: float = 1.0
    """Divides the logits; 0: always the likeliest."""
    top_k: int = 0
    """Among the k likeliest only, and those as likely as the last of them; 0: among all."""
    top_p: float = 1.0
    """Among the likeliest of these only, as few as have this probability together; 1: all."""


PLAIN = Choice()


def generate_tokens(
    model: TinyGPT,
    ids: Sequence[int],
    max_new_tokens: int,
    *,
    seed: int,
    choice: Choice = PLAIN,
    use_cache: bool = True,
) -> Iterator[int]:
    """Yield the ids that follow `ids` (at least one), as `generate_batch` does for many."""
    steps = generate_batch(
        model, [ids], max_new_tokens, seeds=[seed], choice=choice, use_cache=use_cache
    )
    return (token for (token,) in steps)


@torch.inference_mode()
def generate_batch(
    model: TinyGPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    seeds: Sequence[int],
    choice: Choice = PLAIN,
    use_cache: bool = True,
) -> Iterator[list[int]]:
    """Yield the ids that follow each of `prompts` (at least one id each), all first ones at first.

    Each text is drawn with its own of `seeds`, so up to rounding it is the same in every batch. The
    model sees the last block_size characters. While every text fits into the block, keys and values
    are kept; once one does not, its positions move by one, so they are computed anew.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    block_size = model.config.block_size
    texts = [list(ids[-block_size:]) for ids in prompts]
    cache, fresh = KVCache() if use_cache else None, texts
    for _ in range(max_new_tokens):
        longest = max(map(len, texts))
        logits = next_logits(model, fresh, [longest - len(text) for text in texts], cache)
        drawn = zip(logits, generators, strict=True)
        tokens = [draw(row, choice, generator) for row, generator in drawn]
        texts = [[*text, token][-block_size:] for text, token in zip(texts, tokens, strict=True)]
        cache = None if longest == block_size else cache
        fresh = texts if cache is None else [[token] for token in tokens]
        yield tokens


def next_logits(
    model: TinyGPT, rows: Sequence[list[int]], shorter: Sequence[int], cache: KVCache | None
) -> Tensor:
    """The fp32 logits (B, V), on the CPU, of what follows each row; `shorter` says by how many
    characters each text, cached ones included, falls short of the longest."""
    device, width = next(model.parameters()).device, max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)
    # Without a mask the kernel is another one, and faster.
    padding = torch.tensor(shorter, device=device) if any(shorter) else None
    logits: Tensor = model(ids, cache, padding)
    return logits[:, -1].float().cpu()


def draw(logits: Tensor, choice: Choice, generator: torch.Generator) -> int:
    """One id from logits (V,): top_k of them, then the temperature, then top_p of the rest.

    Raises NotFiniteError if a logit is infinite or not a number.
    """
    if not logits.isfinite().all():
        raise NotFiniteError("the logits of the next character are not finite")
    if choice.temperature == 0:
        return int(logits.argmax())
    if 0 < choice.top_k < len(logits):
        smallest = logits.topk(choice.top_k).values[-1]
        logits = logits.masked_fill(logits < smallest, float("-inf"))
    logits = (logits - logits.max()).double() / choice.temperature
    probabilities = torch.softmax(logits, dim=0)
    if choice.top_p < 1:
        probabilities = nucleus(probabilities, choice.top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """`probabilities` (V,) with 0 for all but the likeliest, as few as add up to at least `top_p`
    (above 0); of equals the first come first (Holtzman et al. 2020, arXiv:1904.09751)."""
    ordered = probabilities.sort(descending=True, stable=True)
    short = int((ordered.values.cumsum(0) < top_p).sum())
    return probabilities.index_fill(0, ordered.indices[short + 1 :], 0)
