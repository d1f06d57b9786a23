"""A training state as bytes and back: tensors and exact scalars under names, and nothing else, so
that what is written can always be read, and reading it runs no code."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tinygpt.files import RecordError

SCALARS = (bool, int, float, str)


def to_bytes(state: Mapping[str, object]) -> bytes:
    """The bytes of a state; equal states have equal bytes. Raises TypeError for a value that is
    neither a tensor, a scalar nor a mapping of such: some types can be saved and not read."""
    _refuse_others(state, "state")
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def from_bytes(data: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `to_bytes` made bytes of, with its tensors on `device`; raises RecordError if it is
    something else."""
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's own, of foreign pickles
            state = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        _refuse_others(state, "state")
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # What is raised depends on the bytes, from EOFError to UnicodeDecodeError; and torch's own
    # message advises to run what they hold.
    except Exception as error:
        raise RecordError(f"not a training state ({type(error).__name__})") from None
    return dict(state)


def _refuse_others(value: object, name: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_others(inner, f"{name}.{key}")
    elif type(value) not in SCALARS and not isinstance(value, Tensor):
        raise TypeError(f"{name}: a {type(value).__name__} cannot be saved")
