"""A database path that is a symbolic link: SQLite keeps the WAL beside the file it leads to."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import litestream
from litestream import ConfigurationError, OutputExistsError, Replication, commands
from tests.support import Site, daemons, restored, wait_until


@pytest.fixture
def linked(replicated: Site) -> Site:
    """Return a Site whose database lies elsewhere, as deploy tools have it; a link leads there."""
    replicated.connection.close()
    move(replicated)
    replicated.connection = sqlite3.connect(replicated.database, isolation_level=None)
    return replicated


def move(site: Site) -> Path:
    """Move a site's database into a folder of its own, and leave a symbolic link."""
    target = site.directory / "shared" / "app.db"
    target.parent.mkdir()
    site.database.rename(target)
    site.database.symlink_to(target)
    for suffix in ("-wal", "-shm"):
        Path(f"{site.database}{suffix}").unlink(missing_ok=True)
    return target


@pytest.mark.parametrize("dangling", [False, True])
def test_a_config_that_names_a_link_is_refused(linked: Site, dangling: bool) -> None:
    target = linked.directory / "shared" / "app.db"
    if dangling:
        target.unlink()
    sentence = rf"app\.db' is a symbolic link to '{target}'.*'path: {target}'"
    for refused in (
        lambda: Replication(linked.config).start(),
        lambda: litestream.recover(config=linked.config),
        lambda: litestream.verify(linked.database, config=linked.config),
        lambda: litestream.verify(linked.database, config=linked.config, exact=True),
        lambda: litestream.sync(linked.database, config=linked.config),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            refused()
    (outcome,) = litestream.verify_all(linked.config)
    assert outcome.failure is not None
    assert (outcome.failure.reason, str(target) in outcome.failure.message) == ("unusable", True)
    assert linked.database.is_symlink()
    assert target.exists() is not dangling


def test_run_refuses_a_link(linked: Site) -> None:
    program = str(Path(sys.executable).with_name("litestream"))
    command = [program, "run", "--config", str(linked.config), "--", "echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is a symbolic link to" in done.stderr


def test_databases_follows_a_link_to_the_file(linked: Site) -> None:
    target = linked.directory / "shared" / "app.db"
    databases = {linked.database: f"file://{linked.directory}/copies"}
    with Replication(databases, sync_interval=0.05) as replication:
        linked.write(3)
        replication.sync(linked.database)
        linked.write(3)
        replication.sync(target)
    copy = commands.restore(f"file://{linked.directory}/copies", "copy.db")
    assert linked.rows(copy) == linked.rows()


def test_recover_restores_the_file_that_a_link_leads_to(linked: Site) -> None:
    kept = linked.rows()
    target = linked.directory / "shared" / "app.db"
    linked.connection.close()
    for path in target.parent.iterdir():
        path.unlink()
    databases = {linked.database: f"file://{linked.replica_path}"}
    (done,) = litestream.recover(linked.database, config=databases)
    assert (done.database, done.action) == (str(target), "restored")
    assert linked.database.is_symlink()
    assert linked.rows(target) == kept


def test_two_paths_of_one_database_are_refused(linked: Site) -> None:
    target = linked.directory / "shared" / "app.db"
    databases = {linked.database: "file:///one", target: "file:///two"}
    with pytest.raises(ConfigurationError, match="Two paths of the mapping lead to"):
        Replication(databases)


def test_a_link_to_a_database_of_the_config_stands_for_it(linked: Site) -> None:
    target = linked.directory / "shared" / "app.db"
    content = json.loads(linked.config.read_text())
    content["dbs"][0]["path"] = str(target)
    linked.config.write_text(json.dumps(content))
    with Replication(linked.config, adopt=True) as replication:
        linked.write(1)
        replication.sync(linked.database)
        litestream.sync(linked.database, config=linked.config)
        assert litestream.verify(linked.database, config=linked.config).database == str(target)


def test_a_link_that_is_switched_while_it_runs_changes_nothing(linked: Site) -> None:
    other = linked.directory / "other.db"
    databases = {linked.database: f"file://{linked.directory}/copies"}
    with Replication(databases, sync_interval=0.05) as replication:
        other.touch()
        linked.database.unlink()
        linked.database.symlink_to(other)
        assert replication._keeper is not None
        before = replication.pid
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(lambda: replication.pid not in (None, before), "another daemon")
        linked.write(3)
        replication.sync()
    copy = commands.restore(f"file://{linked.directory}/copies", "copy.db")
    assert linked.rows(copy) == linked.rows()
    assert other.stat().st_size == 0


def test_a_database_that_becomes_a_link_is_not_started_again(site: Site) -> None:
    site.write(3)
    with Replication(site.config) as replication:
        replication.sync()
        site.connection.close()
        assert replication._keeper is not None
        move(site)
        os.kill(replication._keeper.pid, signal.SIGKILL)
        wait_until(lambda: "symbolic link" in (replication.last_error or ""), "the refusal")
        assert replication.state == "backing off"
    assert daemons(site.directory) == []


def test_a_restore_does_not_follow_a_link_that_leads_nowhere(replicated: Site) -> None:
    link, target = replicated.directory / "link.db", replicated.directory / "target.db"
    link.symlink_to(target)
    for force in (False, True):
        with pytest.raises(OutputExistsError, match=f"symbolic link to '{target}'"):
            commands.restore(replicated.database, link, config=replicated.config, force=force)
    assert link.is_symlink()
    assert not target.exists()


def test_a_restore_replaces_the_file_and_not_the_link(replicated: Site) -> None:
    link, target = replicated.directory / "link.db", replicated.directory / "target.db"
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("CREATE TABLE old (x)")
        connection.commit()
    link.symlink_to(target)
    with pytest.raises(OutputExistsError, match=r"target\.db' exists"):
        commands.restore(replicated.database, link, config=replicated.config)
    made = commands.restore(replicated.database, link, config=replicated.config, force=True)
    assert (made, link.is_symlink()) == (target, True)
    assert replicated.rows(link) == restored(replicated)
