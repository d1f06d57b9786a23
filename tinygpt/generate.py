"""Text from a run: `python -m tinygpt.generate RUN_DIR --prompt "ROMEO:"`."""

import argparse
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tinygpt import checkpoint
from tinygpt.checkpoint import Checkpoint
from tinygpt.exits import BAD_INPUT, DONE, UNUSABLE_RECORD, complain, run_command
from tinygpt.files import RecordError
from tinygpt.model import TinyGPT
from tinygpt.rundir import RunDir, best_of
from tinygpt.sampling import Choice, NotFiniteError, generate_batch
from tinygpt.seeding import derive
from tinygpt.state import from_bytes
from tinygpt.tokenizer import CharTokenizer

TOGETHER = 32
"""Texts written at a time; bounds the memory."""


class Text(NamedTuple):
    """A text to be written."""

    heading: str
    """The line that tells it from the others; empty if there are none."""
    prompt: list[int]
    seed: int


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: generate(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinygpt.generate",
        description="Write text with the model of a run or of a sweep's trial.",
        epilog="A text follows from model, prompt, options and the number of its sample; up to "
        "rounding, what else is written beside it has no part in it.",
    )
    add = parser.add_argument
    add("run_dir", type=Path, help="a run directory, for instance runs/small/trials/0007")
    add(
        "--prompt",
        action="append",
        help="what the text goes on from (default: a line break); may be given more than once",
    )
    add("--samples", type=int, default=1, metavar="N", help="texts for each prompt (default 1)")
    add("--max-new-tokens", type=int, default=500, metavar="N", help="characters (default 500)")
    add("--temperature", type=float, default=0.8, help="0: always the likeliest (default 0.8)")
    add("--top-k", type=int, default=0, metavar="K", help="draw among the K likeliest; 0: all")
    add(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="draw among the likeliest that have probability P together; 1: all (default)",
    )
    add("--seed", type=int, default=0, help="another seed, another text (default 0)")
    add("--checkpoint", default="best", help="best, latest or a step (default best)")
    return parser


