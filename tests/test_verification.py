"""Proving a backup, on the real executables of both series."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import litestream
from litestream import commands, configuration, verification
from litestream._database import integrity, local_state
from litestream._database import wal as wal_file
from litestream._database.wal import wal_path
from litestream._durability.series_03 import Look03
from litestream._health import daemons
from litestream._verification import by_sentinel, page_comparison, proof, result, table_differences
from litestream.errors import UnusableDatabaseError, VerificationFailure
from tests.support import PATIENCE, free_port, tokens, writing


def verify(site, temporary: Path | None = None, **options):
    options.setdefault("timeout", 30)
    return litestream.verify(site.database, config=site.config, directory=temporary, **options)


def fails(site, temporary: Path | None = None, **options) -> VerificationFailure:
    with pytest.raises(VerificationFailure) as caught:
        verify(site, temporary, **options)
    return caught.value


def outcome_of(site, temporary: Path, *, exact: bool):
    (outcome,) = verification.each(
        [site.database], 1, config=site.config, directory=temporary, exact=exact, timeout=5
    )
    return outcome


def fails_or_began_anew(running, temporary, exact, reasons):
    """Expect a failure, or the whole content: a daemon now and then begins anew by itself."""
    outcome = outcome_of(running, temporary, exact=exact)
    if outcome:
        copy = commands.restore(running.database, config=running.config)
        assert running.rows() == running.rows(copy)
    else:
        assert outcome.failure.reason in reasons


def prove_idle(running, temporary, exact):
    """Prove an idle database; once more if 0.3 has overlooked its last commit: exact makes none."""
    outcome = outcome_of(running, temporary, exact=exact)
    if exact and not outcome and running.series == "0.3":  # see the next test
        assert "took up" in str(outcome.failure)
        running.write()
        outcome = outcome_of(running, temporary, exact=exact)
    assert outcome, outcome


# What is proved


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("socket", [False, True])
@pytest.mark.parametrize("interval", ["50ms", "1s"])
def test_healthy_backups_are_proved_while_others_write(
    make_site, series, temporary, exact, socket, interval
):
    site = make_site(socket=socket, interval=interval)
    site.write(10)
    site.start()
    with writing(site):
        for _ in range(3):
            proved = verify(site, temporary, exact=exact, integrity_check="full")
            assert proved
            assert (exact, str(site.database)) == (proved.exact, proved.database)
            assert proved.tables["original"] == proved.tables["restored"]
            assert proved.size["restored"] > 0
            assert (proved.txid is not None) == (series == "0.5")
    assert 0 == tokens(site)
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize("exact", [False, True])
def test_an_idle_database_is_proved(running, temporary, exact):
    prove_idle(running, temporary, exact)


@pytest.mark.only_series("0.3")
def test_a_commit_that_the_daemon_overlooked_comes_with_the_next(running, temporary, monkeypatch):
    """0.3.13 does not tell its replica of one in a thousand; here, of the first one."""
    touched: list[bool] = []
    are_at, touch = Look03._are_at, by_sentinel.touch
    wal = wal_path(running.database)

    def seen(connection, token):
        before = wal_file.committed_end(wal)
        touch(connection, token)
        touched.append(before != wal_file.committed_end(wal))

    monkeypatch.setattr(by_sentinel, "touch", seen)
    monkeypatch.setattr(Look03, "_are_at", lambda *a: bool(touched) and are_at(*a))
    assert verify(running, temporary, timeout=4)
    assert [True] == touched


@pytest.mark.parametrize("exact", [False, True])
def test_backups_on_s3_are_proved(make_site, s3, temporary, exact):
    site = make_site(replica=s3.replica())
    site.write(10)
    site.start()
    with writing(site):
        for _ in range(2):
            assert verify(site, temporary, exact=exact)


@pytest.mark.only_series("0.3")
def test_the_position_is_read_from_the_metrics(make_site, s3, temporary):
    site = make_site(replica=s3.replica())
    site.configure("50ms", addr=f"127.0.0.1:{free_port()}")
    site.write(10)
    site.start()
    with writing(site):
        assert verify(site, temporary)
        assert verify(site, temporary, exact=True)


@pytest.mark.parametrize("exact", [False, True])
def test_a_daemon_of_replication_is_asked_over_its_own_socket(
    site, series, temporary, monkeypatch, exact
):
    site.write(10)
    with litestream.Replication(site.config) as replication:
        replication.sync(timeout=60)
        if series == "0.5":
            monkeypatch.setattr(local_state, "local_txid", lambda *_: pytest.fail("not asked"))
        with writing(site):
            assert verify(site, temporary, exact=exact)


def test_the_seeds_figures(running, monkeypatch):
    figures = commands.verify(running.database, config=running.config)
    assert {"size", "tables"} == set(figures)
    assert figures["tables"]["original"] == figures["tables"]["restored"] > 0


def test_two_verifies_at_once(running, temporary):
    outcomes: list[object] = []

    def one(exact: bool) -> None:
        try:
            outcomes.append(verify(running, temporary, exact=exact))
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one, args=(exact,)) for exact in (False, False, True, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True] * 4 == [bool(outcome) for outcome in outcomes], outcomes
    assert 0 == tokens(running)


def test_many_in_a_row_leave_nothing(running, temporary):
    verify(running, temporary)
    verify(running, temporary, exact=True)
    before = len(os.listdir("/dev/fd")), threading.active_count()
    for number in range(10):
        prove_idle(running, temporary, exact=number % 2 == 1)
    assert before == (len(os.listdir("/dev/fd")), threading.active_count())
    assert (0, []) == (tokens(running), list(temporary.iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="needs the lock table of Linux")
@pytest.mark.parametrize("exact", [False, True])
def test_locks_of_the_same_process_survive(running, temporary, exact):
    """Closing a plain descriptor of a database drops all locks that the process has on it."""
    holder = sqlite3.connect(running.database, isolation_level=None)
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM items").fetchall()
    shared = locks(running.database)
    assert shared
    verify(running, temporary, exact=exact)
    assert shared <= locks(running.database)
    holder.execute("ROLLBACK")
    holder.execute("BEGIN IMMEDIATE")
    if exact:  # the other one has to write
        verify(running, temporary, exact=True)
    script = (
        "import sqlite3, sys\n"
        "try:\n"
        f"    connection = sqlite3.connect({str(running.database)!r}, timeout=0)\n"
        "    connection.execute('BEGIN IMMEDIATE')\n"
        "except sqlite3.OperationalError as error:\n"
        "    print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    assert "database is locked\n" == output
    holder.close()


def locks(database: Path) -> set[str]:
    """Return the locks that this process holds on the database and its -shm (Linux)."""
    inodes = {path.stat().st_ino for path in (database, database.with_name(f"{database.name}-shm"))}
    return {
        " ".join(fields[1:])
        for line in Path("/proc/locks").read_text().splitlines()
        if len(fields := line.split()) == 8
        and int(fields[4]) == os.getpid()
        and int(fields[5].split(":")[2]) in inodes
    }


# What is not


@pytest.mark.parametrize("exact", [False, True])
def test_without_a_daemon_it_is_stale(running, temporary, exact):
    verify(running, temporary)
    running.stop()
    running.write()
    failure = fails(running, temporary, exact=exact, timeout=1)
    assert "stale" == failure.reason
    assert "no daemon took up its last commit" in failure.message
    assert isinstance(failure.details["age"], int)
    assert (0, []) == (tokens(running), list(temporary.iterdir()))


@pytest.mark.parametrize("exact", [False, True])
def test_that_nothing_replicates_it_is_said_at_once(running, temporary, exact):
    running.stop()
    running.write()
    begun = time.monotonic()
    failure = fails(running, temporary, exact=exact, timeout=300)
    assert time.monotonic() - begun < 100
    assert "stale" == failure.reason
    if sys.platform == "linux":
        assert "no daemon is replicating it: none runs on this host. Start one" in failure.message
    assert isinstance(failure.details["age"], int)


def test_where_a_daemon_may_be_hidden_it_is_waited_for(running, temporary, monkeypatch):
    """As beside another container, whose processes are not seen."""
    monkeypatch.setattr(daemons, "_NAMESPACE_OF_THE_HOST", 1)
    running.stop()
    running.write()
    failure = fails(running, temporary, timeout=2)
    assert "no daemon took up its last commit within 2.1 s" in failure.message


def test_a_daemon_that_is_started_meanwhile_is_waited_for(running, temporary):
    running.stop()
    begun = time.monotonic()

    def report(*_: object) -> None:
        if running.daemon is None and time.monotonic() > begun + 0.5:
            running.start()

    assert verify(running, temporary, timeout=60, progress=report)


def test_a_replica_that_cannot_be_asked_is_not_said_to_be_empty(make_site, s3, temporary):
    site = make_site(replica={**s3.replica(), "endpoint": f"http://127.0.0.1:{free_port()}"})
    site.write(1)
    failure = fails(site, temporary, timeout=0.5)
    assert "stale" == failure.reason
    assert "The replica cannot be asked: litestream" in failure.message


@pytest.mark.parametrize("exact", [False, True])
def test_with_a_stopped_daemon_it_is_stale(running, temporary, exact):
    verify(running, temporary)
    assert running.daemon is not None
    running.daemon.send_signal(signal.SIGSTOP)
    running.write()
    assert "stale" == fails(running, temporary, exact=exact, timeout=2).reason
    running.daemon.send_signal(signal.SIGCONT)
    assert verify(running, temporary, exact=exact)


def test_a_database_not_in_wal_mode_is_stale(site, temporary):
    site.connection.execute("PRAGMA journal_mode=DELETE")
    failure = fails(site, temporary)
    assert ("stale", True) == (failure.reason, "Litestream changes" in failure.message)


@pytest.mark.parametrize("exact", [False, True])
def test_an_emptied_replica(running, temporary, exact):
    running.wait_for_backup(snapshot=True)  # after that, nothing writes the whole of it again
    verify(running, temporary)
    empty(running.replica_path)
    running.write()
    fails_or_began_anew(running, temporary, exact, ("unrestorable", "stale"))
    assert (0, []) == (tokens(running), list(temporary.iterdir()))


def empty(directory: Path) -> None:
    """Remove everything under a directory into which a daemon goes on writing."""
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        path.unlink(missing_ok=True)


def test_every_file_of_the_replica_flipped(running, temporary):
    verify(running, temporary)
    running.stop()
    with contextlib.closing(sqlite3.connect(running.database)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        for path in running.replica_path.rglob("*.l*"):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0xFF
            path.write_bytes(content)
        running.start()
        failure = fails(running, temporary, exact=True, timeout=5)
    assert failure.reason in ("unrestorable", "corrupt", "different")


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("exact", [False, True])
def test_a_segment_missing_in_the_middle(running, temporary, exact):
    for _ in range(6):
        running.write(5)
        verify(running, temporary)
    segments = sorted(running.replica_path.rglob("*.wal.lz4"))
    segments[len(segments) // 2].unlink()
    copy = commands.restore(running.database, config=running.config, integrity_check="full")
    assert len(running.rows(copy)) < len(running.rows())  # what the weaker checks let pass
    failure = fails(running, temporary, exact=exact)
    if exact and failure.reason == "stale":  # 0.3 overlooked the last commit; exact makes none
        running.write(1)
        failure = fails(running, temporary, exact=exact)
    assert failure.reason in ("different", "corrupt", "unrestorable")


@pytest.mark.only_series("0.5")
def test_a_replica_that_sync_wait_has_damaged_is_seen_by_exact(make_site, temporary):
    """Upstream's own ``sync -wait`` loses frames under load, up to 0.5.17 at least."""
    from tests.support import executable

    for attempt in range(5):
        site = make_site(f"site{attempt}", socket=True, interval="1s")
        site.write(500, size=200)
        site.start()
        with writing(site, pause=0.001):
            for _ in range(10):
                subprocess.run(
                    [executable("0.5"), "sync", "-wait", "-socket", site.socket, site.database],
                    capture_output=True, check=False,
                )  # fmt: skip
                time.sleep(0.2)
        outcome = outcome_of(site, temporary, exact=True)
        if not outcome:
            assert outcome.failure.reason in ("different", "unrestorable", "corrupt")
            return
        site.stop()
    pytest.fail("sync -wait has damaged nothing: is the bug fixed upstream?")


