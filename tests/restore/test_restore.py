"""The all-or-nothing restore, on the real executables of both series."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import litestream
from litestream import commands, configuration
from litestream._database import integrity
from litestream._executable import run
from litestream._restore import staging as restore_staging
from tests.support import wait_until


def restore(site, output=None, **options):
    return commands.restore(site.database, output, config=site.config, expand_env=False, **options)


def listing(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def make_database(path: Path, value: str = "old", *, journal_mode: str = "WAL") -> Path:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal_mode}")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO items (value) VALUES (?)", (value,))
        connection.commit()
    return path


# What it gives


def test_restore_goes_beside_the_original_and_leaves_nothing_else(replicated):
    before = listing(replicated.directory)
    restored = restore(replicated)
    assert replicated.rows() == replicated.rows(restored)
    assert {restored.name} == listing(replicated.directory) - before - {
        f"{restored.name}-wal",  # the reader of the line above
        f"{restored.name}-shm",
    }
    moment = datetime.strptime(restored.name, "app-%Y%m%d%H%M%S.db").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=2)
    assert 0o600 == stat.S_IMODE(restored.stat().st_mode)


def test_two_restores_in_one_second_get_names_of_their_own(replicated):
    assert restore(replicated) != restore(replicated)


def test_restore_to_an_output_leaves_only_the_output(replicated, target):
    assert target == restore(replicated, target)
    assert {"app.db"} == listing(target.parent)
    assert replicated.rows() == replicated.rows(target)


def test_restore_from_a_replica_url(replicated, target):
    commands.restore(f"file://{replicated.replica_path}", target)
    assert replicated.rows() == replicated.rows(target)


def test_a_replica_url_needs_an_output(replicated):
    with pytest.raises(litestream.ConfigurationError, match="output="):
        commands.restore(f"file://{replicated.replica_path}")


@pytest.mark.parametrize(
    "name", ["two  spaces", "quo'te\"s", "-lead", "a#b%41?c", "$HOME", "café☂", "new\nline"]
)
def test_restore_to_hostile_paths(replicated, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    output = folder / f"{name}.db"
    assert output == restore(replicated, output)
    assert {output.name} == listing(folder)
    with integrity.opened(str(output)) as connection:
        assert replicated.rows() == connection.execute("SELECT * FROM items").fetchall()


def test_restore_from_s3(make_site, s3, target):
    site = make_site(replica=s3.replica())
    site.write(10)
    site.back_up()
    restore(site, target)
    assert site.rows() == site.rows(target)


@pytest.mark.only_series("0.3")
def test_05_restores_what_03_has_replicated(replicated, target, monkeypatch):
    from tests.support import executable

    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    restore(replicated, target)
    assert replicated.rows() == replicated.rows(target)


def test_progress_is_told_and_ends_with_the_size(make_site, target, monkeypatch):
    monkeypatch.setattr(run, "_LOOK", 0.001)
    site = make_site()
    with site.connection:
        site.connection.execute("BEGIN")
        site.write(2000, size=2000)
    site.back_up()
    told: list[tuple[int, int | None]] = []
    restore(site, target, progress=lambda *report: told.append(report))
    size = target.stat().st_size
    assert (size, size) == told[-1]
    assert told[0][0] < size, "nothing was told while it was being restored"


# What is not there


@pytest.mark.parametrize(
    ("only", "options"),
    [
        (None, {"timestamp": datetime(2001, 1, 1, tzinfo=timezone.utc)}),
        (None, {"timestamp": "2001-01-01T00:00:00Z"}),
        ("0.3", {"generation": "0123456789abcdef"}),
        ("0.3", {"index": 1000}),
        ("0.5", {"txid": 1_000_000}),
    ],
)
def test_a_backup_that_is_not_there(replicated, series, target, only, options):
    if only not in (None, series):
        with pytest.raises(litestream.UnsupportedCommandError):
            restore(replicated, target, **options)
    else:
        with pytest.raises(litestream.BackupNotFoundError):
            restore(replicated, target, **options)
        assert restore(replicated, target, if_replica_exists=True, **options) is None
    assert set() == listing(target.parent)


def test_a_database_without_any_backup(site, target):
    with pytest.raises(litestream.BackupNotFoundError, match="mistyped"):
        restore(site, target)
    assert restore(site, target, if_replica_exists=True) is None
    assert set() == listing(target.parent)


@pytest.mark.parametrize("flag", ["o", "f", "dry_run"])
def test_flags_that_would_restore_nothing_here(replicated, target, flag):
    with pytest.raises(litestream.ConfigurationError, match=flag):
        restore(replicated, target, **{flag: True})


def test_a_damaged_replica_leaves_nothing(replicated, target):
    for path in replicated.replica_path.rglob("*.l*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    with pytest.raises(litestream.CommandFailedError) as caught:
        restore(replicated, target, if_replica_exists=True)
    assert not isinstance(caught.value, litestream.BackupNotFoundError)
    assert set() == listing(target.parent)


def test_the_integrity_check_decides(make_site, target):
    site = make_site()
    site.write(10)
    site.break_index()
    site.back_up()
    with pytest.raises(litestream.CorruptBackupError, match="missing from index") as caught:
        restore(site, target, integrity_check="full")
    assert caught.value.problems
    assert set() == listing(target.parent)
    assert target == restore(site, target)  # "quick" does not compare indexes


def test_wrong_credentials_are_no_missing_backup(make_site, s3, target):
    site = make_site(replica=s3.replica())
    configuration.configure(replica_access_key="wrong-secret-canary")
    with pytest.raises(litestream.CommandFailedError) as caught:
        restore(site, target, if_replica_exists=True)
    assert not isinstance(caught.value, litestream.BackupNotFoundError)
    assert "canary" not in f"{caught.value!r}{caught.value}{caught.value.stderr}"
    assert set() == listing(target.parent)


# The output


def test_if_db_not_exists_restores_to_the_databases_own_path(replicated):
    assert restore(replicated, if_db_not_exists=True) is None
    rows = replicated.rows()
    replicated.connection.close()
    for path in replicated.directory.glob("app.db*"):
        path.unlink()
    assert replicated.database == restore(replicated, if_db_not_exists=True)
    assert rows == replicated.rows(replicated.database)


def test_a_disk_that_is_full(make_site, target):
    """A limit on the size of files stands for the full disk: nobody but root can have one."""
    site = make_site()
    site.write(50, size=2000)
    site.back_up()
    script = (
        "import resource, litestream\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))\n"
        "try:\n"
        f"    litestream.commands.restore({str(site.database)!r}, {str(target)!r},"
        f" config={str(site.config)!r})\n"
        "except litestream.NotEnoughSpaceError:\n"
        "    print('full')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ("full\n", "") == (output.stdout, output.stderr)
    assert set() == listing(target.parent)


# Limits, and ends before the end


@pytest.mark.parametrize("force", [False, True])
def test_killed_at_any_moment_it_leaves_the_old_or_the_complete_file(make_site, target, force):
    site = make_site()
    with site.connection:
        site.connection.execute("BEGIN")
        site.write(300, size=5000)
    site.back_up()
    rows = site.rows()
    script = (
        "import sys, litestream\n"
        "litestream.commands.version()\n"
        "print('ready', flush=True)\n"
        f"litestream.commands.restore({str(site.database)!r}, {str(target)!r},"
        f" config={str(site.config)!r}, force={force})\n"
    )
    moments = random.Random(4)
    outcomes = set()
    for _ in range(12):
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        if force:
            make_database(target)
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.communicate()
        if target.exists():
            with integrity.opened(str(target)) as connection:
                found = connection.execute("SELECT * FROM items ORDER BY id").fetchall()
            assert found in ([(1, "old")], rows)
            outcomes.add("old" if len(found) == 1 else "new")
        else:
            outcomes.add("absent")
    wait_until(lambda: sweep_all(site, target), "the orphans' end")
    assert {"app.db"} == listing(target.parent)
    assert outcomes <= ({"old", "new"} if force else {"absent", "new"})


def sweep_all(site, target) -> bool:
    restore(site, target, force=True)
    return {"app.db"} == listing(target.parent)


def test_many_restores_at_once(replicated, target):
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            restore(replicated, target.with_name(f"{number}.db"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([], {f"{number}.db" for number in range(6)}) == (errors, listing(target.parent))


@pytest.fixture
def endless(monkeypatch):
    """Let every integrity check run for ever."""
    statement = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )
    rows = integrity.rows
    monkeypatch.setattr(
        integrity, "rows", lambda connection, _, interrupt: rows(connection, statement, interrupt)
    )


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("how", ["quick", "full"])
def test_an_integrity_check_has_a_time_limit(replicated, target, how):
    with pytest.raises(litestream.CommandTimeoutError, match=f"{how} integrity check") as caught:
        restore(replicated, target, integrity_check=how, timeout=2)
    assert 2 == caught.value.timeout
    assert "within 2 s" in str(pickle.loads(pickle.dumps(caught.value)))
    assert set() == listing(target.parent)


@pytest.mark.usefixtures("endless")
def test_an_integrity_check_can_be_interrupted(tmp_path):
    path = make_database(tmp_path / "app.db", journal_mode="DELETE")
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        integrity.check(str(path), "full")
    timer.join()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, litestream.OutputNotWritableError),
        (errno.EROFS, litestream.OutputNotWritableError),
        (errno.ENOSPC, litestream.NotEnoughSpaceError),
        (errno.EIO, OSError),
    ],
)
def test_what_the_system_refuses_is_a_typed_error(
    replicated, target, monkeypatch, number, expected
):
    opened_file = restore_staging._open_file

    def refused(path, flags=0):
        if flags:
            raise OSError(number, os.strerror(number))
        return opened_file(path, flags)

    monkeypatch.setattr(restore_staging, "_open_file", refused)
    with pytest.raises(expected, match=os.strerror(number)):
        restore(replicated, target)
    assert set() == listing(target.parent)
