"""The file of the next sweep: python -m analysis next SWEEP > sweeps/second.yaml."""

import argparse
import sys
from collections.abc import Sequence

from analysis import nextspace, noise
from analysis.findings import space
from analysis.load import Sweep


def command(argv: Sequence[str]) -> int:
    """Print the next sweep's file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis next",
        description="Print the file of the next sweep: the same, over the ranges that the trials "
        "of this one speak for, beginning with its baseline and its winner.",
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a SWEEP.yaml, or a directory runs/NAME")
    parser.add_argument("--out", default="runs", metavar="DIR", help="where a SWEEP.yaml's lies")
    arguments = parser.parse_args(argv)
    sweep = Sweep.load(arguments.sweep, out=arguments.out)
    sys.stdout.write(nextspace.text(sweep, space.find(sweep, noise.measured(sweep))))
    return 0
