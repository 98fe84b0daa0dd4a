"""Health: what is on this host says how a backup is, in a process that replicates nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import cli
from litestream._health import daemons, history, lag, look
from litestream._health.watched import Watched
from litestream._settings import environment
from litestream.rows import HistoryRow
from tests.support import Site, free_port, wait_until
from tests.support import daemons as running_daemons

KEEP = """
import sys, litestream
with litestream.Replication(sys.argv[1]) as replication:
    print("up", flush=True)
    sys.stdin.read()
"""


class Kept:
    """A daemon of this library's, in another process."""

    def __init__(self, site: Site) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KEEP, site.config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=site.directory,
            env=environment(),
        )
        assert self.process.stdout is not None
        assert b"up\n" == self.process.stdout.readline()

    def stop(self) -> None:
        self.process.communicate()


def row_of(site: Site, **limits: Any) -> Any:
    (row,) = litestream.health(site.database, config=site.config, **limits)
    return row


def settled(site: Site, **wanted: Any) -> Any:
    """Return the row as soon as it is so."""
    return wait_until(
        lambda: (row := row_of(site)) and all(row[k] == v for k, v in wanted.items()) and row,
        f"health with {wanted}: {row_of(site)}",
    )


@pytest.fixture
def kept(site):
    site.write(5)
    daemon = Kept(site)
    yield daemon
    daemon.stop()


def test_a_daemon_of_ours_in_another_process(site, kept):
    row = settled(site, state="replicating", behind=0.0)
    assert "degraded" == row["verdict"]
    assert "never proved" in row["reason"]
    assert 0 == row["restarts"]
    assert row["pid"] in running_daemons(site.directory)
    site.write(3)
    settled(site, behind=0.0)
    litestream.verify(site.database, config=site.config)
    row = settled(site, verdict="ok", behind=0.0)
    assert row["last_proof"] == row["last_good_proof"]
    assert 0 <= row["good_proof_age"] < 3600
    assert abs(time.time() - (row["last_sync"] or 0)) < 3600
    assert site.database.stat().st_size == row["size"]
    assert row["wal_size"] == Path(f"{site.database}-wal").stat().st_size
    assert row["state_size"] > 0
    assert row["free"] > 0
    assert f"file://{site.replica_path}" == row["replica"]
    health = litestream.health(config=site.config)
    assert health
    assert {"verdict": "ok", "databases": list(health)} == health.as_dict()
    kept.stop()
    row = row_of(site)
    assert ("failing", "not running", None) == (row["verdict"], row["state"], row["pid"])
    assert row["last_sync"] is not None


def test_a_daemon_that_is_killed_is_seen_to_be_started_again(site, kept):
    before = settled(site, state="replicating")
    os.kill(before["pid"] or 0, 9)
    row = wait_until(
        lambda: (row := row_of(site)) and row["restarts"] == 1 and row["pid"] and row,
        "the restart in the row",
    )
    assert before["pid"] != row["pid"]


@pytest.mark.only_series("0.5")
def test_a_daemon_of_others_is_asked_over_the_config_s_socket(running):
    litestream.verify(running.database, config=running.config)
    row = settled(running, verdict="ok", behind=0.0)
    assert "replicating" == row["state"]
    assert row["restarts"] is None
    assert row["sync_age"] < 60
    assert running.daemon.pid == row["pid"] or not os.path.isdir("/proc")


@pytest.mark.only_series("0.3")
def test_a_daemon_of_others_is_asked_for_its_metrics(site):
    site.configure("50ms", addr=f"127.0.0.1:{free_port()}")
    site.write(3)
    site.start()
    site.wait_for_backup(snapshot=True)
    litestream.verify(site.database, config=site.config)
    row = settled(site, verdict="ok", behind=0.0)
    assert "replicating" == row["state"]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs the process table of Linux")
def test_beside_a_daemon_that_tells_nothing_it_is_unknown(site):
    site.write(3)
    site.start()
    site.wait_for_backup(snapshot=True)
    litestream.verify(site.database, config=site.config)
    row = settled(site, state="replicating")
    assert ("unknown", None) == (row["verdict"], row["behind"])
    assert site.daemon.pid == row["pid"]
    site.stop()
    assert ("failing", "not running") == (row_of(site)["verdict"], row_of(site)["state"])


