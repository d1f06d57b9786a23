"""The GraphQL operations by name, as W&B 0.31's client and its Api call them."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from fakewandb.artifacts import Store, Version
from fakewandb.nodes import (
    ENTITY,
    WHEN,
    Answer,
    bucket,
    collection,
    hexadecimal,
    page,
    project,
    user,
)
from fakewandb.runs import FakeRun

Given = dict[str, Any]
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

    def run(self, name: str) -> FakeRun:
        """Raises RefusedError if there is none."""
        if name not in self.runs:
            raise RefusedError(404, f"run {name} not found")
        return self.runs[name]

    def delete(self, name: str) -> None:
        """Remove a run, whose id is spent then."""
        del self.runs[name]
        self.deleted.add(name)

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

    _OrganizationCoreWeaveOrganizationID = _FetchOrgEntityFromEntity

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
        self.projects.add(run.project)
        if "program" in given:  # so it comes from a run, and not from an Api that changes one
            run.open()
        run.told(given)
        return {"upsertBucket": {"bucket": bucket(run), "inserted": inserted}}

    def _RunResumeStatus(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs.get(given["name"])
        model = project(given.get("entity") or ENTITY, given["project"])
        return {"model": {**model, "bucket": bucket(run) if run else None}}

    def _RewindRun(self, given: Given) -> Answer:  # noqa: N802
        run = self.run(given["runName"])
        run.rewind(given["metricValue"])
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
        place = (given["entity"], given["project"])
        found = [run for run in self._runs_of(*place) if run.fits(wanted)]
        if (given.get("order") or "").startswith("-"):
            found.reverse()
        first = int(given.get("cursor") or 0)
        some = found[first : first + given["perPage"]]
        end = first + len(some)
        runs = page(map(bucket, some), end=str(end), more=end < len(found))
        about = {"internalId": "1", "runCount": len(found), "readOnly": False}
        return {"project": {**about, "runs": runs}}

    def _runs_of(self, entity: str, where: str) -> list[FakeRun]:
        return [r for r in self.runs.values() if (r.entity, r.project) == (entity, where)]

    def _Run(self, given: Given) -> Answer:  # noqa: N802
        asked = given.get("name") or given.get("run") or given.get("runName")
        found = [r for r in self._runs_of(given["entity"], given["project"]) if r.id == asked]
        return {
            "project": {"run": {**bucket(found[0]), **rows(found[0], given)} if found else None}
        }

    _RunState = _RunHistoryKeys = _HistoryPage = _RunParquetHistory = _Run
    _RunFullHistory = _RunSampledHistory = _SampledHistoryPage = _Run

    def _DeleteRun(self, given: Given) -> Answer:  # noqa: N802
        self.delete(given["id"].removeprefix("run-"))
        return {"deleteRun": {"clientMutationId": None}}

    def _RunFiles(self, given: Given) -> Answer:  # noqa: N802
        run = self.run(given["name"])
        names = given.get("fileNames") or list(run.files)
        files = [self._file(run, name) for name in names if name in run.files]
        return {
            "project": {"internalId": "1", "run": {"fileCount": len(files), "files": page(files)}}
        }

    def _file(self, run: FakeRun, name: str) -> Answer:
        address = f"{self._url()}/runfile/{run.id}/{quote(name)}"
        return {
            "id": name,
            "name": name,
            "url": address,
            "directUrl": address,
            "sizeBytes": len(run.files[name]),
            "mimetype": None,
            "updatedAt": WHEN,
            "md5": None,
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
        told = given.get("input", given)
        version = self.artifacts.by_id(told["artifactID"])
        version.used_by.add(told["runName"])
        return {"useArtifact": {"artifact": self._shown(version)}}

    def _UpdateArtifact(self, given: Given) -> Answer:  # noqa: N802
        told = given.get("input", given)
        version = self.artifacts.by_id(told["artifactID"])
        if told.get("metadata") is not None:
            version.metadata = json.loads(told["metadata"])
        if told.get("description") is not None:
            version.description = told["description"]
        if told.get("ttlDurationSeconds") is not None:
            version.ttl = told["ttlDurationSeconds"] if told["ttlDurationSeconds"] > 0 else None
        shown = {"artifact": self._shown(version)}
        return {"updateArtifact": shown, "result": shown}

    def _AddAliases(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["input"]["artifactID"])
        self.artifacts.name(version, [one["alias"] for one in given["input"]["aliases"]])
        return {"result": {"success": True}}

    def _DeleteAliases(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["input"]["artifactID"])
        gone = [one["alias"] for one in given["input"]["aliases"]]
        version.aliases = [alias for alias in version.aliases if alias not in gone]
        return {"result": {"success": True}}

    def _DeleteArtifact(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["input"]["artifactID"])
        if version.aliases and not given["input"].get("deleteAliases"):
            raise RefusedError(409, "cannot delete an artifact that has aliases")
        self.artifacts.delete(version)
        return {"result": {"artifact": {"id": version.id}}}

    def _ClientIDMapping(self, given: Given) -> Answer:  # noqa: N802
        known = self.artifacts.clients.get(given["clientID"])
        return {"clientIDMapping": {"serverID": known} if known else None}

    def _ArtifactByID(self, given: Given) -> Answer:  # noqa: N802
        return {"artifact": self._shown(self.artifacts.by_id(given["id"]))}

    def _found(self, given: Given) -> Version:
        return self.artifacts.find(given["name"], (given["entity"], given["project"]))

    def _ArtifactMembershipByName(self, given: Given) -> Answer:  # noqa: N802
        try:
            version = self._found(given)
        except KeyError:
            return {"project": {"artifactCollectionMembership": None}}
        return {"project": {"artifactCollectionMembership": self._membership(version)}}

    def _ArtifactType(self, given: Given) -> Answer:  # noqa: N802
        try:
            version = self._found(given)
        except KeyError:
            return {"project": {"artifact": None}}
        return {"project": {"artifact": self._shown(version)}}

    def _ArtifactCreatedBy(self, given: Given) -> Answer:  # noqa: N802
        run = self.runs.get(self.artifacts.by_id(given["id"]).logged_by or "")
        return {"artifact": {"createdBy": bucket(run) if run else None}}

    def _ArtifactUsedBy(self, given: Given) -> Answer:  # noqa: N802
        users = self.artifacts.by_id(given["id"]).used_by
        known = [self.runs[name] for name in sorted(users) if name in self.runs]
        return {"artifact": {"usedBy": page(map(bucket, known))}}

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
        place = (given["entity"], given["project"])
        version = self.artifacts.find(f"{given['collection']}:{given['alias']}", place)
        membership = {"artifactMembership": {"files": self._urls(version)}}
        return {"project": {"artifactCollection": {**collection(version), **membership}}}

    _ArtifactMembershipFiles = _GetArtifactMembershipFileUrls

    def _ProjectArtifactType(self, given: Given) -> Answer:  # noqa: N802
        known = {version.type for version in self._artifacts_in(given)}
        kind = {"__typename": "ArtifactType", "id": given["type"], "name": given["type"]}
        about = {**kind, "description": None, "createdAt": WHEN}
        return {"project": {"artifactType": about if given["type"] in known else None}}

    def _ProjectArtifactCollection(self, given: Given) -> Answer:  # noqa: N802
        found = [v for v in self._artifacts_in(given) if v.collection == given["name"]]
        shown = collection(found[-1]) if found else None
        return {"project": {"artifactType": {"artifactCollection": shown}}}

    def _ProjectArtifacts(self, given: Given) -> Answer:  # noqa: N802
        found = [v for v in self._artifacts_in(given) if v.collection == given["collection"]]
        listed = page(map(self._shown, reversed(found)))
        for edge, version in zip(listed["edges"], reversed(found), strict=True):
            edge["version"] = version.version
        listed = {
            "__typename": "ArtifactSequence",
            "artifacts": {"totalCount": len(found), **listed},
        }
        return {"project": {"artifactType": {"artifactCollection": listed}}}

    def _artifacts_in(self, given: Given) -> list[Version]:
        place = (given["entity"], given["project"])
        return [one for one in self.artifacts.versions if (one.entity, one.project) == place]

    def _ArtifactFileURLsByManifestEntries(self, given: Given) -> Answer:  # noqa: N802
        version = self.artifacts.by_id(given["id"])
        return {"artifact": {"filesByManifestEntries": self._urls(version)}}

    def _urls(self, version: Version) -> Answer:
        files = [
            {
                "__typename": "File",
                "id": f"{version.id}-{name}",
                "name": name,
                "url": f"{self._url()}/blob/{hexadecimal(entry['digest'])}",
                "directUrl": f"{self._url()}/blob/{hexadecimal(entry['digest'])}",
                "sizeBytes": entry["size"],
                "storagePath": f"blobs/{hexadecimal(entry['digest'])}",
                "mimetype": None,
                "updatedAt": WHEN,
                "digest": entry["digest"],
                "md5": entry["digest"],
            }
            for name, entry in version.entries.items()
            if "ref" not in entry
        ]
        return {"totalCount": len(files), **page(files)}

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
        latest = self.artifacts.newest(version)
        return {
            "__typename": "Artifact",
            "id": version.id,
            "artifactSequence": {
                **collection(version),
                "latestArtifact": {"id": latest.id, "versionIndex": latest.index},
            },
            "versionIndex": version.index,
            "artifactType": {"name": version.type},
            "description": version.description,
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


def rows(run: FakeRun, given: Mapping[str, Any]) -> Answer:
    """A run's rows in the forms that they are asked for in."""
    asked = given.get("specs") or [given["spec"]] if "spec" in given or "specs" in given else []
    last = given.get("maxStep", float("inf"))
    lines = [
        line
        for line in run.history_lines
        if given.get("minStep", 0) <= json.loads(line)["_step"] < last
    ]
    return {
        "history": lines,
        "events": run.lines.get("wandb-events.jsonl", []),
        "parquetHistory": {"parquetUrls": [], "liveData": []},
        "sampledHistory": [sampled(run, json.loads(spec)["keys"]) for spec in asked],
    }


def sampled(run: FakeRun, keys: list[str]) -> list[Answer]:
    """Of the rows that have all keys only those."""
    return [{key: row[key] for key in keys} for row in run.history if set(keys) <= set(row)]
