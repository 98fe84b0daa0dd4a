"""The dashboard under real servers; the applications are those of docs/dashboard.md."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest

import litestream.dashboard
from litestream.dashboard import messages
from litestream.dashboard.store import id_of
from tests import test_django
from tests.dashboard.pages import checked, token_of
from tests.dashboard.test_auth import HASH, PASSWORD, basic
from tests.servers import Page, Server, started
from tests.support import Site, wait_until

for _needed in ("django", "fastapi", "flask", "gunicorn", "jinja2", "uvicorn"):
    pytest.importorskip(_needed)

PAGE = Page("dashboard")
WSGI, FLASK, FASTAPI, URLS = (
    PAGE.files(name)[0] for name in ("wsgi.py", "flask_app.py", "fastapi_app.py", "urls.py")
)
(FUNCTION,) = PAGE.code()
INSTALL, ALONE, ACTIONS, MAKE_HASH = PAGE.commands()
WHO = """
    from types import SimpleNamespace
    def who(get_response):
        def middleware(request):
            role = request.headers.get("Authorization")
            request.user = SimpleNamespace(is_active=True, is_staff=role == "staff")
            return get_response(request)
        return middleware
"""
DJANGO = test_django.project(
    test_django.SETTINGS
    + "MIDDLEWARE = ['django.middleware.security.SecurityMiddleware', "
    + "'django.middleware.csrf.CsrfViewMiddleware', 'project.who.who']\n"
    + "LITESTREAM['DASHBOARD'] = {'ACTIONS': ['verify']}\n",
    **{"project/urls.py": URLS, "project/who.py": WHO},
)
BASIC = {"right": basic("ops", PASSWORD), "wrong": basic("ops", "guess")}
STAFF = {"right": "staff", "wrong": "somebody"}
HOSTS: dict[str, tuple[str, Mapping[str, str], Mapping[str, str], int]] = {
    "wsgi": ("gunicorn -b 127.0.0.1:PORT --threads 8 wsgi", {"wsgi.py": WSGI}, BASIC, 401),
    "flask": (
        "gunicorn -b 127.0.0.1:PORT --threads 8 flask_app:app",
        {"flask_app.py": FLASK},
        BASIC,
        401,
    ),
    "fastapi": ("uvicorn --port PORT fastapi_app:app", {"fastapi_app.py": FASTAPI}, BASIC, 401),
    "django": ("gunicorn -b 127.0.0.1:PORT --threads 8 project.wsgi", DJANGO, STAFF, 403),
}
PREFIXES = ["/backups", "/ops/a b"]
Answer = tuple[int, dict[str, str], str]


class Visitor:
    """Asks a server for paths under a prefix."""

    def __init__(self, server: Server, prefix: str) -> None:
        self.server = server
        self.prefix = quote(prefix)

    def ask(self, path: str, who: str = "", method: str = "GET", **more: str) -> Answer:
        body = more.pop("body", None)
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if who:
            headers["Authorization"] = who
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.server.client.port, timeout=60)
        try:
            connection.request(method, self.prefix + path, body, headers)
            answer = connection.getresponse()
            headers = {name.title(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read().decode()
        finally:
            connection.close()

    def follow(self, path: str, answer: Answer) -> str:
        """Return the path, under the prefix, that an answer sends a browser to."""
        target = urlsplit(urljoin(f"http://x{self.prefix}{path}", answer[1]["Location"]))
        assert "x" == target.netloc
        assert target.path.startswith(self.prefix)
        return target.path[len(self.prefix) :]


@contextmanager
def visiting(site: Site, host: str, prefix: str) -> Iterator[Visitor]:
    command, files, *_ = HOSTS[host]
    if host == "wsgi":
        prefix = prefix.replace(" ", "-")  # gunicorn compares it with what the client has sent
    files = {
        name: text.replace('"/backups"', repr(prefix)).replace('"backups/"', repr(prefix[1:] + "/"))
        for name, text in files.items()
    }
    (site.directory / "tmp").mkdir()
    environment = {"DASHBOARD_HASH": HASH, "TMPDIR": str(site.directory / "tmp")}
    if host == "wsgi":
        environment["SCRIPT_NAME"] = prefix
    with started(site, command, files, environment) as server:
        visitor = Visitor(server, prefix)

        def answers() -> bool:
            assert server.process.poll() is None, server.log
            with suppress(OSError):
                visitor.ask("/")
                return True
            return False

        try:
            wait_until(answers, "the server")
            yield visitor
        finally:
            site.kill()  # no daemon may be left when a server has ended


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("host", HOSTS)
def test_every_route_under_every_host(running: Site, host: str, prefix: str) -> None:
    _, _, who, refused = HOSTS[host]
    one = f"/database/{id_of(str(running.database))}"
    routes = {"/": 200, "/style.css": 200, "/icon.svg": 200, one: 200, "/no/such": 404}
    routes |= {f"{one}?range=7d": 200, "/?q=app&page=2": 200, "/database/x": 404}
    routes |= {"/%0d%0aX:y": 404, "/%ff": 404, "/%2e%2e/": 404}
    if host == "fastapi":  # its mounts hand on no path with a line's end in it
        del routes["/%0d%0aX:y"]
    posts = [f"{one}/refresh", f"{one}/verify", f"{one}/restore", f"{one}/x", "/"]
    with visiting(running, host, prefix) as visitor:
        wait_until(lambda: "app.db" in visitor.ask("/", who["right"])[2], "the first look")
        for path, status in routes.items():
            for method in ("GET", "HEAD"):
                for given in ("", who["wrong"]):
                    answer = visitor.ask(path, given, method)
                    assert refused == answer[0], (path, answer)
                    assert messages.HEADERS.items() <= answer[1].items()
                    assert "app.db" not in answer[2]
                answer = visitor.ask(path, who["right"], method)
                assert status == answer[0], (path, visitor.server.log)
                assert messages.HEADERS.items() <= answer[1].items()
                if method == "HEAD":
                    assert "" == answer[2]
                elif "html" in answer[1]["Content-Type"]:
                    checked(answer[2])
        for path in posts:
            for given in ("", who["wrong"]):
                assert refused == visitor.ask(path, given, "POST", body="token=x")[0]
            assert visitor.ask(path, who["right"], "POST", body="token=x")[0] in (403, 404, 405)
        bare = visitor.ask("", who["right"])
        if bare[0] == 308:  # ours: some hosts have an answer of their own
            assert "/" == visitor.follow("", bare)

        page = visitor.ask(one, who["right"])
        sheet = re.search(r'rel="stylesheet" href="([^"]+)"', page[2])
        assert sheet
        assert "/style.css" == visitor.follow(one, (0, {"Location": sheet[1]}, ""))
        cookie = page[1]["Set-Cookie"].partition(";")[0]
        form = re.search(r'action="(\w+/refresh)"', page[2])
        assert form
        target = visitor.follow(one, (0, {"Location": form[1]}, ""))
        assert f"{one}/refresh" == target
        body = f"token={token_of(page[2])}"
        answer = visitor.ask(target, who["right"], "POST", body=body, Cookie=cookie)
        assert 303 == answer[0]
        assert one == visitor.follow(target, answer)
        wait_until(lambda: "Snapshots: " in visitor.ask(one, who["right"])[2], "the listing")
        evil = {"Host": "evil.example", "X_Forwarded_Host": "evil.example"}
        assert "evil" not in str(visitor.ask(one, who["right"], **evil)[1:])


def test_a_function_for_auth_as_the_page_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_KEY", "a key")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    given: dict[str, Any] = {}
    exec(FUNCTION, given)
    is_operator = given["is_operator"]
    for session, expected in (({"role": "operator"}, True), ({}, False)):
        request = litestream.dashboard.Request("GET", "/", native={"session": session})
        assert expected is is_operator(request)
    given["backups"].close()


def test_the_page_names_what_there_is() -> None:
    assert "pip install 'litestream[dashboard]'" == INSTALL
    from litestream._cli import verbs

    for command in (ALONE, ACTIONS, MAKE_HASH):
        assert verbs._parser("dashboard")[0].parse_args(command.split()[1:]).verb == "dashboard"
    for name, value in messages.HEADERS.items():
        assert f"`{name}: {value}`" in PAGE.text.replace("\n", " ")
