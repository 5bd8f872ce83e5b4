"""Set-up of all tests: Ctrl-C interrupts them; parallel runs keep the tests of a file together."""

import signal

import pytest

# A shell that starts a job in the background makes it ignore SIGINT, and every program that the
# tests start would inherit that. Then none of them could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by file for `--dist loadgroup`, unless a test has a group of its own."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
