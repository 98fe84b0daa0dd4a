"""What the pages say, to whom, and what they never do."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from litestream import configuration, monitoring, verification
from litestream._health import history
from litestream.dashboard import messages, words
from litestream.dashboard.store import id_of
from litestream.dashboard.views import Dashboard
from litestream.dashboard.watch import Look
from litestream.errors import ConfigurationError, LitestreamError
from tests.dashboard.pages import checked, ids_of, opened, proof, row, token_of
from tests.support import Site, free_port, wait_until

NAMES = {
    "markup": "/srv/<script>alert(1)</script>&amp;.db",
    "quotes": "/srv/\"'`><img src=x onerror=alert(1)>.db",
    "control": "/srv/a\r\nSet-Cookie: x=y\x1b[31m\x00\x7f\x85.db",
    "right to left": "/srv/\u202egnp.bd\u2066\u200f\u061c.db",
    "invisible": "/srv/\u200b\ufeff\u2028\u00ad.db",
    "template": "/srv/{{ 7 * 7 }}{% raw %}.db",
    "no text": "/srv/\udcff\udcfe.db",
    "4 kB": "/srv/" + "<b>x</b>" * 512 + ".db",
    "emoji": "/srv/données 🎉.db",
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of rows that health will give."""
    rows: list[Any] = []
    monkeypatch.setattr(monitoring, "health", lambda **_: monitoring.Health(rows))
    Path("litestream.yml").write_text("dbs: []")
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text(
    seen: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hostile = NAMES[name]
    seen.append(row(hostile, "failing", reason=f"Of {hostile}", replica=f"s3://{hostile}"))
    found = [proof(hostile, proved=False, reason=hostile, message=hostile, host=hostile)]
    monkeypatch.setattr("litestream.dashboard.views.newest_first", lambda _: iter(found))
    with opened("litestream.yml", tmp_path / "kept", actions=["verify", "restore"]) as browser:
        store = browser.dashboard._store
        snapshot = {"replica": hostile, "generation": hostile, "index": 1, "size": 1, "created": ""}
        listed = {"kind": hostile, "files": [[hostile, 1, 1, hostile, hostile]], "at": 1.0}
        listed |= {"generations": [], "generation_count": 0}
        store.write(hostile, "backups", {**listed, "snapshots": [snapshot], "snapshot_count": 1})
        for job in ("refresh", "verify"):
            store.write(hostile, job, {"state": "failed", "at": 1.0, "message": hostile})
        assert 200 == browser.get(f"/database/{id_of(hostile)}").status
        pages = [browser.text("/"), browser.text(f"/database/{id_of(hostile)}")]
        for page in pages:
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]", page)
            assert not re.search(r"[\u2060-\u2069\ufeff\u061c\u00ad]", page)
            assert not re.search(r"<(script|img|b>x)", page)
        assert words.shown(hostile) in unescape(pages[1])
        assert 200 == browser.get("/?q=" + "%3Cb%3E%22%0d%0a" * 500).status
        checked(browser.get("/?q=%22%3E%3Cscript%3E&verdict=%22&page=%22").body.decode())


def test_the_worst_comes_first_and_the_sentence_says_it(seen: list[Any], tmp_path: Path) -> None:
    seen += [row("/a.db"), row("/b.db", "degraded"), row("/c.db", "failing")]
    seen += [row("/d.db", "unknown"), row("/e.db", "failing", behind=500.0)]
    with opened("litestream.yml", tmp_path / "kept") as browser:
        page = browser.text("/")
        assert "No. 2 of 5 databases are failing." in page
        assert [id_of(f"/{name}.db") for name in "ecdba"] == ids_of(page)
        assert [id_of("/b.db")] == ids_of(browser.text("/?verdict=degraded"))
        assert [id_of("/d.db")] == ids_of(browser.text("/?q=D.DB"))
        assert "No database matches" in browser.text("/?q=nothing")