def test_another_databases_replica(running, make_site, temporary):
    other = make_site("other")
    other.write(40)
    other.back_up()
    running.wait_for_backup(snapshot=True)
    verify(running, temporary)
    empty(running.replica_path)
    shutil.copytree(other.replica_path, running.replica_path, dirs_exist_ok=True)
    running.write()
    for exact in (False, True):
        reasons = ("different", "stale", "unrestorable", "corrupt")
        fails_or_began_anew(running, temporary, exact, reasons)


def test_lost_credentials(make_site, s3, temporary):
    site = make_site(replica=s3.replica())
    site.write(5)
    site.start()
    verify(site, temporary)
    configuration.configure(replica_access_key="wrong-secret-canary")
    failure = fails(site, temporary, timeout=1)
    assert failure.reason in ("unrestorable", "stale")
    assert "canary" not in f"{failure!r}{failure}"


def test_a_full_destination(running, temporary, monkeypatch):
    verify(running, temporary)
    usage = shutil.disk_usage(temporary)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    failure = fails(running, temporary)
    assert ("unusable", True) == (failure.reason, "directory=" in failure.message)


def test_a_missing_destination(running, tmp_path):
    assert "unusable" == fails(running, tmp_path / "missing").reason


def test_what_is_restored_is_checked(make_site, temporary):
    site = make_site()
    site.write(10)
    site.break_index()
    site.start()
    assert verify(site, temporary)
    failure = fails(site, temporary, integrity_check="full")
    assert ("corrupt", True) == (failure.reason, bool(failure.details["problems"]))


