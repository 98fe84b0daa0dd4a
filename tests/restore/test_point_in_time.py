"""A restore to a time, an index or a transaction."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

import litestream
from litestream import commands
from tests.restore.test_restore import restore
from tests.support import wait_until


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
    time.sleep(1.1)  # times in a replica are whole seconds
    later = datetime.now(timezone.utc)
    commands.restore(source, target, timestamp=later, config=config)
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


@pytest.mark.parametrize("txid", [0, -1, "12", "xyz"])
@pytest.mark.only_series("0.5")
def test_a_txid_that_is_none(replicated, target, txid):
    with pytest.raises(litestream.ConfigurationError, match="is not a transaction"):
        restore(replicated, target, txid=txid)


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
