"""Kubernetes resources, as all dialects of Kubernetes read them.

`resources` reads the documents of a file, `workloads` the programs behind its Services, and
`cluster` joins them with the files beside it.
"""