@pytest.mark.parametrize(
    ("verdicts", "verdict", "sentence"),
    [
        ("", "unknown", "Nothing is backed up: the config names no database."),
        ("failing", "failing", "No. The backup is failing."),
        ("ok failing", "failing", "No. 1 of 2 databases is failing."),
        ("ok unknown degraded", "unknown", "That is not known for 1 of 3 databases."),
        ("ok degraded degraded", "degraded", "Nearly. 2 of 3 databases need a look."),
        (
            "ok ok",
            "ok",
            "Yes. All 2 backups are up to date, and the oldest last proof is 2 hours old",
        ),
        ("ok", "ok", "Yes. The backup is up to date, and the last proof is 2 hours old."),
    ],
)
def test_the_sentence(verdicts: str, verdict: str, sentence: str) -> None:
    rows = [row(f"/{n}", v, good_proof_age=7200.0) for n, v in enumerate(verdicts.split())]
    found = words.answer(Look(0.0, {one["database"]: one for one in rows}))
    assert verdict == found[0]
    assert found[1].startswith(sentence)


def test_a_thousand_databases_stay_usable(seen: list[Any], tmp_path: Path) -> None:
    seen += [row(f"/tenants/{number:04}.db") for number in range(999)]
    seen.append(row("/tenants/zebra.db", "failing"))
    with opened("litestream.yml", tmp_path / "kept") as browser:
        page = browser.text("/")
        assert "No. 1 of 1,000 databases is failing." in page
        assert 50 == len(ids_of(page))
        assert id_of("/tenants/zebra.db") == ids_of(page)[0]
        assert len(page) < 150_000
        found = set(ids_of(page))
        for number in range(2, 21):
            found |= set(ids_of(browser.text(f"/?page={number}")))
        assert 1000 == len(found)
        for odd in ("0", "-1", "99999999", "9" * 50, "x", "²"):
            assert 50 == len(ids_of(browser.text(f"/?page={odd}")))
        page = browser.text("/?q=tenants/00&verdict=ok&page=2")
        assert "Page 2 of 2" in page
        assert 'href="?q=tenants%2F00&amp;verdict=ok&amp;page=1"' in page


def test_the_headers_and_methods_of_every_route(seen: list[Any], tmp_path: Path) -> None:
    seen.append(row("/a.db"))
    one = f"/database/{id_of('/a.db')}"
    expected = {"/": 200, "/style.css": 200, "/icon.svg": 200, one: 200, "": 308, "/x": 404}
    expected |= {"//": 404, f"{one}/": 405, f"{one}/refresh": 405, f"{one}/x/y": 404}
    expected |= {"/database": 404, "/database/": 404, "/templates/overview.html": 404}
    expected |= {"/../style.css": 404, "/overview.html": 404, "/style.css/": 404}
    with opened("litestream.yml", tmp_path / "kept") as browser:
        for path, status in expected.items():
            for method in ("GET", "HEAD"):
                response = browser.get(path, method)
                assert status == response.status, path
                assert messages.HEADERS.items() <= dict(response.headers).items()
                assert str(len(response.body)) == dict(response.headers)["Content-Length"]
        for path in ("/", "/style.css", one):
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X\r\nY"):
                response = browser.get(path, method)
                assert (405, "GET, HEAD") == (response.status, dict(response.headers)["Allow"])


def test_no_header_of_a_request_reaches_a_page(seen: list[Any], tmp_path: Path) -> None:
    seen.append(row("/a.db"))
    evil = {"host": "evil.example", "x_forwarded_host": "evil.example"}
    evil |= {"x_forwarded_prefix": "//evil.example", "referer": "https://evil.example"}
    with opened("litestream.yml", tmp_path / "kept", actions=["verify"]) as browser:
        one = f"/database/{id_of('/a.db')}"
        for path in ("/", one, "/x", "", "/database/%0d%0aLocation:evil.example/refresh"):
            response = browser.get(path, **evil)
            assert b"evil" not in response.body
            assert "evil" not in str(response.headers)
        request = messages.Request("GET", "", prefix="//evil.example/javascript:x\r\ny")
        assert (
            "javascript%3Ax%0D%0Ay/" == dict(browser.dashboard.answer(request).headers)["Location"]
        )


