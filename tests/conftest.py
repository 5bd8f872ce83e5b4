"""Set-up of all tests: Ctrl-C interrupts them; collection is cheap; Hypothesis runs 50 examples."""

import gc
import signal
from collections.abc import Generator

import hypothesis
import pytest

# A shell that starts a job in the background makes it ignore SIGINT, and every program that the
# tests start would inherit that. Then none of them could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("undam", max_examples=50)
hypothesis.settings.load_profile("undam")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude modules and tests, which live until the end, from garbage collections.

    There are a million objects of them, and many tests request a collection.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
