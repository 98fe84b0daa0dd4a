from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import yaml

import litestream
from litestream import BackupExistsError, ConfigurationError, Replication, commands
from litestream._database.local_state import logged_segment
from litestream._database.lock import Lock
from litestream._executable import log_lines
from litestream._replication import keeper_process
from litestream._replication.status import Told
from tests import ledger
from tests.support import PATIENCE, S3_SECRET, S3Server, Site, daemons, restored, wait_until
from tests.test_recovery import lose

needs_death_signal = pytest.mark.skipif(
    sys.platform != "linux", reason="macOS has no signal for a parent's death"
)


def has_restarted(replication: Replication, times: int) -> bool:
    return replication.restarts >= times and state_of(replication) == "replicating"


def state_of(replication: Replication) -> str:
    """Return the state; a type checker does not know that it changes by itself."""
    return replication.state


@contextmanager
def application(site: Site, body: str, *, wait: str = "ready") -> Iterator[subprocess.Popen[str]]:
    """Run a script in which `replication` has been started, until it has printed `wait`."""
    script = textwrap.dedent(
        f"""
        import litestream, logging, os, signal, sqlite3, sys, time
        connection = sqlite3.connect({str(site.database)!r}, isolation_level=None)
        replication = litestream.Replication({str(site.config)!r})
        """
    ) + textwrap.dedent(body)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        assert line == wait, line + process.stdout.read()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        wait_until(lambda: not daemons(site.directory), "the daemon's end")


SERVE = """
    replication.start()
    replication.sync()
    connection.execute("INSERT INTO items (value) VALUES ('last')")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_was_committed_in_the_block_is_in_the_replica(site: Site) -> None:
    with Replication(site.config) as replication:
        assert state_of(replication) == "replicating"
        assert replication.pid in daemons(site.directory)
        site.write(10)
    assert state_of(replication) == "stopped"
    assert daemons(site.directory) == []
    assert restored(site) == site.rows()


def test_a_config_file_is_not_needed(site: Site) -> None:
    """Even with what a config would expand: it is not expanded."""
    database = site.directory / "a $HOME b.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    url = f"file://{site.directory}/cöpies of 'it'"
    with Replication({database: url}, sync_interval=0.05) as replication:
        replication.sync(database)
    assert (site.directory / "cöpies of 'it'").is_dir()
    database.unlink()
    Path(f"{database}-wal").unlink(missing_ok=True)
    Path(f"{database}-shm").unlink(missing_ok=True)
    (done,) = litestream.recover(config={database: url})
    assert done.action == "restored"
    assert site.rows(database) == []


def test_a_database_whose_folder_is_missing_is_refused(site: Site) -> None:
    """By name, at the start, and without the lock of the one that could be replicated."""
    copies = f"file://{site.directory}/copies"
    missing = site.directory / "missing" / "app.db"
    replication = Replication({site.database: f"{copies}/a", missing: f"{copies}/b"})
    with pytest.raises(ConfigurationError, match=f"{missing.parent}.*No such file"):
        replication.start()
    assert state_of(replication) == "failed"
    lock = Lock(str(site.database))
    assert lock.acquire()
    lock.release()
    missing.parent.mkdir()
    with replication:
        assert state_of(replication) == "replicating"


def test_a_keeper_that_cannot_start_fails_with_its_own_words(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_process, "_BOOT", "import sys; sys.exit('no room')")
    replication = Replication(site.config)
    with pytest.raises(litestream.ReplicationError, match="no room"):
        replication.start()
    assert state_of(replication) == "failed"
    assert "no room" in str(replication.last_error)


def test_async_with(site: Site) -> None:
    async def serve() -> None:
        async with Replication(site.config) as replication:
            assert replication.state == "replicating"
            site.write(3)

    asyncio.run(serve())
    assert restored(site) == site.rows()


def test_a_start_that_is_cancelled_leaves_nothing(site: Site) -> None:
    async def serve() -> None:
        async with Replication(site.config):
            await asyncio.sleep(600)

    async def cancel() -> str:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()  # a second time, as a server that is in a hurry does
        with pytest.raises(asyncio.CancelledError):
            await task
        assert daemons(site.directory) == []
        async with Replication(site.config) as replication:
            return replication.state

    assert asyncio.run(cancel()) == "replicating"


def test_one_start_of_many_at_once_starts(site: Site) -> None:
    replication = Replication(site.config)
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(replication.start) for _ in range(4)]
        errors = [tried.exception() for tried in tries]
    try:
        assert errors.count(None) == 1
        assert all(isinstance(error, ConfigurationError) for error in errors if error)
        assert len(daemons(site.directory)) == 1
    finally:
        assert replication.stop()
    assert daemons(site.directory) == []


def test_a_change_of_directory_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for `databases=`, nor for what a config says relative to the first directory."""
    other = site.directory / "other"
    other.mkdir()
    config = json.loads(site.config.read_text())
    config["dbs"][0]["path"] = "app.db"
    config["dbs"][0]["replicas"][0]["path"] = "replica"
    for given in ("databases", "config"):
        monkeypatch.chdir(site.directory)
        Path("relative.yml").write_text(json.dumps(config))
        url = f"file://{site.directory}/by-url"
        replication = (
            Replication({"app.db": url}, sync_interval=0.05, adopt=True)
            if given == "databases"
            else Replication("relative.yml", adopt=True)
        )
        with replication:
            monkeypatch.chdir(other)
            assert replication._keeper is not None
            os.kill(replication._keeper.pid, signal.SIGKILL)
            wait_until(lambda: "was killed" in (replication.last_error or ""), "the kill")  # noqa: B023
            wait_until(partial(lambda it: it.state == "replicating", replication), "another")
            site.write(3)
            replication.sync(site.database)
        assert restored(site) == site.rows() if given == "config" else (site.directory / "by-url")
    assert os.listdir(other) == []


