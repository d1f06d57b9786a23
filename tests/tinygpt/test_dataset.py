"""Windows of a text: the batch of any step, and the windows of every evaluation."""

from itertools import pairwise

import pytest
import torch

from tinygpt.dataset import WINDOWS_PER_BATCH, CharDataset, split
from tinygpt.source import CorpusError


def counting(length: int, block_size: int) -> CharDataset:
    """A text whose character at each place is the place."""
    return CharDataset(torch.arange(length, dtype=torch.int32), block_size)


def test_targets_are_the_inputs_moved_by_one() -> None:
    batch = counting(20, 4)[torch.tensor([0, 5, 15])]
    assert batch.ids.tolist() == [[0, 1, 2, 3], [5, 6, 7, 8], [15, 16, 17, 18]]
    assert batch.targets.tolist() == [[1, 2, 3, 4], [6, 7, 8, 9], [16, 17, 18, 19]]


def test_a_batch_holds_the_type_that_an_embedding_takes() -> None:
    batch = CharDataset(torch.zeros(9, dtype=torch.uint8), 4).batch(0, 0, 3)
    assert batch.ids.dtype == batch.targets.dtype == torch.int64
    assert batch.ids.shape == batch.targets.shape == (3, 4)


def test_the_batch_of_a_step_needs_no_batch_before_it() -> None:
    dataset = counting(500, 8)
    in_order = [dataset.batch(3, step, 4).ids for step in range(10)]
    for step in (9, 0, 4, 4, 7):
        assert torch.equal(dataset.batch(3, step, 4).ids, in_order[step])
        assert torch.equal(counting(500, 8).batch(3, step, 4).ids, in_order[step])


def test_a_batch_neither_reads_nor_moves_the_global_generator() -> None:
    dataset = counting(500, 8)
    torch.manual_seed(1)
    first, state = dataset.batch(0, 5, 4), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(dataset.batch(0, 5, 4).ids, first.ids)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_other_steps_and_other_seeds_draw_other_windows() -> None:
    dataset = counting(500, 8)
    drawn = {
        tuple(dataset.batch(seed, step, 4).ids[:, 0].tolist())
        for seed in range(5)
        for step in range(20)
    }
    assert len(drawn) == 100


def test_accumulated_micro_batches_are_the_windows_of_one_large_batch() -> None:
    dataset = counting(500, 8)
    large = dataset.batch(0, 7, 12)
    micro = [torch.split(part, 4) for part in dataset.batch(0, 7, 4 * 3)]
    assert torch.equal(torch.cat(micro[0]), large.ids)
    assert torch.equal(torch.cat(micro[1]), large.targets)


def test_every_window_can_be_drawn_and_none_leaves_the_text() -> None:
    dataset = counting(12, 4)
    starts = {int(start) for step in range(40) for start in dataset.batch(0, step, 8).ids[:, 0]}
    assert starts == set(range(8))
    assert len(dataset) == 8


@pytest.mark.parametrize("length", [9, 10, 16, 17, 18, 100, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 50, 10**6])
def test_spread_windows_do_not_overlap_and_lie_all_over_the_text(length: int, count: int) -> None:
    dataset = counting(length, 8)
    total = (length - 1) // 8
    starts = dataset.spread(count).tolist()
    assert len(starts) == (min(count, total) if count else total)
    assert starts[0] == 0
    assert starts[-1] + 8 < length
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap >= 8 for gap in gaps)
    if gaps:
        assert max(gaps) - min(gaps) <= 8, "the windows must be spread evenly"
        assert length - starts[-1] <= 2 * max(gaps) + 8, "the end of the text is left out"


@pytest.mark.parametrize("length", [9, 10, 11, 16, 17, 18, 33, 300])
def test_all_windows_and_the_tail_hold_every_prediction_exactly_once(length: int) -> None:
    dataset = counting(length, 8)
    batches = list(dataset.fixed(dataset.spread(0)))
    if (tail := dataset.tail()) is not None:
        batches.append(tail)
    pairs = [
        pair
        for batch in batches
        for pair in zip(batch.ids.flatten().tolist(), batch.targets.flatten().tolist(), strict=True)
    ]
    assert sorted(pairs) == [(place, place + 1) for place in range(length - 1)]


@pytest.mark.parametrize(
    ("length", "tail"), [(9, None), (10, [8]), (16, [8, 9, 10, 11, 12, 13, 14]), (17, None)]
)
def test_the_tail_is_what_the_windows_leave_at_the_end(length: int, tail: list[int] | None) -> None:
    batch = counting(length, 8).tail()
    assert (None if batch is None else batch.ids[0].tolist()) == tail


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (32, [32]), (33, [32, 1]), (64, [32, 32]), (70, [32, 32, 6])]
)
def test_fixed_windows_come_in_batches_of_one_size_in_order(count: int, sizes: list[int]) -> None:
    dataset = counting(1000, 4)
    starts = dataset.spread(count)
    batches = list(dataset.fixed(starts))
    assert [len(batch.ids) for batch in batches] == sizes
    assert max(sizes) <= WINDOWS_PER_BATCH
    assert torch.equal(torch.cat([batch.ids[:, 0] for batch in batches]), starts)


@pytest.mark.parametrize(("length", "fits"), [(8, False), (9, True)])
def test_a_text_must_hold_one_window_and_the_character_after_it(length: int, fits: bool) -> None:
    if fits:
        assert len(counting(length, 8)) == 1
        return
    with pytest.raises(CorpusError) as raised:
        counting(length, 8)
    assert str(raised.value) == (
        "a split of 8 characters is shorter than one window (block_size + 1 = 9); take a longer "
        "corpus, a smaller block_size or another data.val_fraction"
    )


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.333, 0.5, 0.9])
def test_the_splits_are_the_text_cut_once(fraction: float) -> None:
    ids = torch.arange(225, dtype=torch.uint8)
    train, val = split(ids, fraction, 4)
    assert torch.equal(torch.cat((train.ids, val.ids)), ids)
    assert abs(len(val.ids) - fraction * len(ids)) <= 0.5


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.int32])
def test_every_type_of_ids_can_be_cut_into_windows(kind: torch.dtype) -> None:
    dataset = CharDataset(torch.tensor([*range(9), 255], dtype=kind), 4)
    assert dataset[torch.tensor([0, 5])].targets.tolist() == [[1, 2, 3, 4], [6, 7, 8, 255]]
    tail = dataset.tail()
    assert tail is not None
    assert tail.targets.tolist() == [[255]]
