"""`litestream dashboard`: for whoever has the address, once, and from this computer alone."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from litestream import monitoring
from litestream.dashboard.alone import Alone
from litestream.dashboard.store import id_of
from tests.dashboard.pages import checked, row
from tests.support import PATIENCE, wait_until


class Visitor:
    def __init__(self, server: Alone) -> None:
        self.port = server.port
        self.entry = server.address.removeprefix(f"http://127.0.0.1:{self.port}")
        self.cookie = ""

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
        if self.cookie:
            headers["Cookie"] = self.cookie
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def enter(self) -> int:
        status, headers, _ = self.ask(self.entry)
        if status == 303:
            assert "../" == headers["Location"]
            self.cookie = headers["Set-Cookie"].partition(";")[0]
            assert "HttpOnly" in headers["Set-Cookie"]
        return status


def rows_of(number: int) -> list[str]:
    return [f"/{'long' * 200}/{one}.db" for one in range(number)]


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    rows = [row(name) for name in rows_of(30)]
    monkeypatch.setattr(monitoring, "health", lambda **_: monitoring.Health(rows))
    (tmp_path / "litestream.yml").write_text("dbs: []")
    server = Alone(0, tmp_path / "litestream.yml", ["verify"], tmp_path / "kept")
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield Visitor(server)
    server.close()
    thread.join(20)
    assert not thread.is_alive()


def test_the_address_lets_one_browser_in(visitor: Visitor) -> None:
    paths = ["/", "/style.css", "/icon.svg", "/x", "/database/x", "/sign-in/", "/sign-in/guess"]
    for path in paths:
        for method in ("GET", "HEAD", "POST"):
            assert 403 == visitor.ask(path, method)[0], path
    assert 403 == visitor.ask(visitor.entry, "HEAD")[0]  # whoever looks first uses nothing up
    assert 403 == visitor.ask(visitor.entry[:-1])[0]
    other = Visitor.__new__(Visitor)
    other.__dict__.update(visitor.__dict__)
    assert 303 == visitor.enter()
    assert 200 == visitor.ask("/style.css")[0]
    assert 403 == other.enter()
    assert 403 == other.ask("/")[0]
    other.cookie = visitor.cookie + "x"
    assert 403 == other.ask("/")[0]


def test_another_sites_name_does_not_lead_here(visitor: Visitor) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "127.0.0.1:x", "evil@127.0.0.1"):
        assert 403 == visitor.ask(visitor.entry, Host=host)[0]
    assert 303 == visitor.enter()
    assert 403 == visitor.ask("/", Host="evil.example:80")[0]
    for host in ("localhost:9000", "127.0.0.1", "[::1]:8000"):  # through a tunnel
        assert 200 == visitor.ask("/style.css", Host=host)[0]


def test_slow_clients_hold_nobody_up(visitor: Visitor) -> None:
    visitor.enter()
    wait_until(lambda: b"29.db" in visitor.ask("/?q=/29.db")[2], "the first look")
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {visitor.cookie}\r\n"
    slow = []
    for number in range(40):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", visitor.port))
        client.sendall((head + ("\r\n" if number % 2 else "X-Slow: ")).encode())
        slow.append(client)
    for _ in range(5):
        assert 200 == visitor.ask("/")[0]
    body = b""
    while b"</html>" not in body:  # a reader that takes its time gets all of it
        piece = slow[1].recv(4096)
        assert piece
        body += piece
    checked(body.partition(b"\r\n\r\n")[2].decode())
    for client in slow:
        client.close()


def test_two_hundred_at_once_are_answered(visitor: Visitor) -> None:
    visitor.enter()
    paths = ["/", f"/database/{id_of(rows_of(1)[0])}", "/style.css", "/x"] * 50
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda path: visitor.ask(path)[0], paths))
    assert [200, 200, 200, 404] * 50 == found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command(tmp_path: Path, number: int) -> None:
    Path("litestream.yml").write_text("dbs: []")
    command = [sys.executable, "-m", "litestream", "dashboard", "--directory", "kept"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    address = child.stdout.readline().strip()
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/sign-in/[\w-]{43}", address)
    assert found, child.communicate()
    with closing(http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)) as client:
        client.request("GET", address.partition(found[1])[2])
        assert 303 == client.getresponse().status
    child.send_signal(number)
    rest, errors = child.communicate(timeout=PATIENCE)
    assert (0, "") == (child.returncode, rest)
    assert "sign-in" not in errors
    assert 1 == len(errors.splitlines())


def test_a_port_that_is_taken_and_one_that_is_none(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 99999):
            command = [sys.executable, "-m", "litestream", "dashboard", f"--port={port}"]
            done = subprocess.run(
                [*command, "--directory", "kept"], capture_output=True, text=True, timeout=PATIENCE
            )
            assert 1 == done.returncode
            assert f"port {port}" in done.stderr
            assert "Traceback" not in done.stderr


def test_without_jinja2_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from litestream.cli import main\n"
        f"sys.exit(main(['dashboard', '--directory', {str(tmp_path / 'kept')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 1 == done.returncode
    assert "pip install 'litestream[dashboard]'" in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_jinja2_is_imported_by_nobody_else() -> None:
    script = (
        "import sys, litestream, litestream.cli, litestream.dashboard, litestream._cli.verbs\n"
        "litestream.verify, litestream.health\n"
        "print('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "False\n" == done.stdout, done.stderr