def test_a_writer_that_holds_on_is_busy(running, temporary, monkeypatch):
    monkeypatch.setattr(result, "BUSY", 0.2)
    running.connection.execute("BEGIN IMMEDIATE")
    failure = fails(running, temporary)
    assert "busy" == failure.reason
    running.connection.execute("ROLLBACK")
    assert 0 == tokens(running)


def test_a_failure_keeps_its_parts_when_pickled():
    failure = VerificationFailure("/a.db", "stale", "no daemon", {"age": 3})
    copy = pickle.loads(pickle.dumps(failure))
    assert ("/a.db", "stale", {"age": 3}) == (copy.database, copy.reason, copy.details)
    assert str(copy) == str(failure)


# What cannot be verified


def test_a_mistyped_path_creates_nothing(site, temporary):
    content = site.config.read_text()
    site.config.write_text(content.replace("app.db", "typo.db"))
    with pytest.raises(UnusableDatabaseError, match="There is no database at"):
        litestream.verify(site.directory / "typo.db", config=site.config)
    assert not (site.directory / "typo.db").exists()
    with pytest.raises(litestream.ConfigurationError, match="not in the config"):
        verify(site, temporary)


def test_a_replica_url(site):
    with pytest.raises(litestream.ConfigurationError, match="replica URL"):
        litestream.verify(f"file://{site.replica_path}", config=site.config)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"\0" * 8192])
