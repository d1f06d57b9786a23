"""A server to try things on: `PYTHONPATH=tests/helpers python -m fakewandb` until Ctrl-C."""

import contextlib
import tempfile
from pathlib import Path

from fakewandb.server import FakeWandb

with FakeWandb() as fake, tempfile.TemporaryDirectory() as home:
    for name, value in fake.environment(Path(home)).items():
        print(f"export {name}={value}", flush=True)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        input("Enter ends it\n")
