"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so all that they
    start; some of it is sent one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