@pytest.mark.parametrize("given", ["config", "databases"])
def test_a_run_time_directory_that_is_removed_is_made_again(site: Site, given: str) -> None:
    url = f"file://{site.replica_path}"
    replication = (
        Replication(site.config)
        if given == "config"
        else Replication({site.database: url}, sync_interval=0.05)
    )
    with replication:
        replication.sync()
        assert replication._keeper is not None
        directory = replication._keeper.prepared.directory
        if not directory:
            pytest.skip("0.3 reads the user's own config")
        for killed in (False, True):
            shutil.rmtree(directory)
            if killed:
                assert replication.pid is not None
                os.kill(replication.pid, signal.SIGKILL)
            wait_until(lambda: os.path.exists(f"{directory}/litestream.yml"), "the config", 30)
            if replication.socket:
                wait_until(lambda: os.path.exists(replication.socket or ""), "the socket", 30)
            site.write(3)
            replication.sync()
            wait_until(lambda: state_of(replication) == "replicating", "the state", 30)
            assert restored(site) == site.rows()
    assert not os.path.exists(directory)


@pytest.mark.parametrize("leftover", ["enum", "typing"])
def test_what_lies_in_site_packages_does_not_hide_the_standard_library(
    site: Site, leftover: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = site.directory / "packages"
    packages.mkdir()
    (packages / "litestream").symlink_to(Path(litestream.__file__).parent)
    (packages / f"{leftover}.py").write_text("raise ImportError('of another Python')")
    monkeypatch.setattr(keeper_process, "_PACKAGES", str(packages))
    with Replication(site.config) as replication:
        assert state_of(replication) == "replicating"


def test_an_application_without_a_python_program_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/frozen/application")
    monkeypatch.setattr(sys, "base_exec_prefix", "/opt/frozen")
    with pytest.raises(litestream.ReplicationError, match="litestream run"):
        Replication(site.config).start()


def test_sync_returns_when_the_commit_can_be_restored(site: Site) -> None:
    with Replication(site.config) as replication:
        for _ in range(5):
            site.write(1)
            replication.sync()
            assert restored(site) == site.rows()
        with pytest.raises(ConfigurationError, match="not one of"):
            replication.sync(site.directory / "other.db")
    with pytest.raises(litestream.ReplicationError, match="stopped"):
        replication.sync()


def test_sync_works_on_an_idle_database_after_a_restart(site: Site) -> None:
    """0.3 says nothing of its position then."""
    site.write(3)
    with Replication(site.config):
        pass
    with Replication(site.config) as replication:
        replication.sync(timeout=20)
        replication.sync()
    assert restored(site) == site.rows()


def test_sync_of_a_daemon_that_was_started_elsewhere(site: Site) -> None:
    with application(site, SERVE):
        site.write(5)
        litestream.sync(site.database, config=site.config)
        assert restored(site) == site.rows()


def test_a_killed_daemon_is_started_again(site: Site) -> None:
    with Replication(site.config) as replication:
        for number in (1, 2):
            before = replication.pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            site.write(5)
            wait_until(partial(has_restarted, replication, number), "the restart")
            assert replication.pid not in (None, before)
        replication.sync()
        assert restored(site) == site.rows()


def test_the_number_of_restarts_can_be_limited(site: Site) -> None:
    with Replication(site.config, max_restarts=0) as replication:
        assert replication.pid is not None
        os.kill(replication.pid, signal.SIGKILL)
        wait_until(lambda: replication.state == "failed", "the end")
        assert replication.pid is None


def test_a_stop_while_backing_off_syncs_all_the_same(site: Site) -> None:
    replication = Replication(site.config)
    replication._delays = (30.0, 30.0)
    with replication:
        assert replication.pid is not None
        os.kill(replication.pid, signal.SIGKILL)
        wait_until(lambda: replication.state == "backing off", "the end")
        site.write(5)
        assert replication.stop()
    assert restored(site) == site.rows()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_daemon_syncs_and_ends_with_its_process(site: Site, number: int) -> None:
    with application(site, SERVE) as process:
        assert len(daemons(site.directory)) == 1
        os.kill(process.pid, number)
        wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)
    assert ("last",) in {row[1:] for row in restored(site)}


