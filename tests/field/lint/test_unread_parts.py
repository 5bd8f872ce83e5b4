"""If part of the scope was not read, no finding is certain and no fix is offered."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.lint_reports import lint_files
from support.undam_command import invoke

SITE = """\
server {
  listen ${NGINX_PORT};
  location /v1/ {
    proxy_pass http://api:5001;
    include proxy.conf;
  }
}
"""
PROXY = "proxy_http_version 1.1;\nproxy_buffering off;\nproxy_read_timeout ${READ_TIMEOUT};\n"


@pytest.mark.parametrize(
    "ending", [".template", ".tmpl", ".tpl", ".j2", ".erb", ".inc", ".example", ""]
)
def test_an_include_is_found_as_a_template(ending: str) -> None:
    found = lint_files({"n/conf.d/site.conf.template": SITE, f"n/proxy.conf{ending}": PROXY})
    assert (found.codes, found.code) == ([], 0)
    assert invoke("fix", "n", "--write").code == 0


@pytest.mark.parametrize("include", ["proxy.conf", "snippets/*.conf", "/etc/nginx/gone.conf"])
def test_without_the_include_there_is_no_error_and_no_fix(include: str) -> None:
    site = SITE.replace("proxy.conf", include)
    found = lint_files({"site.conf": site}, "--target", "nginx=1.22")
    assert found.codes == ["NGX101 warning", "NGX401 info"]
    assert all(one["fix"] is None for one in found.report["findings"])
    assert f"because include {include} was not read" in found.message("NGX101")
    assert invoke("fix", "site.conf", "--write", "--unsafe", "--target", "nginx=1.22").code == 0
    assert Path("site.conf").read_text() == site


def test_an_include_with_a_syntax_error_and_a_hole_of_a_template_are_unread() -> None:
    broken = lint_files(
        {"site.conf": SITE, "proxy.conf": "proxy_buffering {"}, paths=("site.conf",)
    )
    assert {one["fix"] for one in broken.report["findings"]} == {None}
    hole = SITE.replace("include proxy.conf;", "${PROXY_SETTINGS}")
    found = lint_files({"site.conf.template": hole}, paths=("site.conf.template",))
    assert {one["fix"] for one in found.report["findings"]} == {None}
    assert "${PROXY_SETTINGS}" in found.report["unread"][0]["what"]


def test_a_line_of_the_location_itself_is_certain() -> None:
    site = SITE.replace("include proxy.conf;", "include gone.conf; proxy_read_timeout 5s;")
    found = lint_files({"site.conf": site})
    assert "NGX401 warning" in found.codes
    (fix,) = (one["fix"] for one in found.report["findings"] if one["code"] == "NGX401")
    assert fix["text"].strip().endswith("proxy_read_timeout 3600s;")


def test_includes_for_further_servers_do_not_weaken_a_finding() -> None:
    site = SITE.replace("    include proxy.conf;\n", "").replace("${NGINX_PORT}", "80")
    text = (
        f"events {{}}\nhttp {{\ninclude mime.types;\ninclude /etc/nginx/conf.d/*.conf;\n{site}}}\n"
    )
    found = lint_files({"nginx.conf": text}, "--target", "nginx=1.22")
    assert found.codes == ["NGX101 error", "NGX401 warning"]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("with_include", [True, False])
def test_nginx_accepts_the_result_of_every_safe_fix(with_include: bool) -> None:
    site = SITE.replace("${NGINX_PORT}", "127.0.0.1:18099").replace("api:5001", "127.0.0.1:5001")
    files = {
        "conf.d/site.conf": site,
        "nginx.conf": "events {}\npid p;\nerror_log stderr;\nhttp { include conf.d/*.conf; }\n",
    }
    if with_include:
        files["proxy.conf"] = PROXY.replace("${READ_TIMEOUT}", "5s")
    lint_files(files)
    assert invoke("fix", ".", "--write").code in {0, 1}
    # undam could not read the include, but the file exists when the container starts.
    Path("proxy.conf").touch()
    Path("logs").mkdir()
    command = ["nginx", "-t", "-p", str(Path.cwd()), "-c", "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_an_import_of_caddy_and_an_include_of_apache_that_are_missing() -> None:
    caddy = (
        "llm.example.org {\n\timport gone/*.caddy\n\tencode zstd\n\treverse_proxy vllm:8000\n}\n"
    )
    apache = "Include gone.conf\nProxyPass /v1/ http://vllm:8000/v1/\n"
    found = lint_files({"Caddyfile": caddy, "httpd.conf": apache}, "--target", "caddy=2.6")
    assert found.codes == ["CAD102 info", "APA401 info"]
    assert {one["fix"] for one in found.report["findings"]} == {None}


def test_an_include_of_which_only_some_files_can_be_opened_is_unread(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "b.conf"
    outside.write_text("proxy_buffering off;\n")
    site = SITE.replace("proxy.conf", "snippets/*.conf")
    files = {"site.conf": site, "snippets/a.conf": "proxy_http_version 1.1;\n"}
    complete = lint_files(files)
    assert complete.codes == ["NGX102 info", "NGX401 warning"]
    Path("snippets/b.conf").symlink_to(outside)
    found = lint_files({})
    assert found.codes == ["NGX102 info", "NGX401 info"]
    assert "a part of include snippets/*.conf was not read" in found.message("NGX401")
    assert {one["fix"] for one in found.report["findings"]} == {None}
    unread = found.report["unread"][0]["what"]
    assert unread == "snippets/*.conf (outside the folders that may be read)"


def test_an_include_that_two_files_match_is_unread() -> None:
    # nginx resolves the name from the folder of nginx.conf, other programs from that of the file.
    files = {"nginx.conf": "events {}\n", "proxy.conf": PROXY, "conf.d/site.conf": SITE}
    assert lint_files(files).codes == []
    found = lint_files({"conf.d/proxy.conf": "proxy_set_header Host $host;\n"})
    assert found.codes == ["NGX101 warning", "NGX401 info"]
    assert "several files match" in found.report["unread"][0]["what"]


def test_a_missing_include_of_a_template_is_shown_as_written() -> None:
    found = lint_files({"a.conf.template": SITE.replace("proxy.conf", "${FOLDER}/proxy.conf")})
    assert "because include ${FOLDER}/proxy.conf was not read" in found.message("NGX101")
    assert found.report["unread"][0]["what"] == "${FOLDER}/proxy.conf (not found)"
    upstream = lint_files({"a.conf.template": SITE.replace("api:5001", "${HOST}:5001")})
    assert upstream.report["routes"]["list"][0]["upstream"] == "http://${HOST}:5001"


@pytest.mark.parametrize(
    ("other", "has_fix"), [("http://vllm:8001", True), ("http://web:80", False)]
)
def test_a_line_that_also_applies_to_other_locations_is_not_edited(
    other: str, has_fix: bool
) -> None:
    locations = "".join(
        f"location {path} {{ proxy_pass {upstream}; include proxy.conf; }}\n"
        for path, upstream in (("/v1/", "http://vllm:8000"), ("/x/", other))
    )
    proxy = "proxy_http_version 1.1;\nproxy_buffering off;\nproxy_read_timeout 5s;\n"
    found = lint_files({"site.conf": f"server {{\n{locations}}}\n", "proxy.conf": proxy})
    assert found.places == ["NGX401 proxy.conf:3"]
    assert (found.report["findings"][0]["fix"] is not None) is has_fix
    assert invoke("fix", ".", "--write").code == int(has_fix)
    assert ("3600s" in Path("proxy.conf").read_text()) is has_fix


HAPROXY = """\
frontend f
  bind :80
  default_backend vllm