def test_changes_that_nobody_copies_are_behind(site, kept):
    settled(site, state="replicating", behind=0.0)
    kept.stop()
    site.write(1)
    first = row_of(site)["behind"]
    assert first is not None
    assert first > 0
    site.write(1)  # a younger change does not make the older one younger
    wait_until(lambda: (row_of(site)["behind"] or 0) > first, "the older change's age")


def test_an_endpoint_that_hangs_shows_in_the_ages(make_site, s3, installed):
    site = make_site(replica=s3.replica())
    site.write(3)
    daemon = Kept(site)
    try:
        settled(site, state="replicating", behind=0.0)
        s3.pause()
        site.write(3)
        wait_until(
            lambda: (
                (row := row_of(site, max_behind=0.5))["verdict"] == "failing" and row["behind"] != 0
            ),
            "failing",
        )
        began = time.monotonic()
        row_of(site)
        assert time.monotonic() - began < 30  # it does not wait for the endpoint
    finally:
        s3.resume()
        daemon.stop()


def test_a_proof_that_failed_outranks_all(site, kept):
    litestream.verify(site.database, config=site.config)
    settled(site, verdict="ok")
    (proof,) = litestream.history(site.database)
    failed: HistoryRow = {**proof, "at": "2099-01-01T00:00:00Z", "proved": False, "reason": "stale"}
    history.append(failed)
    row = row_of(site)
    assert "failing" == row["verdict"]
    assert re.match(r"The last proof, \d+ s ago, failed: ", row["reason"])
    assert row["last_good_proof"] < row["last_proof"]


def test_a_proof_of_a_past_time_says_nothing_of_the_newest_state(site, kept):
    litestream.verify(site.database, config=site.config)
    settled(site, verdict="ok")
    (proof,) = litestream.history(site.database)
    for proved in (False, True):
        past: HistoryRow = {**proof, "at": "2099-01-01T00:00:00Z", "method": "timestamp"}
        history.append({**past, "proved": proved, "reason": None if proved else "unrestorable"})
        row = settled(site, verdict="ok")
        assert row["last_proof"] == row["last_good_proof"] == history.seconds_of(proof["at"])


def test_a_daemon_that_has_never_reached_the_replica_is_no_stranger(make_site, tmp_path):
    (tmp_path / "taken").touch()
    site = make_site(replica={"type": "file", "path": str(tmp_path / "taken/replica")})
    site.write(1)
    daemon = Kept(site)
    try:
        row = settled(site, state="stalled")
        assert "no daemon" not in row["reason"]
        assert row["verdict"] in ("degraded", "failing")
    finally:
        daemon.stop()


def test_thresholds_are_arguments(site, kept):
    litestream.verify(site.database, config=site.config)
    settled(site, verdict="ok")
    assert "last proved" in row_of(site, max_proof_age=0)["reason"]
    row = row_of(site, max_wal_size=1, max_wal_ratio=0)
    assert ("degraded", True) == (row["verdict"], "WAL" in row["reason"])


def test_a_database_that_is_not_there_is_unknown(site, tmp_path):
    site.write(1)
    assert "unknown" == litestream.health(tmp_path / "none.db", config=site.config).verdict
    assert "unknown" == litestream.health([], config=site.config).verdict
    assert not litestream.health([], config=site.config)
    with pytest.raises(litestream.ConfigNotFoundError):
        litestream.health()


def test_without_a_config_a_named_database_is_looked_at(site, tmp_path):
    script = KEEP.replace("sys.argv[1]", f"{{{str(site.database)!r}: 'file://{tmp_path}/r'}}")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(
            lambda: litestream.health(site.database)[0]["state"] == "replicating", "its state"
        )
    finally:
        process.communicate()


def test_an_entry_that_cannot_be_used_hides_no_other(site):
    content = json.loads(site.config.read_text())
    content["dbs"].insert(0, {"path": str(site.directory / "bad.db")})
    site.config.write_text(json.dumps(content))
    first, second = litestream.health(config=site.config)
    assert "failing" == first["verdict"]
    assert "no replica" in first["reason"]
    assert str(site.database) == second["database"]


