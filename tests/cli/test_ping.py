"""Pings to a dead man's switch, against a real server of this machine."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from litestream import cli, configuration
from litestream._cli import ping
from tests.support import Site, wait_until

LITESTREAM = str(Path(sys.executable).with_name("litestream"))
CHECK = "/check-canary-5b1c"


class Switch:
    """A server that keeps what it is told, and answers with `status`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.status = 200
        switch = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                switch.told.append((self.path, self.rfile.read(size)))
                self.send_response(switch.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{CHECK}"

    @property
    def events(self) -> list[str]:
        return [path.removeprefix(CHECK) for path, _ in self.told]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def switch() -> Iterator[Switch]:
    server = Switch()
    yield server
    server.close()


def verify(site: Site, *arguments: str) -> int:
    return cli.main(["verify", str(site.database), "--config", str(site.config), *arguments])


def test_a_proof_pings_its_start_and_its_success(running, switch, capsys):
    assert 0 == verify(running, "--ping", switch.url)
    assert ["/start", ""] == switch.events
    assert capsys.readouterr().out.encode().strip() == switch.told[-1][1]


def test_a_proof_that_fails_pings_that_with_its_last_lines(replicated, switch, monkeypatch):
    monkeypatch.setenv("LITESTREAM_PING", f"{switch.url}?create=1")
    assert 1 == verify(replicated, "--timeout", "0.5")
    assert ["/start?create=1", "/fail?create=1"] == switch.events
    assert b"stale: no daemon took up its last commit" in switch.told[-1][1]


def test_an_error_before_the_proof_is_a_failure(switch, tmp_path):
    assert 1 == cli.main(["verify", "--all", "--config", str(tmp_path / "n"), "--ping", switch.url])
    assert ["/start", "/fail"] == switch.events
    assert b"There is no config" in switch.told[-1][1]


def test_a_proof_that_is_ended_is_a_failure(replicated, switch):
    argv = [LITESTREAM, "verify", str(replicated.database), "--config", str(replicated.config)]
    with subprocess.Popen([*argv, "--ping", switch.url], stderr=subprocess.PIPE) as process:
        wait_until(lambda: switch.events == ["/start"], "its start")
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert ["/start", "/fail"] == switch.events


def test_a_ping_that_fails_is_a_warning_without_the_url(running, switch, capsys):
    switch.status = 404
    assert 0 == verify(running, "--ping", switch.url)
    switch.close()
    assert 0 == verify(running, "--ping", switch.url)
    said = capsys.readouterr()
    assert 2 == said.err.count("warning: the ping failed: HTTP status 404")
    assert 2 == said.err.count("warning: the ping failed: Connection refused")
    assert CHECK not in said.out + said.err


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(ping, "LIMIT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ping.send(f"http://127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    "url",
    ["ftp://host/canary", "canary", "http:///canary", "http://h:canary/", "http://h/canary\r\nA: b",
     "http://h/cana ry", "file:///canary"],
)  # fmt: skip
def test_what_is_no_url_is_refused_and_not_shown(url, capsys, monkeypatch):
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", "--all", "--ping", url])
    assert 2 == ended.value.code
    monkeypatch.setenv("LITESTREAM_PING", url)
    assert 1 == cli.main(["verify", "--all"])
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    assert "LITESTREAM_PING cannot be used: it must be a URL" in said.err


def test_the_body_is_the_last_100_kb_without_secrets(monkeypatch):
    configuration.configure(replica_access_key="canary-secret")
    body = ping.body(["first", *["ü" * 100] * 2000, "the last: canary-secret, \udcff"])
    assert len(body) <= ping.BODY
    assert body.decode().endswith("the last: ***, \\udcff")
    assert b"first" not in body


def run(site: Site, switch: Switch, *arguments: str, every: str = "0.1") -> subprocess.Popen[bytes]:
    argv = [LITESTREAM, "run", "--config", str(site.config), "--ping-every", every, *arguments]
    return subprocess.Popen(
        argv, stderr=subprocess.PIPE, env={**os.environ, "LITESTREAM_PING": switch.url}
    )


def test_run_pings_after_syncs(site, switch):
    site.write(3)
    process = run(site, switch)
    try:
        wait_until(lambda: switch.events[:2] == ["", ""], "two pings")
    finally:
        process.terminate()
        _, said = process.communicate()
    assert {""} == set(switch.events)
    assert CHECK.encode() not in said
    assert 0 == process.returncode


def test_run_does_not_ping_more_often_than_it_was_told(site, switch):
    site.write(3)
    process = run(site, switch, every="3600")
    try:
        wait_until(lambda: switch.events, "a ping")
        time.sleep(0.5)
    finally:
        process.terminate()
        process.communicate()
    assert [""] == switch.events


def test_run_tells_of_a_start_that_fails(site, switch):
    site.config.write_text("dbs: []")
    process = run(site, switch)
    _, said = process.communicate()
    assert 1 == process.returncode, said
    assert ["/fail"] == switch.events
    assert switch.told[0][1].strip()


def test_run_goes_on_while_the_switch_hangs(site):
    site.write(3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}{CHECK}"
        argv = [LITESTREAM, "run", "--config", str(site.config), "--ping", url]
        with subprocess.Popen([*argv, "--", "sh", "-c", "exit 4"], stderr=subprocess.PIPE) as done:
            done.communicate()
    assert 4 == done.returncode
