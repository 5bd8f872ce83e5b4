"""Renderer of a Knative Service for event streams."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import backend_of

_SERVICE = """\
# Knative Service in front of a streaming server.
# Check with: kubectl apply --dry-run=server -f FILE
# The limits need max-revision-timeout-seconds: "3600" in the ConfigMap config-defaults.
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: token-streams
spec:
  template:
    spec:
      # Cut each response after this many seconds; the default is 300.
      timeoutSeconds: 3600
      # Time until the first byte of a response; the default is 300.
      responseStartTimeoutSeconds: {idle}
      containers:
        - image: YOUR-IMAGE
          ports:
            - containerPort: {port}
"""


def render(request: RenderRequest) -> str:
    """Return the manifest. Knative starts the container, so only the upstream port is used.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    _, port = backend_of(request, "a Knative Service")
    return _SERVICE.format(idle=min(3600, max(1, round(request.idle_s))), port=port)
