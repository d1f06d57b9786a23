"""The commit and the changes that a run came from, without secrets; nothing where no git is."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import provenance

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A repository with one commit."""

    def run(*arguments: str) -> str:
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    run("init", "-q")
    (tmp_path / "train.py").write_text("rate = 1\n")
    run("add", ".")
    run("commit", "-q", "-m", "first")
    return run


def test_a_clean_repository_is_its_commit(tmp_path: Path, git: Git) -> None:
    found = provenance.found(tmp_path)
    assert found == provenance.Provenance(git("rev-parse", "HEAD"), None, "")
    assert found.facts() == {"commit": found.commit, "dirty": False, "diff_sha256": None}


def test_what_was_not_committed_goes_along_without_secrets(tmp_path: Path, git: Git) -> None:
    (tmp_path / "train.py").write_text("rate = 2\napi_key = 'abcdefgh12345678'\n")
    git("remote", "add", "origin", "https://me:hunter2@host/code.git")
    found = provenance.found(tmp_path)
    assert found is not None
    assert "+rate = 2" in found.diff
    assert "abcdefgh12345678" not in found.diff
    assert found.remote == "https://***@host/code.git"
    assert found.facts()["dirty"] is True


def test_changes_that_are_too_long_are_cut_off(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "LONGEST", 100)
    (tmp_path / "train.py").write_text("rate = 2\n" * 100)
    found = provenance.found(tmp_path)
    assert found is not None
    assert found.diff.splitlines()[-1].startswith("(cut off: ")


@pytest.mark.parametrize("state", ["no repository", "no commit"])
def test_without_a_commit_there_is_nothing_to_say(tmp_path: Path, state: str) -> None:
    if state == "no commit":
        subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    assert provenance.found(tmp_path) is None


def test_what_is_remembered_is_read_back_and_what_is_damaged_is_not(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    known = provenance.Provenance("abc", None, "+x")
    provenance.write(path, known)
    assert provenance.read(path) == known
    for damage in (b"{", b"[]", b'{"commit": 1}'):
        path.write_bytes(damage)
        assert provenance.read(path) is None
    path.unlink()
    assert provenance.read(path) is None
