"""An unreachable Ray cluster is reported at once, in one line and without Ray's log."""

from __future__ import annotations

import socket

import pytest

from undam.errors import UsageError
from undam.loadtest.coordinator.cluster import ClusterError, RayWorkerPool


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "head", "head:", "head:x"])
def test_invalid_address_is_rejected(address: str) -> None:
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        RayWorkerPool(address, 1)


def test_unreachable_cluster_is_reported() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(ClusterError, match=r"cannot connect to the cluster \(Connection refused\)"):
        RayWorkerPool(f"127.0.0.1:{port}", 1)
    with pytest.raises(ClusterError, match="cannot connect to the cluster"):
        RayWorkerPool("127.0.0.1:99999999999999999999", 1)
