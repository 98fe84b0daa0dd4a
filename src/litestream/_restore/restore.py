"""Restore a database from its replica."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal, overload

from litestream._config.paths import is_url, target
from litestream._database import integrity
from litestream._database.files import is_database
from litestream._executable import listings, run
from litestream._executable.arguments import located, require_positive
from litestream._executable.series import series
from litestream._restore.fetch import fetch, not_found
from litestream._restore.gaps import in_ltx, lies_in
from litestream._restore.output import put_in_place, require_place
from litestream._restore.point_in_time import point_flags
from litestream._restore.restored import restored
from litestream._restore.staging import Staging
from litestream.errors import (
    BackupNotFoundError,
    CommandTimeoutError,
    ConfigurationError,
    LitestreamError,
    NotEnoughSpaceError,
    OutputExistsError,
    OutputNotWritableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath
    from litestream._database.integrity import IntegrityCheck
    from litestream._executable.arguments import Flag
    from litestream._restore.restored import Restored
    from litestream.rows import LTXRow


@overload
def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: Literal[False] = False,
    if_replica_exists: Literal[False] = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = None,
    **flags: Flag,
) -> Restored: ...


@overload
def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: bool = False,
    if_replica_exists: bool = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = None,
    **flags: Flag,
) -> Restored | None: ...


def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: bool = False,
    if_replica_exists: bool = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = None,
    **flags: Flag,
) -> Restored | None:
    """Restore a database from its replica, all or nothing, and return the path of the file.

    The path also says what was restored: see ``Restored``.

    The executable writes into a private directory beside the output; what it has made is checked,
    flushed to the disk and only then moved to the output, in one step. Until then the output is as
    it was, and what a killed process leaves behind is removed by the next restore into the same
    directory. The restored file has mode 0600, or the mode of the file that it replaces.

    Args:
        database: The database's path, as the config has it, or a replica URL.
        output: Where the restored database goes; by default beside the database, with the time in
            its name: ``production-20240418090048.sqlite3`` (UTC). A replica URL needs it.
        if_db_not_exists: Return None, having done nothing, when there is a database at ``output``,
            by default the database's own path. A file of 0 bytes is no database.
        if_replica_exists: Return None when the replica holds no backup that fits. One that cannot
            be reached or read is an error all the same.
        force: Replace a file at ``output`` at the end, and remove the ``-wal``, ``-shm`` and
            ``-journal`` there; refused while a process has that database open.
        replica: The replica's name (0.3, whose databases may have several).
        generation: The generation to restore (0.3); the newest by default.
        index: The WAL index to restore up to, as a row has it (0.3).
        txid: The transaction to restore up to (0.5), as a number or as a row has it.
        timestamp: The time to restore up to: what Litestream had copied by then. A ``datetime``,
            or text such as ``"2026-11-25T13:00:00Z"``; without a zone it is local time.
        parallelism: How many files are downloaded at once; upstream's default is 8.
        integrity_check: What SQLite checks in the restored file: ``"quick"`` its pages,
            ``"full"`` its indexes too, ``"none"`` nothing.
        progress: Called some ten times a second with the bytes written and the bytes expected
            (None where nothing tells).
        config: The config's path, or a mapping; see ``configure``.
        expand_env: False leaves variables in the config as they are written.
        timeout: Seconds for all of it. By default a restore may take as long as it makes progress.
            One that stands still for two minutes is killed in any case.
        **flags: Further flags of ``litestream restore``.

    Raises:
        BackupNotFoundError: there is no backup, or none that fits; or the replica lacks changes
            from the time before ``timestamp`` (0.5): upstream would restore an older state.
        RestoreError: one of its children says why it cannot go to ``output``, or that what came
            back is damaged (CorruptBackupError).
        CommandFailedError: the executable failed; ``reason`` is its own sentence.
        CommandTimeoutError: it, or the integrity check, took too long, and was ended.
        UnsupportedCommandError: an option that only the other series has.

    """
    integrity.require_known(integrity_check)
    require_positive(timeout)
    source = target(database)
    place = _place(source, output, at_original=if_db_not_exists)
    if if_db_not_exists and is_database(place):
        return None
    point = point_flags(replica, generation, index, txid, timestamp)
    expected = None if any(point.values()) else _size(source)
    flags = {**point, "parallelism": parallelism, **_allowed(flags)}
    if series() == "0.5":
        flags["json"] = True
    deadline = None if timeout is None else time.monotonic() + timeout

    def require_time() -> None:
        if timeout is not None and deadline is not None and time.monotonic() > deadline:
            raise _CheckTimeoutError(["litestream", "restore"], timeout, integrity_check)

    try:
        require_place(place, force=force, expected=expected)
        with (
            located(database, config, expand_env=expand_env) as (name, where),
            Staging(os.path.dirname(place)) as staging,
        ):
            if point["timestamp"] is not None and series() == "0.5":
                left = run.seconds_left(deadline) or run.STALL
                rows = listings.ltx(name, level="all", config=where, timeout=left)
                _require_no_gap(str(point["timestamp"]), rows)
            copy = fetch(
                name,
                staging,
                flags,
                config=where,
                deadline=deadline,
                report=(progress, expected),
            )
            integrity.check(copy, integrity_check, require_time)
            put_in_place(copy, place, force=force)
    except BackupNotFoundError:
        if if_replica_exists:
            return None
        raise
    except CommandTimeoutError as error:
        if timeout in (None, error.timeout) or isinstance(error, run.StalledError):
            raise
        # the last of several children had what was left
        raise CommandTimeoutError(error.argv, timeout, error.reason) from None
    except LitestreamError:  # some are an OSError, too
        raise
    except OSError as error:
        raise _explained(error, place) from error
    if progress is not None:
        size = os.path.getsize(place)
        progress(size, size)
    created = functools.partial(_created, source, config, expand_env)
    return restored(place, staging.output, created)


def _require_no_gap(timestamp: str, rows: Sequence[LTXRow]) -> None:
    """Refuse a time of which the replica lacks changes.

    Source: 0.5.17 restores what lies before the gap then, with exit status 0.
    """
    for start, end in in_ltx(rows):
        if lies_in(timestamp, start, end):
            reason = f"changes between {start} and {end} are missing; {timestamp} lies in that gap"
            raise not_found(["litestream", "restore"], 0, "", reason)


def _created(
    source: str,
    config: ConfigArgument,
    expand_env: bool,
    made: Restored,
) -> str | None:
    """Return when the newest change in what was restored was copied."""
    options: dict[str, Any] = {"config": config, "expand_env": expand_env}
    if made.txid is not None:
        rows: list[Any] = listings.ltx(source, level="all", **options)
        return min((r["created"] for r in rows if r["max_txid"] == made.txid), default=None)
    if made.index is None:
        return None
    options["replica"] = None if is_url(source) else made.replica
    rows = [*listings.snapshots(source, **options), *listings.wal(source, **options)]
    place = made.generation, made.index
    found = [r["created"] for r in rows if (r["generation"], r["index"]) == place]
    return max(found, default=None)


class _CheckTimeoutError(CommandTimeoutError):
    """Say that the integrity check did not end in time; ``reason`` is which."""

    def __str__(self) -> str:
        return (
            f"The {self.reason} integrity check of what was restored did not end within "
            f"{self.timeout:g} s, the restore included; the output is as it was. Pass a longer "
            "timeout=, or a lesser integrity_check="
        )


def _place(source: str, output: StrPath | None, *, at_original: bool) -> str:
    """Return the path that the restored database gets."""
    if output is not None:
        return _file(os.path.expanduser(output))
    if is_url(source):
        raise ConfigurationError(
            f"No output is given for {source}. Name one with output=, which a replica URL needs"
        )
    if at_original:
        return _file(source)
    stem, suffix = os.path.splitext(source)
    moment = datetime.now(timezone.utc)
    for number in itertools.count():  # two restores in one second
        name = f"{stem}-{moment + timedelta(seconds=number):%Y%m%d%H%M%S}{suffix}"
        if not os.path.lexists(name):
            return name
    raise AssertionError


def _file(path: StrPath) -> str:
    """Return the file that is meant by a path: SQLite keeps its side files beside that one."""
    file = os.path.realpath(path)
    if os.path.islink(path) and not os.path.lexists(file):
        raise OutputExistsError(
            f"The output {os.fspath(path)!r} is a symbolic link to {file!r}, which does not exist. "
            "Name that file itself as the output, or remove the link"
        )
    return file


def _allowed(flags: dict[str, Flag]) -> dict[str, Flag]:
    for name in ("o", "f", "follow_interval", "dry_run", "json"):
        if flags.get(name) is not None:
            raise ConfigurationError(
                f"restore() takes no {name}=: it restores one complete file to output=. Use "
                "commands.plan for what a restore would take, and 'litestream restore' on the "
                "command line to follow a replica"
            )
    return flags


def _size(source: str) -> int | None:
    """Return the size of the database that is there, which the restored one will be like."""
    with contextlib.suppress(OSError):
        if not is_url(source):
            return os.path.getsize(source) or None
    return None


def _explained(error: OSError, place: str) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NotEnoughSpaceError(
            f"The database cannot be restored to {place!r}: {os.strerror(error.errno)}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputNotWritableError(
            f"The database cannot be restored to {place!r}: {os.strerror(error.errno)}"
        )
    return error
