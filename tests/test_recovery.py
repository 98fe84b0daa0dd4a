from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import (
    BackupExistsError,
    BackupNotFoundError,
    ConfigurationError,
    Replication,
    commands,
)
from litestream._database.lock import Lock
from litestream._executable import contents, listings
from litestream._executable import run as executable_run
from litestream._replication import missing
from tests.support import S3Server, Site, executable, free_port, wait_until


def lose(site: Site) -> None:
    """Lose the database and everything beside it, as a new container has."""
    site.connection.close()
    for path in site.directory.iterdir():
        if path.name.startswith(("app.db", ".app.db")):
            subprocess.run(["rm", "-r", str(path)], check=True)


def files(site: Site) -> list[str]:
    return sorted(name for name in os.listdir(site.directory) if "app.db" in name)


def test_a_missing_database_is_restored_once(replicated: Site) -> None:
    kept = replicated.rows()
    lose(replicated)
    (first,) = litestream.recover(config=replicated.config)
    assert (first.database, first.action) == (str(replicated.database), "restored")
    assert replicated.rows(replicated.database) == kept
    (second,) = litestream.recover(config=replicated.config)
    assert second.action == "present"


def test_an_empty_file_counts_as_missing(replicated: Site) -> None:
    kept = replicated.rows()
    lose(replicated)
    replicated.database.touch()
    (done,) = litestream.recover(replicated.database, config=replicated.config)
    assert done.action == "restored"
    assert replicated.rows(replicated.database) == kept


def test_no_backup_is_what_was_expected_or_an_error(site: Site) -> None:
    lose(site)
    (done,) = litestream.recover(config=site.config)
    assert done.action == "no backup"
    (done,) = litestream.recover(config=site.config, expect="none")
    assert done.action == "no backup"
    with pytest.raises(BackupNotFoundError):
        litestream.recover(config=site.config, expect="backup")
    assert not site.database.exists()


def test_a_backup_that_was_not_expected_is_refused(replicated: Site) -> None:
    lose(replicated)
    with pytest.raises(BackupExistsError):
        litestream.recover(config=replicated.config, expect="none")
    assert not replicated.database.exists()


def test_a_database_that_is_there_passes_with_every_expectation(replicated: Site) -> None:
    for expect in ("any", "backup", "none"):
        (done,) = litestream.recover(config=replicated.config, expect=expect)
        assert done.action == "present"


def test_arguments_that_make_no_sense_are_refused(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="expect"):
        # on purpose, what no type checker lets pass
        litestream.recover(config=site.config, expect="maybe")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is not in the config"):
        litestream.recover(site.directory / "other.db", config=site.config)


