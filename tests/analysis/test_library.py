from pathlib import Path

import pytest
import vl_convert

from analysis import library


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the library was put together for, which takes a second for real."""
    made: list[str] = []

    def bundle(snippet: str) -> str:
        made.append(snippet)
        return f"/* library */ {snippet}"

    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def kept(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache" / library.PLACE).iterdir()
    return path


def test_library_is_put_together_once(bundled: list[str], tmp_path: Path) -> None:
    first = library.library()
    assert library.library() == first == f"/* library */ {library.SNIPPET}"
    assert len(bundled) == 1
    assert kept(tmp_path).name.startswith("vega-")


@pytest.mark.parametrize("content", [b"", b"\xff", b"0" * 64 + b"\nalert(1)"])
def test_one_that_is_not_as_it_was_written_is_made_again(
    bundled: list[str], tmp_path: Path, content: bytes
) -> None:
    first = library.library()
    kept(tmp_path).write_bytes(content)
    assert library.library() == first
    assert len(bundled) == 2
    assert library.library() == first
    assert len(bundled) == 2


def test_one_that_cannot_be_kept_is_made_each_time(bundled: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert library.library() == library.library()
    assert len(bundled) == 2
