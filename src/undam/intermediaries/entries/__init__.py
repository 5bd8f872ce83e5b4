"""One module for each intermediary; `undam.intermediaries.registry` lists them."""
