"""Commands of `undam`, with one module or package for each."""
