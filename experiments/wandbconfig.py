"""The keys below `wandb`: where the mirror of a sweep or a run goes, and what it takes along."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from experiments import budget
from tinygpt import wording
from tinygpt.config import Positive
from tinygpt.schema import Checked, Problem

PROJECT_LENGTH = 128
ENTITY_LENGTH = 64
FORBIDDEN = set("/\\#?%:")


@dataclass(frozen=True, kw_only=True, slots=True)
class WandbConfig(Checked):
    """Where the mirror of the sweep goes; no trial depends on it."""

    project: str = "tinygpt"
    entity: str | None = None
    """User or team; null: the account's own."""
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online when logged in, else offline."""
    finish_timeout: str = "60s"
    """How long the end of a sweep waits until W&B has the rest; what it then lacks,
    `experiments.publish` uploads."""
    checkpoints: Literal["none", "end", "all"] = "end"
    """Which become artifacts. end: the best and the last of each run that has ended; all: also each
    as it is saved, so that a run can go on elsewhere."""
    ttl_days: Positive | None = 30
    """Days after which W&B removes a checkpoint that is neither the best nor the last of its run;
    null: never."""
    git: bool = True
    """Whether the commit and the uncommitted changes of the directory's repository go along."""
    corpus: bool = False
    """Whether the text of the corpus is uploaded, and not only its name and digest."""

    def rules(self) -> Iterator[Problem]:
        if not 0 < len(self.project) <= PROJECT_LENGTH or set(self.project) & FORBIDDEN:
            yield Problem(("project",), "must have 1 to 128 characters, none of / \\ # ? % :")
        entity = self.entity
        if entity is not None and (not 0 < len(entity) <= ENTITY_LENGTH or set(entity) & FORBIDDEN):
            yield Problem(("entity",), "must have 1 to 64 characters, none of / \\ # ? % :")
        if not budget.seconds(self.finish_timeout):
            shown = wording.shown(self.finish_timeout)
            yield Problem(("finish_timeout",), f"must be above 0, like 60s or 10m, got {shown}")

    def patience(self) -> float:
        """`finish_timeout` in seconds."""
        return budget.seconds(self.finish_timeout) or 0.0
