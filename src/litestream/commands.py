"""One function for each Litestream command, its output as plain rows.

Every function works with both series: natively where the series has the command, translated
where it does not, and with UnsupportedCommandError where the thing does not exist.

In all of them ``database`` is a database's path or a replica URL, ``config`` the config's path
(see ``configure`` for where it is looked for otherwise), ``timeout`` the seconds after which the
executable is killed and CommandTimeoutError raised. Further keyword arguments are handed to the
executable as flags: ``no_expand_env=True`` becomes ``-no-expand-env``. A failing executable raises
CommandFailedError with upstream's own sentence in ``reason``, also where it exits 0 (0.3).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from litestream import _executable, _rows, _run
from litestream._restore import restore
from litestream._rows import DatabaseRow, GenerationRow, SnapshotRow, StatusRow, WALRow
from litestream._socket_commands import info, list, register, start, stop, sync, unregister
from litestream.configuration import find_config

if TYPE_CHECKING:
    import builtins

    from litestream._rows import LTXRow
    from litestream._run import Flag, StrPath
    from litestream.verification import Pair

__all__ = [
    "databases",
    "executable",
    "generations",
    "info",
    "list",
    "ltx",
    "register",
    "replicate",
    "reset",
    "restore",
    "snapshots",
    "start",
    "status",
    "stop",
    "sync",
    "unregister",
    "verify",
    "version",
    "wal",
]


class _Database(TypedDict):
    path: str
    replica: str


class VerifyResult(TypedDict):
    """Figures of a database and of its restored copy: bytes, and the number of tables."""

    size: Pair
    tables: Pair


class ResetResult(TypedDict):
    """What ``reset`` removed, or would remove."""

    path: str
    removed: str


def executable() -> Path:
    """Return the path of the executable that all commands run."""
    return Path(_executable.find())


def version() -> str:
    """Return the executable's version, such as ``"0.5.17"``."""
    return _run.version(_executable.find())


def databases(
    *, config: StrPath | None = None, timeout: float | None = _run.TIMEOUT, **flags: Flag
) -> builtins.list[DatabaseRow]:
    """Return the databases of the config, with the names of their replicas."""
    if _run.series() == "0.3":
        return _rows.table(_listing("databases", None, config, timeout, flags), DatabaseRow)
    text = _listing("databases", None, config, timeout, {"json": True, **flags})
    return [
        {"path": row["path"], "replicas": row["replica"]}
        for row in _rows.json_rows(text, _Database)
    ]


def generations(
    database: StrPath,
    *,
    replica: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> builtins.list[GenerationRow]:
    """Return the generations in the replicas of a database.

    Series 0.5 has no generations: its replica counts as one, named ``"ltx"``, from its oldest to
    its newest LTX file, and as none while it is empty. ``lag`` is the age of the newest file at
    the database's last change; it is often slightly negative.
    """
    if _run.series() == "0.3":
        text = _listing("generations", database, config, timeout, {"replica": replica, **flags})
        return _rows.table(text, GenerationRow)
    name = _replica_name(database, replica, config, timeout, flags)
    times = sorted(
        row["created"]
        for row in ltx(database, level="all", config=config, timeout=timeout, **flags)
    )
    if not times:
        return []
    lag = _rows.duration(_changed(database) - _rows.seconds_since_epoch(times[-1]))
    return [{"name": name, "generation": "ltx", "lag": lag, "start": times[0], "end": times[-1]}]


def snapshots(
    database: StrPath,
    *,
    replica: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> builtins.list[SnapshotRow]:
    """Return the snapshots in the replicas of a database.

    On series 0.5 these are the LTX files of level 9, ``index`` being the transaction id up to
    which they reach.
    """
    if _run.series() == "0.3":
        text = _listing("snapshots", database, config, timeout, {"replica": replica, **flags})
        return _rows.table(text, SnapshotRow)
    name = _replica_name(database, replica, config, timeout, flags)
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "size": row["size"],
            "created": row["created"],
        }
        for row in ltx(database, level=9, config=config, timeout=timeout, **flags)
    ]


