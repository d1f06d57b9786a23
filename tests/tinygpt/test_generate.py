"""Text from a run, as its user gets it."""

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tinygpt import checkpoint, train
from tinygpt.checkpoint import steps
from tinygpt.files import json_line, read_rows
from tinygpt.generate import TOGETHER, chosen, main
from tinygpt.rundir import RunDir, best_of
from tinygpt.tokenizer import CharTokenizer

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


@pytest.mark.parametrize("length", [1, 8, 9, 100])
def test_a_prompt_may_be_longer_than_the_block(
    trained: RunDir, text: str, capsys: Capture, length: int
) -> None:
    output = written(capsys, trained, "--prompt", text[:length])
    assert output.startswith(text[:length])
    assert len(output) == length + 40 + 1


def test_of_a_long_prompt_the_end_alone_decides(
    trained: RunDir, text: str, capsys: Capture
) -> None:
    whole = written(capsys, trained, "--prompt", text[:100])
    end = written(capsys, trained, "--prompt", text[92:100])
    assert whole == text[:92] + end


def test_each_prompt_has_the_text_it_has_alone(trained: RunDir, text: str, capsys: Capture) -> None:
    prompts = ["the sea", "a", text[:30]]
    alone = [written(capsys, trained, "--prompt", prompt) for prompt in prompts]
    together = written(capsys, trained, *(f"--prompt={prompt}" for prompt in prompts))
    assert together == "".join(
        f"--- prompt {number} of 3 ---\n{one}" for number, one in enumerate(alone, start=1)
    )


def test_several_samples_are_different_texts_of_which_the_first_is_the_one_without(
    trained: RunDir, capsys: Capture
) -> None:
    alone = written(capsys, trained, "--prompt", "the")
    several = written(capsys, trained, "--prompt", "the", "--samples", "3")
    first, *others = several.split("--- sample ")[1:]
    assert first == f"1 of 3 ---\n{alone}"
    assert [other.splitlines()[0] for other in others] == ["2 of 3 ---", "3 of 3 ---"]
    assert len({one.partition("\n")[2] for one in (first, *others)}) == 3
    assert written(capsys, trained, "--prompt", "the", "--samples", "2") in several.replace(
        "of 3", "of 2"
    )


def test_samples_of_several_prompts_are_named_by_both_numbers(
    trained: RunDir, capsys: Capture
) -> None:
    options = ("--prompt", "the", "--prompt", "sea", "--samples", "2", "--max-new-tokens", "0")
    assert written(capsys, trained, *options) == (
        "--- prompt 1 of 2, sample 1 of 2 ---\nthe\n"
        "--- prompt 1 of 2, sample 2 of 2 ---\nthe\n"
        "--- prompt 2 of 2, sample 1 of 2 ---\nsea\n"
        "--- prompt 2 of 2, sample 2 of 2 ---\nsea\n"
    )


def test_more_texts_than_are_written_together_all_come(trained: RunDir, capsys: Capture) -> None:
    count = TOGETHER + 1
    several = written(capsys, trained, "--samples", str(count), "--max-new-tokens", "5")
    headings = [line for line in several.splitlines() if line.startswith("--- sample")]
    assert headings == [f"--- sample {n} of {count} ---" for n in range(1, count + 1)]


class Terminal(io.StringIO):
    """What is on the screen after each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.screens: list[str] = []

    def flush(self) -> None:
        self.screens.append(self.getvalue())


@pytest.mark.parametrize("options", [(), ("--samples", "2")])
def test_a_text_is_on_the_screen_as_it_is_written(
    trained: RunDir, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main([str(trained.path), "--prompt", "the", "--max-new-tokens", "6", *options]) == 0
    lengths = [len(screen) - len(terminal.screens[0]) for screen in terminal.screens[:7]]
    assert lengths == [0, 1, 2, 3, 4, 5, 6]
    assert terminal.screens[0].endswith("the")


def test_a_terminal_without_a_character_shows_its_code(
    copy: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a vocabulary without a line break begins with its first character."""
    known = CharTokenizer.load(copy.tokenizer).characters
    CharTokenizer(known.replace("\n", "\u20ac")).save(copy.tokenizer)
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", screen)
    assert main([str(copy.path), "--max-new-tokens", "3"]) == 0
    assert main([str(copy.path), "--max-new-tokens", "0", "--prompt", "a\u20ac"]) == 0
    begin, end = screen.buffer.getvalue()[:1], screen.buffer.getvalue()[-8:]  # type: ignore[attr-defined]
    assert (begin, end) == (b"\\", b"a\\u20ac\n")


