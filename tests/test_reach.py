"""What the executables can do is reached from Python by typed names, and the rest refused."""

from __future__ import annotations

import contextlib
import json
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import commands
from tests.support import Site


@pytest.mark.parametrize("verb", ["databases", "generations", "snapshots", "wal", "restore"])
def test_a_config_can_be_taken_as_it_is_written(verb: str, make_site: Any, series: str) -> None:
    site = make_site(name="$HOME.db")
    site.write(3)
    site.back_up(snapshot=True)
    function = getattr(commands, verb)
    arguments = [] if verb == "databases" else [site.database]
    if verb == "restore":
        arguments.append(site.directory / "copy.db")
    assert function(*arguments, config=site.config, expand_env=False)


@pytest.mark.only_series("0.3")
def test_wal_of_a_generation(replicated: Site) -> None:
    (row,) = commands.generations(replicated.database, config=replicated.config)
    rows = commands.wal(replicated.database, generation=row["generation"], config=replicated.config)
    assert {row["generation"] for row in rows} == {row["generation"]}


@pytest.mark.only_series("0.5")
def test_a_generation_is_no_choice_on_05(replicated: Site) -> None:
    with pytest.raises(litestream.UnsupportedCommandError, match=r"wal\(generation=…\)"):
        commands.wal(replicated.database, generation="x", config=replicated.config)


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize(
    "option", ["once", "force_snapshot", "enforce_retention", "restore_if_db_not_exists"]
)
def test_what_only_05_replicates_with_is_refused_by_name(option: str, site: Site) -> None:
    options: dict[str, Any] = {option: True}
    with pytest.raises(litestream.UnsupportedCommandError, match=rf"replicate\({option}=…\)"):
        commands.replicate(config=site.config, **options)
    with pytest.raises(litestream.UnsupportedCommandError, match="log_level"):
        commands.replicate(config=site.config, log_level="debug")


@pytest.mark.only_series("0.5")
def test_one_sync_with_a_snapshot(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.write(3)
    commands.replicate(config=site.config, once=True, force_snapshot=True, log_level="debug")
    assert commands.snapshots(site.database, config=site.config)
    assert "level=DEBUG" in capfd.readouterr().out


def test_replicate_raises_with_upstreams_own_sentence(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.config.write_text(site.config.read_text().replace('"file"', '"nope"'))
    with pytest.raises(litestream.CommandFailedError) as failed:
        commands.replicate(config=site.config)
    assert failed.value.reason == 'unknown replica type in config: "nope"'
    printed = capfd.readouterr()
    assert "unknown replica type" in printed.out + printed.err


@pytest.mark.only_series("0.5")
class TestPlan:
    def test_it_says_what_a_restore_reads(self, replicated: Site) -> None:
        before = sorted(replicated.directory.rglob("*"))
        plan = commands.plan(replicated.database, config=replicated.config)
        assert plan["replica"] == "file"
        assert plan["size"] == sum(row["size"] for row in plan["files"]) > 0
        assert plan["max_txid"] == max(row["max_txid"] for row in plan["files"])
        assert json.loads(json.dumps(plan)) == plan
        assert sorted(replicated.directory.rglob("*")) == before
        first = commands.plan(replicated.database, txid=1, config=replicated.config)
        assert int(first["max_txid"], 16) == 1

    def test_of_nothing(self, site: Site) -> None:
        with pytest.raises(litestream.BackupNotFoundError):
            commands.plan(site.database, config=site.config)

    def test_a_url(self, replicated: Site) -> None:
        assert commands.plan(f"file://{replicated.replica_path}")["files"]


@pytest.mark.only_series("0.3")
def test_03_makes_no_plan(replicated: Site) -> None:
    with pytest.raises(litestream.UnsupportedCommandError, match=r"plan\(\)"):
        commands.plan(replicated.database, config=replicated.config)


def test_a_restore_says_what_it_restored(replicated: Site, series: str) -> None:
    made = commands.restore(replicated.database, config=replicated.config)
    assert made.replica == "file"
    rows: list[Any] = [
        *commands.wal(replicated.database, config=replicated.config),
        *commands.snapshots(replicated.database, config=replicated.config),
    ]
    newest = max(row["index"] for row in rows)
    times = [row["created"] for row in rows if row["index"] == newest]
    assert made.as_of == (min(times) if series == "0.5" else max(times))
    if series == "0.5":
        assert (int(made.txid or "", 16), made.generation, made.index) == (newest, None, None)
    else:
        assert (made.txid, made.generation) == (None, rows[0]["generation"])
        assert made.index == newest
    assert isinstance(made, Path)
    assert made.with_suffix(".x").parent == made.parent
    assert type(pickle.loads(pickle.dumps(made))) is type(Path())
    assert json.dumps(str(made))


def test_a_replica_is_not_followed_by_restore(replicated: Site) -> None:
    for option in ({"follow_interval": "1s"}, {"f": True}, {"dry_run": True}):
        with pytest.raises(litestream.ConfigurationError, match="restores one complete file"):
            commands.restore(replicated.database, config=replicated.config, **option)


def test_version_says_how_it_was_built(installed: Path, series: str) -> None:
    if series == "0.3":
        with pytest.raises(litestream.UnsupportedCommandError, match="verbose"):
            commands.version(verbose=True)
        return
    row = commands.version(verbose=True)
    assert row["version"] == commands.version()
    assert row["go_version"].startswith("go1.")
    assert len(row["commit"]) == 40


@pytest.mark.only_series("0.5")
def test_unregister_can_be_tried(running: Site) -> None:
    tried = commands.unregister(running.database, dry_run=True, config=running.config)
    assert tried["status"] == "would be unregistered"
    assert [r["path"] for r in commands.list(config=running.config)] == [str(running.database)]
    tried = commands.unregister("/no/such.db", dry_run=True, config=running.config)
    assert tried["status"] == "not registered"


@pytest.mark.only_series("0.5")
def test_a_registered_database_can_be_synced(running: Site, tmp_path: Path) -> None:
    other, replica = tmp_path / "other.db", tmp_path / "other-replica"
    with contextlib.closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        commands.register(other, f"file://{replica}", config=running.config)
        connection.execute("INSERT INTO items (value) VALUES ('registered')")
        done = commands.sync(other, wait=True, config=running.config)
        assert done["replicated_txid"] >= done["txid"] > 0
        connection.execute("INSERT INTO items (value) VALUES ('again')")
        litestream.sync(other, config=running.config)
        copy = commands.restore(f"file://{replica}", tmp_path / "copy.db")
        assert running.rows(copy) == [(1, "registered"), (2, "again")]
        proved = litestream.verify(other, config={other: f"file://{replica}"})
        assert proved.tables["restored"] == 1
        assert litestream.verify(other, config={other: f"file://{replica}"}, exact=True)
        with pytest.raises(litestream.ConfigurationError, match="is not in the config"):
            litestream.verify(other, config=running.config)
        with pytest.raises(litestream.ConfigurationError, match="is not in the config"):
            litestream.sync(tmp_path / "stranger.db", config=running.config)
