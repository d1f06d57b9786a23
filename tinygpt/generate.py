"""Text from a run: `python -m tinygpt.generate RUN_DIR --prompt "ROMEO:"`."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tinygpt import checkpoint
from tinygpt.checkpoint import Checkpoint
from tinygpt.exits import BAD_INPUT, DONE, complain, run_command
from tinygpt.files import RecordError
from tinygpt.model import TinyGPT
from tinygpt.rundir import RunDir, best_of
from tinygpt.sampling import generate_tokens
from tinygpt.seeding import derive
from tinygpt.tokenizer import CharTokenizer


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return run_command(lambda: generate(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinygpt.generate",
        description="Write text with the model of a run or of a sweep's trial.",
    )
    add = parser.add_argument
    add("run_dir", type=Path, help="a run directory, for instance runs/small/trials/0007")
    add("--prompt", default="\n", help="what the text goes on from (default: a line break)")
    add("--max-new-tokens", type=int, default=500, metavar="N", help="characters (default 500)")
    add("--temperature", type=float, default=0.8, help="0: always the likeliest (default 0.8)")
    add("--top-k", type=int, default=0, metavar="K", help="draw among the K likeliest; 0: all")
    add("--seed", type=int, default=0, help="another seed, another text (default 0)")
    add("--checkpoint", default="best", help="best, latest or a step (default best)")
    return parser


def generate(arguments: argparse.Namespace) -> int:
    """Print the prompt and the text as it is written; returns the exit code."""
    if (problem := misuse(arguments)) is not None:
        return complain(problem, BAD_INPUT)
    run_dir = RunDir(arguments.run_dir)
    config = run_dir.read_config()
    tokenizer = CharTokenizer.load(run_dir.tokenizer)
    ids = tokenizer.encode(arguments.prompt)
    torch.set_num_threads(config.train.threads)
    model = TinyGPT(config.model, len(tokenizer)).eval()
    model.load_weights(weights(chosen(run_dir, arguments.checkpoint)))
    tokens = generate_tokens(
        model,
        ids,
        arguments.max_new_tokens,
        seed=derive(arguments.seed, "sample", 0),
        temperature=arguments.temperature,
        top_k=arguments.top_k,
    )
    sys.stdout.write(arguments.prompt)
    for token in tokens:
        sys.stdout.write(tokenizer.decode([token]))
        sys.stdout.flush()
    print()
    return DONE


def misuse(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the options, None if nothing is."""
    if not arguments.prompt:
        return "--prompt: must hold at least one character"
    if not arguments.temperature >= 0:
        return f"--temperature: must be >= 0, got {arguments.temperature}"
    if min(arguments.top_k, arguments.max_new_tokens) < 0:
        return "--top-k and --max-new-tokens: must be >= 0"
    if arguments.checkpoint not in ("best", "latest") and not arguments.checkpoint.isdecimal():
        return f"--checkpoint: must be best, latest or a step, got {arguments.checkpoint!r}"
    return None


def chosen(run_dir: RunDir, which: str) -> Checkpoint:
    """The checkpoint named "best" (lowest validation loss), "latest", or by its step."""
    steps, evaluations = checkpoint.steps(run_dir.checkpoints), run_dir.evaluations()
    if not steps:
        raise RecordError(f"{run_dir.path}: no checkpoint yet; train first")
    if which == "best" and evaluations:
        return checkpoint.load(run_dir.checkpoints, best_of(evaluations)["step"])
    return checkpoint.load(run_dir.checkpoints, int(which) if which.isdecimal() else steps[-1])


def weights(found: Checkpoint) -> dict[str, torch.Tensor]:
    """The model's weights in a checkpoint; runs no code from it."""
    state = torch.load(io.BytesIO(found.state), map_location="cpu", weights_only=True)
    model: dict[str, torch.Tensor] = state["model"]
    return model


if __name__ == "__main__":
    raise SystemExit(main())