def test_ctrl_c_reaches_the_application_alone(site: Site) -> None:
    body = """
    replication.start()
    replication.sync()
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        connection.execute("INSERT INTO items (value) VALUES ('last')")
    """
    with application(site, body) as process:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    assert ("last",) in {row[1:] for row in restored(site)}


def test_the_process_in_between_may_be_killed(site: Site) -> None:
    with Replication(site.config) as replication:
        assert replication._keeper is not None
        keeper, before = replication._keeper.pid, replication.pid
        os.kill(keeper, signal.SIGKILL)
        wait_until(
            lambda: replication.pid not in (None, before) and replication.state == "replicating",
            "another keeper",
        )
        assert daemons(site.directory) == [replication.pid]
        site.write(5)
    assert daemons(site.directory) == []
    assert restored(site) == site.rows()


def test_a_logging_filter_that_fails_stops_nothing(
    site: Site, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    def broken(_record: logging.LogRecord) -> bool:
        raise ValueError("a fault of the application's")

    logger = logging.getLogger("litestream.daemon")
    logger.addFilter(broken)
    request.addfinalizer(lambda: logger.removeFilter(broken))
    logger.setLevel(logging.INFO)
    request.addfinalizer(lambda: logger.setLevel(logging.NOTSET))
    with Replication(site.config) as replication:
        site.write(3)
        replication.sync()
    assert restored(site) == site.rows()
    assert "a fault of the application's" in capfd.readouterr().err


def test_restarts_are_counted_over_the_keepers(site: Site) -> None:
    with Replication(site.config, max_restarts=2) as replication:
        assert replication._keeper is not None
        os.kill(replication.pid or 0, signal.SIGKILL)
        wait_until(lambda: has_restarted(replication, 1), "the restart")
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(lambda: state_of(replication) == "backing off", "the keeper's end")
        wait_until(lambda: state_of(replication) == "replicating", "another keeper")
        assert replication.restarts == 1
        os.kill(replication.pid or 0, signal.SIGKILL)
        wait_until(lambda: has_restarted(replication, 2), "the second restart")
        os.kill(replication.pid or 0, signal.SIGKILL)
        wait_until(lambda: state_of(replication) == "failed", "the end of its patience")


@pytest.mark.only_series("0.5")
@pytest.mark.usefixtures("installed")
def test_one_database_that_is_busy_does_not_hold_the_writers_of_another(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(4)]
    with ExitStack() as stack:
        connections = []
        for path in paths:
            connection = sqlite3.connect(
                path, isolation_level=None, timeout=5, check_same_thread=False
            )
            stack.callback(connection.close)
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
            connections.append(connection)
        replicas = {path: f"file://{path}-replica" for path in paths}
        replication = stack.enter_context(Replication(replicas))
        replication.sync()
        stop = threading.Event()

        def write() -> int:
            rows = 0
            while not stop.is_set():
                connections[0].execute("INSERT INTO items DEFAULT VALUES")
                rows += 1
                time.sleep(0.01)  # so that others get the lock, too
            return rows

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            for connection in connections[1:]:
                connection.execute("BEGIN IMMEDIATE")
            os.kill(replication.pid or 0, signal.SIGKILL)
            wait_until(lambda: has_restarted(replication, 1) or writer.done(), "the restart")
            for connection in connections[1:]:
                connection.execute("ROLLBACK")
            stop.set()
            assert writer.result() > 0  # and no "database is locked"


@pytest.mark.only_series("0.3")  # for 0.5 there is a copy, with a control socket
def test_another_keeper_waits_for_a_config_that_can_be_read(site: Site) -> None:
    content = site.config.read_text()
    with Replication(site.config) as replication:
        assert replication._keeper is not None
        site.config.write_text("dbs: [")
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(
            lambda: "cannot be started again yet" in (replication.last_error or ""), "the error"
        )
        assert replication.state == "backing off"
        site.config.write_text(content)
        wait_until(lambda: replication.state == "replicating", "another keeper")
        site.write(5)
    assert restored(site) == site.rows()


def test_a_stop_while_there_is_no_keeper_says_that_nobody_knows(site: Site) -> None:
    with Replication(site.config) as replication:
        assert replication._keeper is not None
        replication._keeper.delay = 600.0
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(lambda: replication.state == "backing off", "the keeper's end")
        assert replication.stop() is False
    wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)


