"""UD617 and following: hops that cannot be measured, and endings of the transport protocol."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD617",
        slug="hop-failed",
        severity=Severity.ERROR,
        message="this hop could not be measured: {error}",
        what="One of the places did not return a stream, while others did.",
        why="""
            The hop may be down for its users, too. What the other places showed is reported, but a
            hold cannot be attributed to a hop that was not measured.
        """,
        detection="""
            By the error of the request: no connection, an error status, or a web page. If no place
            returns a stream, the command ends with exit code 2 instead.
        """,
        causes="""
            A hop with its own model names, its own key or its own form of the request. Credentials
            of -H are sent only to the origin of URL.
        """,
        fix="""
            Give the hop its own request:

                --hop-header NAME='Authorization: Bearer KEY'
                --hop-model NAME=MODEL
                --hop-data NAME=@FILE
                --hop-curl NAME=@FILE
        """,
    ),
)
