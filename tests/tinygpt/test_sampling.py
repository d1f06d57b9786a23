"""Text from a model, one character after the other."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from tinygpt.config import ModelConfig
from tinygpt.model import TinyGPT
from tinygpt.sampling import draw, generate_tokens

V, T = 11, 8


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "qk_norm"])
def model(request: pytest.FixtureRequest) -> TinyGPT:
    config = ModelConfig(block_size=T, d_model=16, d_head=8, n_layers=2, qk_norm=request.param)
    network = TinyGPT(config, V).initialise(0).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8)  # far enough from uniform that the context decides
    return network


@torch.no_grad()
def by_hand(model: TinyGPT, ids: list[int], count: int) -> list[int]:
    """The likeliest next character of the last T, again and again."""
    written = list(ids)
    for _ in range(count):
        logits = model(torch.tensor([written[-T:]]))[0, -1]
        written.append(int(logits.argmax()))
    return written[len(ids) :]


@pytest.mark.parametrize("prompt", [1, 3, T - 1, T, T + 1, 3 * T])
def test_the_likeliest_text_is_the_one_found_without_a_cache(model: TinyGPT, prompt: int) -> None:
    ids = [(7 * place) % V for place in range(prompt)]
    for use_cache in (True, False):
        written = generate_tokens(model, ids, 2 * T, seed=0, temperature=0, use_cache=use_cache)
        assert list(written) == by_hand(model, ids, 2 * T)


@pytest.mark.parametrize("top_k", [0, 3])
def test_the_cache_changes_the_speed_and_not_the_text(model: TinyGPT, top_k: int) -> None:
    with_cache, without = (
        list(generate_tokens(model, [1, 2], 3 * T, seed=5, top_k=top_k, use_cache=use_cache))
        for use_cache in (True, False)
    )
    assert with_cache == without
    assert len(with_cache) == 3 * T


def test_a_text_follows_from_its_seed_alone(model: TinyGPT) -> None:
    torch.manual_seed(1)
    first = list(generate_tokens(model, [0], 40, seed=7))
    torch.manual_seed(2)
    assert list(generate_tokens(model, [0], 40, seed=7)) == first
    assert list(generate_tokens(model, [0], 40, seed=8)) != first


def test_a_longer_text_begins_like_the_shorter_one(model: TinyGPT) -> None:
    long = list(generate_tokens(model, [0], 30, seed=7))
    assert list(generate_tokens(model, [0], 12, seed=7)) == long[:12]
    assert list(generate_tokens(model, [0], 0, seed=7)) == []


def test_the_prompt_is_left_as_it_was(model: TinyGPT) -> None:
    ids = [1, 2, 3]
    list(generate_tokens(model, ids, 5, seed=0))
    assert ids == [1, 2, 3]


def test_whoever_reads_the_text_may_compute_gradients_between_characters(model: TinyGPT) -> None:
    for _ in generate_tokens(model, [0], 2, seed=0):
        assert not torch.is_inference_mode_enabled()


def frequencies(logits: Tensor, count: int, **options: float) -> dict[int, float]:
    generator = torch.Generator().manual_seed(0)
    temperature, top_k = options.get("temperature", 1.0), int(options.get("top_k", 0))
    drawn = Counter(draw(logits, temperature, top_k, generator) for _ in range(count))
    return {token: times / count for token, times in drawn.items()}


LOGITS = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4]),
        ({"temperature": 0.5}, [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        ({"top_k": 2}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_k": 4}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_k": 5}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_k": 1}, [0, 0, 0, 1]),
        ({"temperature": 0}, [0, 0, 0, 1]),
        ({"temperature": 1e-3}, [0, 0, 0, 1]),
        ({"temperature": 1e9}, [0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_characters_are_drawn_with_their_probabilities(
    options: dict[str, float], expected: list[float]
) -> None:
    found = frequencies(LOGITS, 4000, **options)
    for token, probability in enumerate(expected):
        assert found.get(token, 0.0) == pytest.approx(probability, abs=0.03 if probability else 0)


@pytest.mark.parametrize("temperature", [1e-30, 1e-39, 5e-324])
def test_the_smallest_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([-20.0, 30.0, 29.0])
    assert draw(logits, temperature, 0, torch.Generator().manual_seed(0)) == 1
