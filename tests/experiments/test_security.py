"""What comes from outside is bounded, stays in its place and is not run; a secret stays one."""

import io
import json
import os
import pickle
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.__main__ import main as report
from experiments import run, sweep
from tinygpt import checkpoint, train

Capture = pytest.CaptureFixture[str]
Listing = Callable[[Path], dict[str, bytes]]

MEMORY = 2 << 30
"""Bytes of addresses that a command may have; importing its libraries takes half of them."""
SECONDS = 20
"""Of them a command that refuses its input needs one, besides the imports."""

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
HOSTILE = {
    "laughs": LAUGHS,
    "brackets": "[" * (1 << 20),
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "blocks": "".join(f"{' ' * depth}a:\n" for depth in range(500)),
    "self": "a: &a [*a, *a]",
    "merge": "a: &a {b: 1}\nc: {<<: *a}",
    "tag": "a: !!python/object/apply:os.mknod [made]",
    "nul": "a: \0",
    "digits": f"trials: {'9' * 300}",
    "more digits": f"trials: {'9' * 5000}",
    "exponent": f"space: {{train.learning_rate: {{type: float, low: 1, high: 1e{'9' * 999}}}}}",
    "list": f"[{'1,' * 11_000}]",
}


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def refused(capsys: Capture) -> str:
    """The only line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert len(line) < 1000
    return line


@pytest.mark.parametrize("module", ["experiments.sweep", "experiments.run"])
@pytest.mark.parametrize("name", ["laughs", "brackets", "deep"])
def test_a_bomb_ends_the_command_at_once(
    start: Callable[..., Any],
    ended: Callable[..., Any],
    tmp_path: Path,
    module: str,
    name: str,
) -> None:
    file = tmp_path / "config.json"
    file.write_text(HOSTILE[name])
    process = start(module, file, cwd=tmp_path, preexec_fn=bounded)
    outcome = ended(process, SECONDS)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert line.startswith(f"error: {file}:")
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("main", [sweep.main, run.main])
def test_a_hostile_file_is_bad_input_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    main: Callable[[list[str]], int],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(text)
    assert main(["tiny.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("error: tiny.yaml") and len(line) < 300 for line in lines)
    assert os.listdir() == ["tiny.yaml"]


@pytest.mark.parametrize(
    "value",
    [
        *("[" * 5000, "- " * 5000, "{a: " * 5000, "&a [*a]", LAUGHS, f"[{'1,' * 11_000}]"),
        *("9" * 300, "9" * 5000, "0x" + "f" * 5000, "1e999999999", "a\0b", "!!python/name:os.x"),
    ],
)
@pytest.mark.parametrize("key", ["trials", "run.data.corpus"])
def test_a_hostile_setting_is_bad_input_in_one_line(
    write_sweep: Callable[..., Path],
    tmp_path: Path,
    capsys: Capture,
    key: str,
    value: str,
) -> None:
    file = write_sweep(tmp_path)
    assert sweep.main([str(file), "--out", str(tmp_path / "runs"), "--set", f"{key}={value}"]) == 2
    assert refused(capsys).startswith(f"error: {file}:")
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.parametrize("value", ["9" * 300, "9" * 5000, "1e999999999", "[" * 5000, "nan"])
def test_a_hostile_setting_of_one_run_is_bad_input_in_one_line(
    tmp_path: Path, capsys: Capture, value: str
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert train.main(["data.corpus=python_docs", f"train.batch_size={value}", *out]) == 2
    assert refused(capsys).startswith("error: train.batch_size: must ")
    assert os.listdir(tmp_path) == []


NAMES = [
    *("../x", "/tmp/x", "x/y", "..", ".", "", "-x", ".x", "_x", " x", "x ", "x\n", "x\ny", "x\0"),
    *(
        "x" * 65,
        "x" * 300,
        "\u0445",
        "x\u2044y",
        "x\uff0ey",
        "\u202ex",
        "x\\y",
        "~",
        "x*",
        "\U0001d54f",
    ),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_could_lead_elsewhere_is_refused(
    write_sweep: Callable[..., Path],
    tmp_path: Path,
    capsys: Capture,
    listing: Listing,
    name: str,
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    file = write_sweep(place, name=name)
    before = listing(tmp_path)
    assert sweep.main([str(file), "--out", str(place / "runs")]) == 2
    assert ": name: must be " in refused(capsys)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("stem", ["-x", "..x", "x y", "x" * 65, "\u0445"])
def test_a_file_whose_name_is_no_name_of_a_sweep_needs_one(
    write_sweep: Callable[..., Path], tmp_path: Path, capsys: Capture, stem: str
) -> None:
    data = json.loads(write_sweep(tmp_path).read_text())
    del data["name"]
    file = tmp_path / f"{stem}.yaml"
    file.write_text(json.dumps(data))
    assert sweep.main([str(file), "--out", str(tmp_path / "runs")]) == 2
    assert ": name: must be " in refused(capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "project", ["../x", "a/b", "a\\b", "a#b", "a?b", "a%2Fb", "a:b", "", "x" * 129]
)
def test_a_project_that_could_lead_elsewhere_is_refused(
    write_sweep: Callable[..., Path], tmp_path: Path, capsys: Capture, project: str
) -> None:
    file = write_sweep(tmp_path, wandb={"project": project})
    assert sweep.main([str(file), "--out", str(tmp_path / "runs")]) == 2
    assert ": wandb.project: must have " in refused(capsys)
    assert not (tmp_path / "runs").exists()


def test_a_corpus_that_leaves_its_directory_is_refused(
    write_sweep: Callable[..., Path], text_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    books = tmp_path / "books"
    books.mkdir()
    shutil.copy(text_file, books / "a.txt")
    (books / "b.txt").symlink_to("/etc/passwd")
    file = write_sweep(tmp_path, {"data.corpus": str(books)})
    assert sweep.main([str(file), "--out", str(tmp_path / "runs")]) == 2
    assert f": run.data.corpus: {books}/b.txt: is a link that leads out of" in refused(capsys)
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The directory of a sweep, as far as its names go."""
    path = tmp_path / "runs/tiny"
    for name in ("trials/0007/checkpoints/step-00000005", "wandb", "report/figures"):
        (path / name).mkdir(parents=True)
    for name in ("sweep.json", "trials/0007/metrics.jsonl", "report/report.html"):
        (path / name).touch()
    return path


