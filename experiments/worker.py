"""A process that trains one trial after another for the driver that started it.

It speaks lines of JSON on its standard input and output: it says "ready", is told which directory
to run, tells what happens there, and waits at each evaluation to hear whether to go on. When the
driver is gone it saves and leaves, and leaves without saving where that takes too long.
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygpt import corpus, exits, hardware
from tinygpt.config import run_config
from tinygpt.corpus import Corpus
from tinygpt.events import Durable, Evaluated, Finished, Started, Stepped, Stopped, Trained
from tinygpt.execute import Execution
from tinygpt.files import BusyError, RecordError
from tinygpt.probe import probe
from tinygpt.redaction import redacted
from tinygpt.rundir import RunDir
from tinygpt.source import CorpusError
from tinygpt.trainer import DivergedError

PROGRESS_SECONDS = 0.5
"""Between two messages about steps."""
LEAVING_SECONDS = 8.0
"""How long this process may take to save and leave once its driver is gone."""
PREDECESSOR_SECONDS = 30.0
"""How long the process of a driver that is gone may take to save and leave."""

Message = dict[str, Any]


class Channel:
    """The two pipes to the driver. Whatever else prints goes to standard error."""

    def __init__(self) -> None:
        self._orders = os.dup(0)
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._buffer = b""
        self._busy = self._terminated = False
        # Ctrl-C reaches the whole group; only the driver answers it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminate)
        threading.Thread(target=leave_behind, args=(self._orders,), daemon=True).start()

    def send(self, event: str, **facts: Any) -> None:
        """Tell the driver; if it is gone, `receive` and `stopping` will say so."""
        with contextlib.suppress(BrokenPipeError):
            self._answers.write(json.dumps({"event": event, **facts}) + "\n")

    def receive(self) -> Message | None:
        """Wait for the next message; None when the driver is gone."""
        while b"\n" not in self._buffer:
            chunk = os.read(self._orders, 1 << 16)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def stopping(self) -> bool:
        """Whether to save and leave: while a trial trains, the driver sends only the order to stop,
        and the pipe is readable too when the driver is gone."""
        if self._terminated or self._buffer:
            return True
        return bool(select.select([self._orders], [], [], 0)[0])

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """The time of a trial, in which SIGTERM means to save before leaving."""
        self._busy = True
        yield
        self._busy = False
        if self._terminated:
            raise SystemExit(128 + signal.SIGTERM)

    def _terminate(self, number: int, frame: object) -> None:
        self._terminated = True
        if not self._busy:
            raise SystemExit(128 + number)


def leave_behind(orders: int) -> None:
    """Once nobody can write to the pipe any more, leave after a while, whatever is being done: an
    evaluation may take long, and the checkpoint before it stands."""
    driver = select.poll()
    driver.register(orders, select.POLLHUP)
    driver.poll()
    time.sleep(LEAVING_SECONDS)
    with contextlib.suppress(OSError):  # its log may be full, and it must leave all the same
        os.write(
            2, b"the driver is gone, and no step has ended since; the last checkpoint stands\n"
        )
    os._exit(exits.TEMPORARY)


class Worker:
    """Runs trials; keeps the corpus from one to the next."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._corpus: Corpus | None = None

    def work(self) -> None:
        """Say what this machine offers, then run what the driver orders until it is gone."""
        self.channel.send("ready", offer=hardware.offer(), versions=hardware.versions())
        while (order := self.channel.receive()) is not None:
            if "probe" in order:
                self.channel.send(**self._probed(order["probe"], order["seconds"]))
            elif "run" in order:
                run_dir = RunDir(Path(order["run"]))
                with logged_to(run_dir.log), self.channel.busy():
                    self.channel.send(**self._outcome(run_dir, order.get("measure", False)))
            else:
                break

    def _probed(self, configs: list[Message], seconds: float) -> Message:
        """What the parts of some runs take, each measured for about so many seconds, and the
        memory that this process has held without them. What cannot be measured is left out: the
        trial itself will say why."""
        figures: list[Message] = []
        message = {"event": "probed", "figures": figures, **self._memory(configs)}
        for place, nested in enumerate(configs):
            with contextlib.suppress(Exception):
                config = run_config(nested)
                text = self._text(config.data.corpus, config.data.sha256)
                found = probe(config, text, seconds, self.channel.stopping)
                if found is not None:
                    figures.append({"place": place, **asdict(found)})
        return message

    def _memory(self, configs: list[Message]) -> dict[str, int]:
        device = configs[0]["train"]["device"] if configs else "cpu"
        return {"resident": hardware.resident(device), "memory": hardware.memory(device)}

    def _outcome(self, run_dir: RunDir, measure: bool) -> Message:
        """Run one trial; the message that ends it.

        Any other failure ends this process, and the driver gives the trial to another: a result is
        written only of what will be the same every time.
        """
        try:
            return self._run_when_free(run_dir, measure)
        except DivergedError:
            return {"event": "ended"}
        except (RecordError, BusyError) as error:
            return {"event": "unusable", "reason": str(error), "busy": isinstance(error, BusyError)}
        except CorpusError as error:
            return storage(f"{error}; run the same command again", exits.TEMPORARY)
        except OSError as error:
            error.filename = error.filename or str(run_dir.path)
            return storage(*exits.describe(error))
        except hardware.GpuFullError as error:  # others have the GPU's memory, not the trial
            what = f"the GPU is full ({str(error).splitlines()[0]})"
            advice = "run the same command again with fewer --workers"
            return storage(f"{what}; {advice}", exits.TEMPORARY)
        except Exception:  # whatever it is ends this process; worker.log shall say what it was
            print(redacted(traceback.format_exc()), end="", file=sys.stderr)
            raise SystemExit(1) from None

    def _run_when_free(self, run_dir: RunDir, measure: bool) -> Message:
        """Run once the worker of a driver that was killed has let go of the trial."""
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while True:
            try:
                return self._run(run_dir, measure)
            except BusyError:
                if self.channel.stopping():
                    return {"event": "stopped", "seconds": {}}
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _run(self, run_dir: RunDir, measure: bool) -> Message:
        config, began = run_dir.read_config(), time.perf_counter()
        text = self._text(config.data.corpus, config.data.sha256)
        execution = Execution(
            config, run_dir, text, stopping=self.channel.stopping, measure=measure
        )
        execution.seconds["setup"] += time.perf_counter() - began
        conversation = Conversation(self.channel, execution)
        with contextlib.closing(execution.events()) as events:
            for event in events:
                if not conversation.follow(event):
                    break
        seconds = {**execution.seconds, "verdict": conversation.waited}
        return {"event": conversation.end, "seconds": seconds}

    def _text(self, name: str, sha256: str) -> Corpus:
        if self._corpus is None or self._corpus.sha256 != sha256:
            self._corpus = corpus.load(name, sha256)
        return self._corpus


