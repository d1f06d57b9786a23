"""What a run key may be called in other people's sweep files."""

from tinygpt import config, wording
from tinygpt.schema import ConfigError, Problem

ALIASES = {
    "lr": "train.learning_rate",
    "bs": "train.batch_size",
    "wd": "train.weight_decay",
    "max_steps": "train.max_iters",
    "warmup_steps": "train.warmup_iters",
    "gradient_accumulation_steps": "train.accumulation",
    "max_grad_norm": "train.grad_clip",
    "n_layer": "model.n_layers",
    "num_layers": "model.n_layers",
    "n_embd": "model.d_model",
    "context_length": "model.block_size",
    "seq_len": "model.block_size",
}
"""Other names for exactly what a run key means."""
_EPOCHS = "a run is measured in updates; use max_iters"
_HEADS = "heads are given by their width; use d_head, which is d_model over their number"
STRANGERS = {
    "epoch": _EPOCHS,
    "epochs": _EPOCHS,
    "num_epochs": _EPOCHS,
    "n_head": _HEADS,
    "n_heads": _HEADS,
    "num_heads": _HEADS,
    "min_lr": "the end of the schedule is given as a share of the peak; use min_lr_ratio",
    "vocab_size": "it follows from the corpus; leave it out",
}
"""Names that look like a run key and mean something else."""


def run_key(name: str) -> str:
    """The dotted run key that `name` means: itself, its last part if it is alone, or an alias.

    Raises ConfigError for any other name.
    """
    known = config.known_keys()
    word = name.replace("-", "_")
    if word in known:
        return word
    meant = _meant(word.rpartition(".")[2])
    if "." not in word and meant:
        return meant
    last = word.rpartition(".")[2]
    if last in STRANGERS:
        raise ConfigError([Problem((), f"unknown key: {STRANGERS[last]}")])
    if meant:
        raise ConfigError([Problem((), f"unknown key (did you mean {meant!r}?)")])
    raise ConfigError([Problem((), wording.unknown(word, known))])


def _meant(word: str) -> str | None:
    """The key whose last part is `word` if there is just one, else its alias."""
    keys = [key for key in config.known_keys() if key.rpartition(".")[2] == word]
    return keys[0] if len(keys) == 1 else ALIASES.get(word)
