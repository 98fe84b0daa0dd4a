"""The all-or-nothing restore, on the real executables of both series."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pickle
import random
import shutil
import signal
import socket
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
from litestream._database.files import SIDE_FILES
from litestream._executable import run as executable_run
from litestream._restore import output as restore_output
from litestream._restore import staging as restore_staging
from litestream._restore import watched
from litestream._restore.staging import Staging
from tests.support import wait_until


def restore(site, output=None, **options):
    return commands.restore(
        site.database, output, config=site.config, no_expand_env=True, **options
    )


def listing(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an output in an empty directory of its own."""
    (tmp_path / "restored").mkdir()
    return tmp_path / "restored" / "app.db"


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
    with pytest.raises(litestream.ConfigurationError, match="needs output="):
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


def test_progress_is_told_and_ends_with_the_size(make_site, target):
    site = make_site()
    with site.connection:
        site.connection.execute("BEGIN")
        site.write(2000, size=2000)
    site.back_up()
    told: list[tuple[int, int | None]] = []
    restore(site, target, progress=lambda *report: told.append(report))
    assert (target.stat().st_size, target.stat().st_size) == told[-1]


# A point in time


def test_restore_to_a_time(make_site, target):
    site = make_site()
    site.start()
    site.write(5)
    wait_until(lambda: rows_in_backup(site, target.parent) == 5, "the first rows")
    time.sleep(1.2)  # S3 and 0.3 know whole seconds; here it only keeps the two batches apart
    between = datetime.now(timezone.utc)
    time.sleep(1.2)
    site.write(5)
    wait_until(lambda: rows_in_backup(site, target.parent) == 10, "the other rows")
    site.stop()
    restore(site, target, timestamp=between)
    assert site.rows()[:5] == site.rows(target)


def rows_in_backup(site, folder: Path) -> int:
    with contextlib.suppress(litestream.BackupNotFoundError, sqlite3.OperationalError):
        copy = restore(site, folder / "look.db", force=True)
        return len(site.rows(copy))
    return 0


@pytest.mark.parametrize("by_url", [False, True])
def test_a_time_after_the_last_change_is_the_last_change(replicated, target, by_url):
    source = f"file://{replicated.replica_path}" if by_url else replicated.database
    config = None if by_url else replicated.config
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    commands.restore(source, target, timestamp=tomorrow, config=config)
    assert replicated.rows() == replicated.rows(target)


@pytest.mark.only_series("0.3")
def test_index_and_generation(replicated, target):
    (row,) = commands.generations(replicated.database, config=replicated.config)
    restore(replicated, target, generation=row["generation"], index=0, replica="file")
    assert replicated.rows() == replicated.rows(target)


@pytest.mark.only_series("0.5")
def test_txid_as_a_number_and_as_text(replicated, target):
    rows = commands.ltx(replicated.database, config=replicated.config)
    first = min(row["max_txid"] for row in rows)
    restore(replicated, target, txid=first)
    again = restore(replicated, target.with_name("again.db"), txid=int(first, 16))
    assert target.read_bytes() == again.read_bytes()


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


@pytest.mark.parametrize("txid", [0, -1, "12", "xyz"])
@pytest.mark.only_series("0.5")
def test_a_txid_that_is_none(replicated, target, txid):
    with pytest.raises(litestream.ConfigurationError, match="is no transaction"):
        restore(replicated, target, txid=txid)


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


@pytest.mark.parametrize("suffix", SIDE_FILES)
def test_a_stale_side_file_is_refused_or_removed(replicated, target, suffix):
    stale = target.with_name(f"app.db{suffix}")
    stale.write_bytes(b"stale")
    with pytest.raises(litestream.OutputExistsError, match="play it into"):
        restore(replicated, target)
    assert b"stale" == stale.read_bytes()
    restore(replicated, target, force=True)
    assert {"app.db"} == listing(target.parent)


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("by_url", [False, True])
def test_a_time_between_two_generations_is_that_of_the_earlier_one(make_site, target, by_url):
    site = make_site()
    site.write(3)
    site.back_up()
    kept = site.rows()
    time.sleep(2.1)  # times in a replica are whole seconds
    between = datetime.now(timezone.utc)
    time.sleep(1.1)
    shutil.rmtree(site.directory / ".app.db-litestream")  # the next daemon begins a generation
    site.write(2)
    source = f"file://{site.replica_path}" if by_url else site.database
    options = {} if by_url else {"config": site.config}
    site.start()
    wait_until(lambda: len(commands.generations(source, **options)) == 2, "another generation")
    site.stop()
    commands.restore(source, target, timestamp=between, **options)
    assert kept == site.rows(target)


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


def test_if_db_not_exists_restores_to_the_databases_own_path(replicated):
    assert restore(replicated, if_db_not_exists=True) is None
    rows = replicated.rows()
    replicated.connection.close()
    for path in replicated.directory.glob("app.db*"):
        path.unlink()
    assert replicated.database == restore(replicated, if_db_not_exists=True)
    assert rows == replicated.rows(replicated.database)


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
    with pytest.raises(litestream.OutputExistsError, match="is no file"):
        restore(replicated, target, force=True)


