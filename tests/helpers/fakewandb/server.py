"""The server itself: HTTP on a port of loopback, which it keeps when it is started again."""

import gzip
import json
import re
import select
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fakewandb.artifacts import Store, Version
from fakewandb.faults import PATIENCE_SECONDS, Faults
from fakewandb.nodes import in_base64
from fakewandb.operations import Operations, RefusedError
from fakewandb.runs import FakeRun

KEY = "a" * 40
NAME = re.compile(r"(?:query|mutation)\s+(\w+)")

Reply = tuple[int, bytes]
Gone = Callable[[], bool]


class FakeWandb:
    """A W&B server. What it has outlasts `stop` and `start`."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.lock = threading.RLock()
        """Held while a request is handled."""
        self._answered = threading.Condition(self.lock)
        self.requests: list[str] = []
        """The requests that came to be handled: operations, `file_stream`, methods and paths."""
        self.refused: list[str] = []
        """Those that came to nothing because of a fault."""
        self.unknown: list[str] = []
        """What was asked for that this server does not know or cannot do; a client got 400."""
        self._port = 0
        self._server: Listening | None = None
        self._operations = Operations(lambda: self.url)
        self.start()

    def __enter__(self) -> "FakeWandb":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def runs(self) -> dict[str, FakeRun]:
        """By their ids, in the order in which they came; those of now."""
        with self.lock:
            return dict(self._operations.runs)

    @property
    def artifacts(self) -> Store:
        """All artifacts."""
        return self._operations.artifacts

    @property
    def views(self) -> list[dict[str, Any]]:
        """The saved workspaces and reports."""
        return self._operations.views

    def artifact(self, name: str) -> Version:
        """`NAME:ALIAS` or `NAME:vN`; raises KeyError."""
        with self.lock:
            return self.artifacts.find(name)

    def start(self) -> None:
        """Listen; nothing if it does already."""
        if self._server is None:
            self._server = Listening(("127.0.0.1", self._port), handler(self))
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Cut all connections and refuse new ones from now on; nothing if it does already."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut()

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what some request will bring about; raises TimeoutError."""
        with self._answered:
            if not self._answered.wait_for(condition, PATIENCE_SECONDS):
                raise TimeoutError

    def delete_run(self, run: str) -> None:
        """Remove a run, whose id is spent then."""
        with self.lock:
            self._operations.delete(run)

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

    def answer(self, method: str, path: str, body: bytes, gone: Gone) -> Reply:
        """The status and the contents of an answer. Raises ConnectionAbortedError if it took so
        long that nobody waits for it any more; then nothing was done."""
        name, kinds, action = self._asked(method, path, body)
        status = self.faults.status(*kinds, gone=gone)
        with self._answered:
            self._answered.notify_all()
            if status:
                self.refused.append(name)
                return status, said(f"refused with {status}")
            self.requests.append(name)
            try:
                return action()
            except RefusedError as error:
                return error.status, said(error.message)
            except Exception as error:  # a client that gets no answer asks again for days
                self.unknown.append(f"{name}: {error!r}")
                return 400, said(self.unknown[-1])

    def _asked(
        self, method: str, path: str, body: bytes
    ) -> tuple[str, Sequence[str], Callable[[], Reply]]:
        """A request's name, its kinds, and what answers it."""
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "graphql":
            request = json.loads(body)
            found = NAME.search(request["query"])
            name = found[1] if found else "?"
            given = request.get("variables") or {}
            return name, ("graphql", name), lambda: self._graphql(name, given)
        if kind == "files" and rest.endswith("/file_stream"):
            run = rest.split("/")[-2]
            return "file_stream", ("file_stream",), lambda: self._stream(run, json.loads(body))
        kinds = ("files", "storage") if kind == "runfile" else ("storage",)
        stored = lambda: self._stored(method, kind, unquote(rest), body)  # noqa: E731
        return f"{method} {path}", kinds, stored

    def _graphql(self, name: str, given: dict[str, Any]) -> Reply:
        data = self._operations.answer(name, given)
        if data is None:
            self.unknown.append(name)
            return 400, said(f"no operation {name}")
        return 200, json.dumps({"data": data}).encode()

    def _stream(self, name: str, body: dict[str, Any]) -> Reply:
        self._operations.run(name).streamed(body)
        return 200, b"{}"

    def _stored(self, method: str, kind: str, name: str, body: bytes) -> Reply:
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
            files = self._operations.run(run).files
            return lambda: files.get(file), lambda data: files.update({file: data})
        return None


class Listening(ThreadingHTTPServer):
    """One thread for each connection; none of them keeps a process alive."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handles: type[BaseHTTPRequestHandler]) -> None:
        self.is_cut = False
        self._connections: set[socket.socket] = set()
        super().__init__(address, handles)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End all connections: a client keeps them, and would go on being answered."""
        self.is_cut = True
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed in the middle of a request is what this server is for."""


def handler(fake: FakeWandb) -> type[BaseHTTPRequestHandler]:
    """What handles the requests to a server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: Listening

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, data = fake.answer(self.command, urlsplit(self.path).path, body, self._gone)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def _gone(self) -> bool:
            """Whether nobody waits for an answer: the server was stopped or the client left."""
            if self.server.is_cut:
                return True
            waiting, _, _ = select.select([self.connection], [], [], 0)
            return bool(waiting) and self.connection.recv(1, socket.MSG_PEEK) == b""

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Handler


def said(message: str) -> bytes:
    """An error as GraphQL has it."""
    return json.dumps({"errors": [{"message": message}], "error": message, "data": None}).encode()
