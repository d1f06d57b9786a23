"""Children speak in lines, leave when their input is closed, and are heard when they die."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from experiments.process import Child, Message, describe, gpu_of, visible

ECHO = """\
import json, os, sys
print(json.dumps({"threads": os.environ.get("OMP_NUM_THREADS"), "pid": os.getpid(),
                  "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
                  "service": os.environ.get("WANDB_SERVICE")}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if "die" in message:
        print(message["die"], file=sys.stderr)
        sys.exit(3)
    if "torn" in message:
        os.write(1, b'{"half": ')
        os._exit(4)
    if "long" in message:
        message["long"] *= 200_000
    print(json.dumps(message), flush=True)
"""
DEAF = "import time\nprint('{}', flush=True)\nwhile True: time.sleep(9)\n"


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Child]]:
    """Start `python -m NAME` of a given text."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def start(text: str = ECHO, **options: int | None) -> Child:
            (tmp_path / "speaker.py").write_text(text)
            child = Child("speaker", **options)
            stack.callback(child.close)
            stack.callback(child.join)
            stack.callback(child.kill)
            stack.callback(child.dismiss)
            return child

        yield start


def heard(child: Child, count: int = 1) -> list[Message]:
    """So many messages, or all until the child is gone."""
    messages: list[Message] = []
    while len(messages) < count and child.alive:
        messages += child.poll(30)
    return messages


def test_a_child_hears_and_answers_in_whole_messages(child: Callable[..., Child]) -> None:
    echo = child()
    assert len(heard(echo)) == 1
    for number in range(3):
        echo.send(number=number, text="\u00e9\n")
    assert heard(echo, 3) == [{"number": number, "text": "\u00e9\n"} for number in range(3)]
    echo.send(long="x")
    assert heard(echo) == [{"long": "x" * 200_000}]


def test_a_child_has_one_thread_to_begin_with_and_no_service_of_a_parent(
    child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "of a parent")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    (message,) = heard(child())
    assert (message["threads"], message["service"]) == ("1", None)


@pytest.mark.parametrize("asked", [None, "64"])
def test_a_child_may_have_the_threads_that_its_user_or_its_libraries_choose(
    child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    (message,) = heard(child(threads=None))
    assert message["threads"] == asked


def test_a_child_leaves_when_it_is_dismissed(child: Callable[..., Child]) -> None:
    echo = child()
    heard(echo)
    echo.dismiss()
    assert echo.join() == 0
    assert heard(echo) == []
    assert not echo.alive


def test_a_child_that_dies_is_found_out_with_its_code_and_last_words(
    child: Callable[..., Child],
) -> None:
    echo = child()
    heard(echo)
    echo.send(die="first line\nlast line")
    assert heard(echo) == []
    assert not echo.alive
    assert (echo.join(), echo.last_words()) == (3, "last line")


def test_a_child_that_is_killed_is_found_out(child: Callable[..., Child]) -> None:
    echo = child()
    (message,) = heard(echo)
    os.kill(message["pid"], signal.SIGKILL)
    assert heard(echo) == []
    assert (echo.join(), echo.last_words()) == (-9, "it said nothing")


def test_nothing_stays_open_of_a_child_that_died_and_was_closed(
    child: Callable[..., Child],
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    echo = child()
    (message,) = heard(echo)
    os.kill(message["pid"], signal.SIGKILL)
    echo.join()
    echo.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_half_a_message_of_a_dying_child_is_not_heard(child: Callable[..., Child]) -> None:
    echo = child()
    heard(echo)
    echo.send(torn=True)
    assert heard(echo) == []
    assert echo.join() == 4


def test_to_speak_to_a_child_that_is_gone_does_no_harm(child: Callable[..., Child]) -> None:
    echo = child()
    (message,) = heard(echo)
    os.kill(message["pid"], signal.SIGKILL)
    echo.join()
    for _ in range(3):
        echo.send(verdict="go on")
    echo.dismiss()
    echo.dismiss()


def test_a_child_that_does_not_leave_is_killed(child: Callable[..., Child]) -> None:
    deaf = child(DEAF)
    heard(deaf)
    deaf.dismiss()
    assert deaf.join(0.05) == -9


def test_nothing_is_heard_of_a_silent_child(child: Callable[..., Child]) -> None:
    echo = child()
    heard(echo)
    assert echo.poll(0.0) == []
    assert echo.alive


def test_a_child_that_stays_is_waited_for_no_longer_than_there_is_time(
    child: Callable[..., Child],
) -> None:
    deaf = child(DEAF)
    heard(deaf)
    deaf.dismiss()
    assert deaf.join(60, hurry=lambda: True) == -9


def test_the_kernel_tells_whether_a_child_is_stopped(
    child: Callable[..., Child],
) -> None:
    echo = child()
    (message,) = heard(echo)
    assert echo.pid == message["pid"]
    assert not echo.is_stopped()
    os.kill(echo.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, echo.pid, os.WSTOPPED | os.WNOWAIT)
    assert echo.is_stopped()
    os.kill(echo.pid, signal.SIGCONT)
    os.waitid(os.P_PID, echo.pid, os.WCONTINUED | os.WNOWAIT)
    assert not echo.is_stopped()
    echo.kill()
    echo.join()
    assert not echo.is_stopped()


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9"), (3, "exit code 3")])
def test_an_exit_code_is_put_in_words(code: int, words: str) -> None:
    assert describe(code) == words


def test_a_child_is_in_the_process_group_of_its_parent(child: Callable[..., Child]) -> None:
    (message,) = heard(child())
    assert os.getpgid(message["pid"]) == os.getpgid(0)


@pytest.mark.parametrize(("gpu", "expected"), [(None, "4,6"), (1, "6")])
def test_a_child_sees_the_gpu_it_is_given(
    child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, gpu: int | None, expected: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    (message,) = heard(child(gpu=gpu))
    assert message["gpus"] == expected


@pytest.mark.parametrize(
    ("among", "gpu", "expected"),
    [
        (None, 0, "0"),
        (None, 3, "3"),
        ("4,6", 0, "4"),
        ("4,6", 1, "6"),
        (" GPU-1f , GPU-2a ", 1, "GPU-2a"),
        ("4,6", 2, ""),
        ("", 0, ""),
    ],
)
def test_a_gpu_is_counted_among_those_that_are_visible(
    among: str | None, gpu: int, expected: str
) -> None:
    environment = {} if among is None else {"CUDA_VISIBLE_DEVICES": among}
    assert visible(gpu, environment) == expected


@pytest.mark.parametrize(
    ("gpus", "expected"), [((), [None] * 4), ((2,), [2] * 4), ((0, 3), [0, 3, 0, 3])]
)
def test_workers_take_the_gpus_in_turn(gpus: tuple[int, ...], expected: list[int | None]) -> None:
    assert [gpu_of(number, gpus) for number in range(4)] == expected
