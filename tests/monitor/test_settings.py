"""Monitor configuration: values, environment variables, and error positions."""

from __future__ import annotations

from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.monitor.settings import parse_settings, read_settings

VALID = """
[monitor]
state = "m.db"
webhook = "https://hooks.example/${HOOK}"
[[target]]
name = "chat"
url = "https://chat.example/v1/chat/completions"
hops = { model = "http://10.0.0.5:8000/v1/chat/completions" }
headers = { Authorization = "Bearer ${KEY}" }
interval = 60
objectives = ["ttft_p95<800ms"]
probes_per_day = 500
"""
ENVIRON = {"KEY": "sk-secret", "HOOK": "abc"}


def test_a_target_has_its_hops_headers_and_objectives() -> None:
    settings = parse_settings(VALID, "m.toml", ENVIRON)
    (target,) = settings.targets
    assert [place.name for place in target.options.places] == ["edge", "model"]
    assert target.options.headers == (("Authorization", "Bearer sk-secret"),)
    assert [one.text for one in target.objectives] == ["verdict=streaming", "ttft_p95<800ms"]
    assert (target.interval_s, target.probes_per_day) == (60, 500)
    assert settings.webhook == "https://hooks.example/abc"


def test_no_secret_is_part_of_a_repr() -> None:
    assert "sk-secret" not in repr(parse_settings(VALID, "m.toml", ENVIRON))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("interval = 60", "interval = 0"), r"target 'chat': interval must be a number from 1"),
        (("interval = 60", "intervall = 60"), r"target 'chat': unknown key 'intervall'"),
        (('name = "chat"', 'name = "a b"'), r"target 1: name must have"),
        (("${KEY}", "${NO}"), r"headers.Authorization: the variable NO is not set"),
        (("ttft_p95<800ms", "ttft"), r"target 'chat': objectives: "),
        (('url = "https', 'uri = "https'), r"unknown key 'uri'"),
        (("[[target]]", "[[targets]]"), r"unknown table 'targets'"),
        (('state = "m.db"', "state = 3"), r"\[monitor\]: state must be a string"),
        (("interval = 60", "interval = 60\ninterval = 60"), r"m.toml: "),
        (("hops = {", "hops = 3 #"), r"hops must be a table of strings"),
        (('objectives = ["ttft_p95<800ms"]', "objectives = 3"), r"must be a list of strings"),
        (("interval = 60", "beacon = 1"), r"beacon must be true or false"),
        (("https://chat", "chat"), r"target 'chat': url: .*did you mean http://"),
        (("http://10.0", "10.0"), r"target 'chat': hops.model: "),
        (("hops = { model", "hops = { edge"), r"target 'chat': hops: the URL itself"),
        (("interval = 60", 'expect = "stream"'), r"target 'chat': expect: 'verdict=stream'"),
        (("https://hooks", "file:///hooks"), r"\[monitor\]: webhook must be an http"),
        (("interval = 60", 'cacert = "none.pem"'), r"target 'chat': cacert: there is no file"),
        (('"Bearer ${KEY}"', '"a\\nb"'), r"headers.'Authorization' contains a control character"),
    ],
)
def test_errors_name_the_place(change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(VALID.replace(*change), "m.toml", ENVIRON)


def test_two_targets_with_one_name_are_refused() -> None:
    text = VALID + VALID[VALID.index("[[target]]") :]
    with pytest.raises(UsageError, match="two targets have the name 'chat'"):
        parse_settings(text, "m.toml", ENVIRON)


def test_a_file_without_targets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("[monitor]\n")
    with pytest.raises(UsageError, match="no target"):
        read_settings(str(path), {})


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_settings("no-such-file.toml", {})


CURL = """
[[target]]
name = "chat"
curl = "@request.curl"
headers = { X-Other = "from the table" }
"""


def test_a_target_can_have_a_curl_command_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"stream": true}')
    (tmp_path / "request.curl").write_text(
        'curl -k --http1.1 https://chat.example/v1/chat/completions -H "Authorization: $KEY" '
        "-H 'X-Other: from curl' --resolve chat.example:443:10.0.0.1 -d @body.json"
    )
    (target,) = parse_settings(CURL, str(tmp_path / "m.toml"), ENVIRON).targets
    options = target.options
    assert options.edge.url == "https://chat.example/v1/chat/completions"
    assert options.data == b'{"stream": true}'
    assert ("Authorization", "sk-secret") in options.headers
    assert [value for name, value in options.headers if name == "X-Other"] == ["from the table"]
    assert (options.client.insecure, options.client.http_version) == (True, "1.1")
    assert options.client.resolve == (("chat.example", 443, "10.0.0.1"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CURL, r"target 'chat': curl: cannot read request.curl"),
        (CURL.replace("@request.curl", "wget http://h/"), r"target 'chat': curl: "),
        (CURL.replace("@request.curl", "curl -d @body http://h/"), r"curl: cannot read body"),
        (CURL.replace("@request.curl", "curl -s"), r"target 'chat': curl: .* no URL"),
    ],
)
def test_a_wrong_curl_command_is_reported(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(text, str(tmp_path / "m.toml"), {})


def test_trials_need_a_beacon() -> None:
    trials = "interval = 60\nbeacon = true\nidle = 30\ncancel = true\ntrials_interval = 600"
    (target,) = parse_settings(VALID.replace("interval = 60", trials), "m.toml", ENVIRON).targets
    assert (target.idle_s, target.cancel, target.trials_interval_s) == (30.0, True, 600.0)
    assert target.options.idle_s is None
    with pytest.raises(UsageError, match="need beacon = true"):
        parse_settings(
            VALID.replace("interval = 60", trials.replace("true", "false", 1)), "m.toml", ENVIRON
        )


def test_a_base_url_means_its_chat_endpoint() -> None:
    def urls(text: str) -> list[str]:
        (target,) = parse_settings(text, "m.toml", ENVIRON).targets
        return [place.url for place in target.options.places]

    chat = ["https://chat.example/v1/chat/completions", "http://10.0.0.5:8000/v1/chat/completions"]
    base = VALID.replace("/chat/completions", "")
    assert urls(base) == chat
    assert urls(base.replace("interval", 'method = "GET"\ninterval'))[0] == chat[0][:-17]
    page = VALID.replace("/v1/chat/completions", "/events")
    assert urls(page)[0] == "https://chat.example/events"


def test_a_hold_objective_needs_a_way_to_measure_holds() -> None:
    alone = VALID.replace("hops = {", "# {").replace("ttft_p95<800ms", "hold_p99<50ms")
    with pytest.raises(UsageError, match=r"'hold_p99<50ms' needs hops, or beacon = true"):
        parse_settings(alone, "m.toml", ENVIRON)
    assert parse_settings(alone.replace("# {", "beacon = true\n# {"), "m.toml", ENVIRON).targets
    assert parse_settings(VALID.replace("ttft_p95<800", "hold_p99<50"), "m.toml", ENVIRON).targets


def test_a_byte_order_mark_is_ignored_and_an_error_shows_a_minimal_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.toml"
    path.write_text(VALID, encoding="utf-8-sig")
    assert read_settings(str(path), ENVIRON).targets
    with pytest.raises(UsageError, match=r"does not exist; .* \[\[target\]\], name = "):
        read_settings(str(tmp_path / "none.toml"), ENVIRON)
