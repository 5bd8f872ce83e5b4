"""StreamGuard, the middleware that keeps streams from being held."""
