"""The hole that 0.5.17 leaves at a restart, and the hand-over that closes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from litestream._control_socket.nonblocking import Request
from litestream._database.files import meta_path
from litestream._database.local_state import local_txid, newest_local
from litestream._database.wal import committed_end, wal_path, wal_salts
from litestream._supervision import database_handover
from litestream._supervision.database_handover import Handover
from tests.support import Site, restored, wait_until

pytestmark = pytest.mark.only_series("0.5")


@pytest.fixture
def sited(make_site: Callable[..., Site]) -> Site:
    return make_site(socket=True)


def bytes_of(site: Site) -> int:
    folder = site.replica_path / "ltx" / "0"
    return sum(os.path.getsize(folder / name) for name in os.listdir(folder))


def local_reaches(site: Site) -> bool:
    end = committed_end(wal_path(site.database))
    return end is not None and local_txid(meta_path(site.database), end) is not None


def open_a_hole(site: Site) -> None:
    """Replicate, kill, and commit so that the next daemon misses what lies in between.

    After the kill the WAL grows past what was replicated, is checkpointed, and started over by one
    small commit: the newest LTX file's last frame still stands at its old place.
    """
    site.write(50, size=2000)
    site.start()
    wait_until(lambda: local_reaches(site), "the local state")
    site.kill()
    site.write(20, size=2000)  # in the old WAL, behind what was replicated
    site.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    site.write(1)  # starts the WAL over


def answered(site: Site) -> bool:
    with suppress(OSError):
        body = b'{"path": "%s"}' % os.fsencode(site.database)
        request = Request(str(site.socket), "POST", "/sync", body)
        answer = wait_until(request.poll, "an answer")
        return bool(answer[0] == 200)
    return False


def start_with(handover: Handover, site: Site, *, whole: bool = False) -> None:
    handover.arm(whole=whole)
    try:
        site.start()
        wait_until(lambda: polled(handover, site), "the hand-over")
    finally:
        handover.close()


def polled(handover: Handover, site: Site) -> bool:
    handover.poll(lambda: answered(site))
    return handover.done


def stopped_and_restored(site: Site) -> list[tuple[int, str]]:
    site.stop()
    return restored(site)


def test_a_bare_restart_loses_what_was_committed_meanwhile(sited: Site) -> None:
    """The control: when this fails, upstream has mended it, and the hand-over may go."""
    open_a_hole(sited)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    missing = set(sited.rows()) - set(stopped_and_restored(sited))
    assert len(missing) >= 10


def test_the_hand_over_loses_nothing(sited: Site) -> None:
    open_a_hole(sited)
    handover = Handover(str(sited.database), meta_path(sited.database))
    start_with(handover, sited)
    assert handover.whole
    assert not handover.broken
    assert stopped_and_restored(sited) == sited.rows()


def test_a_long_reader_keeps_nothing_from_being_mended(sited: Site) -> None:
    """The WAL cannot be truncated under a reader; the whole database is copied all the same."""
    open_a_hole(sited)
    with closing(sqlite3.connect(sited.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        handover = Handover(str(sited.database), meta_path(sited.database))
        start_with(handover, sited)
        assert handover.whole
        assert not handover.broken
        assert stopped_and_restored(sited) == sited.rows()


def test_an_orderly_restart_uploads_next_to_nothing(sited: Site) -> None:
    sited.write(200, size=5000)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.stop()
    before = bytes_of(sited)
    sited.write(1)
    handover = Handover(str(sited.database), meta_path(sited.database))
    start_with(handover, sited)
    assert not handover.whole
    assert not handover.broken
    assert stopped_and_restored(sited) == sited.rows()
    assert bytes_of(sited) - before < before / 10


def test_the_wal_cannot_be_started_over_while_it_is_held(sited: Site) -> None:
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.kill()
    sited.write(5)
    wal = wal_path(sited.database)
    before = committed_end(wal)
    handover = Handover(str(sited.database), meta_path(sited.database))
    try:
        sited.connection.execute("PRAGMA busy_timeout = 0")
        sited.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sited.write(5)
        after = committed_end(wal)
        assert before is not None
        assert after is not None
        assert after.salts == before.salts
        assert after.offset > before.offset
    finally:
        handover.close()


@pytest.mark.parametrize(("uncopied", "whole"), [(0, False), (0, True), (50, False), (50, True)])
def test_the_daemons_own_read_transaction_keeps_the_wal(
    sited: Site, uncopied: int, whole: bool
) -> None:
    """Else a snapshot, or a copy of the whole database, reads the next WAL's pages; nobody knows.

    Source: 0.5.17's `init` begins its read transaction; what is written later relies on it. SQLite
    lets a fully checkpointed WAL be restarted under a reader that has come afterwards.
    """
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.kill()
    sited.write(uncopied)
    sited.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    handover = Handover(str(sited.database), meta_path(sited.database))
    handover.arm(whole=whole)
    try:
        sited.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        sited.start()
        wait_until(lambda: polled(handover, sited), "the hand-over")
    finally:
        handover.close()
    assert not handover.broken
    assert handover.whole is (whole or bool(uncopied))
    before = wal_salts(wal_path(sited.database))
    for _ in range(3):
        sited.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        sited.write(1)
    assert wal_salts(wal_path(sited.database)) == before
    assert stopped_and_restored(sited) == sited.rows()


def test_no_writer_waits_and_the_pin_is_let_go(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the daemon never comes up."""
    monkeypatch.setattr(database_handover, "PIN_TIME", 0.2)
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.kill()
    handover = Handover(str(sited.database), meta_path(sited.database))
    handover.arm()
    sited.connection.execute("PRAGMA busy_timeout = 0")
    sited.write(1)

    def lets_go() -> bool:
        handover.poll(lambda: False)
        return handover._pin is None

    wait_until(lets_go, "the pin")
    assert not handover.done


