"""Hints for refused requests: each names the change that helps."""

from __future__ import annotations

import json

import pytest

from undam.probe.hints import hint_for
from undam.wire import Request

V1 = "http://h/v1/chat/completions"
AZURE = "https://h/openai/deployments/gpt/chat/completions"


def hint(
    status: int,
    error: object = "no",
    *,
    url: str = V1,
    key: str = "",
    api: str = "openai-chat",
    challenge: str = "",
    model: str = "default",
) -> str:
    headers = (("Authorization", f"Bearer {key}"),) if key else ()
    body = json.dumps({"model": model}).encode()
    return hint_for(
        status,
        api=api,
        request=Request(url=url, method="POST", headers=headers, body=body),
        body=json.dumps({"error": error}),
        environ={"OPENAI_API_KEY": "sk-abc", "ANTHROPIC_API_KEY": ""},
        challenge=challenge,
    )


@pytest.mark.parametrize(
    ("url", "key", "challenge", "wanted"),
    [
        (V1, "", "Bearer", "OPENAI_API_KEY"),
        (V1, "", 'Basic realm="x"', "USER:PASSWORD@HOST"),
        (V1, "sk-abc", "", "the key in OPENAI_API_KEY was sent and refused"),
        (V1, "other", 'Basic realm="x"', "the key in the header Authorization was sent"),
        (V1, "\u201csk-abc\u201d", "", "not ASCII"),
        ("http://me:pw@h/v1", "", "Basic", "the password in the URL was sent and refused"),
        (AZURE, "", "", "-H 'api-key: …'"),
        (AZURE, "sk-abc", "", "Azure expects it with -H 'api-key: …'"),
        (AZURE, "entra", "", "the key in the header Authorization was sent and refused"),
    ],
)
def test_a_refused_credential(url: str, key: str, challenge: str, wanted: str) -> None:
    assert wanted in hint(401, url=url, key=key, challenge=challenge)


@pytest.mark.parametrize(
    ("url", "error", "wanted"),
    [
        (V1, "Not Found", "give the full URL of the endpoint that streams"),
        ("http://h/api", "Not Found", "It usually ends in /v1/chat/completions"),
        (V1, "model 'default' not found", "name one with --model"),
        (AZURE, "The API deployment does not exist", "the deployment's name"),
        (AZURE, "model not found", "the api-version in the query"),
    ],
)
def test_a_path_that_is_not_found(url: str, error: str, wanted: str) -> None:
    assert wanted in hint(404, error, url=url)


@pytest.mark.parametrize(
    ("parameter", "is_model"),
    [(None, True), ("model", True), ("max_tokens", False), ("temperature", False)],
)
def test_a_parameter_that_a_model_does_not_support_is_not_an_unknown_model(
    parameter: str | None, is_model: bool
) -> None:
    error = {"message": "'x' is not supported with this model", "param": parameter}
    assert ("--model" in hint(400, error, model="gpt")) is is_model


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (302, "redirects"),
        (502, "could not reach the server behind it"),
        (503, "try again"),
        (504, "waited too long"),
        (500, ""),
    ],
)
def test_answers_of_a_proxy(status: int, wanted: str) -> None:
    assert (wanted in hint(status)) if wanted else (hint(status) == "")
