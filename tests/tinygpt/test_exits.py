"""What a user reads when a file operation fails, and the exit code that goes with it."""

import errno
from pathlib import Path

import pytest

from tinygpt.durable import NoRoomError
from tinygpt.exits import BAD_INPUT, TEMPORARY, describe

PATH = Path("runs/tiny/trials/0003/metrics.jsonl")


def failing(number: int, path: Path | None = PATH) -> OSError:
    return OSError(number, "what the system says", None if path is None else str(path))


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (
            NoRoomError(failing(errno.ENOSPC), PATH, 9_912_345),
            f"{PATH}: no room left for 9,912,345 bytes; make some and run the same command again",
            TEMPORARY,
        ),
        (
            failing(errno.EDQUOT),
            f"{PATH}: no room left; make some and run the same command again",
            TEMPORARY,
        ),
        (
            failing(errno.EFBIG, None),
            "the disk: no room left; make some and run the same command again",
            TEMPORARY,
        ),
        (
            failing(errno.EROFS),
            f"{PATH}: no permission to write here; choose another --out",
            BAD_INPUT,
        ),
        (
            failing(errno.EISDIR),
            f"{PATH}: is not a directory; choose another --out",
            BAD_INPUT,
        ),
        (
            failing(errno.EIO),
            f"{PATH}: what the system says; run the same command again",
            TEMPORARY,
        ),
    ],
)
def test_a_failing_operation_is_a_line_with_its_path_and_the_next_move(
    error: OSError, line: str, code: int
) -> None:
    assert describe(error) == (line, code)
