"""A process that trains a run and saves its every step, then saves the same state once more as a
plain loop would, and says how long each of those took."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from experiments import reference
from experiments.worker import Channel
from tinygpt import checkpoint, config, corpus, hardware
from tinygpt.events import Saved
from tinygpt.execute import Execution
from tinygpt.rundir import RunDir
from tinygpt.state import from_bytes


def main() -> None:
    channel, told = Channel(), json.loads(sys.argv[1])
    settled = config.settled(config.run_config(told["config"]), **hardware.offer())
    run_dir = RunDir(Path(told["run"]))
    run_dir.write_config(settled)
    text = corpus.load(settled.data.corpus, settled.data.sha256)
    channel.send("saved", seconds=list(plainly_saved(Execution(settled, run_dir, text))))


def plainly_saved(execution: Execution) -> Iterator[float]:
    """The seconds that the plain way takes for each state that is saved."""
    checkpoints = execution.run_dir.checkpoints
    for event in execution.events():
        if isinstance(event, Saved):
            state = from_bytes(checkpoint.load(checkpoints, event.step).state)
            began = time.perf_counter()
            reference.save(state, checkpoints.with_name("plain.pt"))
            yield time.perf_counter() - began


if __name__ == "__main__":
    main()
