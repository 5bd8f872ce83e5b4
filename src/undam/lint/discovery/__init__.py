"""Discovery of the configurations in the files of a run, and of the evidence beside them."""
