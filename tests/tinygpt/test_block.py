"""Attention against its formula, and the cache of keys and values."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.block import (
    MLP,
    NORM_EPS,
    Attention,
    Block,
    Context,
    KVCache,
    norm,
    rotated,
    rotation,
)
from tinygpt.config import ModelConfig
from tinygpt.size import inner_width


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
    context = Context(cache=cache)
    parts = [attention(x[:, :3], context)]
    parts += [attention(x[:, place : place + 1], context) for place in range(3, 8)]
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


@pytest.mark.parametrize("d_model", [24, 32, 64, 128, 384])
def test_all_activations_have_the_same_number_of_parameters(d_model: int) -> None:
    counts = {
        activation: sum(
            p.numel()
            for p in MLP(model_config(activation=activation, d_model=d_model)).parameters()
        )
        for activation in ("gelu", "relu2", "swiglu")
    }
    assert counts["gelu"] == counts["relu2"] == 8 * d_model**2
    assert counts["swiglu"] == pytest.approx(counts["gelu"], rel=0.02)


def test_relu2_is_the_square_of_the_positive_part_and_so_is_its_gradient() -> None:
    torch.manual_seed(0)
    mlp, x = MLP(model_config(activation="relu2")), torch.randn(5, 24, requires_grad=True)
    expected = mlp.down(torch.relu(mlp.up(x)).square())
    torch.testing.assert_close(mlp(x), expected)
    actual_grad, expected_grad = (torch.autograd.grad(y.sum(), x)[0] for y in (mlp(x), expected))
    torch.testing.assert_close(actual_grad, expected_grad)


def test_swiglu_gates_one_half_by_the_swish_of_the_other() -> None:
    torch.manual_seed(0)
    config = model_config(activation="swiglu")
    mlp, x = MLP(config), torch.randn(5, 24)
    gate, value = mlp.up(x)[:, : inner_width(config)], mlp.up(x)[:, inner_width(config) :]
    swish = gate * torch.sigmoid(gate)
    torch.testing.assert_close(mlp(x), mlp.down(swish * value))


@pytest.mark.parametrize(("bias", "names"), [(False, ["weight"]), (True, ["weight", "bias"])])
def test_layernorm_centres_and_scales(bias: bool, names: list[str]) -> None:
    torch.manual_seed(0)
    layer, x = norm(model_config(bias=bias)), 3 + 2 * torch.randn(5, 24)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + NORM_EPS).sqrt()
    torch.testing.assert_close(layer(x), expected)
    assert {name for name, _ in layer.named_parameters()} == {"weight"} | (
        {"bias"} if bias else set()
    )


def test_rmsnorm_scales_without_centring_and_has_a_gain_alone() -> None:
    torch.manual_seed(0)
    layer, x = norm(model_config(norm="rmsnorm", bias=True)), 3 + 2 * torch.randn(5, 24)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(24))  # type: ignore[operator, union-attr]
    root_mean_square = (x.square().mean(-1, keepdim=True) + NORM_EPS).sqrt()
    torch.testing.assert_close(layer(x), x / root_mean_square * layer.weight)  # type: ignore[operator]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def one_head(x: Tensor) -> Tensor:
    """(T, D) as (1, T, 1, 1, D)."""
    return x[None, :, None, None, :]


def test_a_rotation_turns_each_pair_by_its_frequency_times_the_position() -> None:
    torch.manual_seed(0)
    x, positions = torch.randn(5, 8), torch.tensor([0, 1, 2, 7, 30])
    actual = rotated(one_head(x), rotation(positions, 8))[0, :, 0, 0]
    for row, position in enumerate(positions.tolist()):
        for i in range(4):
            angle = position * 10_000 ** (-2 * i / 8)
            turn = torch.tensor(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            pair = slice(2 * i, 2 * i + 2)
            torch.testing.assert_close(actual[row, pair], turn @ x[row, pair])


def test_rotated_queries_and_keys_meet_by_their_distance_alone() -> None:
    """RoPE's defining property: <R(m) q, R(n) k> depends on m - n."""
    torch.manual_seed(0)
    q, k = torch.randn(1, 8), torch.randn(1, 8)

    def score(m: int, n: int) -> float:
        turned_q = rotated(one_head(q), rotation(torch.tensor([m]), 8))
        turned_k = rotated(one_head(k), rotation(torch.tensor([n]), 8))
        return float((turned_q * turned_k).sum())

    for distance in (0, 1, 5):
        scores = [score(n + distance, n) for n in (0, 1, 10, 100)]
        assert scores == pytest.approx([scores[0]] * 4, abs=1e-4)
    assert score(0, 0) != pytest.approx(score(5, 0), abs=1e-3)


def test_attention_with_rotations_depends_on_distances_and_not_on_places() -> None:
    torch.manual_seed(0)
    attention, x = Attention(model_config(position="rope"), layer=0), torch.randn(2, 8, 24)
    here, there = (rotation(torch.arange(start, start + 8), 8) for start in (0, 50))
    torch.testing.assert_close(
        attention(x, Context(here)), attention(x, Context(there)), atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(attention(x, Context(here)), attention(x), atol=1e-4)


@pytest.mark.parametrize("option", ["rope", "learned"])
def test_bf16_queries_are_turned_and_normalised_in_fp32(option: str) -> None:
    torch.manual_seed(0)
    attention = Attention(model_config(position=option, qk_norm=True), layer=0)
    turns = rotation(torch.arange(8), 8) if option == "rope" else None
    x = torch.randn(2, 8, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert attention(x, Context(turns)).dtype == torch.bfloat16


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


def test_a_compiled_rotation_is_the_same_without_complex_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    x, turns = torch.randn(2, 5, 2, 3, 8), rotation(torch.arange(5), 8)
    plain = rotated(x, turns)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotated(x, turns), plain)
