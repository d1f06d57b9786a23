"""The optimizers of a model, with weight decay where it belongs."""

from collections.abc import Iterable
from typing import TypeVar

from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from tinygpt.config import TrainConfig
from tinygpt.model import TinyGPT

Kind = TypeVar("Kind", bound=Optimizer)


def optimizers(model: TinyGPT, train: TrainConfig) -> list[Optimizer]:
    """What trains each weight: AdamW all of them, or Muon the matrices inside the blocks and AdamW
    the rest. Every group has its peak learning rate in `peak_lr`."""
    if train.optimizer == "adamw":
        return [adamw(model.parameters(), train)]
    hidden = [weight for weight in model.blocks.parameters() if weight.dim() == 2]
    chosen = set(hidden)
    rest = [weight for weight in model.parameters() if weight not in chosen]
    return [muon(hidden, train), adamw(rest, train)]


def adamw(weights: Iterable[nn.Parameter], train: TrainConfig) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); vectors do not decay."""
    weights = list(weights)
    groups = [
        {"params": [w for w in weights if w.dim() >= 2], "weight_decay": train.weight_decay},
        {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(
        [group for group in groups if group["params"]],
        lr=train.learning_rate,
        betas=(train.beta1, train.beta2),
        fused=True,
    )
    return with_peak(optimizer)


def muon(matrices: Iterable[nn.Parameter], train: TrainConfig) -> Muon:
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): the mean of the gradient, made
    orthogonal."""
    optimizer = Muon(
        matrices,
        lr=train.muon_lr,
        weight_decay=train.weight_decay,
        momentum=train.muon_momentum,
        ns_steps=train.muon_ns_steps,
    )
    return with_peak(optimizer)


def with_peak(optimizer: Kind) -> Kind:
    for group in optimizer.param_groups:
        group["peak_lr"] = group["lr"]
    return optimizer


def set_learning_rate(optimizers: Iterable[Optimizer], share: float) -> None:
    """Set every learning rate to a share of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak_lr"]
