"""Discovery of configurations in the linted files, and of evidence in the files next to them."""
