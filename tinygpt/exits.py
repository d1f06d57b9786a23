"""Exit codes, and what a user reads when a command cannot do its work: one line per problem."""

import errno
import os
import signal
import sys
from collections.abc import Callable

from tinygpt.durable import FULL, NoRoomError
from tinygpt.files import BusyError, RecordError
from tinygpt.redaction import redacted
from tinygpt.schema import ConfigError
from tinygpt.source import CorpusError
from tinygpt.tokenizer import UnseenCharacterError

DONE = 0
BAD_INPUT = 2
UNUSABLE_RECORD = 3
BUSY = 4
SOME_FAILED = 5
TEMPORARY = 75


def run_command(command: Callable[[], int]) -> int:
    """Run a command; print the errors a user can mend and return their exit code."""
    try:
        return command()
    except (ConfigError, CorpusError, UnseenCharacterError) as error:
        return complain(str(error), BAD_INPUT)
    except RecordError as error:
        return complain(str(error), UNUSABLE_RECORD)
    except BusyError as error:
        return complain(f"{error}; wait for it or stop it", BUSY)
    except KeyboardInterrupt:
        return complain("stopped", 128 + signal.SIGINT)
    except BrokenPipeError:
        # Else the interpreter complains when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return complain("nobody reads the output any more; what was saved stands", TEMPORARY)
    except OSError as error:
        return complain(*describe(error))


def complain(message: str, code: int) -> int:
    lines = redacted(message).splitlines()
    print("\n".join(f"error: {line}" for line in lines), file=sys.stderr)
    return code


def describe(error: OSError) -> tuple[str, int]:
    """A line about a failing file operation, and the exit code it deserves."""
    where = error.filename or "the disk"
    if error.errno in FULL:
        known = isinstance(error, NoRoomError) and error.needed
        amount = f" for {known:,} bytes" if known else ""
        return f"{where}: no room left{amount}; make some and run the same command again", TEMPORARY
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}: no permission to write here; choose another --out", BAD_INPUT
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return f"{where}: is not a directory; choose another --out", BAD_INPUT
    return f"{where}: {error.strerror or error}; run the same command again", TEMPORARY
