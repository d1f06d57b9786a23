"""The sweep's command from end to end, and every way in which it can be asked wrongly."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import sweep
from experiments.arguments import duration

Write = Callable[..., Path]
Rows = Callable[[Path], Sequence[dict[str, Any]]]
Listing = Callable[[Path], dict[str, bytes]]


def test_a_sweep_trains_prunes_and_fails_its_trials_and_says_so(
    golden: Any, study_rows: Callable[[Path], list[tuple[Any, ...]]]
) -> None:
    assert (golden.outcome.code, golden.outcome.err) == (5, "")
    results = [
        json.loads((golden.path / "trials" / f"{n:04d}" / "result.json").read_text())
        for n in range(9)
    ]
    states = [result["state"] for result in results]
    assert states[:2] == ["complete", "failed"]
    assert states[4] == "pruned"
    assert results[1]["reason"].startswith("diverged: the loss or the gradient of update ")
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    rows = study_rows(golden.path)
    assert [row[0] for row in rows] == list(range(9))
    assert [row[2] for row in rows] == [names[state] for state in states]
    assert [row[3] for row in rows] == [result["value"] for result in results]


def test_the_files_of_a_sweep_are_where_the_design_has_them(golden: Any, rows: Rows) -> None:
    present = {entry.name for entry in golden.path.iterdir()}
    assert present == {
        "sweep.json",
        "sweep.lock",
        "study.db",
        "events.jsonl",
        "trials",
        "wandb",
        "report",
    }
    for number in range(9):
        folder = golden.path / "trials" / f"{number:04d}"
        config = json.loads((folder / "config.json").read_text())
        assert (folder / "checkpoints").is_dir()
        assert "auto" not in str(config)
    events = rows(golden.path / "events.jsonl")
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "finished"
    assert [r["trial"] for r in events if r["event"] == "trial_finished"] == list(range(9))


def test_the_command_tells_the_story_and_ends_with_the_verdict_and_the_paths(golden: Any) -> None:
    lines = golden.outcome.out.splitlines()
    assert re.fullmatch(r"runs/tiny: 9 trials, 1 workers, corpus .* \(2,\d+ characters\)", lines[0])
    told = [line for line in lines if line.startswith("trial ") and "starts" not in line]
    numbers = [int(line.split()[1]) for line in told if line.split()[1].isdecimal()]
    assert numbers[:9] == list(range(9))
    for path in re.findall(r"runs/\S+", golden.outcome.out):
        if "-trial-" not in path:
            assert (golden.file.parent / path.strip("`,:")).exists(), path
    assert lines[-1].startswith("time: 0:")
    assert "of the workers' time in the model" in lines[-1]


def test_the_first_trial_is_the_baseline_and_enqueued_trials_keep_their_parameters(
    golden: Any, tiny: Callable[..., dict[str, Any]]
) -> None:
    for number, wanted in enumerate(tiny()["enqueue"]):
        path = golden.path / "trials" / f"{number:04d}" / "config.json"
        config = json.loads(path.read_text())
        for key, value in wanted.items():
            section, _, name = key.rpartition(".")
            assert (config[section] if section else config)[name] == value


def test_a_finished_sweep_only_reports_again_and_changes_no_trial(
    golden: Any, command: Any, facts: Any, tmp_path: Path
) -> None:
    before = facts(golden.path)
    outcome = command(
        "experiments.sweep", golden.path, "--set", "wandb.mode=disabled", cwd=golden.file.parent
    )
    assert (outcome.code, outcome.err) == (5, "")
    assert "9 trials, 9 done, corpus" in outcome.out
    assert "starts" not in outcome.out
    assert facts(golden.path) == before


def test_a_sweep_goes_on_to_more_trials_and_those_it_had_stay(
    golden: Any, command: Any, facts: Any, write_sweep: Write, tmp_path: Path
) -> None:
    path, file = tmp_path / "runs" / "tiny", write_sweep(tmp_path)
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb", "study.db"))
    outcome = command("experiments.sweep", file, "--trials", 10, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (5, "")
    assert "10 trials, 9 done, 1 workers" in outcome.out
    now, before = facts(path), facts(golden.path)
    assert {name: now[name] for name in before} == before
    added = [name for name in now if name not in before]
    assert "study 9" in added
    assert all(name == "study 9" or name.startswith("trials/0009/") for name in added)
    assert not (path / "wandb").exists()


@pytest.mark.parametrize(
    ("finished", "reason"),
    [(True, "not as it was when the run ended"), (False, "not what this sweep proposes")],
)
def test_a_trial_that_was_edited_is_an_unusable_record_and_nothing_is_trained(
    golden: Any,
    command: Any,
    facts: Any,
    write_sweep: Write,
    tmp_path: Path,
    finished: bool,
    reason: str,
) -> None:
    path, file = tmp_path / "runs" / "tiny", write_sweep(tmp_path)
    shutil.copytree(golden.path, path, ignore=shutil.ignore_patterns("wandb"))
    config = path / "trials" / "0008" / "config.json"
    config.write_text(re.sub(r'"seed": \d+', '"seed": 1234', config.read_text()))
    if not finished:
        config.with_name("result.json").unlink()
    before = facts(path)
    outcome = command("experiments.sweep", file, "--trials", 10, cwd=tmp_path)
    assert outcome.code == 3
    (line,) = outcome.errors
    assert line.startswith(f"error: runs/tiny/trials/0008/config.json: {reason}")
    assert facts(path) == before


def test_an_interval_of_time_ends_the_command_and_not_the_sweep(
    command: Any, write_sweep: Write, tmp_path: Path, rows: Rows
) -> None:
    file = write_sweep(tmp_path, {"train.max_iters": 10**6}, trials=3, enqueue=[])
    outcome = command("experiments.sweep", file, "--timeout", "6s", "--workers", 1, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (75, "")
    last = outcome.out.splitlines()[-1]
    assert last == (
        "time is up: 0 of 3 trials are done, the state is saved; the same command goes on"
    )
    assert rows(tmp_path / "runs" / "tiny" / "events.jsonl")[-1]["event"] == "stopped"
    assert list((tmp_path / "runs/tiny/trials/0000/checkpoints").iterdir())


def test_a_dry_run_shows_the_first_trials_as_they_will_be_and_writes_nothing(
    golden: Any,
    write_sweep: Write,
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write_sweep(tmp_path)
    before = listing(tmp_path)
    assert sweep.main([str(file), "--dry-run", "--out", str(tmp_path / "runs")]) == 0
    assert listing(tmp_path) == before
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"tiny: 9 trials in {tmp_path}/runs/tiny, nothing was written"
    story = golden.outcome.out
    trials = [line for line in shown if line.startswith("  trial ")]
    assert len(trials) >= 3
    for number, line in enumerate(trials):
        head, _, params = line.partition(f"trial {number:>3}  ")
        assert (head, bool(params)) == ("  ", True)
        (told,) = [row for row in story.splitlines() if f"trial {number:>3}  starts" in row]
        cells = params.split()  # the rest stands in the next line
        assert told.split()[3 : 3 + len(cells)] == cells


def complaint(
    capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, list[str], list[str]]:
    """The exit code of the command in this process, and its lines on both streams."""
    code = sweep.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.err.splitlines(), captured.out.splitlines()


# What is replaced in the small sweep's values, and the end of the one line that is read.
FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"trails": 3}, "trails: unknown key (did you mean 'trials'?)"),
    ({"train.max_iter": 3}, {}, "(did you mean 'run.train.max_iters'?)"),
    ({"train.max_iters": "x"}, {}, "run.train.max_iters: must be a whole number, got 'x'"),
    ({"data.corpus": "/nowhere.txt"}, {}, "tiny_shakespeare, python_docs or auto"),
    ({"model.block_size": 2000}, {}, "a smaller block_size or another data.val_fraction"),
    ({"sample.prompt": "\u00e9"}, {}, "leave it out"),
    (
        {"model.d_head": 3},
        {"space": {"model.dropout": {"type": "float", "low": 0, "high": 0.5}}, "enqueue": []},
        "run.model.d_model: must be a multiple of d_head (3), got 16",
    ),
]


@pytest.mark.parametrize(("run", "changes", "end"), FAULTS, ids=range(len(FAULTS)))
def test_a_file_that_cannot_be_swept_is_one_line_and_nothing_is_written(
    write_sweep: Write,
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    run: dict[str, Any],
    changes: dict[str, Any],
    end: str,
) -> None:
    file = write_sweep(tmp_path, run, **changes)
    before = listing(tmp_path)
    code, err, out = complaint(capsys, file, "--out", tmp_path / "runs")
    assert (code, out) == (2, [])
    (line,) = err
    assert re.match(rf"error: {re.escape(str(file))}:\d+:\d+: ", line)
    assert line.endswith(end)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "error: {file}: cannot be read: No such file or directory"),
        (b"", "error: {file}: the file is empty; see sweeps/small.yaml"),
        (b"\xff", "error: {file}: byte 0 is not UTF-8"),
        (b"a: [", "error: {file}:1:5: not YAML: "),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    line: str,
) -> None:
    file = tmp_path / "tiny.yaml"
    if content is not None:
        file.write_bytes(content)
    before = listing(tmp_path)
    code, err, out = complaint(capsys, file, "--out", tmp_path / "runs")
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith(line.format(file=file))
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"", ": is empty; give it some text"),
        (b"abc \xff", "byte 4 is not UTF-8; convert the file, for instance with iconv"),
        (b"abc", "a smaller block_size or another data.val_fraction"),
    ],
)
def test_a_text_that_cannot_be_learned_is_one_line_and_nothing_is_written(
    write_sweep: Write,
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    end: str,
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    file = write_sweep(tmp_path, {"data.corpus": str(text)})
    before = listing(tmp_path)
    code, err, _ = complaint(capsys, file, "--out", tmp_path / "runs")
    assert (code, len(err)) == (2, 1)
    assert err[0].endswith(end)
    assert listing(tmp_path) == before


def test_all_problems_of_a_file_are_lines_of_their_own(
    write_sweep: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path, {"train.max_iters": 0}, trials=0, worker=1)
    code, err, _ = complaint(capsys, file)
    assert code == 2
    assert [line.split(": ")[2] for line in err] == ["trials", "run.train.max_iters", "worker"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "0"],
        ["--workers", "two"],
        ["--trials", "-1"],
        ["--timeout", "30"],
        ["--timeout", "soon"],
        ["--unknown"],
    ],
)
def test_a_faulty_option_is_refused(
    write_sweep: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        sweep.main([str(write_sweep(tmp_path)), *arguments])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), ("1.5h", 5400.0), ("0s", 0.0)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


def test_a_directory_that_is_no_sweep_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err, _ = complaint(capsys, tmp_path)
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith(f"error: {tmp_path}: no sweep was begun here; `python -m ")


def test_a_changed_file_under_a_begun_sweep_names_each_change_and_changes_nothing(
    golden: Any,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    write_sweep: Write,
    tmp_path: Path,
) -> None:
    out = golden.path.parent
    file = write_sweep(tmp_path, {"train.max_iters": 50}, seed=4)
    before = listing(out)
    code, err, _ = complaint(capsys, file, "--out", out)
    assert code == 2
    changes = {line.split(": ")[2]: line for line in err}
    assert set(changes) == {"run.train.max_iters", "seed", "run.seed"}
    assert "was 40 when the sweep was begun, is 50" in changes["run.train.max_iters"]
    assert all(
        line.endswith("put it back, or give the sweep another name than tiny") for line in err
    )
    place = changes["run.train.max_iters"].split(":")
    number = int(place[2])
    assert '"max_iters"' in file.read_text().splitlines()[number - 1]
    assert listing(out) == before


@pytest.mark.parametrize("place", ["runs", "runs/tiny"])
def test_a_file_in_the_place_of_the_directory_is_bad_input(
    write_sweep: Write,
    tmp_path: Path,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    file = write_sweep(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("in the way")
    before = listing(tmp_path)
    code, err, _ = complaint(capsys, file, "--out", tmp_path / "runs")
    assert len(err) == 1
    assert str(tmp_path / "runs") in err[0]
    assert code == 2
    assert listing(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing can be denied to root")
def test_a_directory_that_may_not_be_written_is_bad_input(
    write_sweep: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_sweep(tmp_path)
    (tmp_path / "runs").mkdir(mode=0o500)
    code, err, _ = complaint(capsys, file, "--out", tmp_path / "runs")
    assert (code, len(err)) == (2, 1)
    assert err[0].endswith("no permission to write here; choose another --out")


def test_a_device_that_is_not_there_is_bad_input_and_nothing_is_written(
    write_sweep: Write, tmp_path: Path, listing: Listing, command: Any
) -> None:
    file = write_sweep(tmp_path, {"train.device": "cuda"})
    before = listing(tmp_path)
    outcome = command("experiments.sweep", file, cwd=tmp_path, environ={"CUDA_VISIBLE_DEVICES": ""})
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "run.train.device: torch finds no GPU here; use cpu" in line
    assert listing(tmp_path) == before


def test_bad_input_found_late_takes_nothing_of_another_sweep_with_it(
    write_sweep: Write, tmp_path: Path, start: Any, ended: Any, until: Any
) -> None:
    file = write_sweep(tmp_path, {"train.device": "cuda"})
    process = start("experiments.sweep", file, cwd=tmp_path, environ={"CUDA_VISIBLE_DEVICES": ""})
    until(lambda: (tmp_path / "runs" / "tiny" / "sweep.lock").exists())
    # Meanwhile another command begins the first trial of another sweep beside it.
    other = tmp_path / "runs" / "other" / "trials" / "0000" / "config.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    assert ended(process).code == 2
    assert other.exists()
    assert not (tmp_path / "runs" / "tiny").exists()


def test_a_disk_that_is_full_from_the_start_ends_the_command_as_temporary(
    write_sweep: Write, tmp_path: Path, command: Any
) -> None:
    # No file may grow beyond this: sweep.json does not, study.db does.
    limit = 10_000

    def limited() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    file = write_sweep(tmp_path)
    outcome = command("experiments.sweep", file, cwd=tmp_path, preexec_fn=limited)
    assert outcome.code == 75
    (line,) = outcome.errors
    assert line.startswith("error: runs/tiny/study.db: ")
    assert line.endswith("run it again")


def test_help_says_what_the_exit_codes_mean(command: Any, tmp_path: Path) -> None:
    outcome = command("experiments.sweep", "--help", cwd=tmp_path)
    assert outcome.code == 0
    for word in ("--workers", "--trials", "--timeout", "--out", "--set", "--dry-run", "75"):
        assert word in outcome.out


def test_ctrl_c_before_the_sweep_begins_leaves_no_traceback(
    start: Any, ended: Any, write_sweep: Write, tmp_path: Path, until: Any
) -> None:
    # The text is a pipe: the command waits for more of it.
    pipe = tmp_path / "text.txt"
    os.mkfifo(pipe)
    file = write_sweep(tmp_path, {"data.corpus": str(pipe)})
    process = start("experiments.sweep", file, cwd=tmp_path)
    descriptors: list[int] = []
    until(lambda: opened(pipe, descriptors))
    try:
        os.write(descriptors[0], b"the sea ")
        until(lambda: unread(descriptors[0]) == 0)
        until(lambda: asleep(process.pid))
        process.send_signal(signal.SIGINT)
        outcome = ended(process)
    finally:
        os.close(descriptors[0])
    assert (outcome.code, outcome.err) == (130, "error: stopped\n")


def opened(pipe: Path, descriptors: list[int]) -> bool:
    """Whether a pipe could be opened for writing, that is, someone reads it."""
    try:
        descriptors.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def unread(descriptor: int) -> int:
    """How many bytes in a pipe nobody has read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4), sys.byteorder)


def asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
