"""Analysis of captured traffic: which proxy buffered which bytes, and for how long."""
