"""How fast a run trains, and how much of the machine that takes."""

from dataclasses import dataclass

from tinygpt import hardware
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token


@dataclass(frozen=True, slots=True)
class Pace:
    """Characters trained on per second; the share of the machine's peak that their matrix products
    come to (model FLOPs utilisation, Chowdhery et al. 2022, arXiv:2204.02311); the most memory that
    the process has held, in bytes."""

    tokens_per_second: float
    mfu: float
    peak_memory: int


class Pacer:
    """Tells the pace of a run's training."""

    def __init__(self, settled: RunConfig, vocab_size: int) -> None:
        """Measures the machine's peak, the first time in a process; the run's threads are set."""
        self.flops_per_token = flops_per_token(settled.model, vocab_size)
        self._device = settled.train.device
        self._peak = hardware.peak_flops(self._device, settled.train.precision)
        hardware.forget_peak_memory(self._device)

    def pace(self, tokens: int, seconds: float) -> Pace:
        """The pace of so many characters in so many seconds of training."""
        speed = tokens / seconds if seconds > 0 else 0.0
        mfu = speed * self.flops_per_token / self._peak
        return Pace(speed, mfu, hardware.peak_memory(self._device))
