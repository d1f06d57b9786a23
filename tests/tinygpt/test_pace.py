"""Characters and seconds as a pace."""

from collections.abc import Callable

import pytest

from tinygpt import hardware
from tinygpt.config import RunConfig
from tinygpt.flops import flops_per_token
from tinygpt.pace import Pacer

MakeConfig = Callable[..., RunConfig]


def test_a_pace_is_characters_per_second_and_their_share_of_the_machines_peak(
    tiny: MakeConfig,
) -> None:
    settled = tiny()
    peak = hardware.peak_flops("cpu", "fp32")
    per_token = flops_per_token(settled.model, 17)
    pace = Pacer(settled, 17).pace(tokens=600, seconds=2.0)
    assert pace.tokens_per_second == 300.0
    assert pace.mfu == pytest.approx(300.0 * per_token / peak)
    # As many characters a second as the peak allows.
    assert Pacer(settled, 17).pace(round(peak), per_token).mfu == pytest.approx(1.0)


def test_nothing_done_yet_has_no_speed(tiny: MakeConfig) -> None:
    pace = Pacer(tiny(), 17).pace(0, 0.0)
    assert (pace.tokens_per_second, pace.mfu) == (0.0, 0.0)
    assert pace.peak_memory > 0