def test_a_file_that_is_no_database(site, temporary, content):
    site.connection.close()
    for path in site.directory.glob("app.db*"):
        path.unlink()
    site.database.write_bytes(content)
    with pytest.raises(UnusableDatabaseError, match="encrypted"):
        verify(site, temporary)
    assert content == site.database.read_bytes()


# Every database of a config


def test_verify_all_hides_nothing(running, temporary):
    config = json.loads(running.config.read_text())
    config["dbs"].append({**config["dbs"][0], "path": str(running.directory / "missing.db")})
    running.config.write_text(json.dumps(config))
    outcomes = litestream.verify_all(running.config, directory=temporary)
    assert [True, False] == [bool(outcome) for outcome in outcomes]
    proved, failed = outcomes
    assert isinstance(proved.verification, litestream.Verification)
    assert (True, None, str(running.database)) == (proved.proved, proved.failure, proved.database)
    assert (False, None, "missing.db") == (
        failed.proved, failed.verification, Path(failed.database).name
    )  # fmt: skip
    assert isinstance(failed.failure, VerificationFailure)
    assert "unusable" == failed.failure.reason
    for outcome in outcomes:
        copy = pickle.loads(pickle.dumps(outcome))
        assert outcome.as_dict() == copy.as_dict() == json.loads(json.dumps(outcome.as_dict()))
        assert bool(outcome) == bool(copy)


def test_a_failure_in_a_pool_is_raised(running, temporary):
    running.stop()
    running.write()
    with (
        concurrent.futures.ThreadPoolExecutor() as pool,
        pytest.raises(VerificationFailure, match="stale"),
    ):
        pool.submit(verify, running, temporary, timeout=0.5).result()


@pytest.mark.parametrize(
    ("module", "name", "exact"),
    [
        (integrity, "rows", False),
        (page_comparison.Pin, "copy", True),
        (page_comparison, "is_equal", True),
        (table_differences, "differences", True),
    ],
)
def test_what_takes_long_can_be_interrupted(running, temporary, monkeypatch, module, name, exact):
    """By the one thing that ``each`` can do: let ``progress`` raise."""
    running.wait_for_backup(snapshot=True)
    original = getattr(module, name)
    begun = threading.Event()
    if name == "differences":
        monkeypatch.setattr(page_comparison, "is_equal", lambda *_: False)

    def noted(*arguments):
        begun.set()
        original(*arguments)
        pytest.fail(f"{name} was not interrupted")

    def progress(_written, _expected):
        if begun.is_set():
            raise KeyboardInterrupt

    monkeypatch.setattr(proof, "_LOOK", 0)
    monkeypatch.setattr(module, name, noted)
    with pytest.raises(KeyboardInterrupt):
        verify(running, temporary, exact=exact, progress=progress)
    assert (0, []) == (tokens(running), list(temporary.iterdir()))


def test_the_end_of_the_consumer_ends_a_long_check(running, temporary, monkeypatch):
    """An endless one: this test would hang."""
    rows = integrity.rows
    checking = threading.Event()

    def endless(connection, _statement, interrupt):
        checking.set()
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        return rows(connection, f"{numbers} SELECT max(i) FROM n", interrupt)

    monkeypatch.setattr(integrity, "rows", endless)
    missing = running.directory / "missing.db"
    outcomes = verification.each(
        [missing, running.database], 2, config=running.config, directory=temporary
    )
    assert not next(outcomes)
    assert checking.wait(PATIENCE)
    outcomes.close()
    assert (0, []) == (tokens(running), list(temporary.iterdir()))
