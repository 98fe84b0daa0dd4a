"""What a writer leaves that is killed inside COMMIT, and what becomes of it in the replica."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

import litestream
from litestream import Replication, commands
from litestream._database.audit import Audit
from litestream._database.audits import audit
from litestream._database.files import meta_path
from litestream._database.frames import Frames
from litestream._database.local_state import LocalTransaction, local_transactions, newest_local
from litestream._database.lock import Lock
from litestream._database.ltx import Pages, disguise, unpacks_to
from litestream._database.wal import committed_end, wal_path
from litestream._supervision.job import Database, Job
from litestream._supervision.mending import Mending
from litestream._supervision.replaced_files import Files
from tests.oracle import difference
from tests.support import Site, die_in_commit, wait_until, writing

GHOST = ("INSERT INTO items (value) VALUES ('ghost')", "UPDATE items SET value = 'ghost'")


@pytest.fixture
def sited(make_site: Callable[..., Site]) -> Site:
    site = make_site(socket=True)
    site.write(100, size=100)
    return site


def audited(site: Site) -> Audit:
    return audit(site.series, str(site.database), meta_path(site.database))


def has_copied_too_much(site: Site) -> bool:
    look = audited(site)
    look.look()
    return look.unsettled


def lost(site: Site) -> str:
    """Say how what is restored differs from the database."""
    copy = site.directory / "copy.db"
    commands.restore(site.database, copy, config=site.config, force=True, integrity_check="none")
    return difference(site.database, copy)


def test_a_bare_daemon_replicates_what_was_never_committed(sited: Site) -> None:
    """The control: when this fails, upstream has mended it."""
    sited.start()
    sited.wait_for_backup()
    litestream.sync(sited.database, config=sited.config)
    die_in_commit(sited.database, *GHOST)
    wait_until(lambda: has_copied_too_much(sited), "the copy of what was not committed")
    sited.write(1)
    sited.stop()
    assert lost(sited)


@pytest.mark.parametrize("commits", [0, 1, 60])
def test_a_writer_that_dies_in_its_commit_leaves_nothing_in_the_replica(
    sited: Site, commits: int
) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
        die_in_commit(sited.database, *GHOST)
        sited.write(commits)
        replication.sync()
        assert lost(sited) == ""
        sited.write(1)
        replication.sync()
        assert lost(sited) == ""
        assert replication.stop()
    assert lost(sited) == ""


def test_what_was_copied_already_is_mended_and_told(sited: Site) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
        assert replication._keeper is not None
        os.kill(replication._keeper.pid, signal.SIGSTOP)
        try:
            die_in_commit(sited.database, *GHOST)
            wait_until(lambda: has_copied_too_much(sited), "the copy of what was not committed")
            sited.write(1)
            with pytest.raises(litestream.ReplicationTimeoutError, match="hole"):
                replication.sync(timeout=0.5)
        finally:
            os.kill(replication._keeper.pid, signal.SIGCONT)
        replication.sync()
        assert lost(sited) == ""
        wait_until(lambda: replication.state == "replicating", "the end of the mending")
        assert "copied once more" in (replication.last_error or "")
        assert replication.restarts == 0
        assert not Lock(str(sited.database)).noted()["hole"]


def test_a_long_reader_does_not_delay_the_mending(sited: Site) -> None:
    with (
        Replication(sited.config) as replication,
        closing(sqlite3.connect(sited.database, isolation_level=None)) as reader,
    ):
        replication.sync()
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        die_in_commit(sited.database, *GHOST)
        wait_until(lambda: has_copied_too_much(sited) or lost(sited) == "", "the daemon's look")
        sited.write(1)
        replication.sync()
        assert lost(sited) == ""


def test_the_final_sync_covers_a_writer_that_has_just_died(sited: Site) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
        die_in_commit(sited.database, *GHOST)
        assert replication.stop()
        assert lost(sited) == ""


def test_a_daemon_that_is_started_later_mends_what_an_earlier_one_copied(sited: Site) -> None:
    sited.start()
    sited.wait_for_backup()
    litestream.sync(sited.database, config=sited.config)
    die_in_commit(sited.database, *GHOST)
    wait_until(lambda: has_copied_too_much(sited), "the copy of what was not committed")
    sited.kill()
    with Replication(sited.config) as replication:
        replication.sync()
        assert lost(sited) == ""


def test_a_writer_that_is_only_slow_is_no_hole(sited: Site) -> None:
    """Writers that commit all the time are never taken for dead, and lose nothing."""
    with Replication(sited.config) as replication, writing(sited, pause=0):
        for _ in range(20 if sited.series == "0.5" else 6):  # 0.3 waits to checkpoint
            replication.sync()
        assert "once more" not in (replication.last_error or "")
    assert lost(sited) == ""


def test_the_committed_end_leaves_out_what_a_dead_writer_has_left(sited: Site) -> None:
    before = committed_end(wal_path(sited.database))
    die_in_commit(sited.database, *GHOST)
    assert committed_end(wal_path(sited.database)) == before
    assert audited(sited).leftover()
    sited.write(1)
    assert not audited(sited).leftover()


@pytest.mark.only_series("0.5")
def test_a_disguised_file_is_compacted_and_restored(sited: Site) -> None:
    sited.configure("50ms", levels=[{"interval": "1s"}])
    sited.start()
    sited.wait_for_backup()
    litestream.sync(sited.database, config=sited.config)
    newest = newest_local(meta_path(sited.database))
    assert newest is not None
    before = Path(newest.path).read_bytes()
    disguise(newest.path)
    disguise(newest.path)  # once is enough, twice would undo it
    after = Path(newest.path).read_bytes()
    assert before[:48] + before[80:] == after[:48] + after[80:]
    assert before[48:80] != after[48:80]
    sited.write(1)
    litestream.sync(sited.database, config=sited.config)
    whole = newest_local(meta_path(sited.database))
    assert whole is not None
    assert Pages(whole.path).are_all(whole.commit)

    def compacted() -> bool:
        rows = commands.ltx(sited.database, level=1, config=sited.config)
        return any(int(row["max_txid"], 16) >= whole.txid for row in rows)

    wait_until(compacted, "the compaction")
    sited.stop()
    assert "level=ERROR" not in sited.log.read_text()
    assert lost(sited) == ""


def test_what_was_copied_is_compared_with_the_database_whatever_the_next_wal_is(
    sited: Site,
) -> None:
    """Another connection checkpoints, and the next WAL's salts do not follow on the last one's."""
    sited.start()
    sited.wait_for_backup()
    litestream.sync(sited.database, config=sited.config)
    look = audited(sited)
    assert look.look()
    die_in_commit(sited.database, *GHOST)
    wait_until(lambda: has_copied_too_much(sited), "the copy of what was not committed")
    sited.kill()
    before = committed_end(wal_path(sited.database))
    with closing(sqlite3.connect(sited.database)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    sited.write(1)
    after = committed_end(wal_path(sited.database))
    assert before is not None
    assert after is not None
    assert after.salts[0] != before.salts[0] + 1
    look.final = True
    look.look()
    assert look.hole


@pytest.mark.only_series("0.5")
def test_what_is_copied_during_a_look_is_no_contradiction(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is changed once more, copied, and the WAL restarted: the look began before that."""
    sited.connection.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, value TEXT)")
    sited.connection.execute("INSERT INTO other VALUES (1, '')")
    sited.start()
    sited.wait_for_backup()
    sync = partial(litestream.sync, sited.database, config=sited.config)
    update = partial(sited.connection.execute, "UPDATE items SET value = hex(randomblob(8))")
    sync()
    look = audited(sited)
    assert look.look()
    update()
    sync()

    def list_and_go_on(meta: str) -> Iterator[LocalTransaction]:
        found = list(local_transactions(meta))
        monkeypatch.setattr(listing, local_transactions)
        update()
        sync()
        sited.stop()
        sited.connection.execute("PRAGMA wal_checkpoint(RESTART)")
        sited.connection.execute("UPDATE other SET value = 'x'")
        return iter(found)

    listing = "litestream._database.audit_05.local_transactions"
    monkeypatch.setattr(listing, list_and_go_on)
    look.final = True
    assert not look.look()
    assert look.hole == ""
    assert look.look()


