"""Attention against its formula, and the cache of keys and values."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.block import MLP, Attention, Block, KVCache
from tinygpt.config import ModelConfig


def model_config(**values: object) -> ModelConfig:
    basis = {"block_size": 8, "d_model": 24, "d_head": 8, "n_layers": 1}
    return ModelConfig(**{**basis, **values})  # type: ignore[arg-type]


def root_mean_square_one(x: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


def by_formula(attention: Attention, x: Tensor, qk_norm: bool) -> Tensor:
    """softmax(Q K^T / sqrt(D) + mask) V, head by head."""
    _, T, C = x.shape
    D = attention.d_head
    q, k, v = attention.qkv(x).split(C, dim=-1)
    mask = torch.full((T, T), float("-inf")).triu(1)
    heads = []
    for start in range(0, C, D):
        q_head, k_head, v_head = (part[..., start : start + D] for part in (q, k, v))
        if qk_norm:
            q_head, k_head = root_mean_square_one(q_head), root_mean_square_one(k_head)
        scores = q_head @ k_head.transpose(-1, -2) / math.sqrt(D) + mask
        heads.append(scores.softmax(-1) @ v_head)
    out: Tensor = attention.out(torch.cat(heads, dim=-1))
    return out


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("length", [1, 2, 8])
def test_attention_is_the_softmax_formula_under_a_causal_mask(
    bias: bool, qk_norm: bool, length: int
) -> None:
    torch.manual_seed(0)
    attention = Attention(model_config(bias=bias, qk_norm=qk_norm), layer=0)
    x = torch.randn(3, length, 24)
    assert torch.allclose(attention(x), by_formula(attention, x, qk_norm), atol=1e-6)


def test_normalised_queries_and_keys_do_not_feel_the_scale_of_their_projections() -> None:
    torch.manual_seed(0)
    attention = Attention(model_config(qk_norm=True), layer=0)
    x = torch.randn(2, 8, 24)
    before = attention(x)
    with torch.no_grad():
        attention.qkv.weight[:48] *= 100
    assert torch.allclose(attention(x), before, atol=1e-4)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_positions_taken_one_by_one_attend_to_what_the_cache_holds(qk_norm: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(model_config(qk_norm=qk_norm), layer=0)
    x, cache = torch.randn(2, 8, 24), KVCache()
    parts = [attention(x[:, :3], cache)]
    parts += [attention(x[:, place : place + 1], cache) for place in range(3, 8)]
    assert len(cache) == 8
    assert torch.allclose(torch.cat(parts, dim=1), attention(x), atol=1e-6)


def test_a_cache_keeps_the_layers_apart() -> None:
    cache = KVCache()
    assert len(cache) == 0
    zeros, ones = torch.zeros(1, 2, 3, 4), torch.ones(1, 2, 3, 4)
    cache.extend(0, zeros, zeros)
    cache.extend(1, ones, ones)
    k, v = cache.extend(1, ones[:, :, :1], 2 * ones[:, :, :1])
    assert k.shape == v.shape == (1, 2, 4, 4)
    assert k.eq(1).all()
    assert v[:, :, -1].eq(2).all()
    assert len(cache) == 3, "the first layer has not seen the last position yet"


def test_attention_is_computed_in_fp32_under_bf16_autocast() -> None:
    torch.manual_seed(0)
    attention, x = Attention(model_config(), layer=0), torch.randn(2, 8, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual, qkv = attention(x), attention.qkv(x)
        assert qkv.dtype == actual.dtype == torch.bfloat16, "the matrix products are in bf16"
    heads = qkv.float().view(2, 8, 3, 3, 8).permute(2, 0, 3, 1, 4)
    q, k, v = heads.unbind(0)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = attention.out(y.transpose(1, 2).reshape(2, 8, 24))
    assert torch.equal(actual, expected)


def test_the_mlp_is_four_times_as_wide_with_the_exact_gelu() -> None:
    torch.manual_seed(0)
    mlp, x = MLP(model_config(bias=True)), torch.randn(5, 24)
    assert mlp.up.weight.shape == (96, 24)
    inner = mlp.up(x)
    expected = mlp.down(inner * (1 + torch.erf(inner / math.sqrt(2))) / 2)
    assert torch.allclose(mlp(x), expected, atol=1e-6)


def test_a_block_adds_to_a_normalised_copy_of_the_stream() -> None:
    torch.manual_seed(0)
    block, x = Block(model_config(), layer=0).eval(), torch.randn(2, 8, 24)
    halfway = x + block.attention(block.norm1(x))
    assert torch.allclose(block(x), halfway + block.mlp(block.norm2(halfway)), atol=1e-6)


def test_dropout_acts_in_training_only_and_reaches_the_attention_weights() -> None:
    torch.manual_seed(0)
    attention, x = Attention(model_config(dropout=0.5), layer=0), torch.randn(2, 8, 24)
    assert torch.equal(attention.eval()(x), attention(x))
    attention.train()
    assert not torch.equal(attention(x), attention(x))
