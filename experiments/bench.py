"""How fast this machine trains, and what the harness costs: `python -m experiments.bench`.

Everything is compared with something measured in the same minutes; nothing is passed or failed.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from experiments import archive, halved, headline, overheads, prices, races, safety, toll
from experiments.arguments import positive
from experiments.contest import ContestError, Entry, contending
from tinygpt import corpus
from tinygpt.corpus import Corpus
from tinygpt.exits import DONE, TEMPORARY, complain, run_command
from tinygpt.files import write_atomically

Result = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return run_command(lambda: bench(arguments))
    except ContestError as error:
        return complain(f"{error}; run the same command again", TEMPORARY)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench",
        description="Measure speed and overheads on this machine's processor, against a plain "
        "nanoGPT-like loop. Takes minutes; let nothing else run.",
    )
    add = parser.add_argument
    known = ", ".join(SECTIONS)
    add("sections", nargs="*", type=section, metavar="SECTION", help=f"{known}; default: all")
    add("--rounds", type=positive, default=7, metavar="N", help="default %(default)s")
    add("--corpus", default="auto", metavar="NAME", help="as data.corpus (default %(default)s)")
    out = Path("runs/bench.json")
    add("--json", type=Path, default=out, metavar="FILE", help="default %(default)s")
    return parser


def section(text: str) -> str:
    """The name of a section; raises ArgumentTypeError."""
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"no section {text!r}, choose of {', '.join(SECTIONS)}")
    return text


def bench(arguments: argparse.Namespace) -> int:
    """Measure the sections and write what they found after each; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    text = corpus.load(arguments.corpus, say=console.print)
    text.encode()  # once, before every contender would
    results: Result = {"machine": machine(pinned(text)), "rounds": arguments.rounds}
    introduce(console, results["machine"], text)
    save(results, arguments.json)  # what cannot be written is known before anything is measured
    for name in arguments.sections or SECTIONS:
        results[name] = SECTIONS[name](console, pinned(text), arguments.rounds)
        save(results, arguments.json)
    console.print(f"{arguments.json} has all of it")
    return DONE


def save(results: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(results, indent=2) + "\n").encode())


def pinned(text: Corpus) -> Result:
    """The keys of a run on a text."""
    return {"data.corpus": text.name, "data.sha256": text.sha256}


def machine(text: Result) -> Result:
    """The processor and torch, as a contender finds them."""
    with contending([Entry("ours", "ours", races.ENDLESS | text)]) as (_, (hello,)):
        facts = {name: hello[name] for name in ("cpu", "cpu_capability", "torch", "precision")}
    return {**facts, "cores": os.cpu_count()}


def introduce(console: Console, facts: Result, text: Corpus) -> None:
    console.print(
        f"{facts['cpu']}, {facts['cores']} cores, {facts['cpu_capability']}, "
        f"torch {facts['torch']}; precision auto is {facts['precision']} here"
    )
    console.print(f"corpus {text.name}, {len(text):,} characters")


def speed(console: Console, text: Result, rounds: int) -> Result:
    results = {}
    for width in races.WIDTHS:
        speeds = races.speeds(races.entries(width, text), rounds)
        rows = [
            (s.name, s.threads, s.precision, f"{s.tokens_per_second_per_core:,.0f}", s.ratio)
            for s in speeds
        ]
        title = f"d_model {width}: characters per second and core"
        show(console, title, ("", "threads", "precision", "speed", "ratio"), rows)
        results[str(width)] = [asdict(s) for s in speeds]
    return results


def workers(console: Console, text: Result, rounds: int) -> Result:
    scaling = races.scaling(text, rounds)
    rows = [(1, f"{scaling.alone:.1f}", ""), (2, f"{scaling.together:.1f}", scaling.ratio)]
    show(console, "Two workers against one", ("workers", "steps/s", "ratio"), rows)
    return asdict(scaling)


def recipes(console: Console, text: Result, rounds: int) -> Result:
    """Each is trained once, whatever `rounds` says."""
    found = list(races.trained(text))
    rows = [
        (
            t.name,
            t.steps,
            f"{t.val_loss:.4f}",
            f"{t.core_seconds:.1f}",
            f"{found[0].core_seconds / t.core_seconds:.2f}",
        )
        for t in found
    ]
    show(console, "Time to loss", ("", "steps", "val_loss", "core-seconds", "ratio"), rows)
    return {t.name: asdict(t) for t in found}


def costs(console: Console, text: Result, rounds: int) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        found = overheads.overheads(text, rounds, Path(directory))
    times, steps = asdict(found), found.in_steps()
    rows = [(name, f"{ms:.2f}", f"{steps[name]:.3f}") for name, ms in times.items()]
    show(console, "Overheads of one run", ("", "ms", "steps"), rows)
    starts = dict(overheads.starts(rounds))
    show(console, "Starting", ("", "ms"), [(name, f"{ms:.0f}") for name, ms in starts.items()])
    return {"ms": times, "in_steps": steps, "starting_ms": starts}


def decisions(console: Console, text: Result, rounds: int) -> Result:
    """What proposals and verdicts cost the driver, at growing numbers of finished trials."""
    found = [prices.proposals(count, rounds) for count in (100, 1_000, 10_000)]
    rows = [[f"{p.trials:,}", *(f"{ms:.1f}" for ms in astuple(p)[1:])] for p in found]
    columns = ("trials", "proposal, ms", "TPE's own", "verdict", "first after a restart")
    show(console, "Decisions", columns, rows)
    return {str(p.trials): asdict(p) for p in found}


