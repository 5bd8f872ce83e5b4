"""Requests as measured in, figures out: percentiles, causes in words, comparisons. No I/O."""