backend vllm
  server a 10.0.0.1:8000
"""
DEFAULTS = "defaults\n  mode http\n  timeout client 1h\n  timeout server {}\n"


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("conf.d/00-defaults.cfg", "conf.d/10-vllm.cfg"),
        ("haproxy.cfg", "conf.d/vllm.cfg"),
        ("haproxy.cfg", "backends.cfg"),
    ],
)
def test_the_defaults_of_haproxy_may_be_in_another_file(name: str, own: str) -> None:
    found = lint_files({name: DEFAULTS.format("30s"), own: HAPROXY})
    assert found.places == [f"HAP101 {own}:4", f"HAP401 {own}:4"]
    assert invoke("fix", ".", "--write", "--unsafe").code == 1
    backend = Path(own).read_text().rpartition("backend vllm\n")[2]
    assert "timeout server 1h" in backend
    assert "option http-no-delay" in backend
    assert lint_files({}).codes == []
    healthy = DEFAULTS.format("1h") + "  option http-no-delay\n"
    assert lint_files({name: healthy, own: HAPROXY}).codes == []


def test_without_defaults_the_mode_of_haproxy_is_said_to_be_unread() -> None:
    other = "listen g\n  mode tcp\n  bind :81\n"
    found = lint_files({"vllm.cfg": HAPROXY, "broken.cfg": "frontend\n", "other.cfg": other})
    assert found.codes == []
    what = "the defaults of frontend f: without them, its mode is tcp"
    assert found.report["unread"][0]["what"] == what
    stated = HAPROXY.replace("  bind", "  mode http\n  bind").replace(
        "  server", "  mode http\n  server"
    )
    assert lint_files({"vllm.cfg": stated}).report["unread"] == []


def test_a_header_that_is_not_needed_is_not_called_a_cause_of_buffering() -> None:
    text = SITE.replace("include proxy.conf;", "proxy_set_header X-Accel-Buffering no;")
    on = lint_files(
        {"a.conf": text, "b.conf": text.replace("/v1/ {", "/v1/ { proxy_buffering off;")}
    )
    messages = [one["message"] for one in on.report["findings"] if one["code"] == "NGX201"]
    assert ["still buffers" in message for message in messages] == [True, False]
    assert "already off" in messages[1]
