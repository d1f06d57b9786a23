"""Randomness as a function: every random number follows from (seed, stream, index)."""

import hashlib


def derive(seed: int, stream: str, index: int) -> int:
    """Return a seed in [0, 2**63) for one use of randomness.

    `stream` names the purpose ("init", "data", "dropout", "sampler", "sample"), `index` the
    occasion within it (a step, a trial number). No generator outlives its occasion, so none has
    to be saved, and one stream cannot disturb another.
    """
    digest = hashlib.blake2b(f"{seed}/{stream}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
