"""`litestream check --online`: each trouble gives a sentence of its own, in time."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from litestream import configuration
from litestream._check import check, probe
from litestream._executable.find import find as find_executable
from litestream._executable.series import version as version_of
from litestream._health import history
from litestream.rows import FindingRow, HistoryRow
from tests import projects
from tests.support import S3_KEY, S3_SECRET, free_port

PROOF: HistoryRow = {
    "at": "",
    "database": "",
    "method": "sentinel",
    "proved": True,
    "reason": None,
    "message": None,
    "seconds": 1.0,
    "restore_seconds": 1.0,
    "size": 1,
    "position": None,
    "host": "h",
}
COMMAND = Path(sys.executable).parent / "litestream"


def tried(replica, database, *, limit=15.0):
    """Return the findings of a trial, and its steps."""
    path = Path("litestream.yml")
    path.write_text(json.dumps({"dbs": [{"path": str(database), "replicas": [replica]}]}))
    version = version_of(find_executable())
    report, databases = check.load(str(path.absolute()), version)
    assert not [row for row in report.rows if row["level"] == "error"], report.rows
    report.rows.clear()
    steps: list[probe.Step] = []
    probe.probe(report, databases, find_executable(), steps.append, limit)
    return report.sorted(), steps


@pytest.fixture
def wal(tmp_path):
    path = projects.database(tmp_path / "data/app.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    return path


class Service(ThreadingHTTPServer):
    refuse: dict[str, tuple[int, str, dict[str, str]]]
    date = ""


class Answers(BaseHTTPRequestHandler):
    """An S3 service that answers as it is told."""

    server: Service

    def answer(self):
        refuse = self.server.refuse
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        verb = "LIST" if "list-type" in self.path else self.command
        status, code, headers = refuse.get(verb, refuse.get("*", (200, "", {})))
        body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
        if verb == "LIST" and not code:
            body = f"<Key>{unquote(self.path.split('prefix=')[1])}</Key>".encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = answer  # noqa: N815

    def date_time_string(self, timestamp=None):
        return self.server.date or super().date_time_string(timestamp)

    def log_message(self, *_args):
        pass


@pytest.fixture
def service():
    server = Service(("127.0.0.1", 0), Answers)
    server.refuse = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def bucket(endpoint, **more):
    return {
        "type": "s3",
        "bucket": "b",
        "path": "app",
        "region": "us-east-1",
        "endpoint": endpoint,
        "access-key-id": "id",
        "secret-access-key": "canary",
        **more,
    }


def only(rows, ident):
    assert [ident] == [row["id"] for row in rows], rows
    assert "canary" not in json.dumps(rows)
    assert rows[0]["hint"]
    return rows[0]["message"]


@pytest.mark.parametrize(
    ("refuse", "ident", "said"),
    [
        ({"*": (301, "PermanentRedirect", {"x-amz-bucket-region": "eu-1"})}, "wrong-region", ""),
        ({"*": (400, "AuthorizationHeaderMalformed", {})}, "wrong-region", "another region"),
        ({"PUT": (403, "AccessDenied", {})}, "no-permission", "s3:PutObject"),
        ({"GET": (403, "AccessDenied", {})}, "no-permission", "s3:GetObject"),
        ({"DELETE": (403, "AccessDenied", {})}, "no-permission", "s3:DeleteObject"),
        ({"LIST": (403, "AccessDenied", {})}, "no-permission", "s3:ListBucket"),
        ({"*": (403, "InvalidAccessKeyId", {})}, "wrong-key", "does not know the access key"),
        ({"*": (403, "SignatureDoesNotMatch", {})}, "wrong-key", "secret does not fit"),
        ({"*": (404, "NoSuchBucket", {})}, "wrong-bucket", "no such bucket"),
        ({"*": (403, "RequestTimeTooSkewed", {})}, "clock-skew", "5 minutes"),
        ({"*": (503, "SlowDown", {})}, "replica-failed", "answers 503 SlowDown"),
        ({}, "replica-failed", "other content"),
    ],
)
@pytest.mark.only_series("0.5")
def test_what_a_service_refuses(refuse, ident, said, service, wal, installed):
    service.refuse = refuse
    rows, _ = tried(bucket(f"http://127.0.0.1:{service.server_port}"), wal)
    assert said in only(rows, ident)
    if "eu-1" in str(refuse):
        assert "region: eu-1" in rows[0]["hint"]


@pytest.mark.only_series("0.5")
def test_a_clock_that_is_wrong(service, wal, installed):
    service.date = "Mon, 01 Jan 2024 00:00:00 GMT"
    rows, _ = tried(bucket(f"http://127.0.0.1:{service.server_port}"), wal)
    only(rows, "clock-skew")


class TestUnreachable:
    def test_nobody_listens(self, wal, installed, series):
        rows, steps = tried(bucket(f"http://127.0.0.1:{free_port()}"), wal)
        assert "refuses the connection" in only(rows, "replica-refused")
        assert steps[-1].seconds < 15

    def test_no_such_name(self, wal, installed, series):
        rows, _ = tried(bucket("https://no-such-host.invalid"), wal)
        assert "does not resolve" in only(rows, "replica-name")

    def test_no_tls(self, service, wal, installed, series):
        rows, _ = tried(bucket(f"https://127.0.0.1:{service.server_port}"), wal)
        assert "does not speak TLS" in only(rows, "replica-tls")

    def test_it_never_answers(self, s3, wal, installed, series):
        replica = s3.replica()
        s3.pause()
        try:
            began = time.monotonic()
            rows, _ = tried({**bucket(s3.endpoint), "bucket": replica["bucket"]}, wal, limit=1)
        finally:
            s3.resume()
        assert "no answer within" in only(rows, "replica-slow")
        assert time.monotonic() - began < 30

    def test_a_server_that_is_asked_by_litestream_itself(self, wal, installed, series):
        replica = {"type": "sftp", "host": f"127.0.0.1:{free_port()}", "user": "u", "path": "/x"}
        rows, _ = tried(replica, wal)
        assert "the connection is refused" in only(rows, "replica-refused")


class TestRealService:
    def test_all_is_well(self, s3, wal, installed, series):
        replica = s3.replica()
        rows, steps = tried(replica, wal)
        assert [] == rows
        assert any("written, listed, read and deleted" in step.said for step in steps)
        assert [] == list((s3.directory / replica["bucket"]).rglob("*check*"))
        assert "none yet" == steps[-1].said

    @pytest.mark.parametrize(
        ("change", "ident"),
        [
            ({"access-key-id": "other"}, "wrong-key"),
            ({"secret-access-key": "canary"}, "wrong-key"),
            ({"bucket": "no-such-bucket"}, "wrong-bucket"),
        ],
    )
    def test_what_is_wrong(self, change, ident, s3, wal, installed, series):
        keys = {"access-key-id": S3_KEY, "secret-access-key": S3_SECRET}
        rows, _ = tried({**s3.replica(), **keys, **change}, wal)
        only(rows, ident)
        assert S3_SECRET not in json.dumps(rows)


class TestDatabase:
    def test_all_is_well(self, replicated, installed, series):
        rows, steps = tried({"type": "file", "path": str(replicated.replica_path)},
                            replicated.database)  # fmt: skip
        assert [] == rows
        assert "verify" in steps[-1].said
        before = sorted(path.name for path in replicated.replica_path.rglob("*"))
        assert not [name for name in before if "check" in name]

    def test_an_old_backup(self, replicated, installed, series):
        future = time.time() + 7200
        os.utime(replicated.database, (future, future))
        rows, _ = tried({"type": "file", "path": str(replicated.replica_path)},
                        replicated.database)  # fmt: skip
        only(rows, "old-backup")

    def test_the_last_proof(self, replicated, installed, series):
        def said() -> tuple[list[FindingRow], str]:
            rows, steps = tried(
                {"type": "file", "path": str(replicated.replica_path)}, replicated.database
            )
            (step,) = [step for step in steps if "last proof" in step.name]
            return rows, step.said

        def proved(at: str, reason: str | None = None) -> None:
            history.append({**PROOF, "database": str(replicated.database), "at": at,
                            "proved": reason is None, "reason": reason})  # fmt: skip

        assert "none is known" in said()[1]
        proved("2020-01-01T00:00:00Z")
        assert "hours ago" in only(said()[0], "old-proof")
        proved(now := time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        assert ([], f"proved at {now}") == said()
        proved(now, "stale")
        assert f"failed at {now}: stale" in only(said()[0], "old-proof")

    def test_files_that_are_none(self, tmp_path, installed, series):
        file = {"type": "file", "path": str(tmp_path / "copies")}
        (tmp_path / "text.db").write_text("no database, but long enough to be looked at" * 50)
        assert "it cannot be read" in only(tried(file, tmp_path / "text.db")[0], "no-sqlite")
        assert "no such file" in only(tried(file, tmp_path / "no.db")[0], "no-file")
        old = projects.database(tmp_path / "old.db")
        assert "journal mode is delete" in only(tried(file, old)[0], "not-wal")
        rows, _ = tried(file, tmp_path / "nowhere" / "no.db")
        assert {"no-file", "not-writable"} == {row["id"] for row in rows}

    def test_a_replicas_directory(self, wal, tmp_path, installed, series):
        (tmp_path / "taken").write_text("")
        rows, _ = tried({"type": "file", "path": str(tmp_path / "taken")}, wal)
        assert "the path of the directory is a file" in rows[0]["message"]
        rows, _ = tried({"type": "file", "path": str(tmp_path / "new/deep")}, wal)
        assert [] == rows
        assert not (tmp_path / "new").exists()
        rows, _ = tried({"url": f"file:/{tmp_path}/taken"}, wal)  # the host is the first folder
        assert "the path of the directory is a file" in rows[0]["message"]

    @pytest.mark.only_series("0.5")
    def test_the_databases_of_a_directory_are_those_of_the_daemon(self, tmp_path, installed):
        for name in ("a.db", ".hidden.db"):
            projects.database(tmp_path / "data" / name)
        for name in ("a.db-wal", "notes.txt"):
            (tmp_path / "data" / name).write_text("no database")
        path = tmp_path / "litestream.yml"
        for folder, found in (("data", [".hidden.db", "a.db"]), ("nowhere", [])):
            entry = {"dir": str(tmp_path / folder), "pattern": "*", "replica": {"path": "/copies"}}
            path.write_text(json.dumps({"dbs": [entry]}))
            _, (database,) = check.load(str(path), version_of(find_executable()))
            assert database.paths() == [str(tmp_path / folder / name) for name in found]

    @pytest.mark.only_series("0.5")
    def test_another_daemon(self, running, installed):
        rows, _ = tried({"type": "file", "path": str(running.replica_path)}, running.database)
        only(rows, "other-daemon")

    @pytest.mark.only_series("0.5")
    def test_too_few_files_and_no_room(self, wal, installed, monkeypatch):
        import resource
        import shutil

        monkeypatch.setattr(resource, "getrlimit", lambda _what: (20, 40))
        usage = shutil.disk_usage("/")._replace(free=5)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
        rows, _ = tried({"type": "file", "path": "/tmp"}, wal)
        assert {"few-files", "no-room"} == {row["id"] for row in rows}

    @pytest.mark.only_series("0.5")
    def test_a_network_file_system(self, wal, installed, monkeypatch):
        monkeypatch.setattr(probe, "_file_system", lambda _path: "nfs4")
        rows, _ = tried({"type": "file", "path": "/tmp"}, wal)
        assert "it is on nfs4" in only(rows, "network-file-system")

    def test_the_file_system_of_a_path(self):
        if sys.platform == "linux":
            assert "proc" == probe._file_system("/proc/self/status")


def test_the_verb_tells_each_step(wal, installed, series, tmp_path):
    replica = {"type": "file", "path": str(tmp_path / "copies")}
    text = json.dumps({"dbs": [{"path": str(wal), "replicas": [replica]}]})
    Path("litestream.yml").write_text(text)
    done = subprocess.run([COMMAND, "check", "--online"], capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout
    names = [line.split(" (")[0] for line in done.stdout.splitlines()]
    assert names[0] == "ok      executable"
    assert "ok      app.db: file replica" in names
    rows = configuration.check(online=True)
    assert [] == rows
    wal.write_text("broken" * 1000)
    done = subprocess.run([COMMAND, "check", "--online"], capture_output=True, text=True)
    assert 1 == done.returncode
    assert "FAILED  app.db: database" in done.stdout
    assert "[no-sqlite]" in done.stdout
    Path("litestream.yml").write_text("dbs: []")
    done = subprocess.run([COMMAND, "check", "--online"], capture_output=True, text=True)
    assert "executable" not in done.stdout  # nothing is tried of a config that is wrong
