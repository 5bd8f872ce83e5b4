"""Analysis of raw responses into request results, outside the hot loop."""
