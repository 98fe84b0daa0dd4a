"""The life of a directory of databases (``dir:``) on the real 0.5."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import litestream
from litestream import commands
from litestream._cli import verbs
from litestream._database.lock import Lock
from litestream._replication import guard, watcher
from litestream._settings import environment
from tests.config.test_directories import database
from tests.servers import Page
from tests.support import S3Server, wait_until

pytestmark = [pytest.mark.only_series("0.5"), pytest.mark.usefixtures("installed", "series")]
PROGRAM = str(Path(sys.executable).with_name("litestream"))

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
while True:
    connection.execute("INSERT INTO items VALUES (hex(randomblob(150)))")
    time.sleep(0.01)
"""


class Tenants:
    """A directory of databases, and its config."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.data, self.backups = folder / "data", folder / "backups"
        self.data.mkdir()
        self.config = folder / "litestream.yml"
        self.connections: list[sqlite3.Connection] = []
        entry = {"dir": str(self.data), "pattern": "*.db", "monitor-interval": "50ms", **more}
        entry.setdefault("replica", {"path": str(self.backups), "sync-interval": "50ms"})
        self.config.write_text(json.dumps({"dbs": [entry]}))

    def add(self, *names: str) -> None:
        for name in names:
            self.connections.append(database(self.data / name))

    def close(self) -> None:
        while self.connections:
            self.connections.pop().close()

    def paths(self, *names: str) -> list[str]:
        return [str(self.data / name) for name in names]

    def replicate(self, **options: Any) -> None:
        with litestream.Replication(self.config, **options) as replication:
            replication.sync()

    def lose(self, *names: str, state: bool = False) -> None:
        self.close()
        for name in names:
            for path in self.data.glob(f"{name}*"):
                path.unlink()
            if state:
                shutil.rmtree(self.data / f".{name}-litestream")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Tenants]]:
    """Return a function that makes a directory with some databases."""
    with contextlib.ExitStack() as stack:

        def make(*names: str, **more: Any) -> Tenants:
            made = Tenants(tmp_path, **more)
            stack.callback(made.close)
            made.add(*names)
            return made

        yield make


@pytest.mark.parametrize("more", [{}, {"meta-dir": "state"}, {"meta-path": "state"}])
def test_the_whole_life(tmp_path: Path, make: Callable[..., Tenants], more: dict[str, str]) -> None:
    tenants = make("a.db", "b.db", "deep/c.db", recursive=True, **more)
    paths = tenants.paths("a.db", "b.db", "deep/c.db")
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        replication.sync(paths[2])
        litestream.sync(paths[0], config=tenants.config)
        assert all(litestream.verify_all(tenants.config))
        assert litestream.verify(paths[1], config=tenants.config, exact=True)
        health = litestream.health(config=tenants.config)
        assert paths == [row["database"] for row in health]
    listed = litestream.databases(config=tenants.config)
    assert paths == [row["path"] for row in listed]
    assert all(row["generations"] for row in listed)
    assert paths == [row["path"] for row in commands.databases(config=tenants.config)]
    assert commands.ltx(paths[2], config=tenants.config)
    commands.restore(paths[2], output=tmp_path / "copy.db", config=tenants.config)
    tenants.replicate()  # the local states are found again
    tenants.lose("a.db", "deep/c.db")
    done = litestream.recover(config=tenants.config, expect="backup")
    assert ["restored", "present", "restored"] == [one.action for one in done]
    assert paths == [one.database for one in done]
    tenants.replicate()


def test_one_that_is_lost_with_its_state_is_recovered_and_named(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", "b.db")
    tenants.replicate()
    tenants.lose("a.db", state=True)
    failed, _ = litestream.verify_all(tenants.config, timeout=1)  # no daemon runs
    assert str(tenants.data / "a.db") == failed.database
    assert failed.failure is not None
    assert failed.failure.reason == "unusable"
    done = litestream.recover(config=tenants.config)
    assert ["restored", "present"] == [one.action for one in done]


def test_all_that_are_lost_with_their_directory_are_recovered(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", "deep/b.db", recursive=True)
    tenants.replicate()
    tenants.close()
    shutil.rmtree(tenants.data)
    with pytest.raises(litestream.ConfigurationError, match="Create it"):
        litestream.Replication(tenants.config).start()
    done = litestream.recover(config=tenants.config, expect="backup")
    assert ["restored", "restored"] == [one.action for one in done]
    tenants.replicate()


def test_a_backup_of_all_that_is_lost_is_missed(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db")
    tenants.replicate()
    tenants.lose("a.db", state=True)
    shutil.rmtree(tenants.backups)
    assert [] == litestream.recover(config=tenants.config)
    with pytest.raises(litestream.BackupNotFoundError, match=r"no database of .*\*\.db'"):
        litestream.recover(config=tenants.config, expect="backup")
    argv = [PROGRAM, "run", "--expect", "backup", "--config", str(tenants.config)]
    done = subprocess.run(
        [*argv, "--", "echo", "started"], capture_output=True, text=True, check=False
    )
    assert (1, "") == (done.returncode, done.stdout)


def test_one_on_a_server_is_recovered_by_its_name(make: Callable[..., Tenants], s3: Any) -> None:
    replica = {"sync-interval": "50ms", **s3.replica("tenants")}
    tenants = make("a.db", replica=replica)
    tenants.replicate()
    tenants.lose("a.db", state=True)
    assert [] == litestream.recover(config=tenants.config)
    (path,) = tenants.paths("a.db")
    (done,) = litestream.recover(path, config=tenants.config, expect="backup")
    assert "restored" == done.action
    assert commands.ltx(path, level="all", config=tenants.config)


def test_a_fresh_database_does_not_replace_the_backup_of_one_that_was_lost(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", "b.db")
    tenants.replicate()
    tenants.lose("a.db", state=True)
    tenants.add("a.db")
    with pytest.raises(litestream.BackupExistsError, match=r"a\.db"):
        litestream.Replication(tenants.config).start()


def test_a_path_that_no_directory_holds_is_not_in_the_config(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db")
    elsewhere = str(tenants.data / "deep" / "a.db")
    with pytest.raises(litestream.ConfigurationError, match=r"The databases there: '.*data/\*\.db"):
        litestream.verify(tenants.data / "a.txt", config=tenants.config)
    with pytest.raises(litestream.ConfigurationError, match="not in the config"):
        litestream.recover(elsewhere, config=tenants.config)


def test_litestream_run_recovers_and_replicates_them(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db", "b.db")
    argv = [PROGRAM, "run", "--config", str(tenants.config), "--", "echo", "started"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (0, "started\n") == (done.returncode, done.stdout), done.stderr
    tenants.lose("b.db", state=True)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (0, "started\n") == (done.returncode, done.stdout), done.stderr
    assert "b.db: restored" in done.stderr


def test_what_appears_in_a_watched_directory_is_replicated(make: Callable[..., Tenants]) -> None:
    tenants = make(watch=True)
    with litestream.Replication(tenants.config) as replication:
        assert ("replicating", None) == (replication.state, replication.pid)
        tenants.add("a.db")
        replication.sync(tenants.data / "a.db")
        assert litestream.verify(tenants.data / "a.db", config=tenants.config, exact=True)
        tenants.add("b.db", "c.db")
        replication.sync()
        assert 0 == replication.restarts
        assert all(litestream.verify_all(tenants.config, exact=True))
        tenants.add("d.db")  # the last look is that of the stop
    assert replication.stop()
    listed = litestream.databases(config=tenants.config)
    assert tenants.paths("a.db", "b.db", "c.db", "d.db") == [row["path"] for row in listed]
    assert all(row["generations"] for row in listed)


def test_what_appears_in_a_directory_that_is_not_watched_waits_for_the_next_start(
    make: Callable[..., Tenants],
) -> None:
    tenants = make()
    with pytest.raises(litestream.ConfigurationError, match="'watch:' is off"):
        litestream.Replication(tenants.config).start()
    tenants.add("a.db")
    with litestream.Replication(tenants.config) as replication:
        tenants.add("b.db")
        with pytest.raises(litestream.ConfigurationError, match=r"b\.db' is not one of the repl"):
            replication.sync(tenants.data / "b.db")
    assert not (tenants.backups / "b.db").exists()
    with litestream.Replication(tenants.config) as replication:
        replication.sync(tenants.data / "b.db")


def test_one_that_is_deleted_and_made_anew_is_another_one(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db", "b.db", watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        tenants.lose("b.db")
        tenants.add("a.db")
        lock = Lock(str(tenants.data / "b.db"))
        wait_until(lambda: not lock.is_held(), "the daemon without it")
        tenants.add("b.db", "b.db")
        replication.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))
        assert 0 == replication.restarts


def test_what_appears_over_another_one_s_backup_is_not_replicated(
    make: Callable[..., Tenants], caplog: pytest.LogCaptureFixture
) -> None:
    tenants = make("a.db", "b.db", watch=True)
    tenants.replicate()
    tenants.lose("b.db", state=True)
    before = sorted((tenants.backups / "b.db").rglob("*.ltx"))
    with litestream.Replication(tenants.config) as replication:
        tenants.add("b.db", "c.db")
        replication.sync(tenants.data / "c.db")
        with pytest.raises(litestream.ConfigurationError, match="not one of the replicated"):
            replication.sync(tenants.data / "b.db")
        assert "b.db appeared, and is not replicated" in (replication.last_error or caplog.text)
    assert before == sorted((tenants.backups / "b.db").rglob("*.ltx"))


def test_one_daemon_for_a_directory_that_is_empty_at_the_start(
    make: Callable[..., Tenants],
) -> None:
    tenants = make(watch=True)
    first, second = (litestream.Replication(tenants.config) for _ in range(2))
    with first, second:
        assert ["replicating", "standby"] == [first.state, second.state]
        tenants.add("a.db")
        first.sync()
        second.sync()
        assert ["replicating", "standby"] == [first.state, second.state]
        first.stop()
        wait_until(lambda: second.state == "replicating", "the other one takes over")
        tenants.add("b.db")
        second.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))


def test_nothing_is_lost_over_the_deaths_of_a_daemon(make: Callable[..., Tenants]) -> None:
    tenants = make(watch=True)
    with litestream.Replication(tenants.config) as replication:

        def has_restarted(times: int) -> bool:
            return replication.restarts > times

        tenants.add("a.db")
        replication.sync()
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tenants.data / "a.db"], stdin=subprocess.DEVNULL
        )
        try:
            for number in range(3):
                pid = wait_until(lambda: replication.pid, "a daemon")
                os.kill(pid, signal.SIGKILL)
                tenants.add(f"new-{number}.db")
                wait_until(functools.partial(has_restarted, number), "its restart")
        finally:
            writer.kill()
            writer.wait()
        replication.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))


def test_litestream_run_watches_a_directory(make: Callable[..., Tenants]) -> None:
    tenants = make(watch=True)
    code = "import pathlib, sys; from tests.config.test_directories import database as make; "
    code += "make(pathlib.Path(sys.argv[1]))"
    argv = [PROGRAM, "run", "--config", str(tenants.config), "--", sys.executable, "-c", code]
    root = str(Path(__file__).parents[1])
    for name in ("a.db", "b.db"):
        done = subprocess.run(
            [*argv, tenants.data / name],
            *(),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert 0 == done.returncode, done.stderr
    assert {"a.db", "b.db"} == {path.name for path in tenants.backups.iterdir()}


LACKS = [
    ("x#1.db", "takes # for part"),
    (os.fsdecode(b"x\xff.db"), "not UTF-8"),
    ("link.db", "symbolic link"),
]


@pytest.mark.parametrize(("name", "reason"), LACKS)
def test_what_cannot_be_replicated_is_missed_and_the_others_are_replicated(
    make: Callable[..., Tenants], name: str, reason: str
) -> None:
    tenants = make("a.db", watch=True)
    elsewhere = tenants.data.parent / "elsewhere.db"
    database(elsewhere).close()
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        if name == "link.db":
            (tenants.data / name).symlink_to(elsewhere)
        else:
            elsewhere.rename(tenants.data / name)
        tenants.add("b.db")
        with pytest.raises(litestream.ConfigurationError, match=reason):
            replication.sync()
        assert reason in (replication.last_error or "")
        replication.sync(tenants.data / "b.db")
        assert (tenants.backups / "b.db").exists()
        assert not replication.stop()
    assert reason in (replication.last_error or "")


def test_one_that_becomes_a_link_does_not_stop_the_others(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db", "b.db", watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        (tenants.data / "b.db").rename(tenants.data.parent / "b.db")
        (tenants.data / "b.db").symlink_to(tenants.data.parent / "b.db")
        with pytest.raises(litestream.ConfigurationError, match="symbolic link"):
            replication.sync()
        tenants.connections[0].execute("INSERT INTO items VALUES ('later')")
        replication.sync(tenants.data / "a.db")
        assert litestream.verify(tenants.data / "a.db", config=tenants.config, exact=True)


def test_one_that_another_process_holds_is_missed_and_the_others_are_replicated(
    make: Callable[..., Tenants],
) -> None:
    tenants = make(watch=True)
    lock = Lock(str(tenants.data / "b.db"))
    with litestream.Replication(tenants.config) as replication:
        replication.sync()  # there is nothing yet
        assert lock.acquire()
        tenants.add("a.db", "b.db")
        with pytest.raises(litestream.ConfigurationError, match=r"b\.db is in use by another"):
            replication.sync()
        replication.sync(tenants.data / "a.db")
        lock.release()
        replication.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))
        assert replication.stop()


def test_a_stop_tells_of_a_database_that_came_too_late(
    make: Callable[..., Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = make("a.db", watch=True)
    lock = Lock(str(tenants.data / "b.db"))
    monkeypatch.setattr(Lock, "is_held", lambda _: False)  # it is taken after the look
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        assert lock.acquire()
        tenants.add("b.db")
        assert not replication.stop()
    lock.release()
    assert "b.db is in use by another process" in (replication.last_error or "")


def test_one_that_appears_during_a_look_is_guarded_at_the_next(
    make: Callable[..., Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = make("a.db", "b.db", watch=True)
    tenants.replicate()
    tenants.lose("b.db", state=True)
    before = sorted((tenants.backups / "b.db").rglob("*.ltx"))

    def late(databases: Any) -> None:
        if not (tenants.data / "b.db").exists():
            tenants.add("b.db")
        guard.guard(databases)

    with litestream.Replication(tenants.config) as replication:
        monkeypatch.setattr(watcher, "guard", late)
        tenants.add("c.db")
        replication.sync(tenants.data / "c.db")
        with pytest.raises(litestream.ConfigurationError, match="already holds backups"):
            replication.sync()
    assert before == sorted((tenants.backups / "b.db").rglob("*.ltx"))


def test_one_that_was_refused_is_replicated_once_it_is_recovered(
    make: Callable[..., Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = make("a.db", "b.db", watch=True)
    tenants.replicate()
    tenants.lose("b.db", state=True)
    monkeypatch.setattr(watcher, "identity", lambda _: (1, 1))  # as if its inode were used anew
    with litestream.Replication(tenants.config) as replication:
        tenants.add("b.db")
        with pytest.raises(litestream.ConfigurationError, match="already holds backups"):
            replication.sync()
        tenants.lose("b.db")
        litestream.recover(tenants.data / "b.db", config=tenants.config, expect="backup")
        replication.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))


def test_the_directory_of_the_process_may_change(
    tmp_path: Path, make: Callable[..., Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = make(
        "a.db", dir="data", watch=True, **{"meta-dir": "state"}, replica={"path": "backups"}
    )
    elsewhere = tmp_path / "elsewhere"
    database(elsewhere / "data" / "stranger.db").close()
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        monkeypatch.chdir(elsewhere)
        tenants.add("b.db")
        replication.sync(tenants.data / "b.db")
        assert replication.stop()
    assert {"a.db", "b.db"} == {path.name for path in tenants.backups.iterdir()}
    assert ["data"] == os.listdir(elsewhere)


def test_links_that_lead_in_circles_do_not_keep_a_recovery(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", "deep/b.db", recursive=True)
    tenants.replicate()
    for name in ("one", "two"):
        for folder in (tenants.data, tenants.backups):
            (folder / name).symlink_to(folder)
    tenants.lose("a.db", state=True)
    argv = [PROGRAM, "recover", "--config", str(tenants.config)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    assert "data/a.db: restored" in done.stdout + done.stderr


def test_one_that_is_renamed_is_replicated_by_its_new_name(make: Callable[..., Tenants]) -> None:
    tenants = make("a.db", watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        tenants.close()
        for path in tenants.data.glob("a.db*"):
            path.rename(tenants.data / path.name.replace("a.db", "z.db"))
        tenants.add("z.db", "b.db")
        replication.sync()
        for name in ("b.db", "z.db"):
            assert litestream.verify(tenants.data / name, config=tenants.config, exact=True)
        assert replication.stop()


def test_one_daemon_for_a_directory_that_is_moved_away_and_made_anew(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", watch=True)
    first, second = (litestream.Replication(tenants.config) for _ in range(2))
    with first, second:
        first.sync()
        pid = first.pid
        tenants.data.rename(tenants.data.parent / "old")
        tenants.add("a.db")

        def is_settled() -> bool:
            states = sorted((first.state, second.state))
            return states == ["replicating", "standby"] and first.pid != pid

        wait_until(is_settled, "one of the two")
        tenants.connections[-1].execute("INSERT INTO items VALUES ('later')")
        first.sync()
        second.sync()
        assert litestream.verify(tenants.data / "a.db", config=tenants.config, exact=True)


def test_what_appears_is_replicated_although_the_keeper_is_killed_before_it_takes_it_up(
    make: Callable[..., Tenants],
) -> None:
    tenants = make("a.db", watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        keeper = replication._keeper
        assert keeper is not None
        pid = keeper.pid
        os.kill(pid, signal.SIGSTOP)  # it reads nothing any more
        tenants.add("b.db")
        replication._look()
        os.kill(pid, signal.SIGKILL)
        replication.sync()
        assert all(litestream.verify_all(tenants.config, exact=True))
        assert replication.stop()


MANY = [f"{number:0200}.db" for number in range(60)]
"""Databases of which a keeper's job is larger than what a pipe takes."""


