"""Access to Kubernetes resources, shared by all Kubernetes dialects.

`resources` reads the documents of a file, `workloads` the programs behind its Services, and
`cluster` joins them with the files beside it.
"""
