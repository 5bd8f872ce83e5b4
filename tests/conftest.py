"""Global test setup: Ctrl-C interrupts the tests, collection is fast, 50 Hypothesis examples."""

import gc
import signal
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

SHARED_SET_UPS = ("test_docs.py", "live/test_bench_ray.py", "live/test_gateway_engine.py")

# A shell makes background jobs ignore SIGINT, and the programs that tests start would inherit this.
# Then no test could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("undam", max_examples=50)
hypothesis.settings.load_profile("undam")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude modules and test objects from garbage collection, because they are never freed.

    There are a million objects of them, and many tests request a collection.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send all tests of a file with a slow set-up to one worker (`--dist loadgroup`).

    The mark `xdist_group` has no effect with pytest 9.2 and pytest-xdist 3.8.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    if config.getvalue("dist") != "loadgroup":
        return None

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.endswith(SHARED_SET_UPS) else nodeid

    return Scheduling(config, log)
