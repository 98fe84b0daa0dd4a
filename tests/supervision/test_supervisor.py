"""The supervisor in this process, driven by a loop of the test's own."""

from __future__ import annotations

import errno
import math
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from selectors import DefaultSelector
from typing import Any

import pytest

from litestream import commands
from litestream._database.files import meta_path
from litestream._database.lock import Lock
from litestream._supervision.job import Database, Job
from litestream._supervision.supervisor import Supervisor
from litestream._supervision.watchdog import Health
from tests.support import PATIENCE, Site, restored


class Driver:
    """A supervisor and its loop; `events` is what it has reported."""

    def __init__(self, site: Site, **changes: Any) -> None:
        self.site = site
        self.events: list[Mapping[str, Any]] = []
        self.selector = DefaultSelector()
        self.supervisor = Supervisor(job(site, **changes), self.selector, self.events.append)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.events[-20:]
            for key, _ in self.selector.select(min(0.05, self.supervisor.tick())):
                key.data()

    def until_state(self, *states: str) -> None:
        self.until(lambda: self.supervisor.state in states)

    def until_let_go(self) -> None:
        """Wait for the end of a hand-over: its writers would wait for this very thread."""
        self.until_state("replicating")
        self.until(lambda: not self.supervisor._held.handovers)

    def until_restarted(self, times: int) -> None:
        self.until(lambda: self.supervisor.restarts == times)

    def synced(self) -> bool | None:
        return next((e["synced"] for e in reversed(self.events) if "synced" in e), None)

    def faults(self) -> list[str]:
        return [e["fault"] for e in self.events if "fault" in e]


def job(site: Site, **changes: Any) -> Job:
    database = Database(str(site.database), meta_path(site.database), 0.05)
    values: dict[str, Any] = {
        "argv": [str(commands.executable()), "replicate", "-config", str(site.config)],
        "series": site.series,
        "databases": [database],
        "socket": str(site.socket or ""),
        "directory": "",
        "stop_timeout": 20.0,
        "delays": (0.1, 0.4),
        **changes,
    }
    return Job(**values)


@contextmanager
def supervised(site: Site, **changes: Any) -> Iterator[Driver]:
    driver = Driver(site, **changes)
    try:
        yield driver
    finally:
        driver.supervisor.stop()
        driver.until(lambda: driver.supervisor.finished)
        driver.selector.close()


def test_it_starts_restarts_and_syncs_at_the_end(sited: Site) -> None:
    with supervised(sited) as driver:
        driver.until_let_go()
        for times in (1, 2):
            sited.write(5)
            driver.supervisor._daemon.signal(signal.SIGKILL)
            driver.until_restarted(times)
            driver.until_let_go()
        sited.write(5)
    assert driver.synced() is True
    assert driver.supervisor.state == "stopped"
    assert restored(sited) == sited.rows()


def test_a_stop_before_anything_was_seen_syncs_all_the_same(sited: Site) -> None:
    with supervised(sited) as driver:
        driver.supervisor.tick()
    assert driver.synced() is True
    assert restored(sited) == sited.rows()


def test_a_stop_on_standby_ends_at_once(sited: Site) -> None:
    with supervised(sited) as first, supervised(sited) as second:
        first.until_state("replicating")
        second.until_state("standby")
        assert second.supervisor.tick() > 0
    assert second.synced() is True


def test_a_daemon_that_ends_too_often_is_given_up(sited: Site) -> None:
    with supervised(sited, max_restarts=1) as driver:
        for _ in range(2):
            driver.until_state("replicating")
            driver.supervisor._daemon.signal(signal.SIGKILL)
            driver.until_state("backing off", "failed")
        driver.until_state("failed")
    assert driver.supervisor.finished


@pytest.mark.parametrize("kind", ["text", "json"])
def test_one_that_is_given_up_has_not_synced(sited: Site, kind: str) -> None:
    sited.configure("50ms", logging={"type": kind})
    with supervised(sited, max_restarts=0) as driver:
        driver.until_let_go()
        driver.supervisor._daemon.signal(signal.SIGKILL)
        driver.until_state("failed")
    assert driver.synced() is False


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("life", range(2))
def test_a_stop_lets_a_young_daemon_send_its_first_copy(
    make_site: Callable[..., Site], life: int
) -> None:
    """0.3's monitor and its final sync would write the same file, and one of them fail."""
    site = make_site(interval="1s")
    site.write(life + 1)
    with supervised(site) as driver:
        driver.supervisor.tick()
    assert driver.synced() is True
    log = [event["log"] for event in driver.events if "log" in event]
    sent = [at for at, line in enumerate(log) if "wal segment written" in line]
    assert sent[0] < next(at for at, line in enumerate(log) if "signal received" in line)
    assert [line for line in log if "level=ERROR" in line] == []
    assert restored(site) == site.rows()


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_final_sync_that_fails_is_told_in_every_log_format(
    make_site: Callable[..., Site], kind: str
) -> None:
    site = make_site()
    site.write(1)
    site.configure("50ms", logging={"type": kind})
    with supervised(site) as driver:
        driver.until(lambda: any("position" in event for event in driver.events))
        shutil.rmtree(site.replica_path)
        site.replica_path.touch()
        site.write(1)
    assert driver.synced() is False


