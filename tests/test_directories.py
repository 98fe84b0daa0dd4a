"""The life of a directory of databases (``dir:``) on the real 0.5."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import commands
from tests.config.test_directories import database

pytestmark = [pytest.mark.only_series("0.5"), pytest.mark.usefixtures("installed", "series")]
PROGRAM = str(Path(sys.executable).with_name("litestream"))


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
    with pytest.raises(litestream.ConfigurationError, match="Make it"):
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
