"""The network: equal to its peer, causal, rightly initialised, able to learn by heart."""

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tinygpt.block import KVCache
from tinygpt.config import ModelConfig, TrainConfig
from tinygpt.model import TinyGPT
from tinygpt.optim import adamw
from tinygpt.size import inner_width

V = 19


def model(seed: int = 0, vocabulary: int = V, **values: object) -> TinyGPT:
    basis = {"block_size": 8, "d_model": 32, "d_head": 8, "n_layers": 2}
    config = ModelConfig(**{**basis, **values})  # type: ignore[arg-type]
    return TinyGPT(config, vocabulary).initialise(seed).eval()


def random_ids(*shape: int, vocabulary: int = V, seed: int = 0) -> Tensor:
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def spread_out(network: TinyGPT) -> TinyGPT:
    """Draw weights, gains and biases so large that every one of them shows in the logits."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network


def gpt2_weights(network: TinyGPT) -> dict[str, Tensor]:
    """The weights under the names of transformers' GPT-2, whose Conv1D holds (in, out)."""
    ours = dict(network.named_parameters())
    theirs: dict[str, Tensor] = {
        "transformer.wte.weight": ours["token_embedding.weight"],
        "transformer.wpe.weight": ours["pos_embedding.weight"],
        "transformer.ln_f.weight": ours["norm.weight"],
        "transformer.ln_f.bias": ours["norm.bias"],
        "lm_head.weight": ours["token_embedding.weight"],
    }
    parts = {"norm1": "ln_1", "norm2": "ln_2", "attention.qkv": "attn.c_attn"}
    parts |= {"attention.out": "attn.c_proj", "mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
    for layer in range(network.config.n_layers):
        for our, their in parts.items():
            for kind in ("weight", "bias"):
                value = ours[f"blocks.{layer}.{our}.{kind}"].detach()
                theirs[f"transformer.h.{layer}.{their}.{kind}"] = value.t()
    return theirs


def of_transformers(*names: str) -> list[Any]:
    """Classes of the peer, whose warnings at import are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        return [getattr(transformers, name) for name in names]


def assert_same_logits(ours: TinyGPT, peer: Any) -> None:
    for length in (1, 5, 8):
        ids = random_ids(3, length)
        with torch.no_grad():
            expected, actual = peer(ids).logits, ours(ids)
        assert actual.std() > 0.5, "the logits must be far from the initial ones"
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_logits_equal_those_of_gpt2_in_transformers() -> None:
    config_class, peer_class = of_transformers("GPT2Config", "GPT2LMHeadModel")
    ours = spread_out(model(bias=True, n_layers=3))
    config = config_class(
        vocab_size=V,
        n_positions=8,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_inner=4 * 32,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        layer_norm_epsilon=1e-5,
        bos_token_id=0,
        eos_token_id=0,
    )
    peer = peer_class(config).eval()
    missing, unexpected = peer.load_state_dict(gpt2_weights(ours), strict=False)
    assert not unexpected
    assert not [name for name in missing if not name.endswith((".attn.bias", ".masked_bias"))]
    assert_same_logits(ours, peer)


def halves(weight: Tensor) -> Tensor:
    """Rows of a query or key projection, heads of 8, in the order of Llama, which turns feature i
    with feature i + D/2 where this model turns 2i with 2i + 1."""
    return weight.detach().view(-1, 4, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def llama_weights(network: TinyGPT) -> dict[str, Tensor]:
    """The weights under the names of transformers' Llama."""
    ours = {name: weight.detach() for name, weight in network.named_parameters()}
    theirs = {
        "model.embed_tokens.weight": ours["token_embedding.weight"],
        "model.norm.weight": ours["norm.weight"],
        "lm_head.weight": ours["lm_head.weight"],
    }
    for layer in range(network.config.n_layers):
        our, their = f"blocks.{layer}", f"model.layers.{layer}"
        q, k, v = ours[f"{our}.attention.qkv.weight"].chunk(3)
        gate, up = ours[f"{our}.mlp.up.weight"].chunk(2)
        theirs |= {
            f"{their}.input_layernorm.weight": ours[f"{our}.norm1.weight"],
            f"{their}.post_attention_layernorm.weight": ours[f"{our}.norm2.weight"],
            f"{their}.self_attn.q_proj.weight": halves(q),
            f"{their}.self_attn.k_proj.weight": halves(k),
            f"{their}.self_attn.v_proj.weight": v,
            f"{their}.self_attn.o_proj.weight": ours[f"{our}.attention.out.weight"],
            f"{their}.mlp.gate_proj.weight": gate,
            f"{their}.mlp.up_proj.weight": up,
            f"{their}.mlp.down_proj.weight": ours[f"{our}.mlp.down.weight"],
        }
    return theirs


def test_logits_equal_those_of_llama_in_transformers() -> None:
    config_class, peer_class = of_transformers("LlamaConfig", "LlamaForCausalLM")
    options = {"position": "rope", "norm": "rmsnorm", "activation": "swiglu", "tie_weights": False}
    ours = spread_out(model(n_layers=3, **options))
    config = config_class(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=inner_width(ours.config),
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        rms_norm_eps=1e-5,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    peer = peer_class(config).eval()
    peer.load_state_dict(llama_weights(ours))
    assert_same_logits(ours, peer)


@pytest.mark.parametrize("vocabulary", [20, 65, 200])
@pytest.mark.parametrize("n_layers", [1, 4])
def test_the_loss_at_the_start_is_that_of_a_uniform_guess(vocabulary: int, n_layers: int) -> None:
    ids = random_ids(64, 9, vocabulary=vocabulary)
    network = model(vocabulary=vocabulary, n_layers=n_layers)
    loss = network.loss(ids[:, :-1], ids[:, 1:]).item()
    assert loss == pytest.approx(math.log(vocabulary), rel=0.02)


def test_a_position_depends_on_itself_and_on_those_before_it_and_on_no_other() -> None:
    """d logits[t] / d embedding[t'] is zero exactly where t' > t: the future cannot leak."""
    network = spread_out(model())
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    network.token_embedding.register_forward_hook(keep)
    for t in range(8):
        network.zero_grad()
        network(random_ids(1, 8))[0, t].square().sum().backward()
        gradient = embedded.pop().grad
        assert gradient is not None
        reach = gradient[0].abs().sum(dim=-1)
        assert (reach[: t + 1] > 0).all(), f"position {t} must see all before it"
        assert (reach[t + 1 :] == 0).all(), f"position {t} must not see what follows"


def test_texts_of_one_batch_do_not_mix() -> None:
    network, ids = spread_out(model()), random_ids(3, 8)
    for row in range(3):
        torch.testing.assert_close(network(ids)[row], network(ids[row : row + 1])[0])


def test_the_loss_is_the_mean_over_all_predictions() -> None:
    network = spread_out(model())
    ids, targets = random_ids(3, 8), random_ids(3, 8, seed=1)
    probabilities = network(ids).softmax(-1)
    nats = [
        -math.log(probabilities[b, t, targets[b, t]].item()) for b in range(3) for t in range(8)
    ]
    assert network.loss(ids, targets).item() == pytest.approx(sum(nats) / 24, rel=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_number_of_parameters_follows_the_formula(bias: bool, n_layers: int) -> None:
    C, T = 32, 8
    matrices = V * C + T * C + n_layers * 12 * C * C
    gains = (2 * n_layers + 1) * C
    biases = n_layers * (3 * C + C + 4 * C + C) + gains if bias else 0
    assert model(bias=bias, n_layers=n_layers).n_parameters() == matrices + gains + biases


def test_the_head_is_the_embedding_itself_and_listed_once() -> None:
    network = model()
    assert network.lm_head.weight is network.token_embedding.weight
    names = [name for name, _ in network.named_parameters()]
    assert "token_embedding.weight" in names
    assert "lm_head.weight" not in names


def test_a_head_of_its_own_has_its_own_weights() -> None:
    network = model(tie_weights=False)
    assert network.lm_head.weight is not network.token_embedding.weight
    assert network.n_parameters() == model().n_parameters() + V * 32
    assert not torch.equal(network.lm_head.weight, network.token_embedding.weight)


def test_with_rotations_no_position_is_learned() -> None:
    assert model(position="rope").n_parameters() == model().n_parameters() - 8 * 32


def test_loaded_weights_give_the_same_logits_and_keep_the_head_tied() -> None:
    source, target, ids = spread_out(model()), model(seed=1), random_ids(2, 8)
    assert not torch.equal(source(ids), target(ids))
    target.load_weights({name: p.detach() for name, p in source.named_parameters()})
    assert torch.equal(source(ids), target(ids))
    assert target.lm_head.weight is target.token_embedding.weight


def test_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    one = model(seed=3)
    torch.manual_seed(6)
    same, other = model(seed=3), model(seed=4)
    pairs = zip(one.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.token_embedding.weight, other.token_embedding.weight)


def test_weights_are_drawn_as_in_gpt2() -> None:
    network = model(bias=True, d_model=64, n_layers=8)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 1:
            assert parameter.eq(1.0 if name.endswith("weight") else 0.0).all(), name
        else:
            residual = name.endswith(("out.weight", "down.weight"))
            std = 0.02 / math.sqrt(16) if residual else 0.02
            assert parameter.std().item() == pytest.approx(std, rel=0.1), name
            assert abs(parameter.mean().item()) < std / 5, name


def test_a_text_of_one_block_is_learned_by_heart() -> None:
    network, ids = model(n_layers=1).train(), random_ids(1, 9)
    optimizer = adamw(network.parameters(), TrainConfig(learning_rate=1e-2, weight_decay=0.0))
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(network.loss(ids[:, :-1], ids[:, 1:]))
        optimizer.step()
    assert network.loss(ids[:, :-1], ids[:, 1:]).item() < 0.1


@pytest.mark.parametrize("first", [1, 3, 8])
@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("position", ["learned", "rope"])
def test_a_cache_gives_the_logits_of_the_whole_context(
    first: int, qk_norm: bool, position: str
) -> None:
    network = spread_out(model(qk_norm=qk_norm, position=position))
    ids, cache = random_ids(2, 8), KVCache()
    parts = [network(ids[:, :first], cache)]
    parts += [network(ids[:, place : place + 1], cache) for place in range(first, 8)]
    torch.testing.assert_close(torch.cat(parts, dim=1), network(ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("position", ["learned", "rope"])
def test_padding_at_the_left_changes_no_logits(position: str, qk_norm: bool) -> None:
    network = spread_out(model(qk_norm=qk_norm, position=position))
    padding, cache = torch.tensor([0, 2, 5]), KVCache()
    ids, other = random_ids(3, 8), random_ids(3, 8, seed=1)
    parts = [network(ids[:, :6], cache, padding)]
    parts += [network(ids[:, place : place + 1], cache, padding) for place in (6, 7)]
    for logits in (network(ids, padding=padding), torch.cat(parts, dim=1)):
        for row, empty in enumerate(padding.tolist()):
            alone = network(ids[row : row + 1, empty:])[0]
            torch.testing.assert_close(logits[row, empty:], alone, atol=1e-5, rtol=1e-5)
    is_text = torch.arange(8) >= padding[:, None]
    unlike = network(torch.where(is_text, ids, other), padding=padding)
    assert torch.equal(unlike[is_text], network(ids, padding=padding)[is_text])


def test_dropout_acts_in_training_only() -> None:
    network, ids = model(dropout=0.3), random_ids(2, 8)
    assert torch.equal(network(ids), network(ids))
    network.train()
    assert not torch.equal(network(ids), network(ids))


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_positions_have_a_part_in_the_logits(position: str) -> None:
    network, ids = spread_out(model(position=position)), torch.tensor([[1, 2, 0, 0, 0]])
    other = torch.tensor([[2, 1, 0, 0, 0]])
    assert not torch.allclose(network(ids)[0, 4], network(other)[0, 4])
