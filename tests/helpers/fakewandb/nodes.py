"""What GraphQL answers consist of. They hold all the fields that any operation asks for; a client
takes those that it knows."""

import base64
import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from fakewandb.artifacts import Version
from fakewandb.runs import FakeRun

Answer = dict[str, Any]

ENTITY = "me"
WHEN = "2026-01-01T00:00:00"


def user() -> Answer:
    """The only account."""
    none: Answer = {"edges": []}
    return {
        "id": ENTITY,
        "entity": ENTITY,
        "username": ENTITY,
        "name": ENTITY,
        "email": "me@example.org",
        "admin": False,
        "flags": "{}",
        "deletedAt": None,
        "apiKeys": none,
        "teams": none,
    }


def project(entity: str, name: str) -> Answer:
    """A project."""
    return {
        "__typename": "Project",
        "id": f"project-{name}",
        "internalId": "1",
        "name": name,
        "entityName": entity,
        "entity": {"id": entity, "name": entity},
        "createdAt": WHEN,
        "isBenchmark": False,
        "user": user(),
        "description": None,
        "access": None,
        "views": None,
    }


def bucket(run: FakeRun) -> Answer:
    """A run."""
    return {
        "__typename": "Run",
        "id": f"run-{run.id}",
        "projectId": "1",
        "name": run.id,
        "displayName": run.name,
        "description": None,
        "notes": run.notes,
        "sweepName": None,
        "tags": run.tags,
        "state": run.state,
        "config": json.dumps(run.raw_config),
        "group": run.group,
        "jobType": run.job_type,
        "commit": run.commit,
        "readOnly": False,
        "createdAt": WHEN,
        "heartbeatAt": WHEN,
        "user": user(),
        "systemMetrics": "{}",
        "summaryMetrics": json.dumps(run.raw_summary),
        "historyKeys": {"lastStep": run.steps[-1] if run.steps else -1, "keys": {}},
        "historyLineCount": len(run.history_lines),
        "logLineCount": len(run.lines.get("output.log", [])),
        "eventsLineCount": len(run.lines.get("wandb-events.jsonl", [])),
        "historyTail": json.dumps(run.history_lines[-1:]),
        "eventsTail": "[]",
        "wandbConfig": json.dumps({"t": 1}),
        "project": project(run.entity, run.project),
    }


def collection(version: Version) -> Answer:
    """The collection that a version is of."""
    return {
        "__typename": "ArtifactSequence",
        "id": f"collection-{version.collection}",
        "name": version.collection,
        "description": None,
        "createdAt": WHEN,
        "updatedAt": WHEN,
        "type": {"name": version.type},
        "tags": {"edges": []},
        "project": project(version.entity, version.project),
    }


def page(nodes: Iterable[Answer], end: str = "", more: bool = False) -> Answer:
    """A page of a list."""
    return {
        "pageInfo": {"__typename": "PageInfo", "endCursor": end, "hasNextPage": more},
        "edges": [{"node": node, "cursor": end} for node in nodes],
    }


def hexadecimal(digest: str) -> str:
    """A digest as a part of an address; as the client has it, it is in base64."""
    return base64.b64decode(digest).hex()


def in_base64(digest: str) -> str:
    """The other way round."""
    return base64.b64encode(bytes.fromhex(PurePosixPath(digest).name)).decode()
