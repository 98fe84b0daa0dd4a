"""The place where a restored database goes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import litestream
from litestream._database.wal import WAL_HEADER_SIZE
from litestream._executable import run as executable_run
from litestream._restore import output as restore_output
from tests.restore.test_restore import listing, make_database, restore


def test_an_existing_file_is_never_touched_without_force(replicated, target):
    make_database(target)
    before = target.read_bytes()
    with pytest.raises(litestream.OutputExistsError, match="force=True"):
        restore(replicated, target)
    assert (before, {"app.db"}) == (target.read_bytes(), listing(target.parent))


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_force_replaces_a_database_and_keeps_its_mode(replicated, target, journal_mode):
    make_database(target, journal_mode=journal_mode)
    target.chmod(0o640)
    restore(replicated, target, force=True)
    assert {"app.db"} == listing(target.parent)
    assert 0o640 == stat.S_IMODE(target.stat().st_mode)
    assert replicated.rows() == replicated.rows(target)


def test_force_replaces_what_is_no_database(replicated, target):
    target.write_bytes(b"this is no database" * 1000)
    restore(replicated, target, force=True)
    assert replicated.rows() == replicated.rows(target)


def test_force_leaves_the_old_database_when_there_is_no_backup(site, target):
    make_database(target)
    with pytest.raises(litestream.BackupNotFoundError):
        restore(site, target, force=True)
    assert [(1, "old")] == site.rows(target)


@pytest.mark.parametrize("own_process", [True, False])
@pytest.mark.parametrize("writing", [True, False])
def test_force_refuses_a_database_that_is_open(replicated, target, own_process, writing):
    make_database(target)
    with opened(target, own_process=own_process, writing=writing):
        with pytest.raises(litestream.OutputInUseError, match="has open"):
            restore(replicated, target, force=True)
        assert not [name for name in listing(target.parent) if "restore" in name]
    assert [(1, "old")] == replicated.rows(target)


@contextlib.contextmanager
def opened(path: Path, *, own_process: bool, writing: bool):
    script = (
        "import sqlite3, sys\n"
        f"connection = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "connection.execute('SELECT * FROM items').fetchall()\n"
        + ("connection.execute('BEGIN IMMEDIATE')\n" if writing else "")
    )
    if own_process:
        names: dict[str, sqlite3.Connection] = {}
        exec(script, names)
        try:
            yield
        finally:
            names["connection"].close()
        return
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script}print('open', flush=True)\nsys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
    finally:
        process.communicate()


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_stale_side_file_is_refused_or_removed(replicated, target, suffix):
    stale = target.with_name(f"app.db{suffix}")
    stale.write_bytes(b"stale" * 10)
    with pytest.raises(litestream.OutputExistsError, match="play it into"):
        restore(replicated, target)
    assert b"stale" * 10 == stale.read_bytes()
    restore(replicated, target, force=True)
    assert {"app.db"} == listing(target.parent)


def test_the_command_that_the_refusal_names_clears_the_way(replicated, target):
    wal = target.with_name("app.db-wal")
    wal.write_bytes(b"stale" * 10)
    with pytest.raises(litestream.OutputExistsError) as refused:
        restore(replicated, target)
    command = re.search(r"move it away: (.*?) \(", str(refused.value))
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], check=True)
    restore(replicated, target)
    assert replicated.rows() == replicated.rows(target)
    assert b"stale" * 10 == target.with_name("app.db-wal.old").read_bytes()


@pytest.mark.parametrize("size", [0, WAL_HEADER_SIZE])
def test_side_files_that_hold_nothing_do_not_stand_in_the_way(replicated, target, size):
    target.with_name("app.db-wal").write_bytes(bytes(size))
    target.with_name("app.db-shm").write_bytes(os.urandom(32768))
    target.with_name("app.db-journal").write_bytes(b"")
    restore(replicated, target)
    assert {"app.db"} == listing(target.parent)
    assert replicated.rows() == replicated.rows(target)


def test_who_has_the_lost_database_open_writes_nothing_into_the_restored_one(replicated, target):
    make_database(target)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("INSERT INTO items (value) VALUES ('old')")
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        target.unlink()
        assert target.with_name("app.db-wal").stat().st_size == 0
        restore(replicated, target)
        old.execute("INSERT INTO items (value) VALUES ('lost with its file')")
        assert replicated.rows() == replicated.rows(target)


def test_force_does_not_play_the_old_wal_into_the_new_file(replicated, target, tmp_path):
    make_database(tmp_path / "source.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.execute("INSERT INTO items (value) VALUES ('in the WAL')")
        connection.commit()
        for suffix in ("", "-wal"):  # as a crash leaves them
            copy = target.with_name(f"app.db{suffix}")
            copy.write_bytes((tmp_path / f"source.db{suffix}").read_bytes())
    restore(replicated, target, force=True)
    assert replicated.rows() == replicated.rows(target)


def test_an_output_of_0_bytes_counts_as_none(replicated, target):
    target.touch()
    assert target == restore(replicated, target, if_db_not_exists=True)
    assert restore(replicated, target, if_db_not_exists=True) is None


def test_an_output_in_a_missing_directory(replicated, tmp_path):
    with pytest.raises(litestream.OutputNotWritableError, match="no directory"):
        restore(replicated, tmp_path / "missing" / "app.db")
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_in_a_read_only_directory(replicated, target):
    target.parent.chmod(0o500)
    with pytest.raises(litestream.OutputNotWritableError, match="not writable"):
        restore(replicated, target)


def test_an_output_that_is_a_directory(replicated, target):
    target.mkdir()
    with pytest.raises(litestream.OutputExistsError, match="is not a file"):
        restore(replicated, target, force=True)


def test_too_little_space_is_seen_before_the_download(replicated, target, monkeypatch):
    free = (100, 99, 1)
    monkeypatch.setattr(restore_output, "_free", lambda _folder: free[2])
    monkeypatch.setattr(executable_run, "run", lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(litestream.NotEnoughSpaceError, match="only 1 are free"):
        restore(replicated, target)


def test_a_file_system_without_hard_links(replicated, target, monkeypatch):
    def refused(*_paths):
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    assert target == restore(replicated, target)
    assert {"app.db"} == listing(target.parent)


@pytest.mark.parametrize("content", [b"somebody's", b""])
def test_a_file_that_appears_at_the_last_moment(replicated, target, monkeypatch, content):
    link = os.link

    def too_late(made, path):
        target.write_bytes(content)
        link(made, path)

    monkeypatch.setattr(os, "link", too_late)
    if content:
        with pytest.raises(litestream.OutputExistsError):
            restore(replicated, target)
        assert content == target.read_bytes()
    else:
        restore(replicated, target)
        assert replicated.rows() == replicated.rows(target)
