"""Read a stream without holding it, over any HTTP client."""
