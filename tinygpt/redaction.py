"""Text that leaves the process, without what would let a reader log in somewhere."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
"""The environment variables whose values are secrets."""
SECRET_LENGTH = 8
"""Characters that a value must have to be one: shorter ones are words of any text."""

# Runs are bounded, or a long word would take time that grows with its square.
_TOKEN = r"(?:auth|access|(?<!per_))token"
_NAMED = rf"(?<![A-Za-z])(?:(?:api|access)?key|{_TOKEN}|secret|password|passwd|login)"
# A path takes the second slash of a URL away.
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}:/{1,2})[^\s/]+@", re.IGNORECASE)
_WANDB = re.compile(r"wandb_v\d+_[\w-]+|(?<=local-)[0-9a-f]{40}\b")
_HEX = re.compile(rf"({_NAMED}\W{{1,5}})[0-9a-f]{{40}}\b", re.IGNORECASE)
_VALUE = rf"""'[^'\n]+'|"[^"\n]+"|[^\s'",;)}}]{{{SECRET_LENGTH},}}"""
_ASSIGNED = re.compile(rf"({_NAMED}['\"]?\s?[:=]\s?)(?:{_VALUE})", re.IGNORECASE)
_REFUSED = re.compile(rf"({_NAMED}: [^\n]{{0,300}}\bgot )[^\n]*", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with *** for every secret in it: the user and password of a URL, the value of an
    environment variable that SECRET_NAME fits, a W&B key, and what is assigned to a name like
    `api_key`."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    text = _WANDB.sub(HIDDEN, _USER.sub(rf"\1{HIDDEN}@", text))
    for pattern in (_HEX, _REFUSED, _ASSIGNED):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def without_secrets(value: Any) -> Any:
    """The same JSON value with every text in it redacted; keys stay."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def _values() -> Iterator[str]:
    """The secrets of the environment as they may be written, longest first: one may hold
    another."""
    secrets = {
        value
        for name, value in os.environ.items()
        if SECRET_NAME.search(name) and len(value) >= SECRET_LENGTH
    }
    forms = {form for value in secrets for form in _written(value)}
    return iter(sorted(forms, key=len, reverse=True))


def _written(value: str) -> set[str]:
    """A text as it is, in Python, in JSON and in a URL."""
    quoted = {quote(value, safe="", errors="surrogateescape"), json.dumps(value)[1:-1]}
    return {value, repr(value)[1:-1], *quoted}
