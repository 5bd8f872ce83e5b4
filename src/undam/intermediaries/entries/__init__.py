"""Entries of intermediaries, one per module; `undam.intermediaries.registry` lists them."""
