"""Analysis that converts raw responses to request results, outside the hot loop."""
