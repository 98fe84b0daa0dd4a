"""Who may see the dashboard, and which forms are taken."""

from __future__ import annotations

import base64
import functools
import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import litestream.dashboard
from litestream.dashboard import messages
from litestream.dashboard.auth import COOKIE, Forms, Guard
from litestream.dashboard.views import Dashboard
from litestream.errors import ConfigurationError
from tests.dashboard.pages import Browser
from tests.support import wait_until

PASSWORD = "correct horse: battery"
SALT = b"0123456789abcdef"
_RAW = hashlib.scrypt(PASSWORD.encode(), salt=SALT, n=16, r=8, p=1, dklen=32)
HASH = "scrypt$16$8$1${}${}".format(
    *(base64.urlsafe_b64encode(raw).decode().rstrip("=") for raw in (SALT, _RAW))
)
"""A hash of the password that costs less than those that are made for users."""
PATHS = ["", "/", "/style.css", "/icon.svg", "/database/0123456789abcdef", "/no/such", "/?q=x"]
PATHS += ["//", "/../style.css", "/database/x/refresh", "/database/x/verify", "/sign-in/x"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


WRONG = {
    "none": "",
    "password": basic("ops", "x"),
    "user": basic("root", PASSWORD),
    "no base64": "Basic !!!!",
    "no text": "Basic " + base64.b64encode(b"ops:\xff\xfe").decode(),
    "no colon": "Basic " + base64.b64encode(b"ops").decode(),
    "other scheme": "Bearer " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode(),
    "the hash": basic("ops", HASH),
    "long": basic("ops", "x" * 100_000),
    "surrogates": "Basic \udcff",
}


@pytest.mark.parametrize("given", WRONG)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_every_path_is_closed_without_the_password(tmp_path: Path, method: str, given: str) -> None:
    dashboard = Dashboard(("ops", HASH), "no-such.yml", ("verify",), tmp_path)
    for path in PATHS:
        response = Browser(dashboard).get(path, method, authorization=WRONG[given])
        assert 401 == response.status, path
        assert 'Basic realm="litestream"' in dict(response.headers)["WWW-Authenticate"]
        assert b"database" not in response.body
        assert messages.HEADERS.items() <= dict(response.headers).items()
    assert dashboard._watch._thread is None  # nothing was even looked at


def test_the_right_password_opens_and_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = Dashboard(("ops", HASH), "no-such.yml", (), tmp_path)
    browser = Browser(dashboard)
    right = basic("ops", PASSWORD)
    assert 200 == browser.get("/style.css", authorization=right).status
    monkeypatch.setattr(hashlib, "scrypt", None)
    for _ in range(200):
        assert 200 == browser.get("/icon.svg", authorization=right).status


def test_a_flood_of_wrong_passwords_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(("ops", HASH))
    working, most, free = [], [0], threading.Event()

    def scrypt(*_: Any, **__: Any) -> bytes:
        working.append(1)
        most[0] = max(most[0], len(working))
        free.wait(20)
        working.pop()
        return b"x" * 32

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    found: list[int] = []

    def attack(number: int) -> None:
        headers = {"authorization": basic("ops", f"guess {number}")}
        found.append(guard.refusal(messages.Request("GET", "/", headers=headers)))

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    wait_until(lambda: found.count(429) == 38, "the refusals")
    free.set()
    for thread in threads:
        thread.join()
    assert 2 == most[0]
    assert 2 == found.count(401)


async def _asynchronous(_request: Any) -> bool:
    return False


class _Asynchronous:
    async def __call__(self, _request: Any) -> bool:
        return False


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "answer",
    [
        lambda _r: False,
        lambda _r: None,
        lambda _r: 1,
        lambda _r: "yes",
        _Asynchronous(),
        functools.partial(_asynchronous),
    ],
)
def test_a_function_opens_by_true_alone(tmp_path: Path, answer: Any) -> None:
    if isinstance(answer, functools.partial):  # Python sees through it
        with pytest.raises(ConfigurationError, match="asynchronous"):
            Dashboard(answer, "x.yml", (), tmp_path)
        return
    browser = Browser(Dashboard(answer, "x.yml", (), tmp_path))
    for path in PATHS:
        assert 403 == browser.get(path).status


