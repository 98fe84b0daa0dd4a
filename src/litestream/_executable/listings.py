"""The commands that list the config's databases and the content of replicas."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from litestream._config import variables
from litestream._config.paths import is_url, target
from litestream._executable import parse, run
from litestream._executable.arguments import (
    alone,
    arguments,
    config_flags,
    loaded,
    located,
    require_positive,
)
from litestream._executable.series import require_series, series
from litestream.rows import DatabaseRow, GenerationRow, SnapshotRow, StatusRow, WALRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.config import Config, ConfigArgument
    from litestream._config.database import Database
    from litestream._config.paths import StrPath
    from litestream._executable.arguments import Flag
    from litestream.rows import LTXRow

_REQUEST = 5.0
"""Seconds that a replica may take to tell of its newest change."""
_LOCAL = ("reset", "status")
"""The verbs that do not ask the replica."""
SNAPSHOTS = 9
"""The level of the LTX files that are snapshots (0.5)."""


class _Database(TypedDict):
    path: str
    replica: str


def databases(
    *,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[DatabaseRow]:
    """Return the databases of the config, with the names of their replicas."""
    with loaded(config, expand_env=expand_env) as found:
        variables.require_set(found)
        return _databases(found, timeout, flags)


def generations(
    database: StrPath,
    *,
    replica: str | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[GenerationRow]:
    """Return the generations in the replicas of a database.

    Series 0.5 has no generations. A replica with LTX files counts as one generation, named
    ``"ltx"``, from its oldest to its newest file; an empty replica has none. ``lag`` is the age of
    the newest file at the database's last change; it is often slightly negative.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, **flags}
        text = printed("generations", database, config, timeout, chosen, expand_env=expand_env)
        return parse.table(text, GenerationRow)
    name, rows = _ltx_rows(database, "all", replica, config, timeout, flags, expand_env=expand_env)
    return generations_05(database, name, rows)


def snapshots(
    database: StrPath,
    *,
    replica: str | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[SnapshotRow]:
    """Return the snapshots in the replicas of a database.

    On series 0.5 these are the LTX files of level 9, ``index`` being the transaction id up to
    which they reach.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, **flags}
        text = printed("snapshots", database, config, timeout, chosen, expand_env=expand_env)
        return parse.table(text, SnapshotRow)
    name, rows = _ltx_rows(
        database, SNAPSHOTS, replica, config, timeout, flags, expand_env=expand_env
    )
    return snapshots_05(name, rows)


def wal(
    database: StrPath,
    *,
    replica: str | None = None,
    generation: str | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[WALRow]:
    """Return the WAL segments in the replicas of a database.

    On series 0.5 these are the LTX files of level 0, ``index`` being the transaction id up to
    which they reach and ``offset`` 0.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, "generation": generation, **flags}
        text = printed("wal", database, config, timeout, chosen, expand_env=expand_env)
        return parse.table(text, WALRow)
    if generation is not None:
        require_series("0.3", "wal(generation=…)")
    name, rows = _ltx_rows(database, 0, replica, config, timeout, flags, expand_env=expand_env)
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "offset": 0,
            "size": row["size"],
            "created": row["created"],
        }
        for row in rows
    ]


