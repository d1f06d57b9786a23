"""The loop ours is measured against: nanoGPT's (github.com/karpathy/nanoGPT) on a CPU.

Eager, in fp32, with torch's own layers, as a user would write it; nothing of ours is in it.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.config import RunConfig, TrainConfig


class Block(nn.Module):
    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.ln_1 = nn.LayerNorm(d_model, bias=False)
        self.attention = nn.Linear(d_model, 3 * d_model, bias=False)
        self.projection = nn.Linear(d_model, d_model, bias=False)
        self.ln_2 = nn.LayerNorm(d_model, bias=False)
        up, down = nn.Linear(d_model, 4 * d_model, False), nn.Linear(4 * d_model, d_model, False)
        self.mlp = nn.Sequential(up, nn.GELU(), down)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        parts = self.attention(self.ln_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, self.n_heads, -1).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(y.transpose(1, 2).contiguous().view(B, T, C))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class GPT(nn.Module):
    """Ids and targets (B, T) in, the mean cross-entropy out."""

    def __init__(self, config: RunConfig, vocab_size: int) -> None:
        super().__init__()
        torch.manual_seed(config.seed)
        model, C = config.model, config.model.d_model
        self.wte, self.wpe = nn.Embedding(vocab_size, C), nn.Embedding(model.block_size, C)
        self.blocks = nn.ModuleList(Block(C, model.n_heads) for _ in range(model.n_layers))
        self.ln_f = nn.LayerNorm(C, bias=False)
        self.lm_head = nn.Linear(C, vocab_size, bias=False)
        self.wte.weight = self.lm_head.weight
        for name, weight in self.named_parameters():
            writes = name.endswith(("projection.weight", "mlp.2.weight"))
            if weight.dim() == 2:
                nn.init.normal_(weight, 0.0, 0.02 / math.sqrt(2 * model.n_layers) ** writes)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


@torch.no_grad()
def mean_loss(gpt: GPT, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The mean over every prediction of the batches."""
    losses = [(float(gpt(ids, targets)), targets.numel()) for ids, targets in batches]
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


def learning_rate(step: int, train: TrainConfig) -> float:
    floor = train.min_lr_ratio * train.learning_rate
    if step < train.warmup_iters:
        return train.learning_rate * (step + 1) / (train.warmup_iters + 1)
    progress = (step - train.warmup_iters) / (train.max_iters - train.warmup_iters)
    return floor + (1 + math.cos(math.pi * progress)) / 2 * (train.learning_rate - floor)


def training(gpt: GPT, ids: Tensor, config: RunConfig) -> Iterator[None]:
    """Train on the text `ids` (N,) int64, an update for each `next`."""
    T, train = config.model.block_size, config.train
    groups: list[dict[str, Any]] = [
        {"params": [w for w in gpt.parameters() if w.dim() >= 2]},
        {"params": [w for w in gpt.parameters() if w.dim() < 2], "weight_decay": 0.0},
    ]
    betas, decay = (train.beta1, train.beta2), train.weight_decay
    optimizer = torch.optim.AdamW(groups, betas=betas, weight_decay=decay)
    for step in range(train.max_iters):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, train)
        starts = torch.randint(len(ids) - T, (train.batch_size,))
        x = torch.stack([ids[start : start + T] for start in starts])
        y = torch.stack([ids[start + 1 : start + 1 + T] for start in starts])
        loss = gpt(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(gpt.parameters(), train.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % train.log_interval == 0:
            loss.item()
        yield


def save(state: dict[str, Any], path: Path) -> None:
    """As nanoGPT saves: over the last checkpoint, and nothing is waited for."""
    torch.save(state, path)
