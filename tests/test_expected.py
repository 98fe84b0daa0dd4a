"""What a person would expect, of arguments and of results."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import commands
from litestream.errors import ConfigurationError
from tests.support import Site

MEMORY = (":memory:", "file::memory:", "file:x?mode=memory&cache=shared")


@pytest.mark.parametrize("name", MEMORY)
def test_a_database_in_memory_has_no_backup(name: str, site: Site) -> None:
    config = site.config
    calls: list[Any] = [
        *(getattr(commands, verb) for verb in ("generations", "snapshots", "wal", "restore")),
        *(litestream.verify, litestream.sync, litestream.recover),
    ]
    for call in calls:
        with pytest.raises(litestream.UnusableDatabaseError, match="in-memory"):
            call(name, config=config)
    with pytest.raises(litestream.UnusableDatabaseError, match="in-memory"):
        litestream.Replication({name: f"file://{site.replica_path}"})


@pytest.mark.parametrize("timeout", [0, -1, -0.5, float("nan")])
def test_no_time_at_all_is_refused(timeout: float, site: Site, series: str) -> None:
    options: dict[str, Any] = {"config": site.config, "timeout": timeout}
    calls: list[Any] = [commands.databases, litestream.recover, litestream.verify_all]
    calls += [commands.info, commands.list] if series == "0.5" else []
    for call in calls[:2] + calls[3:]:
        with pytest.raises(litestream.ConfigurationError, match="must be more than 0 seconds"):
            call(**options)
    for call in (commands.wal, commands.restore, litestream.verify, litestream.sync):
        with pytest.raises(litestream.ConfigurationError, match="must be more than 0 seconds"):
            call(site.database, **options)


@pytest.mark.parametrize("verb", ["generations", "snapshots", "wal", "restore", "verify"])
@pytest.mark.only_series("0.5")
def test_no_database_is_named_as_what_is_missing(verb: str, site: Site) -> None:
    with pytest.raises(TypeError, match="database is a path or a replica URL, not NoneType"):
        getattr(commands, verb)(None, config=site.config)


def test_times_are_taken_as_people_write_them(replicated: Site, tmp_path: Path) -> None:
    now = datetime.now(timezone.utc) + timedelta(seconds=2)
    naive = now.astimezone().replace(tzinfo=None)
    times: list[Any] = [now, naive, f"{naive:%Y-%m-%d %H:%M:%S}", f"{now:%FT%TZ}"]
    for number, moment in enumerate(times):
        copy = commands.restore(
            replicated.database, tmp_path / str(number), timestamp=moment, config=replicated.config
        )
        assert replicated.rows(copy) == replicated.rows()
    later: list[Any] = [now + timedelta(days=1), "2099-01-01 00:00", "yesterday"]
    for wrong in later:
        with pytest.raises(litestream.ConfigurationError, match="timestamp="):
            commands.restore(
                replicated.database, tmp_path / "no", timestamp=wrong, config=replicated.config
            )


def test_logs_are_a_list_and_a_coroutine_can_wait(site: Site) -> None:
    async def serve() -> list[str]:
        async with litestream.Replication(site.config) as replication:
            site.write()
            await replication.async_sync()
            await replication.async_sync(site.database, timeout=20)
            return replication.logs[:2]

    first = asyncio.run(serve())
    assert len(first) == 2
    copy = commands.restore(site.database, config=site.config)
    assert site.rows(copy) == site.rows()


def test_your_own_tables_are_counted(running: Site) -> None:
    assert commands.verify(running.database, config=running.config)["tables"] == {
        "original": 1,
        "restored": 1,
    }


def test_a_checker_sees_a_misspelt_name(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(
        "import litestream\nfrom litestream import Replication\n"
        "from litestream import Replicatoin\nlitestream.recoverr()\n"
    )
    argv = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "sample.py"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    wrong = [line for line in done.stdout.splitlines() if "error:" in line]
    assert ["Replicatoin" in wrong[0], "recoverr" in wrong[1]] == [True, True], done.stdout
    assert len(wrong) == 2


def test_a_verify_of_nothing_names_the_one_of_all(installed: Path, series: str) -> None:
    with pytest.raises(TypeError, match="verify_all"):
        litestream.verify()


def test_a_verify_of_all_proves_something(installed: Path, series: str, tmp_path: Path) -> None:
    """`all([])` is true."""
    config = tmp_path / "litestream.yml"
    config.write_text("dbs: []\n")
    empties: list[Any] = [config, {}]
    for empty in empties:
        with pytest.raises(ConfigurationError, match="no database"):
            litestream.verify_all(empty)