@pytest.mark.only_series("0.3")
def test_what_is_copied_during_a_look_is_no_contradiction_on_03(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, in the second of three WALs. The copies are made as the daemon makes them."""
    run = sited.connection.execute
    meta = Path(meta_path(sited.database))
    folder = meta / "generations" / "0123456789abcdef" / "wal"
    folder.mkdir(parents=True)
    (meta / "generation").write_text(folder.parent.name)

    def copy_as(number: int) -> None:
        end = committed_end(wal_path(sited.database))
        assert end is not None
        content = Path(wal_path(sited.database)).read_bytes()[: end.offset]
        (folder / f"{number:08x}.wal").write_bytes(content)

    def count_and_go_on(frames: Frames, start: int, end: int) -> set[int]:
        found = numbers(frames, start, end)
        monkeypatch.setattr(Frames, "numbers", numbers)
        run("UPDATE items SET value = hex(randomblob(8))")
        copy_as(1)
        run("PRAGMA wal_checkpoint(RESTART)")
        run("UPDATE other SET value = 'y'")
        return found

    run("CREATE TABLE other (id INTEGER PRIMARY KEY, value TEXT)")
    run("INSERT INTO other VALUES (1, '')")
    copy_as(0)
    run("PRAGMA wal_checkpoint(RESTART)")
    run("UPDATE other SET value = 'x'")
    copy_as(1)
    look = audited(sited)
    numbers = Frames.numbers
    monkeypatch.setattr(Frames, "numbers", count_and_go_on)
    assert not look.look()
    assert look.hole == ""
    copy_as(2)
    assert look.look()


def test_a_hole_that_a_killed_keeper_knew_is_mended_by_the_next(sited: Site) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
    lock = Lock(str(sited.database))
    assert lock.acquire()
    lock.note(hole="what a keeper knew that was killed")
    lock.release()
    with Replication(sited.config) as replication:
        sited.write(1)
        replication.sync(timeout=15)
        assert lock.noted()["hole"] == ""
        assert lost(sited) == ""


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("ending", [True, False])
def test_a_keeper_that_was_killed_while_its_daemon_ended_is_not_trusted(
    sited: Site, caplog: pytest.LogCaptureFixture, *, ending: bool
) -> None:
    """0.3 may have written a part of the WAL twice meanwhile, and restores nothing behind that."""
    with Replication(sited.config) as replication:
        replication.sync()
    lock = Lock(str(sited.database))
    assert lock.noted()["ending"] is False
    assert lock.acquire()
    lock.note(ending=ending)
    lock.release()
    with Replication(sited.config) as replication:
        sited.write(1)
        replication.sync(timeout=15)
        assert lock.noted()["ending"] is False
    # Without that, 0.3 begins a new generation now and then by itself.
    assert len(commands.generations(sited.database, config=sited.config)) >= 1 + ending
    assert ("was killed while it ended" in caplog.text) is ending
    assert lost(sited) == ""


@pytest.mark.only_series("0.5")
def test_a_hole_is_known_after_another_database_has_appeared(sited: Site) -> None:
    """A `dir:` entry: the daemon dies, and the next one has another job."""
    path, other = str(sited.database), str(sited.directory / "other.db")
    databases = [Database(one, meta_path(one), 1.0) for one in (path, other)]
    told: list[str] = []
    before, after = (
        Mending(Job([], "0.5", found, "", ""), [Lock(one.path) for one in found], told.append)
        for found in (databases[:1], databases)
    )
    before.declare(path, "the daemon missed changes while it started")
    after.go_on_from(before)
    assert after.hole(path)
    assert not after.hole(other)
    assert len(told) == 1
    after.close()


def test_a_database_is_looked_at_again_once_something_has_changed(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no sooner: of a thousand quiet databases, a keeper asks for the times of the files."""
    sited.start()
    sited.wait_for_backup()
    database = Database(str(sited.database), meta_path(sited.database), 1.0)
    mending = Mending(Job([], sited.series, [database], "", ""), [Lock(database.path)], print)
    looks: list[str] = []
    look = Audit.look

    def counted(audit: Audit) -> bool:
        looks.append(audit.database)
        return look(audit)

    def is_quiet() -> bool:
        before = len(looks)
        return mending.look() and len(looks) == before

    monkeypatch.setattr(Audit, "look", counted)
    wait_until(is_quiet, "a look that finds nothing new")
    for change in (lambda: sited.write(1), lambda: die_in_commit(sited.database, *GHOST)):
        change()
        assert not is_quiet()
        wait_until(is_quiet, "a look that finds nothing new")
    litestream.sync(sited.database, config=sited.config)
    assert lost(sited) == ""
    mending.close()


def test_times_in_whole_seconds_show_a_change_later(sited: Site) -> None:
    """Two changes within one second have the same time on FAT, and on ext4 with small inodes."""
    sited.back_up()
    look = audited(sited)
    look.look()
    for age, whole, believed in [(0.5, False, True), (0.5, True, False), (3, True, True)]:
        then = time.time() - age
        for path in (wal_path(sited.database), *look._copies()):
            os.utime(path, (then, int(then) if whole else int(then) + 1e-3))
        assert bool(look.traces()) == believed


@pytest.mark.only_series("0.5")
def test_a_copy_of_the_whole_database_is_compared_though_its_wal_is_gone(sited: Site) -> None:
    """Not only by the last pages of that WAL, which may still stand behind the next one's."""
    sited.write(200, size=1000)
    sited.start()
    sited.wait_for_backup()
    litestream.sync(sited.database, config=sited.config)
    sited.kill()
    run = sited.connection.execute
    run("PRAGMA wal_checkpoint(TRUNCATE)")
    run("UPDATE items SET value = value || 'x' WHERE id > 150")
    sited.start()  # it copies the whole database
    litestream.sync(sited.database, config=sited.config)
    sited.kill()
    run("PRAGMA wal_checkpoint(PASSIVE)")
    sited.write(1)
    assert audited(sited).look()
    with sited.database.open("r+b") as file:
        file.seek(9 * 4096 + 4000)  # neither in the old WAL nor in the new one
        content = file.read(1)
        file.seek(9 * 4096 + 4000)
        file.write(bytes([content[0] ^ 1]))
    look = audited(sited)
    look.look()
    assert look.hole


@pytest.mark.only_series("0.5")
def test_a_vacuum_is_no_hole_once_its_wal_is_gone(sited: Site) -> None:
    """It writes every page, as a copy of the whole database that leaves out a part of the WAL."""
    sited.start()
    sited.wait_for_backup()
    sited.write(1)
    litestream.sync(sited.database, config=sited.config)
    sited.connection.execute("VACUUM")
    litestream.sync(sited.database, config=sited.config)
    newest = newest_local(meta_path(sited.database))
    assert newest is not None
    assert Pages(newest.path).are_all(newest.commit)
    assert newest.start > 32
    assert audited(sited).look()
    sited.kill()
    with closing(sqlite3.connect(sited.database)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    sited.write(1)
    look = audited(sited)
    look.look()
    assert look.hole == ""
    content = bytearray(sited.database.read_bytes())
    content[4096 * 2 + 4000] ^= 1  # what the copy does not hold
    sited.database.write_bytes(content)
    look = audited(sited)
    look.look()
    assert look.hole


@pytest.mark.only_series("0.5")
def test_a_disguised_file_is_no_copy_of_the_whole_database(sited: Site) -> None:
    """A hole is known, the file is disguised, and looked at again before the next one is there."""
    sited.start()
    sited.wait_for_backup()
    sited.stop()
    newest = newest_local(meta_path(sited.database))
    assert newest is not None
    assert Pages(newest.path).are_all(newest.commit)
    look = audited(sited)
    look.hole = "the whole database was copied, but not the whole WAL"
    look.forget()
    look.look()
    assert look.hole


@pytest.mark.only_series("0.5")
def test_a_disguise_that_came_too_late_is_a_hole(sited: Site) -> None:
    """The daemon has read the file's header already, and goes on from there."""
    sited.start()
    sited.wait_for_backup()
    sited.write(1)
    litestream.sync(sited.database, config=sited.config)
    before = newest_local(meta_path(sited.database))
    sited.write(1)
    litestream.sync(sited.database, config=sited.config)
    sited.stop()
    assert before is not None
    assert audited(sited).look()
    disguise(before.path)
    look = audited(sited)
    look.look()
    assert look.hole


@pytest.mark.only_series("0.5")
def test_pages_are_compared_without_being_unpacked(sited: Site) -> None:
    sited.start()
    sited.wait_for_backup()
    sited.stop()
    newest = newest_local(meta_path(sited.database))
    assert newest is not None
    sited.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = sited.database.read_bytes()
    pages = Pages(newest.path)
    wanted = {
        number: content[(number - 1) * 4096 : number * 4096]
        for number in range(2, newest.commit + 1)
    }
    assert pages.differing(wanted) == 0
    assert pages.differing({2: wanted[2][:-1] + b"?"}) == 2
    assert pages.differing({newest.commit + 1: wanted[2]}) == newest.commit + 1


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (b"\x30abc", b"abc"),
        (b"\x1fa\x01\x00\x05\x10b", b"a" + b"a" * 24 + b"b"),
        (b"\xf0\x01" + b"0123456789abcdef", b"0123456789abcdef"),
    ],
)
def test_a_block_unpacks_to_one_content(block: bytes, content: bytes) -> None:
    assert unpacks_to(block, content)
    assert not unpacks_to(block, content[:-1] + b"?")
    assert not unpacks_to(block, content + b"?")
    assert not unpacks_to(block, content[:-1])