def ltx(
    database: StrPath,
    *,
    level: int | Literal["all"] = 0,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[LTXRow]:
    """Return the LTX files in the replica of a database: of one level (0 to 9), or of all.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3, which has no LTX files.

    """
    require_series("0.5", "'ltx'")
    options: dict[str, Flag] = {"level": level, "json": True, **flags}
    return parse.ltx_rows(printed("ltx", database, config, timeout, options, expand_env=expand_env))


def status(
    database: StrPath | None = None,
    *,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> list[StatusRow]:
    """Return the local state of one database or of all; the replica is not asked.

    ``status`` is ``"ok"``, ``"not initialized"``, ``"no database"``, ``"error"`` or ``"unknown"``.
    A database that the config does not name gives no row.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3.

    """
    require_series("0.5", "'status'")
    options: dict[str, Flag] = {"json": True, **flags}
    text = printed("status", database, config, timeout, options, expand_env=expand_env)
    return parse.json_rows(text, StatusRow)


def _databases(config: Config, timeout: float | None, flags: dict[str, Flag]) -> list[DatabaseRow]:
    if config.series == "0.3":
        return parse.table(printed("databases", None, config, timeout, flags), DatabaseRow)
    text = printed("databases", None, config, timeout, {"json": True, **flags})
    return [
        {"path": row["path"], "replicas": row["replica"]}
        for row in parse.json_rows(text, _Database)
    ]


def printed(
    verb: str,
    database: StrPath | None,
    config: ConfigArgument,
    timeout: float | None,
    flags: dict[str, Flag],
    *,
    expand_env: bool = True,
) -> str:
    """Run a command that takes at most one database, and return its standard output.

    Raises:
        ConfigurationError: A variable in the place of the replica is not set.

    """
    require_positive(timeout)
    if database is None:
        with loaded(config, expand_env=expand_env) as found:
            argv = arguments(verb, **{**config_flags(found), **flags})
            return run.run(argv, timeout=timeout).stdout
    with located(database, config, expand_env=expand_env) as (name, where):
        if where is not None and verb not in _LOCAL:
            variables.require_set(where, name)
        argv = arguments(verb, name, **{**config_flags(where), **flags})
        return run.run(argv, timeout=timeout, config=alone(where, name)).stdout


def require_valid(config: Config) -> None:
    """Let Litestream say what it refuses in the config, if that is why nothing comes.

    Raises:
        CommandFailedError: its own words.

    """
    _databases(config, run.TIMEOUT, {})


def _ltx_rows(
    database: StrPath,
    level: int | Literal["all"],
    replica: str | None,
    config: ConfigArgument,
    timeout: float | None,
    flags: dict[str, Flag],
    *,
    expand_env: bool,
) -> tuple[str, list[LTXRow]]:
    """Return the name of a database's only replica on series 0.5, and its LTX files."""
    if replica is not None:
        require_series("0.3", "replica= (0.5 has one replica for each database)")
    with located(database, config, expand_env=expand_env) as (path, where):
        if is_url(database):
            name = os.fspath(database).split("://")[0]
        else:
            assert where is not None
            variables.require_set(where, path)
            listed = _databases(where, timeout, flags)
            name = next((row["replicas"] for row in listed if row["path"] == path), "")
        return name, ltx(path, level=level, config=where, expand_env=True, timeout=timeout, **flags)


def last_replicated(database: Database) -> tuple[str, str] | None:
    """Return the newest position in the replica and when it was written; None in an empty one.

    Raises:
        CommandFailedError, CommandTimeoutError: it cannot be read.

    """

    def rows(listing: Callable[..., list[Any]], **options: Any) -> list[Any]:
        return listing(
            database.path,
            config=database.config,
            timeout=_REQUEST,
            **options,
        )

    if database.config.series == "0.5":
        found = rows(ltx, level="all")
        return max(((row["max_txid"], row["created"]) for row in found), default=None)
    one = {"replica": database.replica}
    found = [*rows(snapshots, **one), *rows(wal, **one)]
    newest = max(found, key=lambda row: (row["created"], row["index"]), default=None)
    if newest is None:
        return None
    return f"{newest['generation']}/{newest['index']}", newest["created"]


def generations_05(database: StrPath, name: str, rows: list[LTXRow]) -> list[GenerationRow]:
    """Return the one generation that the LTX files of a replica count as, if there are any."""
    times = sorted(row["created"] for row in rows)
    if not times:
        return []
    lag = parse.duration(_changed(database) - parse.seconds_since_epoch(times[-1]))
    return [{"name": name, "generation": "ltx", "lag": lag, "start": times[0], "end": times[-1]}]


def snapshots_05(name: str, rows: list[LTXRow]) -> list[SnapshotRow]:
    """Return LTX files that are snapshots as rows of ``snapshots``."""
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "size": row["size"],
            "created": row["created"],
        }
        for row in rows
    ]


def _changed(database: StrPath) -> float:
    """Return when a database was last changed, in seconds since 1970; now for a replica URL."""
    if is_url(database):
        return time.time()
    path = target(database)
    times = [os.stat(name).st_mtime for name in (path, f"{path}-wal") if os.path.exists(name)]
    return max(times, default=time.time())
