"""Text from a run, as its user gets it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinygpt import checkpoint
from tinygpt.checkpoint import steps
from tinygpt.files import json_line, read_rows
from tinygpt.generate import main
from tinygpt.rundir import RunDir, best_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def copy(trained: RunDir, tmp_path: Path) -> RunDir:
    """A complete run to be spoiled."""
    return RunDir(shutil.copytree(trained.path, tmp_path / "run"))


def written(capsys: Capture, run_dir: RunDir, *options: str) -> str:
    assert main([str(run_dir.path), "--max-new-tokens", "40", *options]) == 0
    return capsys.readouterr().out


def test_the_text_goes_on_from_the_prompt_and_has_the_length_asked_for(
    trained: RunDir, capsys: Capture
) -> None:
    text = written(capsys, trained, "--prompt", "the sea")
    assert text.startswith("the sea")
    assert len(text) == len("the sea") + 40 + 1
    assert text.endswith("\n")


def test_the_same_seed_writes_the_same_text_and_another_seed_another(
    trained: RunDir, capsys: Capture
) -> None:
    first = written(capsys, trained)
    assert written(capsys, trained, "--seed", "0") == first
    assert written(capsys, trained, "--seed", "1") != first


def test_the_likeliest_text_does_not_depend_on_the_seed(trained: RunDir, capsys: Capture) -> None:
    options = ("--temperature", "0", "--seed")
    assert written(capsys, trained, *options, "1") == written(capsys, trained, *options, "2")
    assert written(capsys, trained, "--top-k", "1") == written(capsys, trained, *options, "0")


def test_the_checkpoint_is_the_best_unless_another_is_asked_for(
    trained: RunDir, capsys: Capture
) -> None:
    best = str(best_of(trained.evaluations())["step"])
    last = str(steps(trained.checkpoints)[-1])
    texts = {
        name: written(capsys, trained, "--checkpoint", name)
        for name in ("best", "latest", "8", "12")
    }
    assert texts["best"] == texts[best] == written(capsys, trained)
    assert texts["latest"] == texts[last]
    assert texts["8"] != texts["12"]


def test_the_best_is_the_one_with_the_lowest_loss_and_not_the_latest(
    copy: RunDir, capsys: Capture
) -> None:
    rows = [
        {**row, "val_loss": 0.0} if row["step"] == 8 else row for row in read_rows(copy.metrics)
    ]
    copy.metrics.write_bytes(b"".join(json_line(row) for row in rows))
    assert written(capsys, copy) == written(capsys, copy, "--checkpoint", "8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--prompt", "thé"], "the character 'é' (U+00E9) at position 2 is not in the vocabulary"),
        (["--prompt", ""], "--prompt: must hold at least one character"),
        (["--temperature", "-1"], "--temperature: must be >= 0, got -1.0"),
        (["--temperature", "nan"], "--temperature: must be >= 0, got nan"),
        (["--top-k", "-1"], "--top-k and --max-new-tokens: must be >= 0"),
        (["--max-new-tokens", "-1"], "--top-k and --max-new-tokens: must be >= 0"),
        (["--checkpoint", "worst"], "must be best, latest or a step, got 'worst'"),
    ],
)
def test_a_wrong_option_is_bad_input_in_one_line(
    trained: RunDir, capsys: Capture, options: list[str], said: str
) -> None:
    assert main([str(trained.path), *options]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert said in output.err
    assert output.err.count("\n") == 1


def test_a_missing_step_lists_the_steps_there_are(trained: RunDir, capsys: Capture) -> None:
    assert main([str(trained.path), "--checkpoint", "7"]) == 3
    present = ", ".join(map(str, steps(trained.checkpoints)))
    assert f"no such checkpoint; the steps there are: {present}" in capsys.readouterr().err


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main([str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_says_train_first(copy: RunDir, capsys: Capture) -> None:
    shutil.rmtree(copy.checkpoints)
    assert main([str(copy.path)]) == 3
    assert "no checkpoint yet; train first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", None),
        ("tokenizer.json", b""),
        ("tokenizer.json", b"{"),
        ("config.json", b""),
        ("config.json", b"{"),
    ],
)
def test_a_missing_or_damaged_file_is_an_unusable_record(
    copy: RunDir, capsys: Capture, name: str, content: bytes | None
) -> None:
    path = copy.path / name
    path.unlink() if content is None else path.write_bytes(content)
    assert main([str(copy.path)]) == 3
    assert name in capsys.readouterr().err


def test_a_damaged_checkpoint_is_not_written_from(copy: RunDir, capsys: Capture) -> None:
    state = copy.checkpoints / f"step-{steps(copy.checkpoints)[-1]:08d}" / "state.pt"
    data = bytearray(state.read_bytes())
    data[1000] ^= 1
    state.write_bytes(data)
    assert main([str(copy.path), "--checkpoint", "latest"]) == 3
    assert "the bytes are not the ones that were saved" in capsys.readouterr().err


def test_writing_changes_nothing_in_the_run(trained: RunDir, capsys: Capture) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")}
    written(capsys, trained)
    assert {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")} == before
    assert checkpoint.load(trained.checkpoints, 12).step == 12


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tinygpt.generate", *arguments]


def test_the_command_writes_what_the_function_does(trained: RunDir, capsys: Capture) -> None:
    done = subprocess.run(
        command(str(trained.path), "--max-new-tokens", "40"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (written(capsys, trained), "")


def test_help_names_every_option(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    options = ("--prompt", "--max-new-tokens", "--temperature", "--top-k", "--seed", "--checkpoint")
    assert all(option in text for option in options)


def test_ctrl_c_ends_the_text_without_a_traceback(trained: RunDir) -> None:
    with subprocess.Popen(
        command(str(trained.path), "--max-new-tokens", "100000000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.read(10)  # it is writing by now
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert b"Traceback" not in errors
    assert process.returncode == 130


def test_a_reader_that_leaves_ends_the_text_without_a_traceback(trained: RunDir) -> None:
    """As with `| head -1`; standard output is buffered, as it is for a user."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command(str(trained.path), "--max-new-tokens", "100000000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert errors.count("\n") <= 1
