"""Pass-through of another model API's stream, with its events unchanged."""
