"""What a user asks for, checked before anything is written."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import opening
from experiments.opening import Request
from tinygpt.schema import ConfigError

Write = Callable[..., Path]
HELLO = {
    "event": "ready",
    "offer": {"gpu": False, "gpu_bf16": False, "cpu_bf16": False},
    "versions": {"torch": "2", "cpu_capability": "AVX2"},
}


def asked(path: Path, *overrides: str, trials: int | None = None) -> Request:
    out = path.parent / "runs"
    arguments = argparse.Namespace(sweep=path, set=list(overrides), out=out, trials=trials)
    return opening.requested(arguments)


def silent(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def file(tmp_path: Path, write_sweep: Write) -> Path:
    return write_sweep(tmp_path)


def begin(file: Path, *overrides: str, hello: dict[str, Any] = HELLO) -> Request:
    """Begin the sweep, as the command does."""
    request = asked(file, *overrides)
    text = opening.checked_corpus(request, silent)
    request.sweep_dir.path.mkdir(parents=True, exist_ok=True)
    opening.begin(request, text, hello)
    return request


def refusal(file: Path, *overrides: str) -> list[str]:
    request = asked(file, *overrides)
    with pytest.raises(ConfigError) as caught:
        opening.refuse_changes(request, opening.checked_corpus(request, silent))
    return str(caught.value).replace(f"{file.parent}/", "").splitlines()


def test_the_settled_sweep_holds_no_auto_and_pins_its_text(
    file: Path, text_file: Path, text: str
) -> None:
    request = begin(file, "train.device=auto", "train.precision=auto", "max_concurrent=2")
    sweep, facts = request.sweep_dir.read_sweep()
    assert (sweep.run.train.device, sweep.run.train.precision) == ("cpu", "fp32")
    assert sweep.run.data.corpus == str(text_file)
    assert len(sweep.run.data.sha256) == 64
    assert sweep.max_concurrent == 2
    assert facts["corpus"] == {
        "name": str(text_file),
        "sha256": sweep.run.data.sha256,
        "characters": len(text),
        "vocabulary": len(set(text)),
    }
    assert sorted(facts["versions"]) == ["cpu_capability", "optuna", "python", "torch"]


def test_named_gpus_that_are_not_there_are_refused_and_do_not_become_a_cpu(file: Path) -> None:
    request = asked(file, "train.device=auto", "devices=[0, 1]")
    text = opening.checked_corpus(request, silent)
    with pytest.raises(ConfigError, match="devices: torch finds no such GPU"):
        opening.begin(request, text, HELLO)


def test_a_sweep_may_go_on_with_other_gpus(file: Path) -> None:
    begin(file)
    request = asked(file, "devices=[1]")
    opening.refuse_changes(request, opening.checked_corpus(request, silent))


def test_a_gpu_that_is_not_there_is_refused_at_its_key(file: Path) -> None:
    request = asked(file, "train.device=cuda")
    text = opening.checked_corpus(request, silent)
    with pytest.raises(ConfigError, match=r"tiny.yaml:\d+:\d+: run.train.device: torch finds no"):
        opening.begin(request, text, HELLO)
    assert not request.sweep_dir.begun()


def test_a_begun_sweep_does_not_go_on_without_its_gpu(file: Path) -> None:
    request = asked(file, "train.device=cuda")
    text = opening.checked_corpus(request, silent)
    request.sweep_dir.path.mkdir(parents=True)
    opening.begin(request, text, {**HELLO, "offer": {**HELLO["offer"], "gpu": True}})
    with pytest.raises(ConfigError, match=r"train\.device: torch finds no GPU here"):
        opening.begin(request, text, HELLO)


def test_a_begun_sweep_goes_on_under_its_file_and_under_its_directory(file: Path) -> None:
    path = begin(file, "train.device=auto").sweep_dir.path
    again = asked(file, "train.device=auto")
    opening.refuse_changes(again, opening.checked_corpus(again, silent))
    directory = asked(path)
    assert directory.sweep == directory.sweep_dir.read_sweep()[0]
    opening.refuse_changes(directory, opening.checked_corpus(directory, silent))
    begun = opening.begin(again, opening.checked_corpus(again, silent), HELLO)
    assert (begun.search.sweep, begun.warnings, begun.edits) == (directory.sweep, [], [])


def test_more_trials_and_another_wandb_project_may_be_asked_of_a_begun_sweep(file: Path) -> None:
    begin(file)
    request = asked(file, "wandb.project=other", trials=12)
    text = opening.checked_corpus(request, silent)
    opening.refuse_changes(request, text)
    begun = opening.begin(request, text, HELLO)
    assert (begun.search.sweep.trials, begun.search.sweep.wandb.project) == (12, "other")
    assert begun.edits == []


def test_every_change_is_named_with_its_line_and_the_two_ways_on(file: Path) -> None:
    begin(file)
    changed = file.read_text().replace('"max_iters": 40', '"max_iters": 50')
    changed = changed.replace('"batch_size": 4', '"batch_size": 5')
    file.write_text(changed)
    first = changed[: changed.index('"batch_size"')].count("\n") + 1
    second = changed[: changed.index('"max_iters"')].count("\n") + 1
    way = "; put it back, or give the sweep another name than tiny"
    assert refusal(file) == [
        f"tiny.yaml:{first}:4: run.train.batch_size: was 4 when the sweep was begun, is 5{way}",
        f"tiny.yaml:{second}:4: run.train.max_iters: was 40 when the sweep was begun, is 50{way}",
    ]


def test_another_text_is_a_change_and_the_same_text_elsewhere_is_none(
    file: Path, text_file: Path, tmp_path: Path
) -> None:
    begin(file)
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text_file.read_bytes())
    request = asked(file, f"data.corpus={copy}")
    opening.refuse_changes(request, opening.checked_corpus(request, silent))
    copy.write_bytes(text_file.read_bytes() + b"a")
    (line,) = refusal(file, f"data.corpus={copy}")
    assert f"run.data.corpus: was {str(text_file)!r} when the sweep was begun, is" in line
    (line,) = refusal(file, "data.corpus=python_docs")
    assert "another text; put it back, or give the sweep another name than tiny" in line


def test_other_versions_are_a_warning_that_names_them(file: Path) -> None:
    begin(file)
    hello = {**HELLO, "versions": {"torch": "3", "cpu_capability": "AVX2"}}
    request = asked(file)
    begun = opening.begin(request, opening.checked_corpus(request, silent), hello)
    assert begun.warnings == ["torch was 2, is 3: last bits may differ"]


# The held-out split of the small text.
HELD_OUT = 235


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (f"model.block_size={HELD_OUT - 1}", None),
        (
            f"model.block_size={HELD_OUT}",
            f"run.model.block_size: {{text}}: its shorter split has {HELD_OUT} characters, a "
            f"window of block_size {HELD_OUT} needs {HELD_OUT + 1}; take ",
        ),
        (
            "space.model.block_size={type: int, low: 8, high: 300}",
            f"space.model.block_size: {{text}}: its shorter split has {HELD_OUT} characters, a "
            "window of block_size 300 needs 301; take ",
        ),
        ("space.model.block_size={type: categorical, choices: [8, 16]}", None),
        (
            "sample.prompt=Rain",
            "run.sample.prompt: the character 'R' (U+0052) at position 0 is not in the vocabulary",
        ),
        ("data.corpus=/nowhere/text.txt", "run.data.corpus: /nowhere/text.txt: cannot be read"),
    ],
)
def test_a_text_that_does_not_serve_is_refused_at_its_key(
    file: Path, text_file: Path, text: str, override: str, line: str | None
) -> None:
    assert round(len(text) * 0.1) == HELD_OUT
    request = asked(file, override)
    if line is None:
        assert len(opening.checked_corpus(request, silent)) == len(text)
        return
    with pytest.raises(ConfigError) as caught:
        opening.checked_corpus(request, silent)
    (told,) = str(caught.value).splitlines()
    assert told.startswith(f"{file}:")
    assert told.split(": ", 1)[1].startswith(line.format(text=text_file))


def test_trials_of_the_command_line_go_before_the_files(file: Path) -> None:
    assert (asked(file).sweep.trials, asked(file, trials=2).sweep.trials) == (9, 2)
