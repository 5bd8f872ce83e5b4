"""The `undam` commands, one module or package for each command."""
