"""Text from a model, one character after the other."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from tinygpt.config import ModelConfig
from tinygpt.model import TinyGPT
from tinygpt.sampling import (
    Choice,
    NotFiniteError,
    draw,
    generate_batch,
    generate_tokens,
    nucleus,
)

V, T = 11, 8
MODELS: dict[str, dict[str, Any]] = {
    "learned": {},
    "learned, qk_norm": {"qk_norm": True},
    "rope": {"position": "rope"},
    "rope, qk_norm": {"position": "rope", "qk_norm": True},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> TinyGPT:
    options = MODELS[request.param]
    config = ModelConfig(block_size=T, d_model=16, d_head=8, n_layers=2, **options)
    network = TinyGPT(config, V).initialise(0).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8)  # far enough from uniform that the context decides
    return network


LIKELIEST = Choice(temperature=0)


def prompt(length: int) -> list[int]:
    return [(7 * place + length) % V for place in range(length)]


@torch.no_grad()
def by_hand(model: TinyGPT, ids: list[int], count: int, seed: int, choice: Choice) -> list[int]:
    """What is drawn after the last T characters, again and again."""
    written, generator = list(ids), torch.Generator().manual_seed(seed)
    for _ in range(count):
        logits = model(torch.tensor([written[-T:]]))[0, -1]
        written.append(draw(logits, choice, generator))
    return written[len(ids) :]


@pytest.mark.parametrize("choice", [LIKELIEST, Choice(), Choice(0.7, top_k=4, top_p=0.9)])
@pytest.mark.parametrize("length", [1, 3, T - 1, T, T + 1, 3 * T])
def test_the_cache_changes_the_speed_and_not_the_text(
    model: TinyGPT, length: int, choice: Choice
) -> None:
    expected = by_hand(model, prompt(length), 3 * T, 5, choice)
    for use_cache in (True, False):
        written = generate_tokens(
            model, prompt(length), 3 * T, seed=5, choice=choice, use_cache=use_cache
        )
        assert list(written) == expected


@pytest.mark.parametrize("choice", [LIKELIEST, Choice(), Choice(0.7, top_k=4, top_p=0.9)])
@pytest.mark.parametrize("lengths", [(1, 3, T - 1), (T - 1, 1), (2, T, 3 * T), (T, T + 1), (4, 4)])
def test_a_text_is_the_same_alone_and_beside_others(
    model: TinyGPT, lengths: tuple[int, ...], choice: Choice
) -> None:
    prompts, seeds = [prompt(length) for length in lengths], range(3, 3 + len(lengths))
    alone = [
        list(generate_tokens(model, ids, 3 * T, seed=seed, choice=choice))
        for ids, seed in zip(prompts, seeds, strict=True)
    ]
    for use_cache in (True, False):
        steps = generate_batch(
            model, prompts, 3 * T, seeds=seeds, choice=choice, use_cache=use_cache
        )
        assert [list(row) for row in zip(*steps, strict=True)] == alone


def test_the_characters_come_as_they_are_written(model: TinyGPT) -> None:
    passes: list[int] = []
    counting = model.register_forward_hook(lambda *_: passes.append(1))
    steps = generate_batch(model, [prompt(2), prompt(5)], 2 * T, seeds=[0, 1])
    for number, _ in enumerate(steps, start=1):
        assert len(passes) == number
    counting.remove()
    assert len(passes) == 2 * T


def test_after_the_first_pass_a_cached_one_reads_the_new_characters_only(model: TinyGPT) -> None:
    widths: list[int] = []
    watching = model.register_forward_hook(lambda _, given, __: widths.append(given[0].shape[1]))
    list(generate_batch(model, [prompt(2), prompt(5)], T, seeds=[0, 1]))
    watching.remove()
    assert widths == [5, 1, 1, 1, *[T] * 4]


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
    choice = Choice(**options)  # type: ignore[arg-type]
    drawn = Counter(draw(logits, choice, generator) for _ in range(count))
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
        ({"top_p": 1e-9}, [0, 0, 0, 1]),
        ({"top_p": 0.39}, [0, 0, 0, 1]),
        ({"top_p": 0.41}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.71}, [0, 2 / 9, 3 / 9, 4 / 9]),
        ({"top_p": 0.999}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_k": 3, "top_p": 0.43}, [0, 0, 0, 1]),  # of the three it has 4/9
        ({"top_k": 3, "top_p": 0.45}, [0, 0, 3 / 7, 4 / 7]),
        ({"temperature": 0.5, "top_p": 0.5}, [0, 0, 0, 1]),  # it has 16/30 by then
        ({"temperature": 0, "top_p": 0.999}, [0, 0, 0, 1]),
    ],
)
def test_characters_are_drawn_with_their_probabilities(
    options: dict[str, float], expected: list[float]
) -> None:
    found = frequencies(LOGITS, 4000, **options)
    for token, probability in enumerate(expected):
        assert found.get(token, 0.0) == pytest.approx(probability, abs=0.03 if probability else 0)


@pytest.mark.parametrize(
    ("probabilities", "top_p", "kept"),
    [
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], 5e-324, [1]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], 0.5, [1]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], math.nextafter(0.5, 1), [1, 2]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], 0.75, [1, 2]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], 0.8, [0, 1, 2]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], 0.875, [0, 1, 2]),
        ([1 / 8, 1 / 2, 1 / 4, 1 / 8], math.nextafter(1, 0), [0, 1, 2, 3]),
        ([1 / 4, 1 / 4, 1 / 4, 1 / 4], 0.5, [0, 1]),
        ([0, 0, 1, 0], math.nextafter(1, 0), [2]),
        ([1], 0.5, [0]),
    ],
)
def test_the_nucleus_is_the_smallest_set_of_the_likeliest_that_reaches_top_p(
    probabilities: list[float], top_p: float, kept: list[int]
) -> None:
    expected = [value if i in kept else 0.0 for i, value in enumerate(probabilities)]
    assert nucleus(torch.tensor(probabilities, dtype=torch.float64), top_p).tolist() == expected


@pytest.mark.parametrize("temperature", [1e-30, 1e-39, 5e-324])
def test_the_smallest_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([-20.0, 30.0, 29.0])
    for top_p in (1.0, 0.5):
        choice = Choice(temperature, top_p=top_p)
        assert draw(logits, choice, torch.Generator().manual_seed(0)) == 1


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_not_drawn_by(spoilt: float, temperature: float) -> None:
    logits = torch.tensor([0.0, spoilt, 1.0])
    with pytest.raises(NotFiniteError, match="not finite"):
        draw(logits, Choice(temperature), torch.Generator())