def test_a_page_size_that_changed_is_mended(sited: Site) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
    for pragma in ("journal_mode=DELETE", "page_size=8192"):
        sited.connection.execute(f"PRAGMA {pragma}")
    sited.connection.execute("VACUUM")
    sited.connection.execute("PRAGMA journal_mode=WAL")
    sited.write(1)
    with Replication(sited.config) as replication:
        replication.sync()
        sited.write(3)
        replication.sync()
        assert lost(sited) == ""
        assert replication.stop()
    assert lost(sited) == ""


def test_tables_of_litestream_that_are_dropped_are_made_again(sited: Site) -> None:
    """As a migration does that was generated without knowing them."""
    with Replication(sited.config) as replication:
        replication.sync()
        sited.connection.execute("DROP TABLE _litestream_seq")
        sited.connection.execute("DROP TABLE _litestream_lock")

        def made_again() -> int:
            sited.write(20, size=2000)
            found = (
                "SELECT count(*) FROM sqlite_schema WHERE name LIKE '~_litestream~_%' ESCAPE '~'"
            )
            return int(sited.connection.execute(found).fetchone()[0]) >= 2

        wait_until(made_again, "the tables")
        replication.sync()
        assert replication.stop()
    assert lost(sited) == ""


def test_a_database_that_is_replaced_is_not_opened_beside_the_old_wal(sited: Site) -> None:
    new = sited.directory / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        other.execute("INSERT INTO items (value) VALUES ('new')")
    with Replication(sited.config) as replication:
        replication.sync()
        sited.write(3)
        replication.sync()
        content = new.read_bytes()
        os.replace(new, sited.database)
        wait_until(lambda: "was replaced, and" in (replication.last_error or ""), "the notice")
        assert replication.state == "backing off"
        assert sited.database.read_bytes() == content
        # Who has the old file open goes on, and restarts the WAL.
        sited.connection.execute("PRAGMA wal_checkpoint(RESTART)")
        sited.write(1)
        time.sleep(0.6)
        assert replication.state == "backing off"
        assert sited.database.read_bytes() == content
        sited.connection.close()
        for end in ("-wal", "-shm"):
            Path(f"{sited.database}{end}").unlink(missing_ok=True)
        wait_until(lambda: replication.state == "replicating", "the replication of the new one")
        replication.sync()
        sited.connection = sqlite3.connect(sited.database, isolation_level=None)
        assert sited.rows() == [(1, "new")]
        assert lost(sited) == ""


