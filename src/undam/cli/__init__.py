"""The `undam` command line: one module or package per command. No other package prints."""

from undam.cli.main import main

__all__ = ["main"]