def test_the_same_seed_writes_the_same_text_and_another_seed_another(
    trained: RunDir, capsys: Capture
) -> None:
    first = written(capsys, trained)
    assert written(capsys, trained, "--seed", "0") == first
    assert written(capsys, trained, "--seed", "1") != first


def test_the_likeliest_text_does_not_depend_on_the_seed(trained: RunDir, capsys: Capture) -> None:
    options = ("--temperature", "0", "--seed")
    assert written(capsys, trained, *options, "1") == written(capsys, trained, *options, "2")
    for narrow in ("--top-k=1", "--top-p=1e-9"):
        assert written(capsys, trained, narrow) == written(capsys, trained, *options, "0")


def test_top_p_narrows_the_choice_and_1_leaves_it(trained: RunDir, capsys: Capture) -> None:
    text = written(capsys, trained)
    assert written(capsys, trained, "--top-p", "1") == text
    assert written(capsys, trained, "--top-p", "0.3") != text


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
        (["--prompt", "the", "--prompt", ""], "--prompt: must hold at least one character"),
        (["--prompt", "the", "--prompt", "thé"], "'é' (U+00E9)"),
        (["--temperature", "-1"], "--temperature: must be finite and >= 0, got -1.0"),
        (["--temperature", "nan"], "--temperature: must be finite and >= 0, got nan"),
        (["--temperature", "inf"], "--temperature: must be finite and >= 0, got inf"),
        (["--top-p", "0"], "--top-p: must be > 0 and <= 1, got 0.0"),
        (["--top-p", "1.1"], "--top-p: must be > 0 and <= 1, got 1.1"),
        (["--top-p", "nan"], "--top-p: must be > 0 and <= 1, got nan"),
        (["--samples", "0"], "--samples: must be >= 1, got 0"),
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
    *rest, last = map(str, steps(trained.checkpoints))
    present = ", ".join([*rest, last])
    assert capsys.readouterr().err.endswith(
        f"no such checkpoint; the steps there are: {present}; "
        f"take another, such as --checkpoint {last}\n"
    )


def test_a_lost_best_checkpoint_names_another(copy: RunDir, capsys: Capture) -> None:
    best = best_of(copy.evaluations())["step"]
    shutil.rmtree(copy.checkpoints / f"step-{best:08d}")
    other = steps(copy.checkpoints)[-1]
    assert main([str(copy.path)]) == 3
    said = capsys.readouterr().err
    assert f"step-{best:08d}: no such checkpoint" in said
    assert said.endswith(f"take another, such as --checkpoint {other}\n")
    assert len(written(capsys, copy, "--checkpoint", str(other))) == 42


@pytest.mark.parametrize("others", [True, False])
def test_a_damaged_best_checkpoint_says_what_is_left(
    copy: RunDir, capsys: Capture, others: bool
) -> None:
    best = best_of(copy.evaluations())["step"]
    for step in steps(copy.checkpoints):
        if step != best and not others:
            shutil.rmtree(copy.checkpoints / f"step-{step:08d}")
    (copy.checkpoints / f"step-{best:08d}" / "state.pt").write_bytes(b"")
    left = max((step for step in steps(copy.checkpoints) if step != best), default=None)
    assert main([str(copy.path)]) == 3
    said = capsys.readouterr().err
    assert "the bytes are not the ones that were saved" in said
    assert ("no other is left: restore it" if left is None else f"--checkpoint {left}\n") in said
    assert said.count("\n") == 1


class Training(RunDir):
    """A run that goes on as soon as it was looked at: a better checkpoint replaces the best."""

    def evaluations(self) -> list[dict[str, Any]]:
        rows = super().evaluations()
        old, new = best_of(rows)["step"], max(row["step"] for row in rows) + 4
        place = self.checkpoints / f"step-{old:08d}"
        if new < 24:
            checkpoint.save(self.checkpoints, new, b"state", {})
            shutil.rmtree(place)
            with open(self.metrics, "ab") as metrics:
                metrics.write(json_line({"kind": "eval", "step": new, "val_loss": -float(new)}))
        return rows


