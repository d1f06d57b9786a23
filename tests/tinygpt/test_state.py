"""What is saved can be read, and reading it runs nothing."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from tinygpt.files import RecordError
from tinygpt.state import from_bytes, to_bytes

STATE: dict[str, Any] = {
    "step": 3,
    "model": {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([0.1])},
    "optimizer": {"weight/exp_avg": torch.ones(2, 3, dtype=torch.bfloat16)},
    "note": "text",
    "rate": 0.1,
    "done": False,
}


def test_a_state_is_read_as_it_was_saved_and_equal_states_have_equal_bytes() -> None:
    data = to_bytes(STATE)
    state = from_bytes(data)
    assert {k: v for k, v in state.items() if k not in ("model", "optimizer")} == {
        k: v for k, v in STATE.items() if k not in ("model", "optimizer")
    }
    for part in ("model", "optimizer"):
        assert state[part].keys() == STATE[part].keys()
        for name, tensor in STATE[part].items():
            assert state[part][name].dtype == tensor.dtype
            assert torch.equal(state[part][name], tensor)
    assert to_bytes(state) == data


@pytest.mark.parametrize(
    "value",
    [None, [1], (1,), {1}, b"bytes", Path("x"), 1j, torch.float32, torch.nn.Linear(1, 1), print],
)
def test_what_could_not_be_read_or_could_run_is_not_saved(value: object) -> None:
    with pytest.raises(TypeError, match=r"state\.best: a .* cannot be saved"):
        to_bytes({"step": 1, "best": value})


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_where_there_is_no_memory_for_a_state_it_is_not_taken_for_another(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise kind("no memory")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(kind):
        from_bytes(to_bytes(STATE))


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("how", ["zip", "pickle", "garbage", "empty", "list", "half"])
def test_other_bytes_are_refused_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "state.pt"
    torch.save({"model": Hostile()}, path)
    contents = {
        "zip": path.read_bytes(),
        "pickle": pickle.dumps(Hostile()),
        "garbage": bytes(range(256)),
        "empty": b"",
        "half": to_bytes(STATE)[:1000],
    }
    torch.save([1, 2], path)
    contents["list"] = path.read_bytes()
    with pytest.raises(RecordError, match="not a training state"):
        from_bytes(contents[how])
    assert not (tmp_path / "executed").exists()
