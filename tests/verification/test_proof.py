"""The ends of a proof: every replica, every deadline, whose fault it is."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

import litestream
from litestream._database import integrity
from litestream._database import wal as wal_file
from litestream._verification import by_content, by_sentinel
from litestream.errors import UnusableDatabaseError, VerificationFailure
from tests.support import free_port, writing

# a pair made for this test, and used nowhere else
AGE = {
    "identities": ["AGE-SECRET-KEY-1QMKXSPSQRQZZERXN8FVVM4Y3K0AGAT70WEUJYRQEA2SEECJ349LSC0EQ2Y"],
    "recipients": ["age1umzyvfd2j4584x2hfkr404ntc637nfyau582c22vyaghgh7z438sulssyf"],
}


def verify(site, **options):
    return litestream.verify(
        site.database, config=site.config, directory=site.directory, **{"timeout": 20, **options}
    )


def fails(site, **options) -> VerificationFailure:
    with pytest.raises(VerificationFailure) as caught:
        verify(site, **options)
    return caught.value


# Every replica


@pytest.fixture
def two(make_site):
    """Return a Site with two replicas, its daemon running (0.3)."""
    site = make_site()
    configure(site)
    site.write(10)
    site.start()
    site.wait_for_backup(snapshot=True)
    return site


def configure(site, **top: object) -> None:
    replicas = [
        {"type": "file", "name": name, "path": str(site.directory / name), "sync-interval": "50ms"}
        for name in ("near", "offsite")
    ]
    entry = {"path": str(site.database), "monitor-interval": "50ms", "replicas": replicas}
    site.configure("50ms", dbs=[entry], **top)


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("exact", [False, True])
def test_every_replica_is_proved_or_the_one_that_is_named(two, exact):
    assert ["near", "offsite"] == verify(two, exact=exact).replicas
    assert ["offsite"] == verify(two, exact=exact, replica="offsite").replicas
    empty(two.directory / "offsite")
    with writing(two, pause=0.02):  # 0.3 may overlook a single commit, and exact makes none
        failure = fails(two, exact=exact, timeout=4)
        assert ("offsite", True) == (failure.details["replica"], "'offsite'" in failure.message)
        assert failure.reason in ("unrestorable", "stale", "different")
        assert verify(two, exact=exact, replica="near")
        (outcome,) = litestream.verify_all(two.config, exact=exact, timeout=4)
        assert not outcome
        (outcome,) = litestream.verify_all(two.config, exact=exact, replica="near")
        assert outcome, outcome.failure
    with pytest.raises(litestream.ConfigurationError, match="'near', 'offsite'"):
        verify(two, replica="other")


def empty(directory: Path) -> None:
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        path.unlink(missing_ok=True)


@pytest.mark.only_series("0.3")
def test_a_replica_that_stands_still_does_not_hide_one_that_goes_on(make_site):
    site = make_site()
    configure(site, addr=f"127.0.0.1:{free_port()}")
    site.write(10)
    site.start()
    site.wait_for_backup(snapshot=True)
    assert verify(site)
    (site.directory / "offsite").rename(site.directory / "gone")
    (site.directory / "offsite").write_text("no directory any more")
    site.write()
    assert verify(site, replica="near")
    assert "offsite" == fails(site, timeout=1).details["replica"]


# When it ends


@pytest.mark.parametrize("wal", [True, False])
def test_another_databases_replica_ends_at_the_deadline(running, monkeypatch, wal):
    """Restored again and again, it never holds the row."""
    restores: list[str] = []

    def is_in(copy, _token):
        restores.append(copy)
        return False

    monkeypatch.setattr(by_sentinel, "is_in", is_in)
    if not wal:
        monkeypatch.setattr(wal_file, "committed_end", lambda *_: None)
    begun = time.monotonic()
    with writing(running):
        assert "different" == fails(running, timeout=1).reason
    assert 2 == len(restores)
    assert time.monotonic() - begun < 20


def test_an_unsure_arrival_ends_at_the_deadline(make_site, s3, monkeypatch):
    site = make_site(replica=s3.replica())
    site.write(10)
    site.start()
    site.wait_for_backup()
    monkeypatch.setattr(by_sentinel, "is_in", lambda *_: False)
    with writing(site):
        assert fails(site, timeout=2).reason in ("different", "stale")


def test_a_long_sync_interval_is_waited_for(make_site):
    site = make_site(interval="1500ms")
    site.write(3)
    site.start()
    site.wait_for_backup()
    assert verify(site, timeout=0.5)
    site.write()
    assert verify(site, timeout=0.5, exact=True)


@pytest.mark.only_series("0.3")
def test_encrypted_segments_are_told_by_their_names(make_site):
    site = make_site()
    site.replica = {**site.replica, "age": AGE}
    site.configure("50ms")
    site.write(10)
    site.start()
    site.wait_for_backup(snapshot=True)
    with writing(site, pause=0.02):
        assert verify(site)
        assert verify(site, exact=True)
        litestream.sync(site.database, config=site.config)


# Whose fault it is


@pytest.mark.parametrize("exact", [False, True])
def test_a_damaged_copy_is_not_blamed_on_the_database(running, monkeypatch, exact):
    running.wait_for_backup(snapshot=True)

    def damaged(path, *_):
        with open(path, "r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 200)

    monkeypatch.setattr(integrity, "check", damaged)
    assert fails(running, exact=exact).reason in ("corrupt", "different")


@pytest.mark.parametrize("exact", [False, True])
def test_a_full_disk_is_not_taken_for_a_damaged_database(running, monkeypatch, exact):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(by_content if exact else by_sentinel, "prove", full)
    with pytest.raises(UnusableDatabaseError, match=r"disk is full\. Make room") as caught:
        verify(running, exact=exact)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
def test_an_in_memory_database_has_no_backup(site, name):
    with pytest.raises(UnusableDatabaseError, match="an in-memory database has no backup"):
        litestream.verify(name, config=site.config)


def test_what_it_commits_waits_for_no_disk(running, monkeypatch):
    """Killed in a COMMIT with ``FULL``, it would leave frames that only Litestream reads."""
    modes: list[int] = []
    prove = by_sentinel.prove

    def noted(proof, connection, staging):
        modes.append(connection.execute("PRAGMA synchronous").fetchone()[0])
        return prove(proof, connection, staging)

    monkeypatch.setattr(by_sentinel, "prove", noted)
    assert verify(running)
    assert [1] == modes


def test_a_daemon_that_has_not_opened_the_database_yet_is_waited_for(site):
    site.write(3)
    site.back_up()
    site.write()
    site.connection.close()  # the last one: no WAL is left
    starting = threading.Timer(0.3, site.start)
    starting.start()
    try:
        assert litestream.verify(site.database, exact=True, config=site.config)
    finally:
        starting.join()


def test_without_a_daemon_and_without_a_wal_nothing_is_proved(site):
    site.write(3)
    site.back_up()
    site.write()
    site.connection.close()
    with pytest.raises(litestream.VerificationFailure, match="it has no WAL"):
        litestream.verify(site.database, exact=True, config=site.config)