def test_the_best_of_a_run_that_trains_on_is_found_though_it_was_replaced(copy: RunDir) -> None:
    assert chosen(Training(copy.path), "best").step == 20


@pytest.mark.parametrize("state", ["pruned", "failed", None])
def test_a_run_that_is_not_complete_writes_from_the_checkpoints_it_has(
    copy: RunDir, capsys: Capture, state: Literal["pruned", "failed"] | None
) -> None:
    copy.result.unlink()
    last = steps(copy.checkpoints)[-1]
    shutil.rmtree(copy.checkpoints / f"step-{last:08d}")
    rows = [row for row in read_rows(copy.metrics) if row["step"] < last]
    copy.metrics.write_bytes(b"".join(json_line(row) for row in rows))
    if state is not None:
        copy.conclude(state, "a reason")
    assert len(written(capsys, copy)) == 42


@pytest.mark.parametrize("made", ["trials/0003", "trials", "sweep.json"])
def test_a_sweep_is_refused_with_the_path_of_a_trial(
    tmp_path: Path, capsys: Capture, made: str
) -> None:
    (tmp_path / made).mkdir(parents=True)
    assert main([str(tmp_path)]) == 2
    trial = tmp_path / "trials" / ("0003" if made == "trials/0003" else "0000")
    said = f"error: {tmp_path}: a sweep, not a run; name a trial of it, such as {trial}\n"
    assert capsys.readouterr().err == said


def test_another_runs_vocabulary_is_an_unusable_record(copy: RunDir, capsys: Capture) -> None:
    CharTokenizer("ab").save(copy.tokenizer)
    assert main([str(copy.path), "--prompt", "a"]) == 3
    said = capsys.readouterr().err
    assert "tokenizer.json is not the one that the checkpoint was made with" in said


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


FORGED: dict[str, Callable[[Path], bytes]] = {
    "an archive": lambda path: archive({"step": 12, "model": Touch(path)}),
    "a tensor of it": lambda path: archive({"model": {"w": torch.ones(1)}, "more": [Touch(path)]}),
    "a pickle": lambda path: pickle.dumps({"step": 12, "model": Touch(path)}),
    "an old pickle": lambda path: pickle.dumps(Touch(path), protocol=2),
    "a module": lambda path: archive(torch.nn.Linear(1, 1)),
    "no pickle": lambda path: b"import os",
    "nothing": lambda path: b"",
    "a list": lambda path: archive([1]),
    "no weights": lambda path: archive({"step": 12}),
    "no tensors": lambda path: archive({"model": {"w": 1.0}}),
    "a huge tensor": lambda path: archive({"model": {"w": torch.ones(1).expand(1 << 40)}}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_checkpoint_with_right_digests_runs_no_code(
    copy: RunDir, tmp_path: Path, capfd: Capture, forge: Callable[[Path], bytes]
) -> None:
    last = steps(copy.checkpoints)[-1]
    manifest = checkpoint.load(copy.checkpoints, last).manifest
    about = {name: manifest[name] for name in manifest.keys() - {"schema", "bytes", "sha256"}}
    shutil.rmtree(copy.checkpoints)
    copy.checkpoints.mkdir()
    checkpoint.save(copy.checkpoints, last, forge(tmp_path / "made"), about)
    assert main([str(copy.path), "--checkpoint", "latest"]) == 3
    assert not (tmp_path / "made").exists()
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"error: {copy.path}")
    assert output.err.count("\n") == 1
    assert "weights_only" not in output.err, "torch's own advice is to run it"


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
    drawing = ("--temperature", "--top-k", "--top-p", "--seed")
    options = ("--prompt", "--samples", "--max-new-tokens", *drawing, "--checkpoint")
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
        text, errors = process.communicate()
    assert errors == b"error: stopped\n"
    assert text.endswith(b"\n")
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


def test_the_checkpoint_of_a_run_that_diverged_is_told_to_be_spoilt(
    tiny_settings: list[str], tmp_path: Path, capsys: Capture
) -> None:
    spoilt = ["train.learning_rate=1e25", "train.warmup_iters=0", "train.eval_interval=1"]
    path = str(tmp_path / "run")
    assert train.main([*tiny_settings, *spoilt, "--out", path]) == 5
    capsys.readouterr()
    assert main([path, "--checkpoint", "latest"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "not finite, this checkpoint is of a run that diverged; take an earlier one" in line
    assert main([path]) == 0, "the best one is sound"
