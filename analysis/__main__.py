"""The verdict on a sweep, in the terminal and as a report: python -m analysis SWEEP."""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence

from analysis import formats
from analysis.finding import LEVELS
from analysis.load import LoadError, Sweep

COMMANDS = ("top", "show", "diff", "compare", "next")
"""Each is a module of this package with a function `main`."""
FAILED = 1
"""Exit code where a check is as grave as --fail-on, or graver."""
WATCHED_SECONDS = 10
EPILOG = """\
The report is written into SWEEP's directory, under report/: report.html (one file, opens
without a network), report.md, checks.json, next_space.yaml (the next sweep, runs as it is),
leaderboard.csv, curves.csv, tables/ (what each answer rests on) and figures/ (SVG and PNG);
configurations.csv where there are replicates, pareto.csv where there are several objectives,
.parquet files where pyarrow is installed. Works on a finished, a running and an interrupted
sweep. Nothing is trained, and nothing but report/ is written; the drawing library is kept in the
user's cache.

other commands, each with --help:
  python -m analysis top SWEEP              the best trials, filtered, as text or CSV
  python -m analysis show SWEEP N           one trial: settings, curve, text, commands
  python -m analysis diff SWEEP N M         what two trials differ in
  python -m analysis compare SWEEP SWEEP    which of two sweeps is better
  python -m analysis next SWEEP             the file of the next sweep, on standard output

exit codes: 0 done, 1 a check is as grave as --fail-on, 2 no such sweep, 3 its record cannot
be used, 75 cannot write: try again

examples:
  python -m analysis sweeps/small.yaml
  python -m analysis runs/small --fail-on warn
  python -m analysis runs/small --watch
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in COMMANDS:
        chosen, given = importlib.import_module(f"analysis.{given[0]}").command, given[1:]
        return run(lambda: chosen(given))
    arguments = _parser().parse_args(given)
    return run(lambda: report(arguments))


def run(command: Callable[[], int]) -> int:
    """Run a command; print the errors that a user can mend and return their exit code."""
    try:
        return command()
    except LoadError as error:
        print(formats.line(str(error), 1000), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Else the interpreter complains when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 75
    except OSError as error:
        hint = "free space or make it writable, then run this again"
        where = error.filename or "the report"
        print(f"{where}: {error.strerror or error}; {hint}", file=sys.stderr)
        return 75


def report(arguments: argparse.Namespace) -> int:
    """Write the report of a sweep and print its verdict."""
    if arguments.watch is not None:
        return watch(arguments)
    sweep = Sweep.load(arguments.sweep, out=arguments.out)
    # Drawing takes a second to import; errors need not wait for it.
    from analysis import evidence, report, terminal

    if arguments.renew:
        report.write(sweep, report.render_page(sweep))
        return 0
    known = evidence.gather(sweep)
    folder = report.write(sweep, report.render(sweep, known))
    terminal.tell(sweep, known, folder)
    if arguments.fail_on is None:
        return 0
    limit = LEVELS.index(arguments.fail_on)
    return FAILED if any(LEVELS.index(check.level) >= limit for check in known.checks) else 0


def watch(arguments: argparse.Namespace) -> int:
    """Renew the page whenever the record has changed, until the sweep is over."""
    from analysis import report as files
    from analysis import stats

    seen: object = None
    while True:
        sweep = Sweep.load(arguments.sweep, out=arguments.out)
        counted = stats.counts(sweep.trials, sweep.meta["trials"])
        over = not counted["unfinished"] + counted["not started"]
        now = (tuple(counted.values()), len(sweep.curves))
        if now != seen:
            page = files.render_page(sweep, refresh=0 if over else arguments.watch)
            folder = files.write(sweep, page)
            states = ", ".join(f"{count} {state}" for state, count in counted.items() if count)
            print(f"{folder / 'report.html'}: {states or 'no trials yet'}", flush=True)
            seen = now
        if over:
            arguments.watch = None
            return report(arguments)
        time.sleep(arguments.watch)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Say which trial of a sweep is best and how sure that is; write the report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sweep", metavar="SWEEP", help="a SWEEP.yaml, or a directory runs/NAME")
    where = "where the sweep of a SWEEP.yaml lies, as DIR/NAME (default: runs)"
    add("--out", default="runs", metavar="DIR", help=where)
    grave = f"exit with {FAILED} if a check is as grave as this, for CI: info, unknown, warn, fail"
    add("--fail-on", choices=LEVELS[1:], metavar="LEVEL", help=grave)
    often = (
        f"renew the page every so many seconds (default: {WATCHED_SECONDS}) until the sweep ends"
    )
    add("--watch", nargs="?", type=_seconds, const=WATCHED_SECONDS, metavar="SECONDS", help=often)
    add("--renew", action="store_true", help="write report.html alone and print nothing")
    return parser


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be whole seconds above 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
