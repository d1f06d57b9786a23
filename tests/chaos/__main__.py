"""The layers by name: `PYTHONPATH=tests python -m chaos trainer --full`."""

import argparse
import importlib
import os
import random
import shutil
import sys
from pathlib import Path

LAYERS = {
    "trainer": "points:trainer",
    "full": "points:full",
    "chains": "points:chained",
    "driver": "points:driver",
    "worker": "points:worker",
    "full-driver": "points:full_driver",
    "full-worker": "points:full_worker",
    "kills": "kills:timed",
    "wandb": "mirrored:mirrored",
    "power": "power:tortured",
    "corruption": "corruption:damaged",
    "mutants": "mutating:mutated",
}
"""Each with the module and the function that runs it."""


HELPERS = Path(__file__).resolve().parents[1] / "helpers"


def main() -> int:
    sys.path.append(str(HELPERS))
    arguments = parser().parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    found = 0
    for layer in arguments.layers:
        print(f"{layer}: seed {seed}", flush=True)
        found += run(layer, seed, arguments)
    return 1 if found else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    add = parser.add_argument
    add("layers", nargs="+", choices=LAYERS, metavar="LAYER", help=", ".join(LAYERS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="every case")
    size.add_argument("--sample", type=int, default=20, metavar="N", help="so many cases")
    add("--seed", type=int, help="default: a random one, which is printed")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="so many at a time")
    return parser


def run(layer: str, seed: int, arguments: argparse.Namespace) -> int:
    """Run a layer; how much it found. What is left of it stays if that is anything."""
    from chaos import forks
    from chaos.tally import Options

    module, _, name = LAYERS[layer].partition(":")
    function = getattr(importlib.import_module(f"chaos.{module}"), name)
    sample = None if arguments.full else arguments.sample
    directory = Path(forks.scratch())
    tally = function(Options(sample, random.Random(seed), arguments.jobs), directory)
    if tally.findings:
        print(f"look at {directory}")
    else:
        shutil.rmtree(directory)
    print(tally.line(), flush=True)
    return len(tally.findings)


if __name__ == "__main__":
    raise SystemExit(main())