@needs_death_signal
def test_nothing_is_left_when_both_are_killed_at_once(site: Site) -> None:
    body = """
    replication.start()
    replication.sync()
    print("ready", flush=True)
    print(replication._keeper.pid, flush=True)
    time.sleep(600)
    """
    with application(site, body) as process:
        assert process.stdout is not None
        keeper = int(process.stdout.readline())
        os.kill(keeper, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)
    sweeps(site)


def sweeps(site: Site) -> None:
    """Nobody was left to remove the run-time directory: the next one does."""
    left = os.path.dirname(Lock(str(site.database)).noted()["socket"])
    with Replication(site.config):
        assert not os.path.exists(left)


def test_one_daemon_whoever_starts_and_the_next_takes_over(site: Site) -> None:
    first = Replication(site.config).start()
    second = Replication(site.config).start()
    third = Replication(site.config).start()
    try:
        assert (first.state, second.state, third.state) == ("replicating", "standby", "standby")
        assert daemons(site.directory) == [first.pid]
        site.write(3)
        second.sync()
        first.stop()
        wait_until(lambda: "replicating" in (second.state, third.state), "the takeover")
        assert sorted((second.state, third.state)) == ["replicating", "standby"]
        assert len(daemons(site.directory)) == 1
        site.write(3)
    finally:
        for replication in (first, second, third):
            replication.stop()
    assert restored(site) == site.rows()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the process table of Linux")
def test_no_second_daemon_beside_one_that_was_started_otherwise(site: Site) -> None:
    site.write(1)
    site.start()
    site.wait_for_backup()
    with pytest.raises(litestream.ReplicationError, match="did not start replicates"):
        Replication(site.config).start()
    site.stop()
    with Replication(site.config):
        site.write(1)
    assert restored(site) == site.rows()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the process table of Linux")
def test_no_second_daemon_beside_one_that_has_another_path_for_the_file(site: Site) -> None:
    """As a daemon in a container has; a hard link is another path without a container."""
    site.write(1)
    site.connection.close()
    path, site.database = site.database, site.directory / "elsewhere" / "app.db"
    site.database.parent.mkdir()
    os.link(path, site.database)
    site.configure("50ms")
    site.start()
    site.wait_for_backup()
    config = {path: (site.directory / "another").as_uri()}
    with pytest.raises(litestream.ReplicationError, match="did not start replicates"):
        Replication(config).start()


def test_a_symbolic_link_is_the_same_database(site: Site) -> None:
    link = site.directory / "link.db"
    link.symlink_to(site.database)
    with Replication(site.config), closing(sqlite3.connect(site.database)):
        url = f"file://{site.directory}/other"
        with Replication({link: url}, adopt=True) as second:
            assert second.state == "standby"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_changes_nothing(site: Site) -> None:
    with Replication(site.config) as replication:
        before = replication.pid
        child = os.fork()
        if child == 0:
            good = replication.state == "stopped" and replication.stop() and not replication.pid
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        site.write(3)
        replication.sync()
        assert (replication.state, replication.pid) == ("replicating", before)
        assert not Lock(str(site.database)).acquire()