@pytest.mark.only_series("0.5")
def test_a_daemon_that_never_looked_has_not_synced(make_site: Callable[..., Site]) -> None:
    """Its endpoint takes the connection and never answers; it ends with status 0."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        site = make_site(replica=silent(server), socket=True)
        site.write(1)
        with supervised(site, stop_timeout=4.0) as driver:
            driver.until_state("replicating")
        assert driver.synced() is False


@pytest.mark.only_series("0.5")
def test_an_endpoint_that_never_answers_is_a_stall(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even from the start, while the hand-over still waits for the daemon."""
    monkeypatch.setattr("litestream._supervision.watchdog._PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        site = make_site(replica=silent(server), socket=True)
        site.write(1)
        with supervised(site, stop_timeout=1.0) as driver:
            driver.until_state("stalled")


def silent(server: socket.socket) -> dict[str, str]:
    host, port = server.getsockname()
    return {
        "type": "s3",
        "bucket": "bucket",
        "path": "app",
        "endpoint": f"http://{host}:{port}",
        "access-key-id": "key",
        "secret-access-key": "secret",
    }


def test_what_the_run_time_directory_holds_is_kept_young(sited: Site) -> None:
    directory = sited.directory / "litestream-1"
    directory.mkdir()
    config = directory / "litestream.yml"
    config.touch()
    for path in (directory, config):
        os.utime(path, (0, 0))
    with supervised(sited, directory=str(directory)) as driver:
        driver.supervisor.tick()
        assert min(path.stat().st_mtime for path in (directory, config)) > 0


def test_only_a_directory_of_ours_is_removed(sited: Site) -> None:
    """A socket of the user's may stand in a folder with such a name."""
    theirs, ours = sited.directory / "litestream-shop", sited.directory / "litestream-k1ll_ed0"
    for folder in (theirs, ours):
        folder.mkdir(mode=0o700)
        (folder / "litestream.yml").touch()
    for changes in ({"socket": f"{theirs}/litestream.sock"}, {"directory": str(ours)}, {}):
        with supervised(sited, **changes) as driver:
            driver.until_state("replicating")
    assert (theirs / "litestream.yml").exists()
    assert not ours.exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\necho 'Error: no good' >&2; exit 1", "no good"),
        ("#!/no/such/program", "No such"),
    ],
)
def test_a_program_that_fails_at_once_is_not_tried_again(
    sited: Site, script: str, reason: str
) -> None:
    program = sited.directory / "program"
    program.write_text(script)
    program.chmod(0o700)
    with supervised(sited, argv=[str(program)]) as driver:
        driver.until_state("failed")
    assert reason in driver.events[-1]["error"]
    assert driver.supervisor.restarts == 0


def test_one_that_will_not_end_is_killed(sited: Site) -> None:
    program = sited.directory / "program"
    program.write_text("#!/bin/sh\ntrap '' TERM\necho replicating to\nwhile :; do sleep 0.05; done")
    program.chmod(0o700)
    changes = {"argv": [str(program)], "stop_timeout": 0.5}
    with supervised(sited, **changes) as driver:
        driver.until_state("replicating")
    assert driver.synced() is False


def test_one_that_hangs_when_somebody_else_ends_it_is_killed_and_started_again(
    sited: Site,
) -> None:
    program = sited.directory / "program"
    program.write_text(
        "#!/bin/sh\ntrap 'echo signal received, litestream shutting down' TERM\n"
        "echo replicating to\nwhile :; do sleep 0.05; done"
    )
    program.chmod(0o700)
    changes = {"argv": [str(program)], "stop_timeout": 0.5}
    with supervised(sited, **changes) as driver:
        driver.until_state("replicating")
        driver.supervisor._daemon.signal(signal.SIGTERM)
        driver.until_restarted(1)


def test_a_noisy_one_is_drained(sited: Site) -> None:
    """No line end for long, bytes that are no text, a closed log."""
    program = sited.directory / "program"
    program.write_text(
        "#!/bin/sh\necho replicating to\nhead -c 300000 /dev/zero | tr '\\0' 'x'\n"
        "printf '\\377\\376\\nend\\n'\nexec >&- 2>&-\nsleep 600"
    )
    program.chmod(0o700)
    with supervised(sited, argv=[str(program)], stop_timeout=0.5) as driver:
        driver.until(lambda: {"log": "end"} in driver.events)
        driver.until(lambda: driver.supervisor._daemon.is_ending)
    assert max(len(event["log"]) for event in driver.events if "log" in event) <= 8192


