"""undam finds what dams an LLM token stream, frees it, and proves it.

Importing this package starts nothing and patches nothing.
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Reading package metadata takes milliseconds and would delay `undam --help`, so it is read on
    # demand.
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("undam")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