PLANTED = [
    "trials",
    "trials/0007",
    "trials/0007/metrics.jsonl",
    "trials/0007/checkpoints",
    "trials/0007/checkpoints/step-00000005",
    "wandb",
    "report",
    "report/figures",
]


def plant(place: Path, target: Path) -> None:
    """Move what stands at a place to `target`, and have a link lead there."""
    place.rename(target)
    place.symlink_to(target)


@pytest.mark.parametrize("name", PLANTED)
def test_a_sweep_is_not_driven_through_a_link(
    write_sweep: Callable[..., Path],
    tmp_path: Path,
    begun: Path,
    capsys: Capture,
    listing: Listing,
    name: str,
) -> None:
    file = write_sweep(tmp_path)
    plant(begun / name, tmp_path / "elsewhere")
    before = listing(tmp_path)
    for named in (file, begun):
        assert sweep.main([str(named), "--out", str(tmp_path / "runs")]) in (2, 3)
    assert refused_at(capsys, begun / name)
    assert listing(tmp_path) == before


def refused_at(capsys: Capture, link: Path) -> bool:
    lines = capsys.readouterr().err.splitlines()
    return any(line.startswith(f"error: {link}: is a symbolic link") for line in lines)


def test_a_sweep_whose_directory_is_a_link_is_not_driven(
    write_sweep: Callable[..., Path], tmp_path: Path, capsys: Capture, listing: Listing
) -> None:
    file = write_sweep(tmp_path)
    (tmp_path / "disk/tiny").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/tiny").symlink_to(tmp_path / "disk/tiny")
    before = listing(tmp_path)
    assert sweep.main([str(file), "--out", str(tmp_path / "runs")]) == 2
    assert f"name what it leads to ({tmp_path}/disk/tiny)" in refused(capsys)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("place", ["", "report", "report/figures", "report/report.html"])