def test_it_may_be_started_by_a_thread_that_ends(site: Site) -> None:
    replication = Replication(site.config)
    thread = threading.Thread(target=replication.start)
    thread.start()
    thread.join()
    site.write(3)
    replication.sync()
    assert (replication.state, replication.restarts) == ("replicating", 0)
    replication.stop()


def test_it_works_where_somebody_reaps_every_child(site: Site) -> None:
    """As gunicorn's master does: the keeper's exit status is gone, nothing else is."""
    stop = threading.Event()

    def reap() -> None:
        while not stop.is_set():
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.01)

    replication = Replication(site.config).start()
    thread = threading.Thread(target=reap)
    thread.start()
    try:
        assert replication.pid is not None
        os.kill(replication.pid, signal.SIGKILL)
        wait_until(lambda: replication.restarts == 1 and replication.pid, "the restart")
        site.write(3)
        assert replication.stop()
    finally:
        stop.set()
        thread.join()
    assert restored(site) == site.rows()


def test_a_config_that_replicates_nothing_is_refused(site: Site) -> None:
    site.config.write_text(json.dumps({"dbs": [{"path": str(site.database)}]}))
    with pytest.raises(ConfigurationError, match="no-replica"):
        Replication(site.config).start()
    site.config.write_text("dbs: []")
    with pytest.raises(ConfigurationError, match="no-database"):
        Replication(site.config).start()
    site.config.write_text("dbs: [")
    with pytest.raises(ConfigurationError, match="not YAML"):
        Replication(site.config).start()
    assert daemons(site.directory) == []


def test_what_the_daemon_refuses_is_raised_in_its_own_words(site: Site) -> None:
    entry = {"path": str(site.database), "replicas": [{"url": "nothing://bucket/path"}]}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    with pytest.raises(litestream.LitestreamError, match=r"unknown replica type|unsupported"):
        Replication(site.config, adopt=True).start()
    assert daemons(site.directory) == []
    assert Lock(str(site.database)).acquire()


@pytest.mark.only_series("0.3")
def test_a_key_of_the_other_series_is_explained(site: Site) -> None:
    entry = {"path": str(site.database), "replica": {"url": "file:///nowhere"}}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    with pytest.raises(ConfigurationError, match=r"'replica' is a key of 0\.5 only"):
        Replication(site.config).start()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize("name", ["a#b.db", "a%41.db", "a?b.db"])
