"""Few settings in which every two options meet with every two of their choices."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

OPTIONS: dict[str, Sequence[Any]] = {
    "model.position": ["learned", "rope"],
    "model.norm": ["layernorm", "rmsnorm"],
    "model.activation": ["gelu", "relu2", "swiglu"],
    "model.qk_norm": [False, True],
    "model.bias": [False, True],
    "model.tie_weights": [True, False],
    "model.dropout": [0.0, 0.1],
    "train.optimizer": ["adamw", "muon"],
    "train.schedule": ["cosine", "wsd", "linear", "constant"],
    "train.precision": ["fp32", "bf16"],
    "train.accumulation": [1, 3],
    "train.grad_clip": [1.0, 0.0],
    "train.weight_decay": [0.1, 0.0],
}
"""Every choice that changes how a step is computed."""


def covering(options: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Settings that hold every pair of choices of two options at least once.

    Greedy (Cohen et al. 1997, "The AETG System"): each setting begins with a pair not seen yet and
    takes, option by option, the choice that brings the most new pairs.
    """
    choices = [(name, choice) for name in options for choice in options[name]]
    left = [
        frozenset(pair) for pair in itertools.combinations(choices, 2) if pair[0][0] != pair[1][0]
    ]
    open_pairs = dict.fromkeys(left)
    settings = []
    while open_pairs:
        setting = dict(next(pair for pair in left if pair in open_pairs))
        for name in options:
            if name not in setting:
                setting[name] = max(
                    options[name], key=lambda c: _gain(setting, name, c, open_pairs)
                )
        for pair in itertools.combinations(setting.items(), 2):
            open_pairs.pop(frozenset(pair), None)
        settings.append({name: setting[name] for name in options})
    return settings


def _gain(
    setting: Mapping[str, Any], name: str, choice: Any, open_pairs: Mapping[Any, None]
) -> int:
    return sum(frozenset({(name, choice), item}) in open_pairs for item in setting.items())


def name_of(setting: Mapping[str, Any]) -> str:
    """A test's name: the choices, in the order of the options."""
    return "-".join(str(choice).lower() for choice in setting.values())
