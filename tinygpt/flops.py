"""How many floating-point operations a character costs in training."""

from tinygpt.config import ModelConfig
from tinygpt.size import inner_width


def flops_per_token(model: ModelConfig, vocab_size: int) -> int:
    """The operations of one character's forward and backward pass, the backward being twice the
    forward.

    Counted as by Chowdhery et al. 2022 (arXiv:2204.02311, appendix B): matrix products only, an
    addition and a multiplication being two; the head even where it is tied, the embeddings'
    look-ups not; attention as if every position looked at the whole block.
    """
    attention = 12 * model.n_layers * model.d_model * model.block_size
    return 6 * multiplied_weights(model, vocab_size) + attention


def multiplied_weights(model: ModelConfig, vocab_size: int) -> int:
    """How many weights are factors of matrix products."""
    projections = 4 * model.d_model  # query, key, value and what they come to
    mlp = (3 if model.activation == "swiglu" else 2) * inner_width(model)
    return model.d_model * (model.n_layers * (projections + mlp) + vocab_size)
