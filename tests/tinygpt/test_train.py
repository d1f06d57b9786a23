"""One run with the core alone, as its user gets it: killed, stopped, repeated, misused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tinygpt.checkpoint import steps
from tinygpt.files import locked, read_json, read_rows
from tinygpt.train import main

Capture = pytest.CaptureFixture[str]
FilesOf = Callable[[Path], dict[str, bytes]]

LONG = ("train.max_iters=400", "train.eval_interval=50", "model.dropout=0.1")


@pytest.fixture(scope="module")
def long_settings(tiny_settings: list[str]) -> list[str]:
    """A run of about a second."""
    return [*tiny_settings, *LONG]


@pytest.fixture(scope="module")
def whole(long_settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The long run, never interrupted; only to be read."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert main([*long_settings, "--out", str(path)]) == 0
    return path


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def launch(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tinygpt.train", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    """Look every few milliseconds, for a minute at most, until something has happened."""
    for _ in range(20_000):
        if happened():
            return
        assert process.poll() is None, f"it ended too early: {process.communicate()}"
        time.sleep(0.003)
    pytest.fail("it never happened")


def has_line(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count


def test_a_run_ends_with_its_loss_and_what_can_be_done_with_it(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "run"
    assert main([*tiny_settings, "--out", str(out)]) == 0
    output = capsys.readouterr()
    loss = read_json(out / "result.json")["value"]
    assert f"validation loss {loss:.4f} nats per character" in output.out
    assert f"python -m tinygpt.generate {out}" in output.out
    assert output.err == ""


def test_a_complete_run_repeated_says_so_and_changes_nothing(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    command = [*tiny_settings, "--out", str(tmp_path / "run")]
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    assert main(command) == 0
    assert "already complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_complete_run_holds_no_auto(tiny_settings: list[str], tmp_path: Path) -> None:
    settings = [text for text in tiny_settings if "device" not in text and "precision" not in text]
    assert main([*settings, "--out", str(tmp_path / "run")]) == 0
    config = read_json(tmp_path / "run" / "config.json")
    assert "auto" not in str(config)
    assert len(config["data"]["sha256"]) == 64
    assert Path(config["data"]["corpus"]).is_absolute()


def test_without_out_the_directory_follows_from_the_settings(
    tiny_settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    for settings in (tiny_settings, [*reversed(tiny_settings)], [*tiny_settings, "seed=1"]):
        assert main(settings) == 0
    assert "already complete" in capsys.readouterr().out
    assert len(list((tmp_path / "runs").glob("train-????????"))) == 2


@pytest.mark.parametrize(
    ("name", "lines"),
    [("config.json", 1), ("metrics.jsonl", 2), ("metrics.jsonl", 40), ("samples.jsonl", 5)],
)
def test_a_run_killed_at_any_moment_ends_as_if_it_never_was(
    start: Start,
    long_settings: list[str],
    whole: Path,
    files_of: FilesOf,
    tmp_path: Path,
    name: str,
    lines: int,
) -> None:
    command = [*long_settings, "--out", str(tmp_path / "run")]
    process = start(*command)
    wait_for(process, lambda: has_line(tmp_path / "run" / name, lines))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "result.json").exists()
    assert main(command) == 0
    assert files_of(tmp_path / "run") == files_of(whole)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_asked_to_stop_saves_its_step_and_goes_on_from_there(
    start: Start,
    long_settings: list[str],
    whole: Path,
    files_of: FilesOf,
    tmp_path: Path,
    capsys: Capture,
    number: signal.Signals,
    code: int,
) -> None:
    command = [*long_settings, "--out", str(tmp_path / "run")]
    process = start(*command)
    wait_for(process, lambda: has_line(tmp_path / "run" / "metrics.jsonl", 30))
    process.send_signal(number)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (code, "")
    assert output.endswith("stopped; the same command goes on\n")
    step = steps(tmp_path / "run" / "checkpoints")[-1]
    assert step >= max(row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl"))
    assert main(command) == 0
    assert f"going on at step {step}" in capsys.readouterr().out
    assert files_of(tmp_path / "run") == files_of(whole)


def test_ctrl_c_before_the_first_step_leaves_no_traceback(
    start: Start, tiny_settings: list[str], tmp_path: Path
) -> None:
    """A pipe in place of the corpus: once it has a reader, the command is waiting for the text."""
    pipe = tmp_path / "text"
    os.mkfifo(pipe)
    writer = -1

    def is_read() -> bool:
        nonlocal writer
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    process = start(*tiny_settings, f"data.corpus={pipe}", "--out", str(tmp_path / "run"))
    wait_for(process, is_read)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    os.close(writer)
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert not (tmp_path / "run").exists()


def test_a_run_that_another_process_has_is_left_alone(
    long_settings: list[str], start: Start, tmp_path: Path, capsys: Capture
) -> None:
    command = [*long_settings, "--out", str(tmp_path / "run")]
    process = start(*command)
    wait_for(process, lambda: has_line(tmp_path / "run" / "metrics.jsonl", 1))
    process.send_signal(signal.SIGSTOP)
    assert main(command) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("another process holds this lock; wait for it or stop it")


def test_every_wrong_setting_is_reported_at_once(tmp_path: Path, capsys: Capture) -> None:
    settings = ["model.d_modl=64", "train.max_iters=many", "train.beta1=1", "verbose", "dropout=0"]
    assert main([*settings, "--out", str(tmp_path / "run")]) == 2
    output = capsys.readouterr()
    assert sorted(output.err.splitlines()) == [
        "error: dropout: unknown key (did you mean 'model.dropout'?)",
        "error: model.d_modl: unknown key (did you mean 'model.d_model'?)",
        "error: train.beta1: must be >= 0 and < 1, got 1.0",
        "error: train.max_iters: must be a whole number, got 'many'",
        "error: verbose: must have the form key=value",
    ]
    assert output.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        "model.block_size=100000",
        "sample.prompt=é",
        "sample.prompt=\udcff",
        "data.corpus=missing.txt",
        "data.val_fraction=0.0001",
        "train.device=cuda",
    ],
)
def test_bad_input_changes_nothing_so_that_it_can_be_mended(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture, wrong: str
) -> None:
    if wrong == "train.device=cuda":
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU here")
    out = tmp_path / "run"
    assert main([*tiny_settings, wrong, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not out.exists()
    assert main([*tiny_settings, "--out", str(out)]) == 0


def test_a_file_in_the_place_of_the_run_is_bad_input(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "taken").write_text("not a directory")
    for out in (tmp_path / "taken", tmp_path / "taken" / "run"):
        assert main([*tiny_settings, "--out", str(out)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(tmp_path / "taken") in line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("train.learning_rate=0.5", "train.learning_rate: 0.001 -> 0.5"),
        ("seed=7", "seed: 0 -> 7"),
        ("sample.prompt=the", "sample.prompt: '' -> 'the'"),
        ("train.precision=bf16", "train.precision: 'fp32' -> 'bf16'"),
    ],
)
def test_other_settings_for_a_run_that_has_begun_are_refused_by_name(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture, change: str, named: str
) -> None:
    out = str(tmp_path / "run")
    assert main([*tiny_settings, "--out", out]) == 0
    before = (tmp_path / "run" / "config.json").read_bytes()
    assert main([*tiny_settings, change, "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"begun with other settings ({named}); take those, or another --out" in line
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_a_setting_left_out_the_second_time_is_another_setting(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = str(tmp_path / "run")
    assert main([*tiny_settings, "sample.prompt=the", "--out", out]) == 0
    assert main([*tiny_settings, "--out", out]) == 2
    assert "sample.prompt: 'the' -> ''" in capsys.readouterr().err


def test_what_was_settled_agrees_with_auto(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = str(tmp_path / "run")
    assert main([*tiny_settings, "--out", out]) == 0
    again = [*tiny_settings, "train.device=auto", "train.precision=auto", "data.corpus=auto"]
    assert main([*again, "--out", out]) == 0
    assert "already complete" in capsys.readouterr().out


def test_a_text_that_has_changed_since_is_refused(
    tiny_settings: list[str], text: str, tmp_path: Path, capsys: Capture
) -> None:
    path, out = tmp_path / "text.txt", str(tmp_path / "run")
    path.write_text(text)
    command = [*tiny_settings, f"data.corpus={path}", "--out", out]
    assert main(command) == 0
    path.write_text(text + "more")
    assert main(command) == 2
    assert "the corpus is not the one this run began with" in capsys.readouterr().err


def test_a_diverged_run_says_why_and_says_so_again(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    command = [*tiny_settings, "train.learning_rate=1e30", "--out", str(tmp_path / "run")]
    assert main(command) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert "diverged: the loss or the gradient of update" in line
    assert read_json(tmp_path / "run" / "result.json")["state"] == "failed"
    assert main(command) == 5
    assert "already failed" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["state.pt", "config.json", "metrics.jsonl"])
def test_a_record_that_cannot_be_used_is_exit_3_and_one_line(
    long_settings: list[str], whole: Path, tmp_path: Path, capsys: Capture, damage: str
) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    (out / "result.json").unlink()
    for path in out.rglob(damage):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 50])
    assert main([*long_settings, "--out", str(out)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_lock_is_asked_for_before_anything_is_written(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with locked(out / "run.lock"):
        assert main([*tiny_settings, "--out", str(out)]) == 4
    assert {path.name for path in out.iterdir()} <= {"config.json", "run.lock"}


def test_help_lists_every_key_with_its_default() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tinygpt.train", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "train.learning_rate=0.001" in done.stdout.replace("\n", " ").replace("  ", " ")
    assert done.stderr == ""
