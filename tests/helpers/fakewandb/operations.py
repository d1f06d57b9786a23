"""The GraphQL operations by name, as W&B 0.31's client and its Api call them. Answers hold all the
fields that any of them asks for, and a client takes those that it knows."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from fakewandb.artifacts import Store, Version
from fakewandb.runs import FakeRun

Given = dict[str, Any]
Answer = dict[str, Any]

ENTITY = "me"
WHEN = "2026-01-01T00:00:00"
DELETED = "run {} was previously created and deleted; try a new run name"


class RefusedError(Exception):
    """What a server answers with a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Operations:
    """What a server has, and what it does and says for each operation."""

    def __init__(self, url: Callable[[], str]) -> None:
        """`url` is the server's address, which uploads and downloads go to."""
        self._url = url
        self.runs: dict[str, FakeRun] = {}
        self.deleted: set[str] = set()
        self.artifacts = Store()
        self.views: list[Given] = []
        self.projects: set[str] = set()

    def answer(self, name: str, given: Given) -> Answer | None:
        """The data of an answer; None if there is no such operation. Raises RefusedError."""
        operation: Callable[[Given], Answer] | None = getattr(self, f"_{name}", None)
        return operation(given) if operation else None

    # Accounts and projects.

    def _Viewer(self, given: Given) -> Answer:  # noqa: N802 (called by what W&B calls it)
        return {"viewer": user()}

    _GetViewer = _GetDefaultEntity = _Viewer

    def _ServerFeaturesQuery(self, given: Given) -> Answer:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def _OrgFeatureFlags(self, given: Given) -> Answer:  # noqa: N802
        return {"organization": {"featureFlags": []}}

    def _FetchOrgEntityFromEntity(self, given: Given) -> Answer:  # noqa: N802
        return {"entity": {"organization": None, "user": None}}

    def _XXHashDigestsEnabled(self, given: Given) -> Answer:  # noqa: N802
        return {"entity": {"xxhashDigestsEnabled": False}}

    def _GetProjects(self, given: Given) -> Answer:  # noqa: N802
        return {"models": page([project(ENTITY, name) for name in sorted(self.projects)])}

    def _CreateProject(self, given: Given) -> Answer:  # noqa: N802
        self.projects.add(given["input"]["name"])
        made = project(ENTITY, given["input"]["name"])
        return {"result": {"project": made, "model": made, "inserted": True}}

    def _ProjectInternalId(self, given: Given) -> Answer:  # noqa: N802
        return {"project": {"internalId": "1"}}

    def _UpsertView2(self, given: Given) -> Answer:  # noqa: N802
        known = [view for view in self.views if view["id"] == given.get("id")]
        if not known:
            known = [{"id": f"view-{len(self.views)}"}]
            self.views += known
        known[0].update({key: value for key, value in given.items() if key != "id"})
        view = {"description": "", "updatedAt": WHEN, "createdAt": WHEN, **known[0]}
        view["project"] = project(given["entityName"], given["projectName"])
        return {"upsertView": {"view": view, "inserted": True}}

    _upsertView = _UpsertView2  # noqa: N815

    # Runs.

    def _UpsertBucket(self, given: Given) -> Answer:  # noqa: N802
        name = given.get("name") or str(given.get("id")).removeprefix("run-")
        if name in self.deleted:
            raise RefusedError(409, DELETED.format(name))
        entity, where = given.get("entity") or ENTITY, given.get("project") or "uncategorized"
        inserted = name not in self.runs
        run = self.runs.setdefault(name, FakeRun(name, entity, where))
        if given.get("project"):
            self.projects.add(where)
            run.exit_code, run.opened = None, run.opened + 1
        run.told(given)
        return {"upsertBucket": {"bucket": bucket(run), "inserted": inserted}}

    def _RunResumeStatus(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs.get(given["name"])
        model = project(given.get("entity") or ENTITY, given["project"])
        return {"model": {**model, "bucket": bucket(run) if run else None}}

    def _RewindRun(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs[given["runName"]]
        kept = [
            line for line in run.history_lines if json.loads(line)["_step"] <= given["metricValue"]
        ]
        run.lines["wandb-history.jsonl"] = kept
        return {"rewindRun": {"rewoundRun": bucket(run)}}

    def _CreateRunFiles(self, given: Given) -> Answer:  # noqa: N802
        files = [
            {"name": name, "uploadUrl": f"{self._url()}/runfile/{given['run']}/{quote(name)}"}
            for name in given["files"]
        ]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _MarkRunFilesUploaded(self, given: Given) -> Answer:  # noqa: N802
        return {"markRunFilesUploaded": {"success": True}}

    def _NotifyScriptableRunAlert(self, given: Given) -> Answer:  # noqa: N802
        return {"notifyScriptableRunAlert": {"success": True}}

    def _Runs(self, given: Given) -> Answer:  # noqa: N802
        if given["project"] not in self.projects:
            return {"project": None}
        wanted = json.loads(given.get("filters") or "{}")
        found = [run for run in self.runs.values() if fits(run, wanted)]
        first = int(given.get("cursor") or 0)
        some = found[first : first + given["perPage"]]
        end = first + len(some)
        runs = page(map(bucket, some), end=str(end), more=end < len(found))
        about = {"internalId": "1", "runCount": len(found), "readOnly": False}
        return {"project": {**about, "runs": runs}}

    def _Run(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs.get(given["name"])
        return {"project": {"run": bucket(run) if run else None}}

    _RunState = _RunHistoryKeys = _Run

    def _RunFiles(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs[given["name"]]
        files = [
            {
                "id": name,
                "name": name,
                "url": f"{self._url()}/runfile/{run.id}/{quote(name)}",
                "directUrl": f"{self._url()}/runfile/{run.id}/{quote(name)}",
                "sizeBytes": len(data),
                "mimetype": None,
                "updatedAt": WHEN,
                "md5": None,
            }
            for name, data in run.files.items()
        ]
        return {
            "project": {"internalId": "1", "run": {"fileCount": len(files), "files": page(files)}}
        }

    # Artifacts.

    def _FetchArtifactDigestAlgorithm(self, given: Given) -> Answer:  # noqa: N802
        return {"project": {"artifactType": None}}

    def _CreateArtifact(self, given: Given) -> Answer:  # noqa: N802
        made = self._shown(self.artifacts.create(given["input"]))
        return {"createArtifact": {"artifact": made}}

    def _CreateArtifactManifest(self, given: Given) -> Answer:  # noqa: N802
        return {"createArtifactManifest": self._manifest(self.artifacts.manifest(given))}

    def _UpdateArtifactManifest(self, given: Given) -> Answer:  # noqa: N802
        return {"updateArtifactManifest": self._manifest(given["artifactManifestID"])}

    def _manifest(self, identity: str) -> Answer:
        file = {
            "id": identity,
            "uploadUrl": f"{self._url()}/manifest/{identity}",
            "uploadHeaders": [],
        }
        return {"artifactManifest": {"id": identity, "file": file}}

    def _CreateArtifactFiles(self, given: Given) -> Answer:  # noqa: N802
        nodes = []
        for one in given["input"]["artifactFiles"]:
            digest, known = one["md5"], one["md5"] in self.artifacts.blobs
            node = {
                "id": one["name"],
                "name": one["name"],
                "displayName": one["name"],
                "storagePath": f"blobs/{hexadecimal(digest)}",
                "uploadUrl": None if known else f"{self._url()}/blob/{hexadecimal(digest)}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            nodes.append(node)
        return {"createArtifactFiles": {"files": page(nodes)}}

    def _CommitArtifact(self, given: Given) -> Answer:  # noqa: N802
        return {
            "commitArtifact": {"artifact": self._shown(self.artifacts.commit(given["artifactID"]))}
        }

    def _UseArtifact(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["input"]["artifactID"])
        version.used_by.add(given["input"]["runName"])
        return {"useArtifact": {"artifact": self._shown(version)}}

    def _UpdateArtifact(self, given: Given) -> Answer:  # noqa: N802
        told = given.get("input", given)
        version = self.artifacts.by_id(told["artifactID"])
        version.metadata = json.loads(told.get("metadata") or "{}")
        return {"updateArtifact": {"artifact": self._shown(version)}}

    def _ClientIDMapping(self, given: Given) -> Answer:  # noqa: N802
        known = self.artifacts.clients.get(given["clientID"])
        return {"clientIDMapping": {"serverID": known} if known else None}

    def _ArtifactByID(self, given: Given) -> Answer:  # noqa: N802
        return {"artifact": self._shown(self.artifacts.by_id(given["id"]))}

    def _ArtifactMembershipByName(self, given: Given) -> Answer:  # noqa: N802
        try:
            version = self.artifacts.find(given["name"])
        except KeyError:
            return {"project": {"artifactCollectionMembership": None}}
        return {"project": {"artifactCollectionMembership": self._membership(version)}}

    def _ArtifactType(self, given: Given) -> Answer:  # noqa: N802
        try:
            version = self.artifacts.find(given["name"])
        except KeyError:
            return {"project": {"artifact": None}}
        return {"project": {"artifact": self._shown(version)}}

    def _ArtifactCreatedBy(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs[self.artifacts.by_id(given["id"]).logged_by]
        return {"artifact": {"createdBy": {"__typename": "Run", **bucket(run)}}}

    def _ArtifactUsedBy(self, given: Given) -> Answer:  # noqa: N802
        users = self.artifacts.by_id(given["id"]).used_by
        return {"artifact": {"usedBy": page(bucket(self.runs[name]) for name in sorted(users))}}

    def _RunOutputArtifacts(self, given: Given) -> Answer:  # noqa: N802
        return self._artifacts(self.artifacts.of_run(given["run"]))

    def _RunInputArtifacts(self, given: Given) -> Answer:  # noqa: N802
        return self._artifacts(self.artifacts.used_by(given["run"]))

    def _artifacts(self, versions: list[Version]) -> Answer:
        found = {"totalCount": len(versions), **page(map(self._shown, versions))}
        return {"project": {"run": {"artifacts": found}}}

    def _FetchArtifactManifest(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["id"])
        file = {"directUrl": f"{self._url()}/manifest/{version.manifest_id}"}
        return {"artifact": {"currentManifest": {"file": file}}}

    def _ArtifactManifest(self, given: Given) -> Answer:  # noqa: N802
        return self._FetchArtifactManifest({"id": given["artifact_id"]})

    def _GetArtifactMembershipFileUrls(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.find(f"{given['collection']}:{given['alias']}")
        return {
            "project": {
                "artifactCollection": {
                    "__typename": "ArtifactSequence",
                    "artifactMembership": {"files": self._urls(version)},
                }
            }
        }

    def _ArtifactFileURLsByManifestEntries(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["id"])
        return {"artifact": {"filesByManifestEntries": self._urls(version)}}

    def _urls(self, version: Version) -> Answer:
        return page(
            {
                "__typename": "File",
                "name": name,
                "directUrl": f"{self._url()}/blob/{hexadecimal(entry['digest'])}",
            }
            for name, entry in version.entries.items()
        )

    def _membership(self, version: Version) -> Answer:
        shown = self._shown(version)
        return {
            "__typename": "ArtifactCollectionMembership",
            "id": version.id,
            "versionIndex": version.index,
            "createdAt": WHEN,
            "aliases": shown["aliases"],
            "artifactCollection": collection(version),
            "artifact": shown,
        }

    def _shown(self, version: Version) -> Answer:
        latest = [one for one in self.artifacts.versions if one.collection == version.collection][
            -1
        ]
        return {
            "__typename": "Artifact",
            "id": version.id,
            "artifactSequence": {
                **collection(version),
                "latestArtifact": {"id": latest.id, "versionIndex": latest.index},
            },
            "versionIndex": version.index,
            "artifactType": {"name": version.type},
            "description": None,
            "metadata": json.dumps(version.metadata),
            "ttlDurationSeconds": version.ttl or -2,
            "ttlIsInherited": False,
            "tags": [],
            "historyStep": None,
            "state": version.state,
            "size": 0,
            "digest": version.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": version.id,
            "fileCount": len(version.entries),
            "createdAt": WHEN,
            "updatedAt": WHEN,
            "aliases": [
                {
                    "__typename": "ArtifactAlias",
                    "id": f"{version.id}-{alias}",
                    "alias": alias,
                    "artifactCollection": collection(version),
                }
                for alias in (*version.aliases, f"v{version.index}")
            ],
        }


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
        "name": version.collection,
        "project": project(version.entity, version.project),
    }


def page(nodes: Iterable[Answer], end: str = "", more: bool = False) -> Answer:
    """A page of a list."""
    return {
        "pageInfo": {"__typename": "PageInfo", "endCursor": end, "hasNextPage": more},
        "edges": [{"node": node, "cursor": end} for node in nodes],
    }


def fits(run: FakeRun, wanted: Mapping[str, Any]) -> bool:
    """Whether a run is one of those that are asked for, by its group or by its id."""
    facts = {"group": run.group, "name": run.id, "jobType": run.job_type}
    return all(
        facts[key] in rule["$in"] if isinstance(rule, dict) else facts[key] == rule
        for key, rule in wanted.items()
    )


def hexadecimal(digest: str) -> str:
    """A digest as a part of an address; as the client has it, it is in base64."""
    return base64.b64decode(digest).hex()


def in_base64(digest: str) -> str:
    """The other way round."""
    return base64.b64encode(bytes.fromhex(PurePosixPath(digest).name)).decode()