def test_a_path_that_opens_another_file_is_refused(site: Site, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot replicate"):
        Replication({site.directory / name: "file:///nowhere"}).start()


def test_a_path_may_hold_what_a_log_says(make_site: Callable[..., Site]) -> None:
    """The words by which the end of a daemon, its start and its errors are known."""
    words = "signal received level=ERROR Error: replicating to shutdown sync skipped"
    site = make_site(words)
    with Replication(site.config, stop_timeout=0.5) as replication:
        site.write(3)
        replication.sync()
        time.sleep(1.2)  # longer than an ordered end may take
        assert replication.restarts == 0
        assert replication.last_error is None
    assert restored(site) == site.rows()


def test_what_a_path_holds_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    path = "/tenant\\nCRITICAL:auth:root logged in\\x1b[31m/app.db"  # as Go quotes it
    line = f'time=2026-11-25T22:58:07.903Z level=ERROR msg="sync error" db="{path}" error="{path}"'
    with caplog.at_level(logging.DEBUG, "litestream.daemon"):
        told.receive({"log": line})
        texts = [told.last_error or ""]
        told.receive({"log": "\x1b[31m", "fault": f"\x1b[31m{path}\nwas replaced"})
        texts += [told.last_error or "", *told.log.lines]
    assert len(caplog.records) == 3
    for record in caplog.records:
        texts += [record.getMessage(), str(getattr(record, "db", ""))]
    assert [text for text in texts if "\n" in text or "\x1b" in text] == []
    assert all("CRITICAL" in text for text in texts[:2])


def test_log_lines_become_records_without_secrets(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(site.directory.name))
    with caplog.at_level(logging.INFO, "litestream.daemon"), Replication(site.config) as running:
        site.write(3)
        running.sync()
    (record,) = [r for r in caplog.records if r.getMessage().startswith("initialized db")]
    assert record.name == "litestream.daemon"
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("initialized db path=/")
    assert record.path.endswith("app.db")  # type: ignore[attr-defined]
    assert any("initialized db" in line for line in running.logs)
    assert site.directory.name not in caplog.text
    assert not any(site.directory.name in line for line in running.logs)


def test_the_users_config_is_passed_on_and_the_copy_removed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_REPLICA", str(site.replica_path))
    text = (
        "# $NOTHING here\n"
        f"dbs:\n  - path: {site.database}\n    monitor-interval: 50ms\n"
        "    replicas:\n      - type: file\n        path: ${MY_REPLICA}\n"
        "        sync-interval: 50ms\n"
    )
    site.config.write_text(text)
    with Replication(site.config) as replication:
        assert replication._keeper is not None
        directory = replication._keeper.prepared.directory
        if site.series == "0.5":
            used = Path(replication._keeper.prepared.config.path)
            assert used.read_text().startswith(text)
            assert used.stat().st_mode & 0o777 == 0o600
            assert Path(directory).stat().st_mode & 0o777 == 0o700
            assert str(replication.socket).startswith(directory)
        else:
            assert directory == ""
            assert replication._keeper.prepared.config.path == str(site.config)
        site.write(3)
    assert site.config.read_text() == text
    assert not directory or not Path(directory).exists()
    assert (site.replica_path / ("ltx" if site.series == "0.5" else "generations")).exists()


@pytest.mark.only_series("0.5")
def test_a_config_in_braces_gets_its_socket_too(site: Site) -> None:
    with Replication(site.config) as replication:  # it is JSON
        assert replication.socket
        assert Path(replication.socket).is_socket()


def test_a_database_that_is_replaced_is_noticed(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    other = site.directory / "other.db"
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        connection.executemany("INSERT INTO items (value) VALUES (?)", [("new",)] * 500)
    site.write(50)
    with Replication(site.config) as replication:
        replication.sync()
        site.connection.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{site.database}{suffix}").unlink(missing_ok=True)
        other.rename(site.database)
        wait_until(lambda: replication.restarts and replication.state == "replicating", "it")
        site.connection = sqlite3.connect(site.database, isolation_level=None)
        site.write(1)
        replication.sync()
        assert restored(site) == site.rows()
    assert "was replaced while" in caplog.text


def test_a_daemon_that_does_not_end_is_killed(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with Replication(site.config, stop_timeout=1.0) as replication:
        assert replication.pid is not None
        os.kill(replication.pid, signal.SIGSTOP)
        assert not replication.stop()
    assert daemons(site.directory) == []
    assert "final sync did not reach" in caplog.text


def test_starts_and_stops_leave_nothing(site: Site, tmp_path: Path) -> None:
    def resources() -> tuple[int, int, list[str]]:
        files = len(os.listdir("/dev/fd"))
        return threading.active_count(), files, sorted(os.listdir(site.directory))

    site.write(1)
    counts = []
    for _ in range(6):
        with Replication(site.config):
            pass
        counts.append(resources())
    assert counts[1] == counts[-1]


def test_random_kills_lose_nothing(site: Site) -> None:
    """A small one of the campaign in `benchmarks/replication.py`."""
    ledger.make(site.database)
    folder = site.directory / "ledger"
    replication = Replication(site.config)
    replication._delays = (0.2, 0.2)
    with replication, ledger.writers(site.database, folder, rate=150):
        for number in range(1, 5):
            time.sleep(0.7)  # let them write
            pid = wait_until(lambda: replication.pid, "a daemon")
            os.kill(pid, signal.SIGKILL if number % 2 else signal.SIGTERM)
            wait_until(partial(has_restarted, replication, number), "the restart")
        (folder / "stop").touch()
    output = commands.restore(site.database, site.directory / "r.db", config=site.config)
    verdict = ledger.judge(folder, output)
    assert verdict.good, verdict
    assert verdict.committed > 50


def replace_database(site: Site) -> None:
    """Put another file into a database's place, as a restore by the application does."""
    new = site.directory / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        connection.execute("BEGIN")
        for number in range(300):
            connection.execute("INSERT INTO items VALUES (?, hex(randomblob(300)))", (number + 1,))
        connection.execute("COMMIT")
    site.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    site.connection.close()
    for end in ("-wal", "-shm"):
        Path(f"{site.database}{end}").unlink(missing_ok=True)
    new.replace(site.database)
    site.connection = sqlite3.connect(site.database, timeout=30, isolation_level=None)
    site.write(1)


@pytest.mark.parametrize("then", ["stop", "sync", "later"])
def test_a_replaced_database_is_in_the_replica(site: Site, then: str) -> None:
    """Whatever comes next: until it is killed, a daemon has the old file open."""
    site.write(300, size=300)
    with Replication(site.config) as replication:
        replication.sync()
        replace_database(site)
        if then == "later":
            wait_until(partial(has_restarted, replication, 1), "the daemon of the new file")
            site.write(1)
        if then != "stop":
            replication.sync(timeout=PATIENCE)
            assert restored(site) == site.rows()
        site.write(1)
    assert replication.stop() is True
    assert restored(site) == site.rows()


@pytest.mark.only_series("0.3")
def test_two_replicas_of_a_type_get_names(site: Site) -> None:
    """A mapping has no place for a name beside a URL, and 0.3 refuses the same name twice."""
    urls = [f"file://{site.directory}/{name}" for name in ("one", "two")]
    config = {site.database: urls}
    site.write(3)
    with Replication(config) as replication:
        replication.sync()
    for name in ("file", "file-2"):
        output = site.directory / f"{name}.db"
        commands.restore(site.database, output, config=config, replica=name)
        assert site.rows(output) == site.rows()


def test_a_stop_right_after_the_keepers_death_leaves_no_directory(site: Site) -> None:
    config = {site.database: f"file://{site.directory}/replica"}
    with Replication(config) as replication:
        assert replication._keeper is not None
        directory = replication._keeper.prepared.directory
        assert os.path.isdir(directory)
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(lambda: replication.state == "backing off", "the news")
    assert not os.path.exists(directory)
    assert replication.stop() is False


@pytest.mark.only_series("0.3")
def test_a_part_of_the_wal_that_two_have_written_is_not_trusted(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The monitor is writing when somebody ends the daemon: its final sync writes the same part."""
    with Replication(site.config) as replication:
        site.write(3)
        replication.sync()
        (*_, written) = (line for line in replication.logs if "wal segment written" in line)
        log = log_lines.parse(written)
        segment = log and logged_segment(log.fields)
        assert segment
        generation, index, offset = segment[1]
        place = f"{generation}/{index:08x}:{offset}"
        folder = site.replica_path / "generations" / generation / "wal"
        slow = folder / f"{index:08x}_{offset:08x}.wal.lz4.tmp"
        os.mkfifo(slow)

        def begun() -> int:
            return sum("write wal segment" in x and x.endswith(place) for x in replication.logs)

        insert = "INSERT INTO items (value) VALUES (hex(randomblob(200000)))"
        site.connection.execute(insert)  # more than a pipe holds
        wait_until(lambda: begun() == 1, "the monitor")
        site.write(1)
        os.kill(replication.pid or 0, signal.SIGTERM)
        wait_until(lambda: begun() == 2, "the final sync")
        with slow.open("rb") as pipe:
            slow.unlink()
            while pipe.read(1 << 16):
                pass
        wait_until(partial(has_restarted, replication, 1), "the restart")
        site.write(1)
        replication.sync(timeout=PATIENCE)
    assert "was written twice at once" in caplog.text
    assert len(commands.generations(site.database, config=site.config)) > 1
    assert restored(site) == site.rows()


@pytest.mark.only_series("0.3")
def test_a_log_level_hides_what_was_copied_from_the_log_alone(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.configure("50ms", logging={"level": "warn"})
    with Replication(site.config) as replication:
        site.write(3)
        replication.sync()
        assert restored(site) == site.rows()
    assert Lock(str(site.database)).noted()["ending"] is False
    assert not [line for line in replication.logs if "level=INFO" in line]


@pytest.mark.only_series("0.5")
def test_a_replica_that_does_not_answer_is_a_stall(
    make_site: Callable[..., Site], s3: S3Server
) -> None:
    site = make_site(replica=s3.replica())
    with Replication(site.config, stop_timeout=2.0) as replication:
        replication.sync()
        s3.pause()
        try:
            site.write(3)
            with pytest.raises(litestream.ReplicationTimeoutError):
                replication.sync(timeout=0.5)
            wait_until(lambda: replication.state == "stalled", "the stall")
            assert replication.stalled_for > 1
        finally:
            s3.resume()
        replication.sync(timeout=PATIENCE)
        wait_until(lambda: replication.state == "replicating", "the recovery")
    assert S3_SECRET not in "\n".join(replication.logs)


def test_a_backup_of_another_database_is_not_written_over(site: Site) -> None:
    site.write(5)
    with Replication(site.config):
        pass
    kept = site.rows()
    site.connection.close()
    for path in site.directory.iterdir():
        if path.name.startswith(("app.db", ".app.db")):
            assert subprocess.run(["rm", "-r", str(path)], check=True)
    site.connection = sqlite3.connect(site.database, isolation_level=None)
    site.connection.execute("PRAGMA journal_mode = wal")
    site.connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    with pytest.raises(BackupExistsError, match="adopt=True") as caught:
        Replication(site.config).start()
    assert caught.value.database == str(site.database)
    assert restored(site) == kept
    with Replication(site.config, adopt=True):
        site.write(2)
    assert restored(site) == site.rows()


@pytest.mark.only_series("0.5")
def test_a_missing_database_is_restored_before_the_application_starts(site: Site) -> None:
    """`restore-if-db-not-exists` restores it later, while the application may make a new one."""
    content = yaml.safe_load(site.config.read_text())
    content["dbs"][0]["restore-if-db-not-exists"] = True
    site.config.write_text(json.dumps(content))
    site.write(5)
    with Replication(site.config):
        pass
    kept = site.rows()
    lose(site)
    with pytest.raises(BackupExistsError, match=r"'restore-if-db-not-exists: true'.*recover"):
        Replication(site.config).start()
    litestream.recover(config=site.config)
    with Replication(site.config):
        assert site.rows(site.database) == kept


@pytest.mark.only_series("0.5")
def test_what_a_restart_missed_is_mended(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A long reader keeps the WAL from being truncated, so that the daemon jumps; see handover."""
    site.write(50, size=2000)
    with Replication(site.config) as replication:
        replication.sync()
        assert replication.pid is not None
        os.kill(replication.pid, signal.SIGSTOP)
        site.write(20, size=2000)
        with closing(sqlite3.connect(site.database, isolation_level=None)) as reader:
            os.kill(replication.pid, signal.SIGKILL)
            # Started over before anybody could pin it: the old WAL's rest is in no LTX file.
            site.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            site.write(1)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM items").fetchone()
            wait_until(partial(has_restarted, replication, 1), "the restart")
            site.write(5)
        wait_until(partial(has_restarted, replication, 1), "the mending")
        replication.sync()
    assert restored(site) == site.rows()


@pytest.mark.only_series("0.5")
def test_the_limit_of_open_files_is_raised(tmp_path: Path, installed: Path) -> None:
    """A keeper begins with the soft limit of its application."""
    urls = {str(tmp_path / f"{n}.db"): f"file://{tmp_path}/copies/{n}" for n in range(40)}
    for path in urls:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    script = f"""
import litestream, os, resource, signal, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (128, int(sys.argv[1])))
with litestream.Replication({urls!r}, sync_interval=0.05, adopt=True) as replication:
    os.kill(replication.pid, signal.SIGKILL)
    while not (replication.restarts and replication.state == "replicating"):
        time.sleep(0.02)
    replication.sync()
"""
    for hard, told in (("4096", False), ("256", True)):
        done = subprocess.run(
            [sys.executable, "-c", script, hard], capture_output=True, text=True, timeout=100
        )
        assert ("LimitNOFILE" in done.stderr) is told, done.stderr
        assert bool(done.returncode) is told


def test_a_lock_that_was_removed_is_taken_again(site: Site) -> None:
    site.write()
    with Replication(site.config) as replication:
        replication.sync()
        lock = Lock(str(site.database))
        os.unlink(lock.path)
        wait_until(lock.is_held, "the lock again")
        site.write()
        replication.sync()
        assert site.rows() == restored(site)
        assert replication.stop()


def test_a_keeper_that_dies_while_it_stops_has_not_synced(replicated: Site) -> None:
    replication = Replication(replicated.config).start()
    keeper, daemon = replication._keeper, replication.pid
    assert keeper is not None
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    synced: list[bool] = []
    stop = threading.Thread(target=lambda: synced.append(replication.stop()))
    try:
        stop.start()
        wait_until(lambda: keeper.stopping, "the stop")
        os.kill(keeper.pid, signal.SIGKILL)
        stop.join(PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGCONT)
    assert synced == [False]
    assert (replication.state, replication.pid) == ("stopped", None)
    assert "without a final sync" in str(replication.last_error)
    wait_until(lambda: not daemons(replicated.directory), "the daemon's end")