def distance(console: Console, text: Result, rounds: int) -> Result:
    """The price of looking back over a fixed distance; `rounds` is the number of seeds."""
    found = list(prices.distances(rounds))
    rows = [
        (d.workers, d.max_concurrent or "asynchronous", f"{d.idle:.1%}", d.trials, f"{d.best:.4f}")
        for d in found
    ]
    columns = ("workers", "max_concurrent", "idle", "trials", "best loss")
    show(console, "Fixed distance, at equal simulated time", columns, rows)
    return {"found": [asdict(d) for d in found]}


def promotion(console: Console, text: Result, rounds: int) -> Result:
    """Pausing and promoting against stopping; `rounds` is the number of simulated seeds, three are
    trained for real."""
    simulated = list(prices.promotions(rounds))
    promoted(console, "simulated", simulated)
    with tempfile.TemporaryDirectory() as directory:
        trained = list(halved.promotions(Path(directory), 3))
    promoted(console, "trained", trained)
    return {"simulated": [asdict(p) for p in simulated], "trained": [asdict(p) for p in trained]}


def promoted(console: Console, kind: str, found: Sequence[prices.Promotion]) -> None:
    rows: list[tuple[object, ...]] = [
        (p.seed, f"{p.steps:,}", f"{p.promoted:.4f}", f"{p.stopped:.4f}", p.trained_again)
        for p in found
    ]
    means = [statistics.fmean(of) for of in zip(*(astuple(p)[2:4] for p in found), strict=True)]
    rows.append(("mean", "", *(f"{mean:.4f}" for mean in means), ""))
    columns = ("seed", "steps", "promotion", "stopping", "steps trained again")
    show(console, f"Promotion against stopping, at equal steps, {kind}", columns, rows)


def whole(console: Console, text: Result, rounds: int) -> Result:
    """A sweep against one run, once, whatever `rounds` says."""
    with tempfile.TemporaryDirectory() as directory:
        sides = [headline.recipe(text), headline.sweep(Path(directory))]
    rows = [(s.name, s.trainings, f"{s.val_loss:.4f}", f"{s.seconds:.1f}") for s in sides]
    show(console, "A sweep against one run", ("", "trainings", "val_loss", "seconds"), rows)
    return {s.name: asdict(s) for s in sides}


def safe(console: Console, text: Result, rounds: int) -> Result:
    """Eight checkpoints a round, and one whole sweep. On the disk that this is started on: one in
    memory would cost nothing."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        one = safety.saving(text, 8 * rounds, Path(directory))
        of_all = safety.share(Path(directory))
    more = f"{one.safe - one.plain:+.1f}"
    rows = [("torch.save", f"{one.plain:.1f}", ""), ("safe", f"{one.safe:.1f}", more)]
    title = f"A checkpoint of {one.parameters:,} parameters"
    show(console, title, ("", "ms", "more"), rows)
    part = of_all.checkpoints / of_all.seconds
    console.print(f"all checkpoints of sweeps/{safety.SWEEP.name}: {part:.1%} of its time")
    return {"one": asdict(one), "share": asdict(of_all)}


def mirror(console: Console, text: Result, rounds: int) -> Result:
    """The small sweep with W&B's mirror and without it; `rounds` of each."""
    with tempfile.TemporaryDirectory() as directory:
        found = toll.toll(Path(directory), rounds)
    rows = [
        ("without", f"{found.without:.1f}", ""),
        ("with", f"{found.beside:.1f}", f"{found.ratio:.3f}"),
    ]
    show(console, f"sweeps/{safety.SWEEP.name} and W&B's mirror", ("", "seconds", "ratio"), rows)
    part = found.cpu / found.cpu_of_all
    console.print(f"the mirror used {found.cpu:.1f} s of CPU, {part:.1%} of the sweep's")
    return asdict(found)


def report(console: Console, text: Result, rounds: int) -> Result:
    """Loading and reporting sweeps of 1,000 and of 10,000 trials that were made up; once each."""
    found = []
    for trials in (1_000, 10_000):
        with tempfile.TemporaryDirectory(dir=archive.workplace()) as directory:
            found.append(archive.cost(Path(directory), trials, 100))
    rows = [
        (
            f"{c.trials:,}",
            f"{c.load:.1f}",
            f"{c.report:.1f}",
            f"{c.memory / 1e6:,.0f}",
            f"{c.page / 1e6:.1f}",
        )
        for c in found
    ]
    columns = ("trials", "loading, s", "report, s", "memory, MB", "page, MB")
    show(console, "A report, 100 evaluations a trial", columns, rows)
    return {str(c.trials): asdict(c) for c in found}


def show(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]
) -> None:
    """Print a table: names at the left, figures at the right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)


SECTIONS: dict[str, Callable[[Console, Result, int], Result]] = {
    "speed": speed,
    "workers": workers,
    "recipes": recipes,
    "overheads": costs,
    "safety": safe,
    "decisions": decisions,
    "distance": distance,
    "promotion": promotion,
    "headline": whole,
    "mirror": mirror,
    "report": report,
}

if __name__ == "__main__":
    raise SystemExit(main())