CANARY = "canary-7f3a"
REPLICAS: list[dict[str, Any]] = [
    {"type": "s3", "bucket": "b", "path": "app", "endpoint": f"https://u:{CANARY}@host"},
    {"type": "sftp", "host": "h:22", "user": "u", "password": CANARY, "path": "/app"},
    {"url": f"sftp://u:{CANARY}@host:22/app"},
    {"type": "abs", "account-name": "a", "account-key": CANARY, "bucket": "c", "path": "app"},
    {"url": f"s3://b/app?secret={CANARY}", "secret-access-key": CANARY, "access-key-id": CANARY},
]


@pytest.mark.parametrize("replica", REPLICAS)
def test_no_secret_of_the_config_is_in_it(make_site, replica, capsys):
    site = make_site(replica=replica)
    health = litestream.health(config=site.config)
    assert CANARY not in repr(health) + health._repr_html_()
    assert CANARY not in litestream.metrics.text(config=site.config)
    for options in ((), ("--json",), ("--one-line",)):
        cli.main(["health", "--config", str(site.config), *options])
    assert CANARY not in "".join(capsys.readouterr())
    assert "app" in (health[0]["replica"] or "")


def test_the_worst_verdict_is_the_health():
    assert "failing" == look.worst(["ok", "failing", "unknown", "degraded"])
    assert "unknown" == look.worst(["ok", "unknown", "degraded"])
    assert "unknown" == look.worst([])


def test_nothing_is_written(site, kept):
    settled(site, state="replicating", behind=0.0)
    kept.stop()
    before = sorted((p, p.stat().st_mtime_ns) for p in site.directory.rglob("*"))
    row_of(site)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in site.directory.rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_told_what_may_not_be_known(series, installed):
    script = (  # the interpreter itself may be out of another user's reach
        "import json, os, sys, litestream\n"
        "litestream.health(sys.argv[1], config=sys.argv[2])\n"
        "os.setgroups([]); os.setgid(12345); os.setuid(12345)\n"
        "print(json.dumps(litestream.health(sys.argv[1], config=sys.argv[2])))"
    )
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        os.chmod(folder, 0o755)
        site = Site(Path(folder) / "site", series)
        daemon = Kept(site)
        try:
            settled(site, state="replicating", behind=0.0)
            litestream.verify(site.database, config=site.config)
            for path in (site.directory, site.database, site.config):
                path.chmod(0o755)
            done = subprocess.run(
                [sys.executable, "-c", script, site.database, site.config],
                capture_output=True,
                env=environment(),
            )
            (row,) = json.loads(done.stdout)
        finally:
            daemon.stop()
            site.close()
    assert ("unknown", "unknown", None) == (row["verdict"], row["state"], row["behind"])
    assert row["last_proof"] is None


def test_a_history_that_may_not_be_read_is_no_lack_of_proofs(site, monkeypatch):
    def forbidden(_path):
        raise PermissionError

    monkeypatch.setattr(history, "newest_first", forbidden)
    site.write(1)
    row = row_of(site)
    assert "failing" == row["verdict"]
    assert "never proved" not in row["reason"]


def test_a_verification_is_a_table(running):
    table = litestream.verify(running.database, config=running.config)._repr_html_()
    assert f"<td>{running.database}</td>" in table
    assert 1 == table.count("<table>")


def test_a_daemon_of_05_that_is_new_does_not_know_what_was_sent_before(tmp_path):
    folder = tmp_path / "meta" / "ltx" / "0"
    folder.mkdir(parents=True)
    (folder / "0000000000000001-0000000000000001.ltx").write_bytes(b"sent by another")
    database = Watched(str(tmp_path / "app.db"), str(tmp_path / "meta"), "0.5")
    new = daemons.Daemon("replicating", 1, {}, 0.0)
    assert lag.measure(database, new, lag.Pages(), time.time() + 1000).behind is None
    old = new._replace(synced=time.time() - 500)
    assert (lag.measure(database, old, lag.Pages(), time.time() + 1000).behind or 0) > 900


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.123456789Z", 10.123456789),
        ("1970-01-01T02:00:10.5+02:00", 10.5),
        ("1969-12-31T19:00:10.5-05:00", 10.5),
        (None, 0.0),
        ("yesterday", 0.0),
    ],
)
def test_times_as_go_prints_them(text, seconds):
    assert seconds == daemons._seconds(text)
