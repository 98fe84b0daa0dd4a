"""A database in place before the application starts."""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from litestream._database.files import is_database, path_of
from litestream._database.lock import Lock
from litestream._deadline import require_positive
from litestream._executable import side_by_side
from litestream._executable.arguments import loaded
from litestream._executable.find import find as find_executable
from litestream._executable.log_lines import escaped
from litestream._executable.series import require_series
from litestream._replication import daemon_config, replicas
from litestream._replication.guard import is_own
from litestream._restore.fetch import not_found
from litestream._restore.restore import restore
from litestream.errors import (
    BackupExistsError,
    BackupNotFoundError,
    CommandFailedError,
    CommandTimeoutError,
    ConfigurationError,
    CorruptBackupError,
    OutputNotWritableError,
    ReplicationTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._config.config import Config, ConfigArgument
    from litestream._config.database import Database
    from litestream._replication.replicas import Held
    from litestream.errors import LitestreamError

__all__ = [
    "Recovered",
    "recover",
]

Expectation = Literal["any", "backup", "none"]

_TRIES = 3
_PAUSE = 1.0


class Recovered(NamedTuple):
    """What ``recover`` found and did for one database.

    For a restored database ``as_of`` is the time of the newest change in the replica
    (``2024-04-17T00:01:19Z``; None if Litestream does not list it). 0.5 does not list the files
    that 0.3 has written to a server: there ``as_of`` is the time of the newest file of 0.5.

    With several replicas (0.3), ``replica`` names the one that the database comes from, and
    ``skipped`` says why the others were not used.
    """

    database: str
    action: Literal["present", "restored", "no backup"]
    seconds: float
    as_of: str | None = None
    replica: str | None = None
    skipped: dict[str, str] | None = None


def recover(
    database: str | os.PathLike[str] | None = None,
    *,
    expect: Expectation = "any",
    replica: str | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    jobs: int = 4,
    timeout: float = 600.0,
    answer_timeout: float = replicas.LISTING,
    progress: Callable[[str, int, int | None], object] | None = None,
) -> list[Recovered]:
    """Restore the databases that are missing, before the application opens them.

    For ``database``, or for each that the config names, ``jobs`` at a time. ``config`` is the
    config's path, or a mapping (see ``configure``); with ``expand_env=False`` a ``$`` in the file
    is a ``$``. A database that exists is left alone; a file of 0 bytes counts as missing. A
    restored database is complete and checked, or not there at all. Many processes may call this at
    once: one restores, the others wait. A restore that fails is tried three times.

    ``expect`` says what is normal: ``"backup"`` that there is one (else BackupNotFoundError),
    ``"none"`` that there is not (else BackupExistsError, and nothing is restored), ``"any"``
    takes what comes. ``timeout`` is the number of seconds for each database, of which a replica has
    ``answer_timeout`` to say what it holds. ``progress`` is called as by ``commands.restore``, with
    the database's path before the bytes: with 0 of None when the replica is asked, and with 0 of 0
    when it holds none.

    Of several replicas (0.3) the one that holds the newest backup is taken, and the next one if it
    does not answer or cannot be restored; or the one that ``replica`` names. On 0.3, a newer backup
    that 0.5 has written to the same directory is an error (RestoreError); on a server, where 0.3
    does not see it, the older one is restored.

    Raises:
        BackupNotFoundError: ``expect="backup"``, and there is no backup.
        BackupExistsError: ``expect="none"``, and there is a backup.
        CommandFailedError, CommandTimeoutError, RestoreError: A database could not be restored, or
            its replica could not be listed.
        ReplicationTimeoutError: Another process holds the lock on a missing database.

    """
    if expect not in ("any", "backup", "none"):
        raise ConfigurationError(f"expect= is 'any', 'backup' or 'none', not {expect!r}")
    require_positive(timeout)
    require_positive(answer_timeout)
    if database is not None:
        path_of(database)  # a mapping belongs to config=
    if replica is not None:
        require_series("0.3", "recover(replica=…)")
    with loaded(config, expand_env=expand_env) as found:
        return recover_all(
            daemon_config.sound(found),
            database,
            expect=expect,
            replica=replica,
            timeout=timeout,
            answer_timeout=answer_timeout,
            progress=progress,
            jobs=jobs,
        )


def recover_all(
    config: Config,
    database: str | os.PathLike[str] | None = None,
    *,
    expect: Expectation = "any",
    replica: str | None = None,
    timeout: float = 600.0,
    answer_timeout: float = replicas.LISTING,
    progress: Callable[[str, int, int | None], object] | None = None,
    jobs: int = 4,
) -> list[Recovered]:
    """Recover the databases of a config that is loaded."""
    if database is None and expect == "backup":
        _require_some(config)

    def one(found: Database) -> Recovered:
        done = _recover(found, expect, replica, (timeout, answer_timeout), progress)
        if progress is not None and done.action == "no backup":
            progress(found.path, 0, 0)
        return done

    return list(side_by_side.results(one, config.chosen(database), jobs))


def _require_some(config: Config) -> None:
    """Miss all that was in a directory: with it and its replica gone, nothing is left to name.

    Raises:
        BackupNotFoundError: A ``dir:`` entry has no database, neither on disk nor in its replica.

    """
    for directory in config.directories:
        if not directory.databases(lost=True):
            reason = (
                f"no database of {directory.shown!r} is there, and none was found in its replica. "
                "What a server holds is not listed: name each database, as in "
                "'litestream recover PATH'"
            )
            raise not_found([find_executable(), "restore", directory.shown], 0, "", reason)


def told(done: Recovered) -> str:
    """Return a line for people about what was done."""
    line = f"{escaped(done.database)}: {done.action} ({done.seconds:.2f} s)"
    if done.action == "restored":
        line += f", its newest change from {done.as_of or 'a time that is not known'}"
    if done.replica is not None:
        line += f", from its replica {done.replica!r}"
    for name, reason in (done.skipped or {}).items():
        line += f"; not from {name!r}: {escaped(' '.join(reason.split()))}"
    return line


def _recover(
    database: Database,
    expect: Expectation,
    replica: str | None,
    limits: tuple[float, float],
    progress: Callable[[str, int, int | None], object] | None,
) -> Recovered:
    timeout, answer_timeout = limits
    started = time.monotonic()
    deadline = started + timeout
    lock = Lock(database.path)
    if is_database(database.path) and expect != "none":
        return Recovered(database.path, "present", 0.0)
    if progress is not None:
        progress(database.path, 0, None)
    if not _make_folder(database, expect, replica, started + min(limits)):
        return Recovered(database.path, "no backup", time.monotonic() - started)
    while not is_database(database.path) and not lock.acquire():
        if time.monotonic() > deadline:
            raise ReplicationTimeoutError(
                f"{database.path!r} is missing, and another process has held its lock for "
                f"{timeout:g} s. Stop the daemon that runs on it first"
            )
        side_by_side.require_wanted()
        time.sleep(0.05)
    try:
        done = _restore(database, expect, replica, deadline, answer_timeout, lock, progress)
    finally:
        lock.release()
    return done._replace(seconds=time.monotonic() - started)


def _make_folder(
    database: Database, expect: Expectation, replica: str | None, deadline: float
) -> bool:
    """Make the folder of a database, if there is a backup for it; return whether it exists.

    Raises:
        BackupNotFoundError, BackupExistsError: The replica is not as expected.
        OutputNotWritableError: The folder cannot be made.

    """
    folder = os.path.dirname(database.path)
    if os.path.isdir(folder):
        return True
    if not replicas.has_backup(database, replica, deadline):
        if expect == "backup":
            argv = [find_executable(), "restore", database.path]
            raise not_found(argv, 0, "", "no backup was found")
        return False
    if expect == "none":
        raise _unexpected(database)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputNotWritableError(
            f"The database cannot be restored to {database.path!r}: its directory cannot be made: "
            f"{error.strerror}"
        ) from error
    return True


def _unexpected(database: Database) -> BackupExistsError:
    return BackupExistsError(
        f"The replica of {database.path!r} holds a backup, and none was expected", database.path
    )


def _restore(
    database: Database,
    expect: Expectation,
    replica: str | None,
    deadline: float,
    answer_timeout: float,
    lock: Lock,
    progress: Callable[[str, int, int | None], object] | None,
) -> Recovered:
    answered_by = min(deadline, time.monotonic() + answer_timeout)
    has_backup = functools.partial(replicas.has_backup, database, replica, answered_by)
    if expect == "none" and not is_own(database) and has_backup():
        raise _unexpected(database)
    if is_database(database.path):
        return Recovered(database.path, "present", 0.0)
    if expect == "none":
        return Recovered(database.path, "no backup", 0.0)
    answers = replicas.ask(database, replica, deadline, answer_timeout)
    for failure in () if answers.held else answers.failures.values():
        if isinstance(failure, CommandTimeoutError):  # a restore would take as long, and longer
            raise failure
    if database.config.series == "0.3":
        replicas.require_newest(database, answers, replica)
    skipped: dict[str, object] = {**dict.fromkeys(answers.empty, "it is empty"), **answers.failures}
    failures: list[LitestreamError] = []
    for held in answers.held or [replicas.Held(replica, "")]:
        try:
            _restore_from(held, database, deadline, progress)
        except (CommandFailedError, CorruptBackupError) as error:
            if held.replica == replica:  # there is no other replica
                if isinstance(error, BackupNotFoundError) and expect != "backup":
                    return Recovered(database.path, "no backup", 0.0)
                raise
            skipped[held.replica or ""] = error
            failures.append(error)
            continue
        stat = os.stat(database.path)
        lock.note(restored=[stat.st_dev, stat.st_ino])
        others = {n: str(reason) for n, reason in skipped.items() if n != held.replica}
        reasons = others if others and held.replica else None
        return Recovered(database.path, "restored", 0.0, held.as_of or None, held.replica, reasons)
    raise failures[0]


def _restore_from(
    held: Held,
    database: Database,
    deadline: float,
    progress: Callable[[str, int, int | None], object] | None,
) -> None:
    """Restore a database from one replica, with another try or two if that fails."""
    for attempt in range(1, _TRIES + 1):
        try:
            restore(
                database.path,
                output=database.path,
                force=os.path.exists(database.path),
                replica=held.replica,
                config=database.config,
                timeout=max(0.1, deadline - time.monotonic()),
                progress=functools.partial(progress, database.path) if progress else None,
            )
            break
        except CommandFailedError as error:
            over = attempt == _TRIES or time.monotonic() + _PAUSE > deadline
            if over or isinstance(error, BackupNotFoundError):
                raise
            side_by_side.require_wanted()
            time.sleep(_PAUSE)