def test_a_function_that_fails_closes(tmp_path: Path) -> None:
    def broken(_request: Any) -> bool:
        raise KeyError("CANARY")

    response = Browser(Dashboard(broken, "x.yml", (), tmp_path)).get("/style.css")
    assert 500 == response.status
    assert b"CANARY" not in response.body


def test_a_function_sees_the_request(tmp_path: Path) -> None:
    seen = []
    guard = Dashboard(lambda request: seen.append(request) or True, "x.yml", (), tmp_path)  # type: ignore[func-returns-value]
    assert 200 == Browser(guard).get("/style.css", x_user="ops").status
    assert "ops" == seen[0].headers["x-user"]


NO_AUTH: list[Any] = [None, "", "none", "secret-password", (), ("ops",), True, 1, _asynchronous]
NO_AUTH += [("ops", "secret-password"), ("", HASH), ("a:b", HASH), ("ops", HASH[:-10] + "!")]
NO_AUTH += [("ops", "scrypt$15$8$1$aaaa$bbbb")]


@pytest.mark.parametrize("auth", NO_AUTH, ids=range(len(NO_AUTH)))
def test_nothing_else_opens_and_no_password_is_shown(tmp_path: Path, auth: Any) -> None:
    with pytest.raises(ConfigurationError, match="auth=") as caught:
        litestream.dashboard.wsgi(auth=auth, directory=tmp_path)
    assert "secret" not in str(caught.value)


def test_auth_has_no_default() -> None:
    for make in (litestream.dashboard.wsgi, litestream.dashboard.asgi):
        with pytest.raises(TypeError, match="auth"):
            make()  # type: ignore[call-arg]


def test_a_hash_is_made_by_function_and_by_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "litestream", "dashboard", "--hash"]
    done = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True)
    made = [litestream.dashboard.password_hash(PASSWORD), done.stdout.strip()]
    assert made[0] != made[1]
    for one in made:
        assert PASSWORD not in one
        request = messages.Request("GET", "/", headers={"authorization": basic("ops", PASSWORD)})
        assert 0 == Guard(("ops", one)).refusal(request)


def test_an_empty_password_has_no_hash() -> None:
    command = [sys.executable, "-m", "litestream", "dashboard", "--hash"]
    done = subprocess.run(command, input="\n", capture_output=True, text=True)
    assert (1, "") == (done.returncode, done.stdout)


def test_a_form_needs_our_token_for_this_browsers_cookie() -> None:
    forms = Forms(b"key")
    cookie, header = forms.cookie(messages.Request("GET", "/"))
    assert header is not None
    assert "HttpOnly; SameSite=Strict" in header
    assert "Secure" not in header

    def taken(cookies: str, token: str, site: str = "same-origin", **more: Any) -> bool:
        headers = {
            "cookie": cookies,
            "sec-fetch-site": site,
            "content-type": "application/x-www-form-urlencoded",
            **more,
        }
        return forms.is_ours(
            messages.Request("POST", "/", headers=headers, body=f"token={token}".encode())
        )

    ours, token = f"{COOKIE}={cookie}", forms.token(cookie)
    assert taken(ours, token)
    assert taken(f"a=b; {COOKIE}=another; {ours}", token)
    assert not taken(ours, "")
    assert not taken(ours, cookie)  # a cookie that a neighbour has set does not do
    assert not taken("", token)
    assert not taken(f"{COOKIE}=", forms.token("x"))
    assert not taken(f"{COOKIE}=another", token)
    assert not taken(ours, Forms(b"other").token(cookie))
    assert not taken(ours, token, "cross-site")
    assert not taken(ours, token, "same-site")
    assert not taken(ours, token, **{"content-type": "text/plain"})


def test_a_cookie_is_for_https_where_that_is_spoken() -> None:
    _, header = Forms(b"key").cookie(messages.Request("GET", "/", is_secure=True))
    assert header is not None
    assert header.endswith("; Secure")
