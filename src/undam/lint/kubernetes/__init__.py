"""Access to Kubernetes resources for all dialects of Kubernetes.

`resources` reads the documents of a file, `workloads` the programs behind its Services, and
`cluster` joins them with the files beside it.
"""
