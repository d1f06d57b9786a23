"""The library that draws the page's charts, as one script."""

import contextlib
import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import vl_convert

SNIPPET = "window.vegaEmbed = vegaEmbed;"
PLACE = "tinygpt-sweeps"
"""Its directory in the user's cache."""


def library() -> str:
    """Return the library as a script that needs no network.

    Putting it together takes longer than all else about a small report, so it is kept in the
    user's cache ($XDG_CACHE_HOME, else ~/.cache), beside its digest; one that is not as it was
    written is made again, and one that cannot be kept is made each time.
    """
    kept = _folder() / f"vega-{version('vl-convert-python')}.js"
    script = _read(kept)
    if script is None:
        script = vl_convert.javascript_bundle(SNIPPET)
        with contextlib.suppress(OSError):
            _keep(kept, script)
    return script


def _folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path("~/.cache").expanduser()) / PLACE


def _read(path: Path) -> str | None:
    try:
        digest, _, script = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return script if digest == _digest(script) else None


def _keep(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{_digest(script)}\n{script}")
    os.replace(temporary, path)


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