def test_a_wal_that_was_restarted_just_before_its_database_was_replaced(sited: Site) -> None:
    path = str(sited.database)
    files = Files(Job([], sited.series, [Database(path, meta_path(path), 1.0)], "", ""))
    new = sited.directory / "new.db"
    with closing(sqlite3.connect(new)) as other:
        other.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    files.started()
    assert files.replaced() == ""
    sited.connection.execute("PRAGMA wal_checkpoint(RESTART)")
    sited.write(1)
    os.replace(new, sited.database)
    try:
        assert "was replaced" in files.replaced()
        assert "still belongs to the old file" in files.forbidden()
        sited.connection.close()
        Path(wal_path(path)).unlink(missing_ok=True)
        assert files.forbidden() == ""
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode=WAL")
            other.execute("INSERT INTO items (value) VALUES ('new')")
            other.commit()
            assert files.forbidden() == ""
    finally:
        files.close()


@pytest.mark.only_series("0.5")
def test_a_local_sync_that_always_fails_is_no_replication(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.5.17 counts a database as synced in which it cannot even open the newest local file."""
    monkeypatch.setattr(Replication, "_delays", (0.1, 0.1), raising=False)
    with Replication(sited.config) as replication:
        replication.sync()
        newest = newest_local(meta_path(sited.database))
        assert newest is not None
        os.truncate(newest.path, 10)
        wait_until(lambda: replication.state != "replicating", "the end of the comfort")
        assert replication.last_error


def tear(database: Path) -> None:
    """Let SQLite commit frames without a checksum, as it does before 3.50.2."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        run = connection.execute
        run("PRAGMA wal_autocheckpoint = 0")
        run("PRAGMA cache_size = 20")
        run("CREATE TABLE torn (id INTEGER PRIMARY KEY, value)")
        run("CREATE INDEX torn_value ON torn (value)")
        run("BEGIN")
        source = random.Random(1)
        for _ in range(200):
            run("INSERT INTO torn (value) VALUES (?)", (source.randbytes(450).hex(),))
        run("COMMIT")
        for number in range(10):
            run("BEGIN IMMEDIATE")
            run("INSERT INTO torn (value) VALUES (?)", (f"later {number}",))
            run("SAVEPOINT s")
            run("DELETE FROM torn WHERE id % 3 = ?", (number % 3,))
            run("ROLLBACK TO s")
            run("COMMIT")


tearing = pytest.mark.skipif(
    sqlite3.sqlite_version_info >= (3, 50, 2), reason="this SQLite does not tear its WAL"
)


@tearing
def test_a_bare_daemon_copies_nothing_behind_a_tear(sited: Site) -> None:
    """The control: when this fails, the WAL was not torn."""
    sited.start()
    sited.wait_for_backup()
    tear(sited.database)
    sited.stop()
    assert lost(sited)


@tearing
def test_a_torn_wal_is_emptied_and_the_database_copied_whole(sited: Site) -> None:
    with Replication(sited.config) as replication:
        replication.sync()
        tear(sited.database)
        replication.sync()
        assert lost(sited) == ""
        wait_until(lambda: replication.state == "replicating", "the end of the mending")
        sited.write(3)
        replication.sync()
        assert lost(sited) == ""
        assert replication.stop()
    assert lost(sited) == ""


@tearing
def test_a_wal_that_was_torn_before_the_start_is_emptied_first(sited: Site) -> None:
    with closing(sqlite3.connect(sited.database)) as reader:  # or the close would checkpoint it
        reader.execute("SELECT count(*) FROM items").fetchone()
        tear(sited.database)
        with Replication(sited.config) as replication:
            replication.sync()
            assert lost(sited) == ""
            assert replication.restarts == 0


@tearing
def test_a_reader_that_keeps_a_torn_wal_is_waited_for(sited: Site) -> None:
    with (
        Replication(sited.config) as replication,
        closing(sqlite3.connect(sited.database, isolation_level=None)) as reader,
    ):
        replication.sync()
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        tear(sited.database)
        with pytest.raises(litestream.ReplicationTimeoutError, match="without a checksum"):
            replication.sync(timeout=1)
        reader.execute("COMMIT")
        replication.sync()
        assert lost(sited) == ""


@tearing
@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_a_torn_wal_is_not_recovered_when_everybody_else_goes(
    sited: Site, end: signal.Signals | None
) -> None:
    """Recovered, it would lose what follows the tear, and the database might be malformed."""
    with Replication(sited.config) as replication:
        replication.sync()
        with closing(sited.connection):
            tear(sited.database)
            wait_until(lambda: replication.state != "replicating", "the sight of the tear")
            if end is not None and replication.pid:
                with suppress(ProcessLookupError):  # it has just been ended for the mending
                    os.kill(replication.pid, end)
        replication.sync()
        assert lost(sited) == ""
        with closing(sqlite3.connect(sited.database)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM torn").fetchone()
        assert count == 210
        assert replication.stop()


@tearing
def test_our_connections_tear_nothing(sited: Site) -> None:
    with closing(litestream.connect(sited.database)) as connection:
        (spill,) = connection.execute("PRAGMA cache_spill").fetchone()
    assert spill == 0


@tearing
def test_a_tear_in_a_wal_that_was_restarted_is_seen_by_what_is_left_of_it(sited: Site) -> None:
    sited.start()
    sited.wait_for_backup()
    sited.write(1)
    look = audited(sited)
    wait_until(look.look, "the first look")
    sited.stop()
    tear(sited.database)
    with closing(sqlite3.connect(sited.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
    sited.write(1)
    look.look()
    assert "without a checksum" in look.hole
    assert not look.torn
