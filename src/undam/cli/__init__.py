"""Command line of undam: one module or package per command. Only this package prints."""

from undam.cli.main import main

__all__ = ["main"]