def test_too_little_space_is_seen_before_the_download(replicated, target, monkeypatch):
    free = (100, 99, 1)
    monkeypatch.setattr(restore_output, "_free", lambda _folder: free[2])
    monkeypatch.setattr(watched, "run", lambda *_: pytest.fail("it was started"))
    with pytest.raises(litestream.NotEnoughSpaceError, match="only 1 are free"):
        restore(replicated, target)


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


@pytest.fixture
def silent_endpoint():
    """Return a port that takes connections and never answers."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def silent(make_site, port: int):
    replica = {
        "type": "s3", "bucket": "b", "path": "app", "region": "us-east-1",
        "endpoint": f"http://127.0.0.1:{port}", "force-path-style": True,
    }  # fmt: skip
    configuration.configure(replica_key_id="some-key", replica_access_key="some-secret")
    return make_site("silent", replica=replica)


@pytest.mark.parametrize("options", [{"timeout": 0.5}, {}])
def test_a_hung_endpoint_ends_in_time(make_site, silent_endpoint, target, monkeypatch, options):
    monkeypatch.setattr(watched, "STALL", 0.5)
    site = silent(make_site, silent_endpoint)
    with pytest.raises(litestream.CommandTimeoutError):
        restore(site, target, **options)
    assert set() == listing(target.parent)
    assert [] == children()


def test_the_time_limit_is_for_all_children_together(replicated, target, monkeypatch):
    """For a time after the last change there are six of them."""
    limits: list[float] = []

    def noted(run):
        def slow(argv, *rest, timeout, **options):
            if argv[1] != "version":
                limits.append(timeout)
                time.sleep(0.1)
            if len(limits) > 3:
                raise litestream.CommandTimeoutError(argv, timeout)
            return run(argv, *rest, timeout=timeout, **options)

        return slow

    for module in (executable_run, watched):
        monkeypatch.setattr(module, "run", noted(module.run))
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with pytest.raises(litestream.CommandTimeoutError, match="within 50 s"):
        commands.restore(
            f"file://{replicated.replica_path}", target, timestamp=tomorrow, timeout=50
        )
    assert all(later <= earlier - 0.1 for earlier, later in itertools.pairwise([50.1, *limits]))
    assert set() == listing(target.parent)


def children() -> list[str]:
    path = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    pids = path.read_text().split() if path.exists() else []
    names = [Path(f"/proc/{pid}/comm") for pid in pids]
    return [name for path in names if path.exists() and (name := path.read_text()) == "litestream"]


def test_an_interrupt_cleans_up(make_site, silent_endpoint, target):
    site = silent(make_site, silent_endpoint)
    process = subprocess.Popen(restoring(site, target), stderr=subprocess.PIPE)
    wait_until(lambda: listing(target.parent), "the restore's start")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    assert set() == listing(target.parent)


def restoring(site, target) -> list[str]:
    """Return the command line of a process that restores from a silent endpoint."""
    script = (
        "import litestream\n"
        "litestream.configure(replica_key_id='some-key', replica_access_key='some-secret')\n"
        f"litestream.commands.restore({str(site.database)!r}, {str(target)!r},"
        f" config={str(site.config)!r})\n"
    )
    return [sys.executable, "-c", script]


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="recognised by /proc")
def test_a_child_of_a_killed_process_ends_with_the_next_restore(
    make_site, silent_endpoint, target, replicated
):
    site = silent(make_site, silent_endpoint)
    process = subprocess.Popen(restoring(site, target))
    (owner,) = wait_until(lambda: list(target.parent.glob("*/owner")), "the restore's start")
    pid = int(wait_until(owner.read_text, "the child"))
    process.kill()
    process.wait()
    assert Path(f"/proc/{pid}").exists()
    restore(replicated, target)
    assert {"app.db"} == listing(target.parent)
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists(), "the orphan's end")


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


def test_staging_of_the_living_is_left_alone_and_that_of_the_dead_is_swept(tmp_path):
    dead = tmp_path / f".litestream-restore-{'0' * 16}"
    dead.mkdir()
    (dead / "database.tmp").write_text("half")
    foreign = tmp_path / ".litestream-restore-notes"
    foreign.mkdir()
    with Staging(str(tmp_path)) as living:
        assert not dead.exists()
        with Staging(str(tmp_path)):
            assert os.path.isdir(living.path)
        assert 0o700 == stat.S_IMODE(os.stat(living.path).st_mode)
    assert {foreign.name} == listing(tmp_path)


def test_staging_made_anew_when_a_sweep_comes_between(tmp_path, monkeypatch):
    mkdir = os.mkdir
    made: list[str] = []

    def swept_at_once(path, mode=0o777):
        mkdir(path, mode)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", swept_at_once)
    with Staging(str(tmp_path)) as staging:
        assert [staging.path] == made[1:]
        assert os.path.isdir(staging.path)


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