def test_many_processes_at_once_restore_once(replicated: Site) -> None:
    kept = replicated.rows()
    lose(replicated)
    script = textwrap.dedent(
        f"""
        import litestream
        (done,) = litestream.recover(config={str(replicated.config)!r})
        print(done.action)
        """
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert sorted(said) == ["present"] * 7 + ["restored"]
    assert replicated.rows(replicated.database) == kept


def test_a_recovered_database_may_be_replicated(replicated: Site) -> None:
    """It has no state of Litestream's, and its replica holds backups: its own."""
    kept = replicated.rows()
    lose(replicated)
    litestream.recover(config=replicated.config)
    with Replication(replicated.config) as replication:
        replication.sync()
    lose(replicated)
    litestream.recover(config=replicated.config)
    assert replicated.rows(replicated.database) == kept


def test_the_guard_is_for_missing_databases_too(replicated: Site) -> None:
    """The application would make a new one, and that would be replicated over the backup."""
    lose(replicated)
    with pytest.raises(BackupExistsError, match="recover"):
        Replication(replicated.config).start()


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("s3_replica", [False, True])
def test_05_sees_what_03_has_replicated(
    make_site: Callable[..., Site],
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    s3_replica: bool,
) -> None:
    site = make_site(replica=s3.replica()) if s3_replica else make_site()
    site.write(3)
    site.back_up()
    kept = site.rows()
    lose(site)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    with pytest.raises(BackupExistsError):
        Replication(site.config).start()
    with pytest.raises(BackupExistsError):
        litestream.recover(config=site.config, expect="none")
    litestream.recover(config=site.config)
    assert site.rows(site.database) == kept


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Give a function that serves an empty directory by a protocol, and returns the port."""
    program = Path(sys.executable).parent / "rclone"
    (tmp_path / "served").mkdir()
    processes: list[subprocess.Popen[bytes]] = []

    def serve(protocol: str) -> int:
        port = free_port()
        processes.append(
            subprocess.Popen(
                [
                    program,
                    *("--config", "/dev/null", "serve", protocol, tmp_path / "served"),
                    *("--addr", f"127.0.0.1:{port}", "--user", "user", "--pass", "secret"),
                ],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

        def listens() -> bool:
            with contextlib.closing(socket.socket()) as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, "rclone's start")
        return port

    yield serve
    for process in processes:
        process.terminate()
        process.wait()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("kind", ["s3", "sftp", "webdav"])
def test_an_empty_replica_of_every_kind_is_no_backup(
    make_site: Callable[..., Site], s3: S3Server, rclone: Callable[[str], int], kind: str
) -> None:
    """Else a first start would be refused."""
    if kind == "s3":
        replica = s3.replica()
    elif kind == "sftp":
        replica = {"host": f"127.0.0.1:{rclone('sftp')}", "user": "user", "password": "secret"}
    else:
        replica = {"webdav-username": "user", "webdav-password": "secret"}
        replica["webdav-url"] = f"http://127.0.0.1:{rclone('webdav')}"
    site = make_site(replica={"type": kind, "path": "app", **replica})
    lose(site)
    (done,) = litestream.recover(config=site.config, expect="none")
    assert done.action == "no backup"


@pytest.mark.only_series("0.3")
def test_an_endpoint_that_fails_is_not_one_without_a_backup(
    make_site: Callable[..., Site], s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(replica=s3.replica())
    site.write(3)
    site.back_up()
    lose(site)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    listing = listings.ltx

    def last_answer(*arguments: Any, **options: Any) -> list[Any]:
        rows = listing(*arguments, **options)
        litestream.configure(replica_access_key="revoked")
        return rows

    monkeypatch.setattr(listings, "ltx", last_answer)
    with pytest.raises(litestream.CommandFailedError, match="SignatureDoesNotMatch"):
        litestream.recover(config=site.config, expect="none")


@pytest.mark.only_series("0.3")
def test_a_03_backup_older_than_any_is_one(
    replicated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was copied without its times, 0.5 finds something at every time asked for."""
    lose(replicated)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    for path in replicated.replica_path.rglob("*.lz4"):
        os.utime(path, (0, 0))
    with pytest.raises(BackupExistsError):
        litestream.recover(config=replicated.config, expect="none")


@pytest.mark.only_series("0.5")
def test_the_time_limit_is_for_all_questions_together(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(site)
    monkeypatch.setattr(contents, "_read", lambda *_: None)  # as of a server
    limits: list[float] = []
    run = executable_run.run

    def noted(argv: list[str], *, timeout: float, **options: Any) -> executable_run.Output:
        if argv[1] in ("ltx", "restore"):
            limits.append(timeout)
            time.sleep(0.2)
        return run(argv, timeout=timeout, **options)

    monkeypatch.setattr(executable_run, "run", noted)
    litestream.recover(config=site.config, expect="none", timeout=50)
    first, second = limits
    assert second <= first - 0.2 < 50


def test_a_failing_restore_leaves_nothing(
    make_site: Callable[..., Site], s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(replica=s3.replica())
    lose(site)
    before = files(site)
    monkeypatch.setattr(missing, "_PAUSE", 0.05)
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"][0]["secret-access-key"] = "wrong"
    content["dbs"][0]["replicas"][0]["access-key-id"] = "wrong"
    site.config.write_text(json.dumps(content))
    with pytest.raises(litestream.CommandFailedError):
        litestream.recover(config=site.config)
    assert [name for name in files(site) if not name.endswith(".lock")] == before


def test_an_endpoint_that_does_not_answer_ends_at_the_time_limit(
    make_site: Callable[..., Site], s3: S3Server
) -> None:
    site = make_site(replica=s3.replica())
    lose(site)
    s3.pause()
    try:
        with pytest.raises(litestream.CommandTimeoutError):
            litestream.recover(config=site.config, timeout=1.0)
    finally:
        s3.resume()
    assert not site.database.exists()


def test_a_lock_that_is_held_is_waited_for_with_a_limit(replicated: Site) -> None:
    lose(replicated)
    lock = Lock(str(replicated.database))
    assert lock.acquire()
    with pytest.raises(litestream.ReplicationTimeoutError, match="missing"):
        litestream.recover(config=replicated.config, timeout=0.3)
    lock.release()


def test_the_command_recovers(replicated: Site) -> None:
    lose(replicated)
    program = str(Path(sys.executable).with_name("litestream"))
    command = [program, "recover", "--expect", "backup", "--config", str(replicated.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{replicated.database}: restored" in done.stdout
    lose(replicated)
    subprocess.run(["rm", "-r", str(replicated.replica_path)], check=True)
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("litestream: ")


@pytest.mark.parametrize("present", [False, True])
def test_a_new_database_beside_old_state_does_not_replace_the_backup(
    site: Site, *, present: bool
) -> None:
    """As `rm app.db*` leaves it: the state's name begins with a dot."""
    with Replication(site.config) as replication:
        site.write(3)
        replication.sync()
    site.connection.close()
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        (site.directory / name).unlink(missing_ok=True)
    if present:
        with closing(sqlite3.connect(site.database)) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    with pytest.raises(BackupExistsError):
        Replication(site.config).start()
    commands.restore(site.database, site.database, config=site.config, force=True)
    with Replication(site.config):  # what was restored is the backup's own
        pass


def test_a_mapping_in_the_place_of_the_database_is_refused() -> None:
    with pytest.raises(TypeError, match="not dict"):
        litestream.recover({"app.db": "file:///srv/backups/app"})  # type: ignore[arg-type]