def test_actions_are_off_unless_named(seen: list[Any], tmp_path: Path) -> None:
    seen.append(row("/a.db"))
    one = f"/database/{id_of('/a.db')}"
    with opened("litestream.yml", tmp_path / "kept") as browser:
        page = browser.text(one)
        assert "Prove this backup now" not in page
        assert ["refresh"] == re.findall(r'action="\w+/(\w+)"', page)
        for action in ("verify", "restore"):
            assert 403 == browser.post(f"{one}/{action}", token_of(page)).status
            assert "" == browser.dashboard._jobs.state(action, "/a.db")["state"]
        assert 404 == browser.post(f"{one}/delete", token_of(page)).status
    with (
        pytest.raises(ConfigurationError, match="'delete'"),
        opened("x.yml", tmp_path / "k", actions=["delete"]),
    ):
        pass


def test_a_form_of_another_page_does_nothing(seen: list[Any], tmp_path: Path) -> None:
    seen.append(row("/a.db"))
    one = f"/database/{id_of('/a.db')}"
    with opened("litestream.yml", tmp_path / "kept", actions=["verify"]) as browser:
        token = token_of(browser.text(one))
        for button in ("verify", "refresh"):
            assert 403 == browser.post(f"{one}/{button}").status
            assert 403 == browser.post(f"{one}/{button}", "0" * 64).status
            assert 403 == browser.post(f"{one}/{button}", token, sec_fetch_site="cross-site").status
            browser.cookies, kept = {}, browser.cookies
            assert 403 == browser.post(f"{one}/{button}", token).status
            browser.cookies = kept
            assert 403 == browser.get(f"{one}/{button}?token={token}", "POST").status
            assert "" == browser.dashboard._jobs.state(button, "/a.db")["state"]
        assert 404 == browser.post("/database/0000000000000000/verify", token).status


def test_what_is_wrong_with_the_config_is_said_without_its_secrets(tmp_path: Path) -> None:
    configuration.configure(replica_access_key="CANARY-of-a-setting")
    Path("broken.yml").write_text("dbs: [{password: CANARY-literal}\n]]")
    for config in ("broken.yml", "no-such.yml"):
        with opened(config, tmp_path / "kept") as browser:
            page = browser.text("/")
            assert "That is not known" in page
            assert config in page
            assert "CANARY" not in page


def test_a_look_that_hangs_holds_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("litestream.yml").write_text("dbs: []")
    hung, go_on = threading.Event(), threading.Event()

    def health(**_: Any) -> monitoring.Health:
        hung.set()
        go_on.wait(20)
        return monitoring.Health([row("/a.db")])

    monkeypatch.setattr(monitoring, "health", health)
    dashboard = Dashboard("open", "litestream.yml", (), tmp_path / "kept")
    try:
        answer = dashboard.answer(messages.Request("GET", "/"))
        assert hung.wait(20)
        assert b"Checking the databases" in answer.body
        checked(answer.body.decode())
        one = f"/database/{id_of('/a.db')}"
        assert b"Checking the databases" in dashboard.answer(messages.Request("GET", one)).body
        go_on.set()
        wait_until(
            lambda: b"a.db" in dashboard.answer(messages.Request("GET", one)).body, "the look"
        )
    finally:
        go_on.set()
        dashboard.close()


def test_two_hundred_requests_at_once_take_one_look(
    seen: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    at_once = [0, 0]

    def health(**_: Any) -> monitoring.Health:
        looks.append(1)
        at_once[0] += 1
        at_once[1] = max(at_once)
        time.sleep(0.05)
        at_once[0] -= 1
        return monitoring.Health([row("/a.db")])

    monkeypatch.setattr(monitoring, "health", health)
    with opened("litestream.yml", tmp_path / "kept") as browser:
        one = f"/database/{id_of('/a.db')}"
        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda n: browser.get("/" if n % 2 else one).status, range(200)))
        assert [200] * 200 == found
        assert 1 == at_once[1]
        assert len(looks) < 20


