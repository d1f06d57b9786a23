"""A probe trains for real and tells medians; what it is told by a clock can be computed by hand."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.events import Evaluated, Event, Snapshot, Stepped, Trained
from tinygpt.model import TinyGPT
from tinygpt.probe import endless, laps, per_item, probe, seconds_per_token
from tinygpt.trainer import DivergedError, Trainer

MakeConfig = Callable[..., RunConfig]


class FakeTime:
    """A clock that goes on by what each thing is said to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, things: list[tuple[Any, float]]) -> Iterator[Any]:
        for thing, seconds in things:
            self.now += seconds
            yield thing


def update(step: int, seconds: float) -> list[tuple[Event, float]]:
    return [(Trained(step, 3.0, 1e-3, 1.0, 32 * step), seconds), (Stepped(step), 0.0)]


def evaluation(step: int, seconds: float) -> list[tuple[Event, float]]:
    return [(Snapshot(step, b""), seconds / 10), (Evaluated(step, 3.0, 3.0, 32 * step), seconds)]


def test_every_part_of_a_run_is_measured_on_its_real_steps(
    tiny: MakeConfig, corpus: Corpus
) -> None:
    figures = probe(tiny(), corpus, seconds=0.05)
    assert figures is not None
    assert all(seconds > 0 for seconds in dataclasses.astuple(figures))


def test_a_run_without_samples_takes_no_time_for_them(tiny: MakeConfig, corpus: Corpus) -> None:
    figures = probe(tiny({"sample.max_new_tokens": 0}), corpus, seconds=0.01)
    assert figures is not None
    assert figures.sample == 0.0


def test_a_probe_that_is_to_stop_tells_nothing(tiny: MakeConfig, corpus: Corpus) -> None:
    assert probe(tiny(), corpus, stopping=lambda: True) is None


def test_what_is_measured_is_the_run_with_other_lengths_and_rates(tiny: MakeConfig) -> None:
    run = tiny({"train.optimizer": "muon"})
    probed = endless(run)
    assert probed.model == run.model
    changed = {
        field.name
        for field in dataclasses.fields(run.train)
        if getattr(run.train, field.name) != getattr(probed.train, field.name)
    }
    lengths = {"max_iters", "eval_interval", "log_interval"}
    assert changed == {*lengths, "learning_rate", "muon_lr"}


def test_the_first_update_and_what_comes_before_it_do_not_count() -> None:
    time = FakeTime()
    things = [*evaluation(0, 50.0), *update(1, 70.0)]
    for step in range(1, 4):
        things += [*evaluation(step, float(step)), *update(step + 1, 10.0 * step)]
    spent = laps(time.taking(things), 1000.0, lambda: False, time)
    assert spent[Stepped] == [10.0, 20.0, 30.0]
    assert spent[Evaluated] == [1.0, 2.0, 3.0]
    assert spent[Snapshot] == pytest.approx([0.1, 0.2, 0.3])


def test_it_ends_once_its_time_is_up() -> None:
    time = FakeTime()
    things = [*evaluation(0, 1.0), *update(1, 1.0)]
    for step in range(1, 100):
        things += [*evaluation(step, 1.0), *update(step + 1, 1.0)]
    assert len(laps(time.taking(things), 5.0, lambda: False, time)[Stepped]) == 2


def test_a_run_that_diverges_at_once_is_told_by_its_first_times() -> None:
    time = FakeTime()

    def events() -> Iterator[Event]:
        yield from time.taking([*evaluation(0, 2.0), *update(1, 3.0)])
        raise DivergedError("spoilt")

    spent = laps(events(), 10.0, lambda: False, time)
    assert (spent[Stepped], spent[Evaluated]) == ([3.0], [2.0])


@pytest.mark.parametrize(
    ("times", "expected"),
    [([9.0, 1.0, 3.0, 2.0], 2.0), ([9.0], 9.0), ([9.0, 1.0], 1.0)],
)
def test_the_time_of_an_item_is_a_median_without_the_first(
    times: list[float], expected: float
) -> None:
    time = FakeTime()
    items = time.taking([(place, seconds) for place, seconds in enumerate(times)])
    assert per_item(items, 100.0, time) == expected


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_speed_of_a_model_is_measured_and_the_model_stays_as_it_is(
    tiny: MakeConfig, corpus: Corpus, precision: str
) -> None:
    model: TinyGPT = Trainer(tiny(), corpus).model
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    assert 0 < seconds_per_token(model, precision, most=0.01) < 1
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())


def test_the_speed_of_a_model_is_the_median_over_the_characters_of_a_batch(
    tiny: MakeConfig, corpus: Corpus
) -> None:
    model = Trainer(tiny(), corpus).model
    ticks = iter(range(10**6))
    assert seconds_per_token(model, "fp32", lambda: float(next(ticks))) == 1 / (32 * 8)
