"""Event stream responses: their sources, frames and headers, and the code that drives them."""
