"""Discovery of what is in and beside the files of a run."""
