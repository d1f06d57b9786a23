"""The runs that a server has, as its client last said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeRun:
    """A run. Of `lines` by file, the client says at which offset they belong."""

    id: str
    entity: str
    project: str
    name: str = ""
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    tags: list[str] = field(default_factory=list)
    commit: str | None = None
    raw_config: dict[str, Any] = field(default_factory=dict)
    raw_summary: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False

    @property
    def history_lines(self) -> list[str]:
        """The rows as they were sent."""
        return self.lines.setdefault("wandb-history.jsonl", [])

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows, in the order of their lines."""
        return [json.loads(line) for line in self.history_lines]

    @property
    def steps(self) -> list[int]:
        """The step of each row."""
        return [row["_step"] for row in self.history]

    @property
    def config(self) -> dict[str, Any]:
        """The config without W&B's own part."""
        return {
            name: one["value"]
            for name, one in self.raw_config.items()
            if name != "_wandb" and isinstance(one, dict)
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The summary without W&B's own part."""
        return {name: one for name, one in self.raw_summary.items() if name != "_wandb"}

    @property
    def state(self) -> str:
        """In W&B's words."""
        if self.exit_code is None:
            return "preempting" if self.preempting else "running"
        if self.exit_code == 0:
            return "finished"
        return "preempted" if self.preempting else "failed"

    def open(self) -> None:
        """Go on, if it had ended; a client says the same when it only changes something."""
        if self.exit_code is not None:
            self.exit_code, self.preempting = None, False

    def told(self, given: Mapping[str, Any]) -> None:
        """Take over what an UpsertBucket gives."""
        names = {
            "displayName": "name",
            "display_name": "name",
            "groupName": "group",
            "jobType": "job_type",
        }
        for key in (*names, "notes", "tags", "commit"):
            if given.get(key) is not None:
                setattr(self, names.get(key, key), given[key])
        if given.get("config"):
            self.raw_config = json.loads(given["config"])
        if given.get("summaryMetrics"):
            self.raw_summary = json.loads(given["summaryMetrics"])

    def streamed(self, body: Mapping[str, Any]) -> None:
        """Take over what a file stream brings."""
        for name, part in (body.get("files") or {}).items():
            lines = self.lines.setdefault(name, [])
            offset = part["offset"]
            assert offset <= len(lines), f"{self.id}: a hole in {name} before line {offset}"
            lines[offset : offset + len(part["content"])] = part["content"]
        if summary := self.lines.get("wandb-summary.json"):
            self.raw_summary = json.loads(summary[-1])
        self.preempting = bool(body.get("preempting", self.preempting))
        if body.get("complete"):
            self.exit_code = body.get("exitcode", 0)

    def rewind(self, step: int) -> None:
        """Forget the rows behind a step."""
        kept = [line for line in self.history_lines if json.loads(line)["_step"] <= step]
        self.lines["wandb-history.jsonl"] = kept

    def fits(self, wanted: Mapping[str, Any]) -> bool:
        """Whether it is one of those that a listing's filters ask for."""
        return all(self._is(key, rule) for key, rule in wanted.items())

    def _is(self, key: str, rule: Any) -> bool:
        if key == "$and":
            return all(map(self.fits, rule))
        if key == "$or":
            return any(map(self.fits, rule))
        facts = {
            "name": self.id,
            "displayName": self.name,
            "group": self.group,
            "jobType": self.job_type,
            "state": self.state,
        }
        if isinstance(rule, dict):
            return facts[key] in rule["$in"]
        return bool(rule in self.tags if key == "tags" else facts[key] == rule)