def test_a_long_write_transaction_delays_no_start(sited: Site) -> None:
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.kill()
    handover = Handover(str(sited.database), meta_path(sited.database))
    sited.connection.execute("BEGIN IMMEDIATE")
    sited.write(5)
    handover.arm(wait=0.1)
    assert not handover.whole  # the pin alone must do
    try:
        sited.start()
        sited.connection.execute("COMMIT")
        wait_until(lambda: polled(handover, sited), "the hand-over")
    finally:
        handover.close()
    assert not handover.broken
    assert stopped_and_restored(sited) == sited.rows()


def test_a_change_that_the_application_refuses_leaves_the_pin(sited: Site) -> None:
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.kill()
    sited.connection.execute(
        "CREATE TRIGGER refused BEFORE INSERT ON _litestream_seq "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    handover = Handover(str(sited.database), meta_path(sited.database))
    with closing(handover):
        handover.arm()
        assert handover.is_pinned
        assert not handover.whole


def test_holding_leaves_the_wal_where_it_is(sited: Site) -> None:
    """The last connection to close would delete it, and the next start copy everything."""
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.connection.close()
    sited.kill()
    before = newest_local(meta_path(sited.database))
    handover = Handover(str(sited.database), meta_path(sited.database))
    handover.arm()
    handover.close()
    after = committed_end(wal_path(sited.database))
    assert before is not None
    assert after is not None
    assert after.salts == before.end.salts
    assert after.offset > before.end.offset  # our own change


@pytest.mark.parametrize("content", [b"", b"this is no database at all" * 50])
def test_what_is_no_database_is_left_to_the_daemon(sited: Site, content: bytes) -> None:
    other = sited.directory / "other.db"
    other.write_bytes(content)
    (sited.directory / "other.db-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(60))
    handover = Handover(str(other), meta_path(other))
    handover.arm()
    handover.close()
    assert other.read_bytes() == content


def test_a_chain_that_is_not_trusted_is_begun_anew(sited: Site) -> None:
    """Somebody else ended the daemon: its final sync may have jumped over something."""
    sited.write(50)
    sited.start()
    wait_until(lambda: local_reaches(sited), "the local state")
    sited.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    sited.kill()
    meta = meta_path(sited.database)
    handover = Handover(str(sited.database), meta)
    handover.arm(trusted=False)
    handover.close()
    assert not handover.whole  # its files all come from one WAL
    folder = sited.directory / ".app.db-litestream" / "ltx" / "0"
    newest = newest_local(meta)
    assert newest is not None
    name = f"{newest.txid:016x}-{newest.txid:016x}.ltx"
    content = bytearray((folder / name).read_bytes())
    content[64:72] = b"elsewher"  # other salts
    later = f"{newest.txid - 1:016x}-{newest.txid - 1:016x}.ltx"
    (folder / later).write_bytes(content)
    handover = Handover(str(sited.database), meta)
    handover.arm(trusted=False)
    handover.close()
    assert handover.whole