def test_a_report_is_not_written_through_a_link(
    golden: Any, tmp_path: Path, capsys: Capture, listing: Listing, place: str
) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(golden.path, path, symlinks=True)
    plant(path / place if place else path, tmp_path / "elsewhere")
    before = listing(tmp_path / "elsewhere")
    assert report([str(path)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path / place}: is a symbolic link, and no report is written through one" in line
    assert listing(tmp_path / "elsewhere") == before


KEY = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "open-sesame-0815"
PASSWORD = "hunter2hunter2"
SECRETS = {
    "WANDB_API_KEY": KEY,
    "FOO_TOKEN": TOKEN,
    "WANDB_BASE_URL": f"http://user:{PASSWORD}@127.0.0.1:9",
}


class Kept:
    """A sweep that was run among secrets, by a user whose files are everybody's."""

    def __init__(self, path: Path, said: str, code: int) -> None:
        self.path, self.said, self.code = path, said, code


@pytest.fixture(scope="session")
def kept(
    tiny: Callable[..., dict[str, Any]],
    start: Callable[..., Any],
    ended: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Kept:
    directory = tmp_path_factory.mktemp("kept")
    file = directory / "tiny.yaml"
    small = {"trials": 2, "enqueue": [], "max_concurrent": 2, "wandb": {"mode": "offline"}}
    file.write_text(json.dumps(tiny({"train.max_iters": 10}, **small)))
    process = start("experiments.sweep", file, cwd=directory, environ=SECRETS, umask=0)
    outcome = ended(process)
    return Kept(directory / "runs/tiny", outcome.out + outcome.err, outcome.code)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_below(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def test_a_sweep_leaves_no_secret_of_its_environment_anywhere(kept: Kept) -> None:
    assert kept.code == 0, kept.said
    assert any("offline-run" in str(file) for file in files_below(kept.path))
    for secret in (KEY, TOKEN, PASSWORD):
        holding = [file for file in files_below(kept.path) if secret.encode() in file.read_bytes()]
        assert holding == []
        assert secret not in kept.said


def test_what_may_hold_a_secret_is_its_owners_alone(kept: Kept) -> None:
    logs = [kept.path / "events.jsonl", *kept.path.glob("trials/*/worker.log")]
    assert [mode(path) for path in logs] == [0o600] * 3
    assert mode(kept.path / "wandb") == 0o700
    below = [path for path in (kept.path / "wandb").rglob("*") if not path.is_symlink()]
    assert [path for path in below if mode(path) & 0o077] == []


def test_a_password_in_a_corpus_is_told_to_nobody(
    write_sweep: Callable[..., Path], command: Callable[..., Any], tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, {"data.corpus": f"https://user:{PASSWORD}@host/x.txt"})
    outcome = command("experiments.sweep", file, cwd=tmp_path)
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "run.data.corpus: https://***@host/x.txt: is a URL; download it" in line
    assert PASSWORD not in outcome.out + outcome.err
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": KEY},
        {"wandb": {"api_key": KEY}},
        {"wandb": f"key {KEY}"},
        {"wandb": {"mode": TOKEN}},
        {"space": {"api_key": KEY}},
        {"space": {"train.password": [KEY]}},
        {"enqueue": [{"wandb_token": KEY}]},
        {"sampler": {"type": "tpe", "secret": KEY}},
        {"run": {"sample": {"token": KEY}}},
        {"run": {"train": {"learning_rate": "x" * 30 + TOKEN}}},
        {"wandb": {"project": f"https://user:{PASSWORD}@host/"}},
    ],
)
def test_a_secret_in_a_faulty_file_is_told_to_nobody(
    write_sweep: Callable[..., Path],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    monkeypatch.setenv("FOO_TOKEN", TOKEN)
    file = write_sweep(tmp_path, **changes)
    assert sweep.main([str(file), "--out", str(tmp_path / "runs")]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"error: {file}:")
    for secret in (KEY, TOKEN, PASSWORD):
        assert secret[:10] not in output.out + output.err


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.path),)


def archive(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "forge",
    [
        lambda path: archive({"step": 5, "model": Touch(path), "optimizer": {}}),
        lambda path: pickle.dumps({"step": 5, "model": Touch(path), "optimizer": {}}),
        lambda path: pickle.dumps(Touch(path), protocol=2),
        lambda path: archive({"step": 5}),
        lambda path: b"",
    ],
    ids=["an archive", "a pickle", "an old pickle", "no weights", "nothing"],
)
def test_a_run_does_not_go_on_from_a_checkpoint_that_is_code(
    golden: Any, tmp_path: Path, capfd: Capture, forge: Callable[[Path], bytes]
) -> None:
    path = tmp_path / "run"
    shutil.copytree(golden.path / "trials/0000", path)
    (path / "result.json").unlink()
    checkpoints = path / "checkpoints"
    last = checkpoint.steps(checkpoints)[-1]
    manifest = checkpoint.load(checkpoints, last).manifest
    about = {name: manifest[name] for name in manifest.keys() - {"schema", "bytes", "sha256"}}
    shutil.rmtree(checkpoints)
    checkpoints.mkdir()
    checkpoint.save(checkpoints, last, forge(tmp_path / "made"), about)
    before = (path / "metrics.jsonl").read_bytes()
    options = ["--wandb", "disabled", "--out", str(path)]
    assert run.main([str(path / "config.json"), *options]) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: {checkpoints}")
    assert "weights_only" not in line, "torch's own advice is to run it"
    assert not (tmp_path / "made").exists()
    assert (path / "metrics.jsonl").read_bytes() == before
    assert not (path / "result.json").exists()
