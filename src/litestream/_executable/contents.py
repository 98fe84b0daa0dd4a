"""What the replicas of a database hold: read in a directory, listed by the executable elsewhere.

To read a directory takes a hundredth of what a start of the executable takes.
"""

from __future__ import annotations

import os
import re
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from litestream._config import variables
from litestream._config.database import database_of
from litestream._executable import listings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._config.config import Config
    from litestream._config.database import Database
    from litestream.rows import GenerationRow, LTXRow, SnapshotRow, WALRow

_PATIENCE = 2.0
"""Seconds after which a directory, of a network that hangs, is left to the executable."""
_LTX = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_SNAPSHOT = re.compile(r"([0-9a-f]{8})\.snapshot\.lz4")
_WAL = re.compile(r"([0-9a-f]{8})_([0-9a-f]{8})\.wal\.lz4")
_GENERATION = re.compile(r"[0-9a-f]{16}")

Row = TypeVar("Row")
Rows = TypeVar("Rows")


def ltx(database: Database, timeout: float | None) -> list[LTXRow]:
    """Return the LTX files of all levels in a database's replica (0.5).

    Raises:
        CommandFailedError, CommandTimeoutError: it cannot be listed.

    """
    found = _read(database, _ltx_files)
    if found is not None:
        return found
    return listings.ltx(database.path, level="all", config=database.config, timeout=timeout)


def snapshots(database: Database, timeout: float | None) -> list[SnapshotRow]:
    """Return the snapshots in the replica of a database that is narrowed to one (0.3).

    Raises:
        CommandFailedError, CommandTimeoutError: it cannot be listed.

    """
    found = _read(database, lambda folder: _snapshots(folder, database.names[0]))
    return found if found is not None else _listed(database, listings.snapshots, timeout)


def snapshots_and_wal(
    database: Database, timeout: float | None
) -> tuple[list[SnapshotRow], list[WALRow]]:
    """Return the snapshots and WAL segments in the replica of a database narrowed to one (0.3).

    Without a snapshot no segment can be restored, and the executable is not asked for any.

    Raises:
        CommandFailedError, CommandTimeoutError: it cannot be listed.

    """
    name = database.names[0]
    found = _read(database, lambda folder: (_snapshots(folder, name), _wal(folder, name)))
    if found is not None:
        return found
    snapshots = _listed(database, listings.snapshots, timeout)
    return snapshots, _listed(database, listings.wal, timeout) if snapshots else []


def _listed(
    database: Database, listing: Callable[..., list[Row]], timeout: float | None
) -> list[Row]:
    one, config = database.replica, database.config
    return listing(database.path, replica=one, config=config, timeout=timeout)


def generations_and_snapshots(
    path: str, name: str, config: Config, timeout: float | None
) -> tuple[list[GenerationRow], list[SnapshotRow]]:
    """Return both of a database that ``listings.databases`` has named, with its replicas' names."""
    if config.series == "0.5":
        rows = ltx(database_of(config, path), timeout)
        newest = [row for row in rows if row["level"] == listings.SNAPSHOTS]
        generations = listings.generations_05(path, name, rows)
        return generations, listings.snapshots_05(name, newest)
    generations = listings.generations(path, config=config, timeout=timeout)
    replicas = database_of(config, path).each_replica()
    return generations, [row for one in replicas for row in snapshots(one, timeout)]


def _read(database: Database, rows: Callable[[str], Rows]) -> Rows | None:
    """Return the rows of a directory; None if it is none, cannot be read, or does not answer.

    Raises:
        ConfigurationError: A variable in the path of the directory is not set.

    """
    variables.require_set(database.config, database.path)
    folders = database.folders
    if folders is None or len(folders) != 1:
        return None
    found: list[Rows] = []

    def read() -> None:
        try:
            found.append(rows(folders[0]))
        except OSError:  # the executable says what is wrong
            pass

    reader = threading.Thread(target=read, daemon=True, name="litestream-read")
    reader.start()
    reader.join(_PATIENCE)
    return found[0] if found else None


def _ltx_files(folder: str) -> list[LTXRow]:
    """Return the rows of ``litestream ltx -level all``.

    Source: 0.5.17 keeps ``ltx/LEVEL/MIN-MAX.ltx``; the file's time is that of its last change.
    """
    found: list[LTXRow] = [
        {
            "level": level,
            "min_txid": name[1],
            "max_txid": name[2],
            "size": status.st_size,
            "created": created(status.st_mtime_ns // 10**9),
        }
        for level in range(10)
        for name, status in _files(os.path.join(folder, "ltx", str(level)), _LTX)
    ]
    found.sort(key=lambda row: (row["level"], row["min_txid"], row["max_txid"]))
    return found


def _snapshots(folder: str, replica: str) -> list[SnapshotRow]:
    """Return the rows of ``litestream snapshots``.

    Source: 0.3.13 keeps ``generations/GENERATION/snapshots/INDEX.snapshot.lz4``.
    """
    return [
        {
            "replica": replica,
            "generation": generation,
            "index": int(name[1], 16),
            "size": status.st_size,
            "created": created(status.st_mtime_ns // 10**9),
        }
        for generation, path in _generations(folder)
        for name, status in _files(os.path.join(path, "snapshots"), _SNAPSHOT)
    ]


def _wal(folder: str, replica: str) -> list[WALRow]:
    """Return the rows of ``litestream wal``.

    Source: 0.3.13 keeps ``generations/GENERATION/wal/INDEX_OFFSET.wal.lz4``.
    """
    return [
        {
            "replica": replica,
            "generation": generation,
            "index": int(name[1], 16),
            "offset": int(name[2], 16),
            "size": status.st_size,
            "created": created(status.st_mtime_ns // 10**9),
        }
        for generation, path in _generations(folder)
        for name, status in _files(os.path.join(path, "wal"), _WAL)
    ]


def _generations(folder: str) -> Iterator[tuple[str, str]]:
    for entry in _entries(os.path.join(folder, "generations")):
        if _GENERATION.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield entry.name, entry.path


def _files(folder: str, shape: re.Pattern[str]) -> Iterator[tuple[re.Match[str], os.stat_result]]:
    """Yield the files whose names have a shape, a link as what it is itself.

    Source: Go's ``Readdir`` follows no link. What a link leads to may be out of reach for a while:
    the replica is not empty then.
    """
    for entry in _entries(folder):
        name = shape.fullmatch(entry.name)
        if name:
            try:
                yield name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed at the end of its retention meanwhile
                continue


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def created(seconds: float) -> str:
    """Return a time as Litestream's listings have it: UTC, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