def generate(arguments: argparse.Namespace) -> int:
    """Print each prompt and its text, the first as it is written; returns the exit code."""
    if (problem := misuse(arguments)) is not None:
        return complain(problem, BAD_INPUT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals of few characters
    model, tokenizer = restored(RunDir(arguments.run_dir), arguments.checkpoint)
    wanted = texts(arguments, tokenizer)
    choice = Choice(arguments.temperature, arguments.top_k, arguments.top_p)
    for first in range(0, len(wanted), TOGETHER):
        together = wanted[first : first + TOGETHER]
        try:
            write(model, tokenizer, together, arguments.max_new_tokens, choice)
        except NotFiniteError as error:
            what = f"{arguments.run_dir}: {error}, this checkpoint is of a run that diverged"
            return complain(f"{what}; take an earlier one with --checkpoint", UNUSABLE_RECORD)
    return DONE


def misuse(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, None if nothing is."""
    if (trial := some_trial(arguments.run_dir)) is not None:
        return f"{arguments.run_dir}: a sweep, not a run; name a trial of it, such as {trial}"
    if "" in (arguments.prompt or []):
        return "--prompt: must hold at least one character"
    if not 0 <= arguments.temperature < math.inf:
        return f"--temperature: must be finite and >= 0, got {arguments.temperature}"
    if not 0 < arguments.top_p <= 1:
        return f"--top-p: must be > 0 and <= 1, got {arguments.top_p}"
    if min(arguments.top_k, arguments.max_new_tokens) < 0:
        return "--top-k and --max-new-tokens: must be >= 0"
    if arguments.samples < 1:
        return f"--samples: must be >= 1, got {arguments.samples}"
    if arguments.checkpoint not in ("best", "latest") and not arguments.checkpoint.isdecimal():
        return f"--checkpoint: must be best, latest or a step, got {arguments.checkpoint!r}"
    return None


def some_trial(path: Path) -> Path | None:
    """The first trial if there is a sweep at `path`, or where it will be; else None."""
    trials = path / "trials"
    if not trials.is_dir() and not (path / "sweep.json").exists():
        return None
    return min(trials.glob("*"), default=trials / "0000")


def texts(arguments: argparse.Namespace, tokenizer: CharTokenizer) -> list[Text]:
    """The texts asked for, prompt by prompt; raises UnseenCharacterError."""
    known = tokenizer.characters
    prompts = arguments.prompt or ["\n" if "\n" in known else known[0]]
    return [
        Text(
            heading((number, len(prompts)), (sample + 1, arguments.samples)),
            tokenizer.encode(prompt),
            # Not of the prompt's number: a prompt's text is the same alone and among others.
            derive(arguments.seed, "sample", sample),
        )
        for number, prompt in enumerate(prompts, start=1)
        for sample in range(arguments.samples)
    ]


def heading(prompt: tuple[int, int], sample: tuple[int, int]) -> str:
    """The line above a text, from (number, how many) of its prompt and of its sample."""
    counts = {"prompt": prompt, "sample": sample}
    parts = [f"{noun} {number} of {count}" for noun, (number, count) in counts.items() if count > 1]
    return f"--- {', '.join(parts)} ---\n" if parts else ""


def write(
    model: TinyGPT,
    tokenizer: CharTokenizer,
    together: Sequence[Text],
    max_new_tokens: int,
    choice: Choice,
) -> None:
    """Print some texts, the first character by character, the others when all are complete."""
    first, *others = together
    steps = generate_batch(
        model,
        [text.prompt for text in together],
        max_new_tokens,
        seeds=[text.seed for text in together],
        choice=choice,
    )
    rest: list[list[int]] = [[] for _ in others]
    print(first.heading + tokenizer.decode(first.prompt), end="", flush=True)
    try:
        for token, *tokens in steps:
            print(tokenizer.decode([token]), end="", flush=True)
            for row, other in zip(rest, tokens, strict=True):
                row.append(other)
    finally:
        print()  # whatever ends the text, what comes next begins a line
    for text, row in zip(others, rest, strict=True):
        print(text.heading + tokenizer.decode(text.prompt + row))


def restored(run_dir: RunDir, which: str) -> tuple[TinyGPT, CharTokenizer]:
    """A run's model on the CPU and its vocabulary; raises ConfigError if there is no run,
    RecordError if its files are missing, damaged or of different runs."""
    config = run_dir.read_config()
    saved = weights(run_dir, chosen(run_dir, which))
    tokenizer = CharTokenizer.load(run_dir.tokenizer)
    torch.set_num_threads(config.train.threads)
    model = TinyGPT(config.model, len(tokenizer)).eval()
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    if shapes != {name: weight.shape for name, weight in saved.items()}:
        raise RecordError(
            f"{run_dir.path}: config.json or tokenizer.json is not the one that the checkpoint "
            "was made with; restore it from a copy"
        )
    model.load_weights(saved)
    return model, tokenizer


def chosen(run_dir: RunDir, which: str) -> Checkpoint:
    """The checkpoint named "best" (lowest validation loss), "latest", or by its step.

    Raises RecordError if it cannot be had, naming one that is left.
    """
    step = step_of(run_dir, which)
    try:
        return checkpoint.load(run_dir.checkpoints, step)
    except RecordError as error:
        if step_of(run_dir, which) != step:  # the run trains, and has just removed it
            return chosen(run_dir, which)
        raise RecordError(f"{error}; {remedy(run_dir, step)}") from None


def step_of(run_dir: RunDir, which: str) -> int:
    """The step of the checkpoint that is meant; raises RecordError if there is none at all."""
    steps, evaluations = checkpoint.steps(run_dir.checkpoints), run_dir.evaluations()
    if not steps:
        raise RecordError(f"{run_dir.path}: no checkpoint yet; train first")
    if which == "best" and evaluations:
        return int(best_of(evaluations)["step"])
    return int(which) if which.isdecimal() else steps[-1]


def remedy(run_dir: RunDir, step: int) -> str:
    """What to do without the checkpoint of `step`."""
    others = [other for other in checkpoint.steps(run_dir.checkpoints) if other != step]
    if others:
        return f"take another, such as --checkpoint {others[-1]}"
    return "no other is left: restore it from a copy, or train again elsewhere"


def weights(run_dir: RunDir, found: Checkpoint) -> dict[str, torch.Tensor]:
    """The model's weights in a run's checkpoint; runs no code from it. Raises RecordError if there
    are none in it."""
    try:
        model = from_bytes(found.state).get("model")
    except RecordError:
        where = run_dir.checkpoints / f"step-{found.step:08d}"
        problem = f"{where}: its state.pt is not a training state"
        raise RecordError(f"{problem}; {remedy(run_dir, found.step)}") from None
    tensors = model if isinstance(model, dict) else {}
    return {name: one for name, one in tensors.items() if isinstance(one, torch.Tensor)}


if __name__ == "__main__":
    raise SystemExit(main())
