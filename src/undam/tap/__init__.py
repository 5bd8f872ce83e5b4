"""Analysis of captured traffic: which proxy held which bytes, and for how long."""
