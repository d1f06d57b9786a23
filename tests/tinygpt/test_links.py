"""Nothing is written through a link that somebody planted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tinygpt import train
from tinygpt.files import RecordError
from tinygpt.links import refuse_links
from tinygpt.schema import ConfigError

WITHIN = [
    "trials",
    "trials/0007",
    "trials/0007/metrics.jsonl",
    "trials/0007/.config.json.tmp-7",
    "trials/0007/checkpoints",
    "trials/0007/checkpoints/step-00000005",
    "trials/0007/checkpoints/step-00000005.tmp",
    "trials/0007/checkpoints/step-00000005/state.pt",
    "study.db",
    "study.db-journal",
    "sweep.lock",
    "events.jsonl",
    "report",
    "report/figures",
    "report/figures/best.svg",
    "wandb",
    "wandb/data",
    "wandb/mirror.json",
]


def planted(root: Path, name: str, target: Path) -> Path:
    """A directory with a link to `target` at `name`."""
    link = root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


@pytest.mark.parametrize("target", ["there", "nowhere"])
@pytest.mark.parametrize("name", WITHIN)
def test_a_link_at_any_place_is_named(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "there").mkdir()
    link = planted(tmp_path / "sweep", name, tmp_path / target)
    with pytest.raises(ConfigError) as caught:
        refuse_links(tmp_path / "sweep")
    assert str(caught.value) == (
        f"{link}: is a symbolic link, and nothing is written through one; remove it"
    )


@pytest.mark.parametrize("begun", ["sweep.json", "config.json"])
def test_in_a_record_that_was_begun_it_makes_the_record_unusable(
    tmp_path: Path, begun: str
) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / begun).touch()
    link = planted(tmp_path / "sweep", "trials/0000", tmp_path)
    with pytest.raises(RecordError, match=f"^{link}: is a symbolic link"):
        refuse_links(tmp_path / "sweep")


def test_a_directory_that_is_a_link_says_what_to_name_instead(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = planted(tmp_path, "sweep", tmp_path / "there")
    with pytest.raises(ConfigError) as caught:
        refuse_links(link)
    assert str(caught.value) == (
        f"{link}: is a symbolic link; name what it leads to ({tmp_path / 'there'}), or remove it"
    )


def test_above_the_directory_links_are_whoever_named_them(tmp_path: Path) -> None:
    (tmp_path / "disk/sweep/trials").mkdir(parents=True)
    link = planted(tmp_path, "runs", tmp_path / "disk")
    refuse_links(link / "sweep")
    refuse_links(link / "not there")


def test_the_links_that_wandb_makes_are_its_own(tmp_path: Path) -> None:
    for name in ("latest-run", "debug.log", "debug-internal.log", "offline-run-1/logs/x.log"):
        planted(tmp_path / "wandb", name, tmp_path / "nowhere")
    refuse_links(tmp_path)


@pytest.mark.parametrize("name", ["", "run.lock", "checkpoints", "metrics.jsonl"])
def test_a_run_is_not_trained_through_a_link(
    tiny_settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    files_of: Callable[[Path], dict[str, bytes]],
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/precious").write_bytes(b"precious")
    link = planted(tmp_path, f"run/{name}".rstrip("/"), tmp_path / "there")
    assert train.main([*tiny_settings, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {link}: is a symbolic link")
    assert files_of(tmp_path / "there") == {"precious": b"precious"}
    assert not (tmp_path / "run/config.json").exists()
