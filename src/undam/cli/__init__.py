"""The command line: one command a file; every word that is printed is printed here."""

from undam.cli.main import main

__all__ = ["main"]
