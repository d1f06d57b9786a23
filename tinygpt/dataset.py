"""Windows of a corpus: the batch of any step, and the windows every evaluation uses.

B windows, T block_size. A window of T inputs needs T + 1 characters, the targets being the inputs
moved by one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tinygpt.seeding import derive
from tinygpt.source import CorpusError

WINDOWS_PER_BATCH = 32


class Batch(NamedTuple):
    """Inputs and targets, both (B, T) int64."""

    ids: Tensor
    targets: Tensor


class CharDataset:
    """A one-dimensional text of ids, cut into windows of `block_size` predictions.

    Batches are made where the ids lie: on a GPU only the places of the windows go there.
    """

    def __init__(self, ids: Tensor, block_size: int) -> None:
        """Raises CorpusError if the text is shorter than one window."""
        if len(ids) < block_size + 1:
            raise CorpusError(
                f"a split of {len(ids)} characters is shorter than one window (block_size + 1 = "
                f"{block_size + 1}); take a longer corpus, a smaller block_size or another "
                "data.val_fraction"
            )
        self.ids, self.block_size = ids, block_size
        self._windows = ids.unfold(0, block_size + 1, 1)
        self._generator = torch.Generator()

    def __len__(self) -> int:
        """How many windows there are, overlapping ones included."""
        return len(self._windows)

    def __getitem__(self, starts: Tensor) -> Batch:
        """The windows that begin at `starts` (B,)."""
        windows = self._windows[starts.to(self.ids.device, non_blocking=True)].long()
        return Batch(windows[:, :-1], windows[:, 1:])

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """`size` windows drawn for one step: a function of (seed, step) and nothing else."""
        self._generator.manual_seed(derive(seed, "data", step))
        return self[torch.randint(len(self), (size,), generator=self._generator)]

    def spread(self, count: int) -> Tensor:
        """The starts of `count` windows that do not overlap, spread evenly over the text.

        0, or more than there are, means all of them.
        """
        total = (len(self.ids) - 1) // self.block_size
        count = min(count, total) or total
        return torch.arange(count) * total // count * self.block_size

    def fixed(self, starts: Tensor) -> Iterator[Batch]:
        """The windows at `starts`, at most WINDOWS_PER_BATCH in a batch."""
        for chunk in torch.split(starts, WINDOWS_PER_BATCH):
            yield self[chunk]

    def tail(self) -> Batch | None:
        """What the windows that do not overlap leave at the end, shorter than a window: (1, <T)."""
        rest = (len(self.ids) - 1) % self.block_size
        if rest == 0:
            return None
        ids = self.ids[-rest - 1 :].long().unsqueeze(0)
        return Batch(ids[:, :-1], ids[:, 1:])


def split(ids: Tensor, val_fraction: float, block_size: int) -> tuple[CharDataset, CharDataset]:
    """The training and the validation text; the latter is the last `val_fraction` of the
    characters."""
    boundary = len(ids) - round(len(ids) * val_fraction)
    return CharDataset(ids[:boundary], block_size), CharDataset(ids[boundary:], block_size)
