"""Bodies of requests: a budget for buffered bytes, and a bounded look at their contents."""
