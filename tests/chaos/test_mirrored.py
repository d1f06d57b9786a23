"""W&B has the record in the end, whoever is killed while its server comes and goes."""

import pytest

from chaos.command import told


@pytest.mark.chaos
def test_after_sixty_kills_wandb_has_every_row_of_the_record_once() -> None:
    assert " 0 mismatches" in told("wandb", "--full")
