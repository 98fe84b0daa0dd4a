"""What a replica's directory holds, without the executable: the rows that the executable lists."""

from __future__ import annotations

import os
import shutil
import threading
from typing import Any

import pytest

import litestream
from litestream import commands
from litestream._config.database import database_of
from litestream._executable import contents
from litestream._executable import run as executable_run
from litestream._executable.arguments import loaded
from litestream.errors import CommandFailedError


@pytest.fixture
def counted(installed, monkeypatch):
    """Return the verbs that the executable is run with from now on."""
    commands.version()
    verbs = []
    run = executable_run.run

    def noted(argv, **options):
        verbs.append(argv[1])
        return run(argv, **options)

    monkeypatch.setattr(executable_run, "run", noted)
    return verbs


def wal(database, timeout):
    _, segments = contents.snapshots_and_wal(database, timeout)
    return segments


def two_lives(site):
    """Replicate twice, on 0.3 into two generations."""
    site.write(3)
    site.back_up(snapshot=True)
    if site.series == "0.3":
        shutil.rmtree(site.directory / ".app.db-litestream")
    site.write(3)
    site.start()
    known = len(commands.wal(site.database, config=site.config))
    site.write(5)
    litestream.sync(site.database, config=site.config)
    site.stop()
    assert len(commands.wal(site.database, config=site.config)) > known


def key(row):
    return sorted((name, str(value)) for name, value in row.items())


def test_the_rows_are_the_executables(site, series):
    two_lives(site)
    with loaded(site.config, expand_env=False) as config:
        database = database_of(config, site.database)
        if series == "0.5":
            assert contents.ltx(database, 30) == commands.ltx(
                site.database, level="all", config=site.config
            )
            return
        for own, listing in (
            (contents.snapshots, commands.snapshots),
            (wal, commands.wal),
        ):
            listed = listing(site.database, config=site.config)
            assert sorted(own(database, 30), key=key) == sorted(listed, key=key)
        assert len({row["generation"] for row in contents.snapshots(database, 30)}) == 2


def test_other_files_are_passed_by(site, series):
    two_lives(site)
    inner = next(
        path.parent for path in site.replica_path.rglob("*") if path.suffix in (".ltx", ".lz4")
    )
    (inner / ".litestream-upload.tmp").touch()
    (inner / "README").touch()
    with loaded(site.config, expand_env=False) as config:
        database = database_of(config, site.database)
        if series == "0.5":
            listed = commands.ltx(site.database, level="all", config=site.config)
            assert contents.ltx(database, 30) == listed
        else:
            names = {row["index"] for row in wal(database, 30)}
            assert names == {
                row["index"] for row in commands.wal(site.database, config=site.config)
            }


def test_links_are_what_they_are_to_the_executable(site, series, tmp_path):
    two_lives(site)
    inner = site.replica_path / ("ltx" if series == "0.5" else "generations")
    shutil.copytree(site.replica_path, tmp_path / "elsewhere")
    for path in [*inner.rglob("*.ltx"), *inner.rglob("*.lz4")]:
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere" / path.name)  # leads nowhere
    if series == "0.3":
        folder = next(inner.iterdir())
        folder.rename(tmp_path / "generation")
        folder.symlink_to(tmp_path / "generation")
    with loaded(site.config, expand_env=False) as config:
        database = database_of(config, site.database)
        listed: list[Any] = (
            [(contents.ltx, commands.ltx(site.database, level="all", config=site.config))]
            if series == "0.5"
            else [
                (contents.snapshots, commands.snapshots(site.database, config=site.config)),
                (wal, commands.wal(site.database, config=site.config)),
            ]
        )
        for own, rows in listed:
            assert rows
            assert sorted(own(database, 30), key=key) == sorted(rows, key=key)


def test_an_empty_replica_holds_nothing(site, counted, series):
    with loaded(site.config, expand_env=False) as config:
        database = database_of(config, site.database)
        found = (contents.ltx,) if series == "0.5" else (contents.snapshots, wal)
        assert [rows(database, 30) for rows in found] == [[]] * len(found)
    assert counted == []


def test_what_cannot_be_read_is_left_to_the_executable(site, counted, series):
    site.back_up()
    shutil.rmtree(site.replica_path)
    site.replica_path.write_text("no directory")
    counted.clear()
    with loaded(site.config, expand_env=False) as config:
        database = database_of(config, site.database)
        own = contents.ltx if series == "0.5" else contents.snapshots
        with pytest.raises(CommandFailedError, match="not a directory"):
            own(database, 30)
    assert counted == ["ltx" if series == "0.5" else "snapshots"]


def test_a_directory_that_does_not_answer_is_left_to_the_executable(
    site, counted, series, monkeypatch
):
    site.back_up(snapshot=True)
    counted.clear()
    released = threading.Event()
    scandir = os.scandir

    def hangs(path):
        if str(path).startswith(str(site.replica_path)):
            released.wait()
        return scandir(path)

    monkeypatch.setattr(contents, "_PATIENCE", 0.1)
    monkeypatch.setattr(os, "scandir", hangs)
    try:
        with loaded(site.config, expand_env=False) as config:
            database = database_of(config, site.database)
            own = contents.ltx if series == "0.5" else wal
            assert own(database, 30)
    finally:
        released.set()
    assert counted == (["ltx"] if series == "0.5" else ["snapshots", "wal"])


def test_a_recovery_runs_the_executable_once_for_each(site, counted, tmp_path):
    two_lives(site)
    mapping = {}
    for number in range(3):
        shutil.copytree(site.replica_path, tmp_path / f"replica{number}")
        mapping[tmp_path / f"{number}.db"] = (tmp_path / f"replica{number}").as_uri()
    counted.clear()
    assert {done.action for done in litestream.recover(config=mapping)} == {"restored"}
    assert counted == ["restore"] * 3
