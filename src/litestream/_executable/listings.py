"""The commands that list what is configured, and what the replicas hold."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal, TypedDict

from litestream._deadline import require_positive
from litestream._executable import parse, run
from litestream._executable.arguments import arguments, is_url, target
from litestream._executable.series import require_series, series
from litestream.configuration import find_config
from litestream.rows import DatabaseRow, GenerationRow, SnapshotRow, StatusRow, WALRow

if TYPE_CHECKING:
    from litestream._executable.arguments import Flag, StrPath
    from litestream.rows import LTXRow


class _Database(TypedDict):
    path: str
    replica: str


def databases(
    *,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[DatabaseRow]:
    """Return the databases of the config, with the names of their replicas."""
    flags = {"no_expand_env": no_expand_env or None, **flags}
    if series() == "0.3":
        return parse.table(printed("databases", None, config, timeout, flags), DatabaseRow)
    text = printed("databases", None, config, timeout, {"json": True, **flags})
    return [
        {"path": row["path"], "replicas": row["replica"]}
        for row in parse.json_rows(text, _Database)
    ]


def generations(
    database: StrPath,
    *,
    replica: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[GenerationRow]:
    """Return the generations in the replicas of a database.

    Series 0.5 has no generations: its replica counts as one, named ``"ltx"``, from its oldest to
    its newest LTX file, and as none while it is empty. ``lag`` is the age of the newest file at
    the database's last change; it is often slightly negative.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, "no_expand_env": no_expand_env or None}
        text = printed("generations", database, config, timeout, {**chosen, **flags})
        return parse.table(text, GenerationRow)
    name = _replica_name(database, replica, config, timeout, no_expand_env=no_expand_env)
    times = sorted(
        row["created"]
        for row in ltx(
            database,
            level="all",
            config=config,
            timeout=timeout,
            no_expand_env=no_expand_env,
            **flags,
        )
    )
    if not times:
        return []
    lag = parse.duration(_changed(database) - parse.seconds_since_epoch(times[-1]))
    return [{"name": name, "generation": "ltx", "lag": lag, "start": times[0], "end": times[-1]}]


def snapshots(
    database: StrPath,
    *,
    replica: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[SnapshotRow]:
    """Return the snapshots in the replicas of a database.

    On series 0.5 these are the LTX files of level 9, ``index`` being the transaction id up to
    which they reach.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, "no_expand_env": no_expand_env or None}
        text = printed("snapshots", database, config, timeout, {**chosen, **flags})
        return parse.table(text, SnapshotRow)
    name = _replica_name(database, replica, config, timeout, no_expand_env=no_expand_env)
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "size": row["size"],
            "created": row["created"],
        }
        for row in ltx(
            database, level=9, config=config, timeout=timeout, no_expand_env=no_expand_env, **flags
        )
    ]


def wal(
    database: StrPath,
    *,
    replica: str | None = None,
    generation: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[WALRow]:
    """Return the WAL segments in the replicas of a database.

    On series 0.5 these are the LTX files of level 0, ``index`` being the transaction id up to
    which they reach and ``offset`` 0.
    """
    if series() == "0.3":
        chosen: dict[str, Flag] = {"replica": replica, "generation": generation}
        chosen["no_expand_env"] = no_expand_env or None
        text = printed("wal", database, config, timeout, {**chosen, **flags})
        return parse.table(text, WALRow)
    if generation is not None:
        require_series("0.3", "wal(generation=…)")
    name = _replica_name(database, replica, config, timeout, no_expand_env=no_expand_env)
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "offset": 0,
            "size": row["size"],
            "created": row["created"],
        }
        for row in ltx(
            database, level=0, config=config, timeout=timeout, no_expand_env=no_expand_env, **flags
        )
    ]


def ltx(
    database: StrPath,
    *,
    level: int | Literal["all"] = 0,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[LTXRow]:
    """Return the LTX files in the replica of a database: of one level (0 to 9), or of all.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3, which has no LTX files.

    """
    flags = {"no_expand_env": no_expand_env or None, **flags}
    require_series("0.5", "'ltx'")
    options: dict[str, Flag] = {"level": level, "json": True, **flags}
    return parse.ltx_rows(printed("ltx", database, config, timeout, options))


def status(
    database: StrPath | None = None,
    *,
    config: StrPath | None = None,
    timeout: float | None = run.TIMEOUT,
    no_expand_env: bool = False,
    **flags: Flag,
) -> list[StatusRow]:
    """Return the local state of one database or of all; the replica is not asked.

    ``status`` is ``"ok"``, ``"not initialized"``, ``"no database"``, ``"error"`` or ``"unknown"``.
    A database that the config does not name gives no row.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3.

    """
    flags = {"no_expand_env": no_expand_env or None, **flags}
    require_series("0.5", "'status'")
    text = printed("status", database, config, timeout, {"json": True, **flags})
    return parse.json_rows(text, StatusRow)


def printed(
    verb: str,
    database: StrPath | None,
    config: StrPath | None,
    timeout: float | None,
    flags: dict[str, Flag],
) -> str:
    """Run a command that takes at most one database, and return its standard output."""
    require_positive(timeout)
    if database is None or not is_url(database):
        flags = {"config": find_config(config), **flags}
    positional = [] if database is None else [target(database)]
    return run.run(arguments(verb, *positional, **flags), timeout=timeout).stdout


def _replica_name(
    database: StrPath,
    replica: str | None,
    config: StrPath | None,
    timeout: float | None,
    *,
    no_expand_env: bool,
) -> str:
    """Return the name of a database's only replica on series 0.5."""
    if replica is not None:
        require_series("0.3", "replica= (0.5 has one replica for each database)")
    if is_url(database):
        return os.fspath(database).split("://")[0]
    path = target(database)
    rows = databases(config=config, timeout=timeout, no_expand_env=no_expand_env)
    return next((row["replicas"] for row in rows if row["path"] == path), "")


def _changed(database: StrPath) -> float:
    """Return when a database was last changed, in seconds since 1970; now for a replica URL."""
    if is_url(database):
        return time.time()
    path = target(database)
    times = [os.stat(name).st_mtime for name in (path, f"{path}-wal") if os.path.exists(name)]
    return max(times, default=time.time())
