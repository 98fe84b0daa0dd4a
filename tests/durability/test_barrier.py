"""litestream.sync: a barrier for a daemon that somebody else runs."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

import litestream
from litestream._config.config import Config
from litestream._config.database import database_of
from litestream._database import wal
from litestream._database.connect import bump
from litestream._database.lock import Lock
from litestream._database.wal import wal_path
from litestream._durability import barrier
from litestream._durability.series_03 import Look03
from litestream._durability.watch import NotArrivedError, Watch
from tests.support import free_port, restored


def assert_synced(site):
    site.start()
    for _ in range(3):
        site.write(5)
        litestream.sync(site.database, config=site.config)
        assert site.rows() == restored(site)


@pytest.mark.parametrize("socket", [False, True])
def test_what_was_committed_is_in_the_replica(make_site, socket):
    site = make_site(socket=socket)
    assert_synced(site)
    site.stop()
    site.write(1)
    with pytest.raises(litestream.ReplicationTimeoutError):
        litestream.sync(site.database, timeout=0.3, config=site.config)


@pytest.mark.only_series("0.3")
def test_a_remote_replica_is_followed_by_the_metrics(make_site, s3):
    site = make_site(replica=s3.replica())
    site.configure("50ms", addr=f"127.0.0.1:{free_port()}")
    assert_synced(site)


@pytest.mark.only_series("0.3")
def test_a_remote_replica_without_metrics_is_followed_by_its_segments(make_site, s3):
    assert_synced(make_site(replica=s3.replica()))


def test_without_a_daemon_the_time_limit_ends_it(site):
    site.write(1)
    with pytest.raises(litestream.ReplicationTimeoutError, match=r"within 0.3 s"):
        litestream.sync(site.database, timeout=0.3, config=site.config)


def test_a_wal_that_was_restarted_is_looked_at_once(site, monkeypatch):
    """Its end moves with the writers: asked for again and again, it might never be reached."""
    site.write(1)
    (end,) = filter(None, [wal.committed_end(wal_path(site.database))])
    looks = iter([end])
    monkeypatch.setattr(wal, "committed_end", lambda _wal: next(looks))
    database = database_of(Config.load(site.config, site.series), site.database)
    watch = Watch(database, time.monotonic() + 1)
    with pytest.raises(NotArrivedError):
        watch.arrival(wal.WALEnd((1, 2), 4152))


@pytest.mark.only_series("0.3")
def test_a_commit_that_is_kept_back_is_pushed_on(site, monkeypatch):
    """0.3.13 now and then tells its replica of a commit with the next one only."""
    site.write(1)
    site.start()
    site.wait_for_backup()
    are_at = Look03._are_at
    bumped: list[str] = []
    monkeypatch.setattr(barrier, "bump", bumped.append)
    monkeypatch.setattr(Look03, "_are_at", lambda *a: bool(bumped) and are_at(*a))
    litestream.sync(site.database, timeout=4, config=site.config)
    assert [str(site.database)] == bumped


def test_another_commit_can_be_made_before_the_first_checkpoint(site):
    """Only with that one Litestream puts its row into the table of its own."""
    site.write(1)
    site.start()
    site.wait_for_backup()
    assert [] == site.connection.execute("SELECT * FROM _litestream_seq").fetchall()
    before = wal.committed_end(wal_path(site.database))
    bump(str(site.database))
    assert before != wal.committed_end(wal_path(site.database))
    assert [(1, 1)] == site.connection.execute("SELECT * FROM _litestream_seq").fetchall()


def test_a_database_without_litestreams_table_is_left_alone(site):
    site.write(1)
    before = wal.committed_end(wal_path(site.database))
    bump(str(site.database))
    assert before == wal.committed_end(wal_path(site.database))


def test_a_database_that_the_config_does_not_name(site):
    with pytest.raises(litestream.ConfigurationError, match="is not in the config"):
        litestream.sync("other.db", config=site.config)


@pytest.mark.only_series("0.5")
def test_a_daemon_of_ours_that_does_not_answer_may_have_jumped(site, tmp_path):
    """Its local state tells of two WALs, and nobody knows whether all of the first was copied."""
    for _ in range(2):
        site.start()
        site.write(3)
        litestream.sync(site.database, config=site.config)
        site.stop()
        with closing(sqlite3.connect(site.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        site.write(1)
    site.start()
    litestream.sync(site.database, config=site.config)
    lock = Lock(str(site.database))
    assert lock.acquire()
    lock.note(directory=str(tmp_path), socket="")
    with pytest.raises(litestream.ReplicationTimeoutError, match="may have missed changes"):
        litestream.sync(site.database, timeout=3, config=site.config)
    lock.note(directory=str(tmp_path / "gone"))  # as a stop of ours leaves it
    litestream.sync(site.database, config=site.config)
    lock.release()
