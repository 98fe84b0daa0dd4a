"""A database in place before the application starts, and no backup written over."""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from litestream import _daemon_config, _entries, _handover, _listings, _position, _run
from litestream._lock import Lock
from litestream._restore import restore
from litestream.errors import (
    BackupExistsError,
    BackupNotFoundError,
    CommandFailedError,
    ConfigurationError,
    OutputNotWritableError,
    ReplicationTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from litestream._daemon_config import Prepared
    from litestream._entries import Entry

Expectation = Literal["any", "backup", "none"]

_TRIES = 3
_PAUSE = 1.0
_LISTING = 30.0
_LONG_AGO = "1971-01-01T00:00:00Z"


class Recovered(NamedTuple):
    """What ``recover`` found of one database, and did."""

    database: str
    action: Literal["present", "restored", "no backup"]
    seconds: float


def recover(
    database: str | os.PathLike[str] | None = None,
    *,
    expect: Expectation = "any",
    config: str | os.PathLike[str] | None = None,
    databases: Mapping[Any, str | Sequence[str]] | None = None,
    timeout: float = 600.0,
    progress: Callable[[str, int, int | None], object] | None = None,
) -> list[Recovered]:
    """Restore the databases that are missing, before the application opens them.

    For ``database``, or for each that the config (or ``databases``, as for ``Replication``)
    names. One that is there is left alone; a file of 0 bytes counts as missing. What is restored
    is complete and checked, or not there at all. Many processes may call this at once: one
    restores, the others wait. A restore that fails is tried three times.

    ``expect`` says what is normal: ``"backup"`` that there is one (else BackupNotFoundError),
    ``"none"`` that there is not (else BackupExistsError, and nothing is restored), ``"any"``
    takes what comes. ``timeout`` is the number of seconds for each database. ``progress`` is called
    as by ``commands.restore``, with the database's path before the bytes.

    Raises:
        BackupNotFoundError: ``expect="backup"``, and there is none.
        BackupExistsError: ``expect="none"``, and there is one.
        CommandFailedError, CommandTimeoutError, RestoreError: It could not be restored, or the
            replica not be asked.
        ReplicationTimeoutError: Another process holds the lock on a missing database.

    """
    if expect not in ("any", "backup", "none"):
        raise ConfigurationError(f"expect= is 'any', 'backup' or 'none', not {expect!r}")
    with _daemon_config.readable(config, databases) as prepared:
        wanted = None if database is None else os.path.abspath(os.path.expanduser(database))
        entries = [e for e in prepared.entries if wanted in (None, e.path)]
        if not entries:
            raise ConfigurationError(f"The config does not name the database {wanted!r}")
        return [_recover(entry, prepared, expect, timeout, progress) for entry in entries]


def guard(prepared: Prepared) -> None:
    """Refuse to replicate a database over backups that are not its own.

    Litestream would: it copies whatever stands at the path, and the next restore gives that. A
    database counts as the backups' own when Litestream keeps local state beside it, or when
    ``recover`` has restored it. One listing for each other one.

    Raises:
        BackupExistsError: The replica of a database without local state holds backups.
        CommandFailedError, CommandTimeoutError: The replica could not be asked.

    """
    for entry in prepared.entries:
        if _is_own(entry) or not _has_backup(entry, prepared, _LISTING):
            continue
        # Another process may have started replicating it since we looked.
        if _is_own(entry):
            continue
        raise BackupExistsError(
            f"The replica of {entry.path!r} already holds backups, and nothing says that they are "
            "this database's: replicating would write over them. Call litestream.recover() "
            "before the application starts, or choose another path for the replica, or pass "
            "adopt=True to replicate this database over them",
            entry.path,
        )


def _recover(
    entry: Entry,
    prepared: Prepared,
    expect: Expectation,
    timeout: float,
    progress: Callable[[str, int, int | None], object] | None,
) -> Recovered:
    started = time.monotonic()
    deadline = started + timeout
    lock = Lock(entry.path)
    if _position.is_database(entry.path) and expect != "none":
        return Recovered(entry.path, "present", 0.0)
    folder = os.path.dirname(entry.path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputNotWritableError(
            f"The database cannot be restored to {entry.path!r}: its directory cannot be made: "
            f"{error.strerror}"
        ) from error
    while not _position.is_database(entry.path) and not lock.acquire():
        if time.monotonic() > deadline:
            raise ReplicationTimeoutError(
                f"{entry.path!r} is missing, and another process has held its lock for "
                f"{timeout:g} s. Is a daemon running on it? Stop that first"
            )
        time.sleep(0.05)
    try:
        action = _restore(entry, prepared, expect, deadline, lock, progress)
    finally:
        lock.release()
    return Recovered(entry.path, action, time.monotonic() - started)


def _restore(
    entry: Entry,
    prepared: Prepared,
    expect: Expectation,
    deadline: float,
    lock: Lock,
    progress: Callable[[str, int, int | None], object] | None,
) -> Literal["present", "restored", "no backup"]:
    if expect == "none":
        if not _is_own(entry) and _has_backup(entry, prepared, deadline - time.monotonic()):
            raise BackupExistsError(
                f"The replica of {entry.path!r} holds a backup, and none was expected", entry.path
            )
        return "present" if _position.is_database(entry.path) else "no backup"
    if _position.is_database(entry.path):
        return "present"
    for attempt in range(1, _TRIES + 1):
        try:
            restore(
                entry.path,
                output=entry.path,
                force=os.path.exists(entry.path),
                config=prepared.config,
                timeout=_left(deadline),
                progress=functools.partial(progress, entry.path) if progress else None,
                no_expand_env=prepared.flags.get("no_expand_env"),
            )
            break
        except BackupNotFoundError:
            if expect == "backup":
                raise
            return "no backup"
        except CommandFailedError:
            if attempt == _TRIES or time.monotonic() + _PAUSE > deadline:
                raise
            time.sleep(_PAUSE)
    stat = os.stat(entry.path)
    lock.note(restored=[stat.st_dev, stat.st_ino])
    return "restored"


def _is_own(entry: Entry) -> bool:
    """Tell whether the backups in the replica are those of the database at the path."""
    noted = Lock(entry.path).noted()
    try:
        stat = os.stat(entry.path)
    except OSError:
        return _entries.has_local_state(entry) and "replicated" not in noted
    file = [stat.st_dev, stat.st_ino]
    if not _entries.has_local_state(entry):
        return bool(noted.get("restored") == file)
    # Another file with the old one's state: restored or moved here, or made anew and empty?
    return noted.get("replicated", file) == file or _was_replicated(entry.path)


def _was_replicated(database: str) -> bool:
    """Tell whether Litestream's own table is in a database, as in each one that was restored."""
    with suppress(sqlite3.Error), closing(_handover.connect(database, "ro", 2.0)) as connection:
        found = "SELECT 1 FROM sqlite_master WHERE name = '_litestream_seq'"
        return connection.execute(found).fetchone() is not None
    return False


def _has_backup(entry: Entry, prepared: Prepared, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    options: dict[str, Any] = {"config": prepared.config, **prepared.flags}
    if prepared.series == "0.5":
        rows = _listings.ltx(entry.path, level="all", timeout=_left(deadline), **options)
        return bool(rows) or _has_03_backup(entry, options, deadline)
    # 0.3 cannot list by the config while the database is missing. Snapshots it can.
    listing = _listings.generations if os.path.exists(entry.path) else _listings.snapshots
    return bool(listing(entry.path, timeout=_left(deadline), **options))


def _has_03_backup(entry: Entry, options: dict[str, Any], deadline: float) -> bool:
    """Tell whether there are backups in the format of 0.3, which 0.5 restores and lists nowhere.

    Source: asked for a time before all of them, 0.5.17 says "no snapshots available", and "no
    matching backup files available" where there are none: for every type of replica, and only
    after it was answered. Anything else tells nothing.

    Raises:
        CommandFailedError: The replica could not be asked.

    """
    with tempfile.TemporaryDirectory() as directory:
        never = os.path.join(directory, "never")
        argv = _run.arguments("restore", entry.path, o=never, timestamp=_LONG_AGO, **options)
        try:
            _run.run(argv, timeout=_left(deadline))
        except CommandFailedError as error:
            if "no matching backup files available" in error.reason:
                return False
            if "no snapshots available" not in error.reason:
                raise
    return True  # restored, too: the times of files that were copied may be lost


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
