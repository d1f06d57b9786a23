"""The result of one trial taken by another whose run is the same."""

from tinygpt.files import write_atomically
from tinygpt.rundir import RunDir


def take_result(source: RunDir, target: RunDir, number: int) -> None:
    """Write the record and the result of a finished trial, `number`, into the directory of one that
    would have trained the same; checkpoints stay where they are. The result is written last."""
    result = source.read_result()
    assert result is not None, f"trial {number} has no result to take"
    for name in ("tokenizer", "metrics", "samples"):
        path = getattr(source, name)
        if path.exists():
            write_atomically(getattr(target, name), path.read_bytes())
    said = f" ({result['reason']})" if result["reason"] else ""
    reason = f"the same run as trial {number}, whose result it takes{said}"
    target.write_result({**result, "reason": reason, "same_as": number})
