"""One training run with the core alone: `python -m tinygpt.train model.d_model=64`."""

import argparse
import contextlib
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygpt import config, corpus, schema, wording
from tinygpt.config import RunConfig
from tinygpt.corpus import Corpus
from tinygpt.events import Stopped
from tinygpt.exits import DONE, SOME_FAILED, complain, run_command
from tinygpt.interrupt import LIMIT_SECONDS, Interrupt
from tinygpt.links import refuse_links
from tinygpt.progress import Progress
from tinygpt.rundir import RunDir
from tinygpt.schema import ConfigError, Problem
from tinygpt.source import texts_below

LEFT_LATE = (
    f"stopped: no step ended within {LIMIT_SECONDS:.0f} s; the last checkpoint stands, the same "
    "command goes on"
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_intermixed_args(argv)
    return run_command(lambda: start(arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinygpt.train",
        description="Train one model. Repeated after an interruption, the same command goes on.",
        epilog="Keys and their defaults: "
        + ", ".join(f"{key}={value}" for key, value in defaults().items()),
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="as train.max_iters=100")
    parser.add_argument(
        "--out", type=Path, metavar="RUN_DIR", help="default: runs/train-..., after the settings"
    )
    return parser


def start(arguments: argparse.Namespace) -> int:
    request = requested(arguments.settings)
    return train(request, RunDir(arguments.out or Path("runs") / f"train-{digest(request)}"))


def defaults() -> dict[str, Any]:
    return config.flat(config.as_dict(RunConfig()))


def requested(settings: Sequence[str]) -> dict[str, Any]:
    """The nested config of some `key=value`; raises ConfigError listing all that are wrong."""
    values, problems = {}, []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            problems.append(Problem((), f"{setting}: must have the form key=value"))
        elif key not in config.known_keys():
            problems.append(Problem((key,), wording.unknown(key, config.known_keys())))
        else:
            values[key] = schema.from_text(config.known_keys()[key], text)
    nested = config.with_values({}, values)
    try:
        config.run_config(nested)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return nested


def train(request: dict[str, Any], run_dir: RunDir) -> int:
    """Run to the end, or until a signal; returns the exit code."""
    settled, text = begin(request, run_dir)
    with Interrupt(LIMIT_SECONDS, LEFT_LATE) as interrupt:
        return follow(settled, run_dir, text, interrupt)


def begin(request: dict[str, Any], run_dir: RunDir) -> tuple[RunConfig, Corpus]:
    """Settle a run and write its config down, or take up what an interrupted one has settled."""
    refuse_links(run_dir.path)
    if (run_dir.path / "sweep.json").exists():
        problem = "is the directory of a sweep; choose another --out"
        raise ConfigError([Problem((str(run_dir.path),), problem)])
    settled, text = settle(request, run_dir)
    if problems := list(
        corpus.misfits(
            text,
            val_fraction=settled.data.val_fraction,
            block_size=settled.model.block_size,
            prompt=settled.sample.prompt,
        )
    ):
        raise ConfigError(problems)
    run_dir.write_config(settled)
    print(f"{run_dir.path}: {text.name}, {len(text):,} characters", flush=True)
    return settled, text


def follow(settled: RunConfig, run_dir: RunDir, text: Corpus, interrupt: Interrupt) -> int:
    """Train what is left of a run, showing its progress; returns the exit code."""
    from tinygpt.execute import Execution  # torch takes a second to load: not before it is needed
    from tinygpt.trainer import DivergedError

    if (result := run_dir.read_result()) is not None:
        print(f"already {result['state']}: {ending(run_dir)}")
        return SOME_FAILED if result["state"] == "failed" else DONE
    execution = Execution(settled, run_dir, text, stopping=lambda: bool(interrupt))
    progress, stopped = Progress(settled, execution.pace), False
    with contextlib.closing(execution.events()) as events:
        try:
            for event in events:
                progress.show(event)
                stopped = isinstance(event, Stopped)
        except DivergedError as error:
            return complain(f"{run_dir.path}: diverged: {error}", SOME_FAILED)
    if stopped:
        print("stopped; the same command goes on")
        return interrupt.exit_code
    print(ending(run_dir))
    return DONE


def digest(request: dict[str, Any]) -> str:
    """Eight characters that tell one set of settings from another."""
    return hashlib.sha256(config.to_json(config.run_config(request))).hexdigest()[:8]


def settle(request: dict[str, Any], run_dir: RunDir) -> tuple[RunConfig, Corpus]:
    """The config without `auto`, and its corpus. What an interrupted run has settled stays.

    Raises ConfigError naming the keys on which a run in `run_dir` was begun differently.
    """
    from tinygpt import hardware

    wanted = config.run_config(request)
    if not run_dir.config.exists():
        text = corpus.load(wanted.data.corpus, wanted.data.sha256, lambda line: print(line))
        data = dataclasses.replace(wanted.data, corpus=text.name, sha256=text.sha256)
        wanted = dataclasses.replace(wanted, data=data)
        return config.settled(wanted, **hardware.offer()), text
    begun = run_dir.read_config()
    if run_dir.read_result() is None:
        config.refuse_absent(begun.train.device, gpu=hardware.offer()["gpu"])
    refuse_changes(begun, wanted, run_dir)
    return begun, corpus.load(text_of(begun, run_dir), begun.data.sha256)


def text_of(begun: RunConfig, run_dir: RunDir) -> str:
    """Where the corpus of a run is: the path in its config, or the copy in its directory if it was
    brought here from another machine."""
    copies = texts_below(run_dir.corpus) if run_dir.corpus.exists() else []
    if not copies or Path(begun.data.corpus).exists():
        return begun.data.corpus
    return str(copies[0] if len(copies) == 1 else run_dir.corpus)


def refuse_changes(begun: RunConfig, wanted: RunConfig, run_dir: RunDir) -> None:
    """Raise ConfigError if the run was begun with other values; `auto` agrees with any."""
    old, new = config.flat(config.as_dict(begun)), config.flat(config.as_dict(wanted))
    open_keys = [key for key, value in new.items() if value == "auto" or key == "data.sha256"]
    same_text = Path(new["data.corpus"]).resolve() == Path(old["data.corpus"])
    agreed = {key: old[key] for key in [*open_keys, *(["data.corpus"] if same_text else [])]}
    changes = config.differences(old, new | agreed)
    if changes:
        raise ConfigError(
            [
                Problem(
                    (str(run_dir.path),),
                    f"begun with other settings ({'; '.join(changes)}); "
                    "take those, or another --out",
                )
            ]
        )


def ending(run_dir: RunDir) -> str:
    """How a run ended and what can be done with it."""
    result = run_dir.read_result() or {}
    loss = result["metrics"].get("val_loss")
    text = "no loss" if loss is None else f"validation loss {loss:.4f} nats per character"
    return f"{text}; text from it: python -m tinygpt.generate {run_dir.path}"


if __name__ == "__main__":
    raise SystemExit(main())