def wal(
    database: StrPath,
    *,
    replica: str | None = None,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> builtins.list[WALRow]:
    """Return the WAL segments in the replicas of a database.

    On series 0.5 these are the LTX files of level 0, ``index`` being the transaction id up to
    which they reach and ``offset`` 0.
    """
    if _run.series() == "0.3":
        text = _listing("wal", database, config, timeout, {"replica": replica, **flags})
        return _rows.table(text, WALRow)
    name = _replica_name(database, replica, config, timeout, flags)
    return [
        {
            "replica": name,
            "generation": "ltx",
            "index": int(row["max_txid"], 16),
            "offset": 0,
            "size": row["size"],
            "created": row["created"],
        }
        for row in ltx(database, level=0, config=config, timeout=timeout, **flags)
    ]


def ltx(
    database: StrPath,
    *,
    level: int | Literal["all"] = 0,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> builtins.list[LTXRow]:
    """Return the LTX files in the replica of a database: of one level (0 to 9), or of all.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3, which has no LTX files.

    """
    _run.require_series("0.5", "'ltx'")
    options: dict[str, Flag] = {"level": level, "json": True, **flags}
    return _rows.ltx_rows(_listing("ltx", database, config, timeout, options))


def status(
    database: StrPath | None = None,
    *,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> builtins.list[StatusRow]:
    """Return the local state of one database or of all; the replica is not asked.

    ``status`` is ``"ok"``, ``"not initialized"``, ``"no database"``, ``"error"`` or ``"unknown"``.
    A database that the config does not name gives no row.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3.

    """
    _run.require_series("0.5", "'status'")
    text = _listing("status", database, config, timeout, {"json": True, **flags})
    return _rows.json_rows(text, StatusRow)


def reset(
    database: StrPath,
    *,
    dry_run: bool = False,
    config: StrPath | None = None,
    timeout: float | None = _run.TIMEOUT,
    **flags: Flag,
) -> ResetResult:
    """Remove the local LTX files of a database, or say with ``dry_run`` what would be removed.

    The database and its replica are not touched. Stop the daemon first.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3.

    """
    _run.require_series("0.5", "'reset'")
    options: dict[str, Flag] = {"dry_run": dry_run or None, **flags}
    text = _listing("reset", database, config, timeout, options)
    removed = re.search(r"^(?:Removing|Would remove): (.*?/ltx)$", text, re.DOTALL | re.MULTILINE)
    return {"path": _run.target(database), "removed": removed[1] if removed else ""}


def verify(
    database: StrPath, *, timeout: float = 30.0, config: StrPath | None = None
) -> VerifyResult:
    """Prove a database's backup by ``litestream.verify``, and return its figures.

    Raises:
        VerificationFailure: it is not proved. Further errors as ``litestream.verify``.

    """
    from litestream import verification

    proved = verification.verify(database, timeout=timeout, config=config)
    return {"size": proved.size, "tables": proved.tables}


def replicate(
    database: StrPath | None = None,
    *replica_urls: str,
    config: StrPath | None = None,
    exec: str | None = None,  # noqa: A002 - upstream's name
    timeout: float | None = None,
    **flags: Flag,
) -> None:
    """Run a daemon in the foreground until it ends.

    Its output goes where this process's goes. SIGINT (Ctrl-C) makes it sync once more and end.
    Without ``database`` it replicates what the config names; with one, that database to the
    ``replica_urls``.

    Raises:
        CommandFailedError: it ended with a non-zero exit status.
        CommandTimeoutError: it did not end within ``timeout`` seconds, and was stopped.
        KeyboardInterrupt: Ctrl-C, after the daemon has ended.

    """
    if database is None:
        positional: builtins.list[str] = []
        flags = {"config": find_config(config), **flags}
    else:
        positional = [_run.target(database), *(_run.target(url) for url in replica_urls)]
    argv = _run.arguments("replicate", *positional, exec=exec, **flags)
    _run.foreground(argv, timeout)


def _listing(
    verb: str,
    database: StrPath | None,
    config: StrPath | None,
    timeout: float | None,
    flags: dict[str, Flag],
) -> str:
    """Run a command that takes at most one database, and return its standard output."""
    if database is None or not _run.is_url(database):
        flags = {"config": find_config(config), **flags}
    positional = [] if database is None else [_run.target(database)]
    return _run.run(_run.arguments(verb, *positional, **flags), timeout=timeout).stdout


def _replica_name(
    database: StrPath,
    replica: str | None,
    config: StrPath | None,
    timeout: float | None,
    flags: dict[str, Flag],
) -> str:
    """Return the name of a database's only replica on series 0.5."""
    if replica is not None:
        _run.require_series("0.3", "replica= (0.5 has one replica for each database)")
    if _run.is_url(database):
        return os.fspath(database).split("://")[0]
    path = _run.target(database)
    rows = databases(config=config, timeout=timeout, **flags)
    return next((row["replicas"] for row in rows if row["path"] == path), "")


def _changed(database: StrPath) -> float:
    """Return when a database was last changed, in seconds since 1970; now for a replica URL."""
    import time

    if _run.is_url(database):
        return time.time()
    path = _run.target(database)
    times = [os.stat(name).st_mtime for name in (path, f"{path}-wal") if os.path.exists(name)]
    return max(times, default=time.time())