@pytest.mark.parametrize("mode", ["down", "hang"])
def test_a_page_calls_no_replica(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The endpoint does not answer; only the button runs a program, and that in the background."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if mode == "hang":
        listener.listen(16)
    port = listener.getsockname()[1]
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"] = [
        {
            "type": "s3",
            "bucket": "b",
            "path": "p",
            "endpoint": f"http://127.0.0.1:{port}",
            "access-key-id": "CANARY-id",
            "secret-access-key": "CANARY-secret",
        }
    ]
    site.config.write_text(json.dumps(content))
    started: list[Any] = []
    run = subprocess.Popen.__init__

    def note(self: Any, argv: Any, *args: Any, **options: Any) -> None:
        started.append(argv)
        run(self, argv, *args, **options)

    with opened(str(site.config), tmp_path / "kept") as browser:
        (one,) = ids_of(browser.text("/"))  # the executable's version was asked by now
        monkeypatch.setattr(subprocess.Popen, "__init__", note)
        monkeypatch.setattr("litestream.dashboard.jobs._PATIENCE", 0.5)
        pages = [browser.text("/"), browser.text(f"/database/{one}")]
        spans = ("24h", "7d", "30d", "x")
        pages += [browser.text(f"/database/{one}?range={span}") for span in spans]
        assert [] == started
        assert 303 == browser.press(f"/database/{one}", "refresh").status
        pages.append(browser.text(f"/database/{one}"))
        database = str(site.database)
        wait_until(
            lambda: browser.dashboard._jobs.state("refresh", database)["state"] == "failed",
            "the failure",
        )
        pages.append(browser.text(f"/database/{one}"))
        assert "It could not be listed" in pages[-1]
        assert started
        assert all("CANARY" not in page for page in pages)
    listener.close()


def test_the_buttons_of_a_real_database(running: Site, tmp_path: Path) -> None:
    options: Any = {"actions": ["verify", "restore"]}
    database = str(running.database)
    with opened(str(running.config), tmp_path / "kept", **options) as browser:
        (one,) = ids_of(browser.text("/"))
        path = f"/database/{one}"
        assert "Not listed yet" in browser.text(path)
        for button in ("refresh", "verify", "restore"):
            response = browser.press(path, button)
            assert 303 == response.status
            assert dict(response.headers)["Location"].startswith(f"../{one}#")
        state = browser.dashboard._jobs.state
        for button in ("refresh", "verify", "restore"):
            wait_until(lambda b=button: state(b, database)["state"] != "running", button)  # type: ignore[misc]
        page = browser.text(path)
        messages_ = [state(b, database)["message"] for b in ("refresh", "verify", "restore")]
        assert "Proved in" in page, messages_
        assert "Restored to" in page, messages_
        assert "Snapshots: " in page, messages_
        (copy,) = running.directory.glob("app-*.db")
        assert running.rows() == running.rows(copy)
        assert "proved" in re.sub(r"<[^>]*>", "", page)
        kept = {file.name for file in (tmp_path / "kept").iterdir()}
        assert {f"{one}.{kind}" for kind in ("backups", "refresh", "restore", "verify")} <= kept
        wait_until(lambda: not browser.dashboard._jobs._names, "the end")