def test_a_keeper_that_does_not_answer_holds_no_call(make: Callable[..., Tenants]) -> None:
    tenants = make(*MANY, watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        assert replication._keeper is not None
        pid = replication._keeper.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            for name in ("b.db", "c.db"):
                tenants.add(name)
                with pytest.raises(litestream.ReplicationTimeoutError, match="does not answer"):
                    replication.sync(timeout=0.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        replication.sync()
        assert replication._keeper.pid == pid
        for path in tenants.paths("b.db", "c.db"):
            assert litestream.verify(path, config=tenants.config, exact=True)
        assert replication.stop()


def test_a_keeper_that_does_not_answer_holds_no_stop(
    make: Callable[..., Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litestream._replication.keeper._GRACE", 0.5)
    tenants = make(*MANY, watch=True)
    with litestream.Replication(tenants.config, stop_timeout=0.5) as replication:
        replication.sync()
        assert replication._keeper is not None
        os.kill(replication._keeper.pid, signal.SIGSTOP)
        tenants.add("b.db")
        assert not replication.stop()
        assert "does not answer" in (replication.last_error or "")


def test_the_page_of_the_manual(
    make: Callable[..., Tenants],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Page("directories")
    (text,) = (body for language, body in page.blocks if language == "yaml")
    tenants = make("acme.db", "eu/acme.db")
    folder = tenants.data.parent
    text = text.replace("/srv/tenants", str(tenants.data))
    tenants.config.write_text(text.replace("s3://backups", f"file://{folder}"))
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    first, second = (body for language, body in page.blocks if language == "python")
    exec(first, names)
    assert capsys.readouterr().out.split() == tenants.paths("acme.db", "eu/acme.db")
    tenants.lose("acme.db", state=True)
    exec(second.replace("/srv/tenants", str(tenants.data)), names)
    assert (tenants.data / "acme.db").exists()
    assert (folder / "tenants/eu/acme.db/ltx").is_dir()
    assert all(command.split()[1] in verbs.PURPOSES for command in page.commands())


@pytest.mark.parametrize(("name", "reason"), LACKS)
def test_what_cannot_be_replicated_keeps_the_others_from_nothing(
    make: Callable[..., Tenants], name: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a failure of its own, and never counted as proved."""
    tenants = make("a.db", "b.db", watch=True)
    with litestream.Replication(tenants.config) as replication:
        replication.sync()
        elsewhere = tenants.data.parent / "elsewhere.db"
        database(elsewhere).close()
        if name == "link.db":
            (tenants.data / name).symlink_to(elsewhere)
        else:
            elsewhere.rename(tenants.data / name)
        proved = {one.database: one for one in litestream.verify_all(tenants.config)}
        assert {*tenants.paths("a.db", "b.db", name)} == {*proved}
        assert all(proved[path] for path in tenants.paths("a.db", "b.db"))
        failure = proved[str(tenants.data / name)].failure
        assert failure is not None
        assert "unusable" == failure.reason
        assert reason in failure.message
        verify = [PROGRAM, "verify", "--all", "--config", str(tenants.config)]
        done = subprocess.run(verify, capture_output=True, text=True)
        assert 1 == done.returncode
        assert 2 == done.stdout.count("proved  "), done.stdout + done.stderr
        assert 1 == done.stdout.count("FAILED  "), done.stdout
        rows = {row["database"]: row for row in litestream.health(config=tenants.config)}
        assert rows[str(tenants.data / name)]["verdict"] not in ("ok", "good")
    assert tenants.paths("a.db", "b.db") == [
        row["path"] for row in commands.databases(config=tenants.config)
    ]
    tenants.lose("a.db")
    caplog.clear()
    done_all = litestream.recover(config=tenants.config, expect="backup")
    assert tenants.paths("a.db", "b.db") == [one.database for one in done_all]
    assert ["restored", "present"] == [one.action for one in done_all]
    recover = [PROGRAM, "recover", "--config", str(tenants.config)]
    done = subprocess.run(recover, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert repr(str(tenants.data / name)) in done.stderr
    assert reason in done.stderr


def test_a_signal_does_not_wait_for_the_replica_of_one_that_appears(
    make: Callable[..., Tenants], s3: S3Server, tmp_path: Path
) -> None:
    tenants = make("a.db", watch=True, replica={**s3.replica(), "sync-interval": "50ms"})
    log = tmp_path / "log"
    argv = [PROGRAM, "run", "--config", str(tenants.config), "--", "sleep", "600"]
    with log.open("w") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env=environment())

    def asked() -> bool:
        named = str(tenants.data / "b.db")
        lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
        return any("ltx" in line and named in line for line in lines)

    try:
        wait_until(lambda: commands.ltx(tenants.data / "a.db", config=tenants.config), "a backup")
        s3.pause()
        tenants.add("b.db")
        wait_until(asked, "the question for the new database")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "litestream shutting down" in log.read_text(), "the final sync")
        assert time.monotonic() - begun < 20  # two answers that do not come would be 60
    finally:
        s3.resume()
        process.wait(60)
    assert 130 == process.returncode
