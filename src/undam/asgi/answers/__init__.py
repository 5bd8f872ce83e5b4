"""Answers as objects: one key per answer, to start, read, resume, stop and list them."""
