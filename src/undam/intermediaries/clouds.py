"""Load balancers, gateways and functions of AWS, Google Cloud and Azure, by their documentation."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

AWS_ALB = Intermediary(
    name="aws-alb",
    title="AWS Application Load Balancer",
    kind="cloud",
    signs=(Sign("server", r"^awselb/"),),  # on the answers it makes itself
    holds='No source found for the common claim of a "4-16 KB" buffer.',
    cuts="idle_timeout: 60 s of silence.",
    fixes={Trouble.IDLE_LIMIT: Fix("aws-alb", "idle_timeout.timeout_seconds=3600")},
    idle_limit_s=60.0,
    evidence="documented",
    source="docs.aws.amazon.com, ALB attributes",
)

AWS_API_GATEWAY = Intermediary(
    name="aws-api-gateway",
    title="AWS API Gateway (REST)",
    kind="cloud",
    signs=(Sign("x-amz-apigw-id"), Sign("apigw-requestid")),
    holds="Holds the whole response unless the integration's transfer mode is STREAM.",
    cuts="Streaming: 15 min in all, 5 min of silence.",
    fixes={Trouble.HOLD: Fix("aws-api-gateway", "responseTransferMode: STREAM")},
    idle_limit_s=300.0,
    total_limit_s=900.0,
    evidence="documented",
    source="docs.aws.amazon.com, API Gateway response streaming",
)

AWS_LAMBDA_URL = Intermediary(
    name="aws-lambda-url",
    title="AWS Lambda function URL",
    kind="cloud",
    signs=(),
    holds="Holds the whole response, 6 MB at most, unless the invoke mode is RESPONSE_STREAM.",
    cuts="The function's own timeout.",
    fixes={
        Trouble.HOLD: Fix("aws-lambda-url", "InvokeMode: RESPONSE_STREAM"),
        Trouble.TOTAL_LIMIT: Fix("aws-lambda-url", "Timeout: 900"),
    },
    evidence="documented",
    source="docs.aws.amazon.com, Lambda response streaming",
)

GOOGLE_LB = Intermediary(
    name="google-lb",
    title="Google Cloud external Application Load Balancer",
    kind="cloud",
    signs=(Sign("via", r"^1\.1 google$"),),
    holds="No source found.",
    cuts="timeoutSec of the backend service: 30 s for the whole response.",
    fixes={Trouble.TOTAL_LIMIT: Fix("google-lb", "timeoutSec: 3600")},
    total_limit_s=30.0,
    evidence="documented",
    source="cloud.google.com, load balancing, backend service timeout",
)

CLOUD_RUN = Intermediary(
    name="cloud-run",
    title="Google Cloud Run",
    kind="cloud",
    signs=(),
    holds="No source found.",
    cuts="Request timeout: 300 s in all, 3600 at most.",
    fixes={Trouble.TOTAL_LIMIT: Fix("cloud-run", "gcloud run services update NAME --timeout=3600")},
    total_limit_s=300.0,
    evidence="documented",
    source="cloud.google.com, Cloud Run request timeout",
)

AZURE_API_MANAGEMENT = Intermediary(
    name="azure-apim",
    title="Azure API Management",
    kind="cloud",
    signs=(),
    holds="Holds the response unless the forwarding policy says otherwise.",
    cuts="4 min of silence.",
    fixes={Trouble.HOLD: Fix("azure-apim", '<forward-request buffer-response="false"/>')},
    idle_limit_s=240.0,
    evidence="documented",
    source="learn.microsoft.com, API Management server-sent events",
)

AZURE_APPLICATION_GATEWAY = Intermediary(
    name="azure-application-gateway",
    title="Azure Application Gateway v2",
    kind="cloud",
    signs=(Sign("server", r"^microsoft-azure-application-gateway/"),),  # on its own answers
    holds="Response buffering is on by default.",
    cuts="The backend setting's request timeout, which must exceed the longest gap of the stream.",
    fixes={
        Trouble.HOLD: Fix(
            "azure-application-gateway", "globalConfiguration.enableResponseBuffering=false"
        ),
        Trouble.IDLE_LIMIT: Fix("azure-application-gateway", "requestTimeout: 3600"),
    },
    evidence="documented",
    source="learn.microsoft.com, Application Gateway server-sent events",
)