def test_two_hundred_requests_while_a_proof_runs(
    running: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_, go_on = threading.Event(), threading.Event()
    prove = verification.verify

    def slow(*args: Any, **options: Any) -> Any:
        running_.set()
        found = prove(*args, **options)
        go_on.wait(20)
        return found

    monkeypatch.setattr(verification, "verify", slow)
    with opened(str(running.config), tmp_path / "kept", actions=["verify"]) as browser:
        (one,) = ids_of(browser.text("/"))
        path = f"/database/{one}"
        try:
            assert 303 == browser.press(path, "verify").status
            assert running_.wait(20)
            threads = threading.active_count()
            with ThreadPoolExecutor(50) as pool:
                bodies = list(pool.map(lambda _: browser.get(path).body, range(200)))
            assert all(b"Running since" in body for body in bodies)
            for _ in range(20):  # pressed again and again: one proof
                assert 303 == browser.press(path, "verify").status
            assert threading.active_count() <= threads + 1
        finally:
            go_on.set()
        wait_until(lambda: not browser.dashboard._jobs._names, "the end of the proof")
        assert "Proved in" in browser.text(path)
        assert 1 == len(list(history.newest_first(str(running.database))))


def test_no_more_jobs_wait_than_there_is_room_for(
    seen: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("litestream.dashboard.jobs.listed", lambda *_: go_on.wait(20) and {})
    seen += [row(f"/{number}.db") for number in range(25)]
    with opened("litestream.yml", tmp_path / "kept") as browser:
        token = token_of(browser.text(f"/database/{id_of('/0.db')}"))
        found = [
            browser.post(f"/database/{id_of(one['database'])}/refresh", token).status
            for one in seen
        ]
        assert [303] * 20 + [503] * 5 == found
        go_on.set()
        wait_until(lambda: not browser.dashboard._jobs._names, "the end")


def test_a_job_whose_process_has_gone_is_over(seen: list[Any], tmp_path: Path) -> None:
    seen.append(row("/a.db"))
    child = subprocess.Popen(["true"])
    child.wait()
    with opened("litestream.yml", tmp_path / "kept") as browser:
        running = {"state": "running", "at": time.time(), "pid": child.pid}
        browser.dashboard._store.write("/a.db", "refresh", running)
        page = browser.text(f"/database/{id_of('/a.db')}")
        assert "The process of the job has ended" in page


def test_a_history_that_may_not_be_read_is_said(
    seen: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_database: str) -> Any:
        raise PermissionError(13, "Permission denied")

    seen.append(row("/a.db"))
    monkeypatch.setattr("litestream.dashboard.views.newest_first", refuse)
    with opened("litestream.yml", tmp_path / "kept") as browser:
        page = browser.text(f"/database/{id_of('/a.db')}")
        assert "cannot be read: Permission denied" in page
        assert "No proof is recorded" in browser.text("/")


def test_a_secret_of_the_config_is_on_no_route(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another program has written it into a message, escaped in HTML."""
    secrets = {"password": "CANARY<&>'1", "key-path": "/etc/key"}
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"] = [
        {"type": "sftp", "host": f"127.0.0.1:{free_port()}", "user": "u", "path": "/b", **secrets}
    ]
    site.config.write_text(json.dumps(content))
    monkeypatch.setenv("LITESTREAM_SECRET_ACCESS_KEY", "CANARY-env")
    text = "ssh://u:CANARY-url@host failed: CANARY<&>'1, CANARY-env " * 5

    def fail(*_: Any, **__: Any) -> Any:
        raise LitestreamError(text)

    database = str(site.database)
    history.append(proof(database, proved=False, reason="stale", message=text, host=text))
    with opened(str(site.config), tmp_path / "kept", actions=["verify", "restore"]) as browser:
        store = browser.dashboard._store
        monkeypatch.setattr("litestream.dashboard.jobs._PATIENCE", 0.5)
        monkeypatch.setattr(verification, "verify", fail)
        for job in ("refresh", "verify", "restore"):
            store.write(database, job, {"state": "failed", "at": 1.0, "message": text})
        one = f"/database/{id_of(database)}"
        token = token_of(browser.text(one))
        found = [browser.get(path) for path in ("/", one, "/x", "", "/style.css", "/icon.svg")]
        found.append(browser.get(f"{one}?range={text}"))
        found += [browser.post(f"{one}/{job}", token) for job in ("x", "refresh", "verify")]
        wait_until(lambda: not browser.dashboard._jobs._names, "the end of the jobs")
        found.append(browser.get(one))
        monkeypatch.setattr(browser.dashboard, "_answer", lambda _: 1 / 0)
        found.append(browser.get("/"))
        assert 500 == found[-1].status
    for response in found:
        assert "CANARY" not in unescape(response.body.decode())
        assert "CANARY" not in str(response.headers)


def test_a_mapping_is_a_config(tmp_path: Path) -> None:
    sqlite3.connect("app.db").execute("PRAGMA journal_mode=WAL").close()
    with opened({"app.db": "file:///srv/backups/app"}, tmp_path / "kept") as browser:
        page = browser.text("/")
        assert [id_of(os.path.realpath("app.db"))] == ids_of(page)