def test_a_replaced_database_is_copied_anew(sited: Site) -> None:
    with supervised(sited) as driver:
        driver.until_let_go()
        driver.supervisor._oversight._everywhere_at = math.inf
        copy = sited.directory / "copy.db"
        sited.connection.execute("VACUUM INTO ?", (str(copy),))
        kept = sited.rows()
        sited.connection.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{sited.database}{suffix}").unlink(missing_ok=True)
        copy.rename(sited.database)
        driver.supervisor._health.lost_tables = True  # as 0.3 may log now; no reason for SIGTERM
        driver.until(lambda: driver.supervisor.restarts == 1)
        driver.until_state("replicating")
    assert "replaced" in driver.faults()[0]
    assert restored(sited) == kept


@pytest.mark.only_series("0.3")
def test_03_says_where_its_replicas_are(sited: Site) -> None:
    health = Health(job(sited))
    health.started()
    with supervised(sited) as driver:
        driver.until(lambda: any("position" in event for event in driver.events))
        for event in driver.events:
            if "log" in event:
                health.hear(event["log"])
        driver.until(lambda: driver.supervisor._health.positions)
    assert health.positions
    assert health.has_looked(lambda _: False)
    health._last_look = 0.0
    assert health.look() == "replicating"


@pytest.mark.only_series("0.5")
def test_05_says_when_it_last_synced(make_site: Callable[..., Site]) -> None:
    site = make_site(socket=True)
    site.write(1)
    with supervised(site) as driver:
        driver.until_let_go()
        health = driver.supervisor._health
        health._last_look = 0.0
        driver.until(lambda: health.look() and health._synced[str(site.database)][0])


def test_a_stop_ends_without_the_daemon_that_may_not_be_started_again(
    sited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With none there, a signal to process 0 would reach the whole group: this process, too."""
    kill, pids = os.kill, []

    def noted(pid: int, number: int) -> None:
        pids.append(pid)
        if pid:
            kill(pid, number)

    monkeypatch.setattr(os, "kill", noted)
    with supervised(sited) as driver:
        driver.until_let_go()
        supervisor = driver.supervisor
        monkeypatch.setattr(supervisor._final_sync, "must_repeat", lambda *_, **__: True)
        monkeypatch.setattr(supervisor._health.files, "forbidden", lambda: "not yet")
        supervisor.stop()
        driver.until(lambda: supervisor.finished)
    assert 0 not in pids
    assert driver.synced() is False


@pytest.mark.only_series("0.5")
def test_a_registered_database_that_is_forgotten_is_named(sited: Site) -> None:
    """The daemon's registrations end with it, and `/list` of the next one does not know them."""
    other = sited.directory / "other.db"
    shutil.copyfile(sited.database, other)
    with supervised(sited) as driver:
        driver.until_let_go()
        commands.register(other, f"file://{sited.directory}/other", socket=sited.socket)
        driver.until(lambda: driver.supervisor._health.registered)
        driver.supervisor._daemon.signal(signal.SIGKILL)
        driver.until_restarted(1)
        driver.until_state("replicating")
        (fault,) = driver.faults()
        assert str(other) in fault
        assert "registered" in fault
        assert str(sited.database) not in fault
        driver.supervisor._daemon.signal(signal.SIGKILL)
        driver.until_restarted(2)
        driver.until_state("replicating")
        assert len(driver.faults()) == 1


@contextmanager
def without_room(lock: str) -> Iterator[None]:
    """Let no write into a lock file succeed, as on a full disk."""
    pwrite = os.pwrite

    def refused(file: int, data: bytes, offset: int) -> int:
        if os.path.samestat(os.fstat(file), os.stat(lock)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", refused)
        yield


def test_a_full_disk_costs_the_notes_and_not_the_mending(sited: Site) -> None:
    with supervised(sited) as driver:
        driver.until_let_go()
    lock = Lock(str(sited.database))
    assert lock.acquire()
    lock.note(hole="what a keeper knew that was killed", socket="")
    lock.release()
    with supervised(sited) as driver:
        with without_room(lock.path):
            driver.until_let_go()
            assert "copied once more" in driver.faults()[0]
            sited.write(1)
            driver.supervisor._daemon.signal(signal.SIGKILL)
            driver.until_restarted(1)
            driver.until_let_go()
            assert lock.noted()["hole"]
        driver.until(lambda: not lock.noted()["hole"])  # or nothing would ever be called synced
        with without_room(lock.path):
            driver.supervisor.stop()
            driver.until(lambda: driver.supervisor.finished)
    assert driver.synced() is True
    assert restored(sited) == sited.rows()