class Conversation:
    """What one trial tells the driver, and the driver's verdicts."""

    def __init__(self, channel: Channel, execution: Execution) -> None:
        self.channel, self.execution = channel, execution
        self.end, self.waited = "ended", 0.0
        self._shown, self._told = 0.0, time.monotonic()

    def follow(self, event: Durable) -> bool:
        """Pass an event on; False if the trial ends here."""
        match event:
            case Started():
                self.channel.send("started", step=event.step, warning=event.warning)
            case Trained() if time.monotonic() - self._shown > PROGRESS_SECONDS:
                self._shown = self._told = time.monotonic()
                facts = {"train_loss": event.train_loss, "mfu": self.execution.pace().mfu}
                self.channel.send("trained", step=event.step, **facts)
            case Stepped() if time.monotonic() - self._told > PROGRESS_SECONDS:
                self._told = time.monotonic()
                self.channel.send("stepped", step=event.step)
            case Evaluated():
                return self._judged(event)
            case Stopped():
                self.end = "stopped"
            case Finished():
                self.end = "ended"
        return True

    def _judged(self, event: Evaluated) -> bool:
        began = time.perf_counter()
        self.channel.send("evaluated", step=event.step, val_loss=event.comparable_loss)
        verdict = self.channel.receive()
        self.waited += time.perf_counter() - began
        if verdict is not None and verdict["verdict"] == "go on":
            return True
        if verdict is not None and verdict["verdict"] == "prune":
            self.execution.conclude("pruned", verdict["reason"])
        else:
            self.end = "stopped"
        return False


def storage(reason: str, code: int) -> Message:
    """What is told of a failure that is not the trial's: why, and the exit code it deserves."""
    return {"event": "storage", "reason": reason, "code": code}


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Standard error and output into a file, for the time of one trial."""
    sys.stderr.flush()
    before, log = os.dup(2), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(log, 2)
        os.dup2(log, 1)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.dup2(before, 1)
        os.close(before)
        os.close(log)


if __name__ == "__main__":
    Worker(Channel()).work()
