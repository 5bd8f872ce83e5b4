"""Request bodies: a budget for buffered bytes, and bounded inspection of the contents."""
