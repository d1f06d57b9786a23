"""The server itself: HTTP on a port of loopback, which it keeps when it is started again."""

import gzip
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fakewandb.faults import Faults
from fakewandb.operations import Operations, RefusedError, in_base64
from fakewandb.runs import FakeRun

KEY = "a" * 40
NAME = re.compile(r"(?:query|mutation)\s+(\w+)")


class FakeWandb:
    """A W&B server. What it has outlasts `stop` and `start`."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.lock = threading.RLock()
        self.requests: list[str] = []
        """The kinds of the requests that were answered."""
        self.unknown: list[str] = []
        """What was asked for that this server does not know; a client got 400 for it."""
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._operations = Operations(lambda: self.url)
        self.start()

    def __enter__(self) -> "FakeWandb":
        return self

    def __exit__(self, *exception: object) -> None:
        self.faults.heal()
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def runs(self) -> dict[str, FakeRun]:
        """By their ids."""
        return self._operations.runs

    @property
    def artifacts(self) -> Any:
        """All artifacts: a `fakewandb.artifacts.Store`."""
        return self._operations.artifacts

    @property
    def views(self) -> list[dict[str, Any]]:
        """The saved workspaces and reports."""
        return self._operations.views

    def start(self) -> None:
        """Listen; nothing if it does already."""
        if self._server is None:
            self._server = Listening(("127.0.0.1", self._port), handler(self))
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on; nothing if it does already."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def delete_run(self, run: str) -> None:
        """Remove a run, whose id is spent then."""
        with self.lock:
            del self.runs[run]
            self._operations.deleted.add(run)

    def environment(self, home: Path) -> dict[str, str]:
        """What a client needs in its environment to be logged in here and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "HOME": str(home),
            "NETRC": str(home / "netrc"),
            "WANDB_CONFIG_DIR": str(home / "config"),
            "WANDB_CACHE_DIR": str(home / "cache"),
            "WANDB_DATA_DIR": str(home / "data"),
            "WANDB_ERROR_REPORTING": "false",
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the contents of an answer."""
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "graphql":
            return self._graphql(json.loads(body))
        if kind == "files" and rest.endswith("/file_stream"):
            return self._stream(rest.split("/")[-2], json.loads(body))
        if status := self.faults.status("storage"):
            return status, b"{}"
        with self.lock:
            return self._stored(method, kind, unquote(rest), body)

    def _graphql(self, request: dict[str, Any]) -> tuple[int, bytes]:
        found = NAME.search(request["query"])
        name = found[1] if found else "?"
        if status := self.faults.status("graphql", name):
            return status, said(f"refused with {status}")
        with self.lock:
            try:
                data = self._operations.answer(name, request.get("variables") or {})
            except RefusedError as error:
                return error.status, said(error.message)
        if data is None:
            self.unknown.append(name)
            return 400, said(f"no operation {name}")
        self.requests.append(name)
        return 200, json.dumps({"data": data}).encode()

    def _stream(self, run: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if status := self.faults.status("file_stream"):
            return status, said(f"refused with {status}")
        with self.lock:
            self.requests.append("file_stream")
            self.runs[run].streamed(body)
        return 200, b"{}"

    def _stored(self, method: str, kind: str, name: str, body: bytes) -> tuple[int, bytes]:
        place = self._place(kind, name)
        if place is None:
            self.unknown.append(f"{method} /{kind}/{name}")
            return 400, b"{}"
        if method == "PUT":
            place[1](body)
            return 200, b""
        data = place[0]()
        return (200, data) if data is not None else (404, b"")

    def _place(
        self, kind: str, name: str
    ) -> tuple[Callable[[], bytes | None], Callable[[bytes], None]] | None:
        """How what is stored under a name is read and written."""
        store = self.artifacts
        if kind == "blob":
            digest = in_base64(name)
            return lambda: store.blobs.get(digest), lambda data: store.blobs.update({digest: data})
        if kind == "manifest":
            return lambda: store.read(name), lambda data: store.written(name, data)
        if kind == "runfile":
            run, _, file = name.partition("/")
            files = self.runs[run].files
            return lambda: files.get(file), lambda data: files.update({file: data})
        return None


class Listening(ThreadingHTTPServer):
    """One thread for each connection; none of them keeps a process alive."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed in the middle of a request is what this server is for."""


def handler(fake: FakeWandb) -> type[BaseHTTPRequestHandler]:
    """What handles the requests to a server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, data = fake.answer(self.command, urlsplit(self.path).path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Handler


def said(message: str) -> bytes:
    """An error as GraphQL has it."""
    return json.dumps({"errors": [{"message": message}], "error": message, "data": None}).encode()
