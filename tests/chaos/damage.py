"""What may happen to the bytes of a file that nobody wrote."""

import random
from collections.abc import Callable

MAX_HOLE = 4096

Damage = Callable[[bytes, random.Random], bytes]


def bit(data: bytes, draw: random.Random) -> bytes:
    return _changed(data, draw, 1 << draw.randrange(8))


def byte(data: bytes, draw: random.Random) -> bytes:
    return _changed(data, draw, draw.randrange(1, 256))


def _changed(data: bytes, draw: random.Random, mask: int) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[draw.randrange(len(changed))] ^= mask
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))] if data else data


def emptied(data: bytes, draw: random.Random) -> bytes:
    return b""


def hole(data: bytes, draw: random.Random) -> bytes:
    size = draw.randint(1, min(MAX_HOLE, len(data))) if data else 0
    place = draw.randint(0, len(data) - size)
    return data[:place] + bytes(size) + data[place + size :]


def tail(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.randint(1, 200))


def line_removed(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    place = draw.randrange(len(lines)) if lines else 0
    return b"".join(lines[:place] + lines[place + 1 :])


def line_twice(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    place = draw.randrange(len(lines)) if lines else 0
    return b"".join(lines[: place + 1] + lines[place:])


def lines_swapped(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return data
    first, second = draw.sample(range(len(lines)), 2)
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


OF_ANY: tuple[Damage, ...] = (bit, byte, cut, emptied, hole, tail)
OF_LINES: tuple[Damage, ...] = (line_removed, line_twice, lines_swapped)
