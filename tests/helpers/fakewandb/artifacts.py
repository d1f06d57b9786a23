"""The artifacts that a server has: collections of versions, and their files by digest."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, str]
"""An entity and a project."""


@dataclass
class Version:
    """One version of an artifact. `wanted` aliases become its own when it is committed."""

    id: str
    entity: str
    project: str
    collection: str
    type: str
    index: int
    digest: str
    metadata: dict[str, Any]
    ttl: int | None
    logged_by: str | None
    blobs: dict[str, bytes] = field(repr=False)
    description: str | None = None
    state: str = "PENDING"
    aliases: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    used_by: set[str] = field(default_factory=set)
    manifest: bytes | None = None
    manifest_id: str = ""

    @property
    def place(self) -> Place:
        """Its entity and project."""
        return self.entity, self.project

    @property
    def name(self) -> str:
        """That of its collection."""
        return self.collection

    @property
    def version(self) -> str:
        """`v0` and so on."""
        return f"v{self.index}"

    @property
    def files(self) -> dict[str, bytes]:
        """The contents of its files by their names."""
        return {
            name: self.blobs[one["digest"]] for name, one in self.entries.items() if is_file(one)
        }

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """The manifest's entries by name."""
        contents: dict[str, dict[str, Any]] = json.loads(self.manifest or b"{}").get("contents", {})
        return contents


class Store:
    """All versions, in the order in which they came, and the contents of their files."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.blobs: dict[str, bytes] = {}
        """Contents by digest."""
        self._count = 0
        self._manifests: dict[str, Version] = {}
        self.clients: dict[str, str] = {}
        """Ids by those that clients gave."""

    def find(self, name: str, place: Place | None = None) -> Version:
        """`NAME:ALIAS` or `NAME:vN`, of a project or of any; raises KeyError."""
        collection, _, alias = name.rpartition("/")[2].partition(":")
        for version in self._of(collection, place):
            if (alias or "latest") in (*version.aliases, version.version):
                return version
        raise KeyError(name)

    def by_id(self, identity: str) -> Version:
        """Raises KeyError."""
        identity = self.clients.get(identity, identity)
        for version in self.versions:
            if version.id == identity:
                return version
        raise KeyError(identity)

    def of_run(self, run: str) -> list[Version]:
        """Those that a run made."""
        return [version for version in self.versions if version.logged_by == run]

    def used_by(self, run: str) -> list[Version]:
        """Those that a run used."""
        return [version for version in self.versions if run in version.used_by]

    def files(self, name: str) -> dict[str, bytes]:
        """The contents of a version's files by their names; raises KeyError."""
        return self.find(name).files

    def newest(self, version: Version) -> Version:
        """The newest of a version's collection."""
        return list(self._of(version.collection, version.place))[-1]

    def delete(self, version: Version) -> None:
        """Remove a version; its number is spent."""
        self.versions.remove(version)

    def create(self, given: dict[str, Any]) -> Version:
        """The version that a CreateArtifact asks for: one with the same digest, or another."""
        names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName")]
        place = (given["entityName"], given["projectName"])
        versions = list(self._of(names[0], place))
        wanted = [one["alias"] for one in given.get("aliases") or []]
        found = next((one for one in versions if one.digest == given["digest"]), None)
        if found is None:
            found = Version(
                id=f"artifact-{self._count}",
                entity=place[0],
                project=place[1],
                collection=names[0],
                type=given["artifactTypeName"],
                index=max((one.index for one in versions), default=-1) + 1,
                digest=given["digest"],
                metadata=json.loads(given.get("metadata") or "{}"),
                ttl=given.get("ttlDurationSeconds"),
                logged_by=given["runName"],
                blobs=self.blobs,
            )
            self._count += 1
            self.versions.append(found)
        found.wanted = [*found.wanted, *wanted]
        if given.get("clientID"):
            self.clients[given["clientID"]] = found.id
        if found.state == "COMMITTED":
            self.name(found, found.wanted)
        return found

    def manifest(self, given: dict[str, Any]) -> str:
        """Begin a version's manifest; its id."""
        identity = f"manifest-{uuid.uuid4().hex}"
        self._manifests[identity] = self.by_id(given["artifactID"])
        return identity

    def read(self, manifest_id: str) -> bytes | None:
        """The contents of a manifest."""
        version = self._manifests.get(manifest_id)
        return version.manifest if version else None

    def written(self, manifest_id: str, data: bytes) -> None:
        """Keep the contents of a manifest."""
        version = self._manifests[manifest_id]
        version.manifest, version.manifest_id = data, manifest_id

    def commit(self, identity: str) -> Version:
        """Make a version count, if all of its files are there; once."""
        version = self.by_id(identity)
        files = filter(is_file, version.entries.values())
        assert all(one["digest"] in self.blobs for one in files), (
            f"{version.name}: a file is missing"
        )
        if version.state != "COMMITTED":
            version.state = "COMMITTED"
            self.name(version, [*version.wanted, "latest"])
        return version

    def name(self, version: Version, aliases: list[str]) -> None:
        """Give a version aliases, and take them from the others."""
        for other in self._of(version.collection, version.place):
            if other is not version:
                other.aliases = [name for name in other.aliases if name not in aliases]
        version.aliases = list(dict.fromkeys((*version.aliases, *aliases)))
        version.wanted = []

    def _of(self, collection: str, place: Place | None) -> Iterator[Version]:
        return (
            version
            for version in self.versions
            if version.collection == collection and place in (None, version.place)
        )


def is_file(entry: dict[str, Any]) -> bool:
    """Whether a manifest's entry is a file, and no reference to something elsewhere."""
    return "ref" not in entry
