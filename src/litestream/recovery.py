"""A database in place before the application starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream._config.database import databases_of
from litestream._database.files import path_of
from litestream._executable import side_by_side
from litestream._executable.arguments import loaded, require_positive
from litestream._executable.log_lines import escaped
from litestream._executable.series import require_series
from litestream._replication import daemon_config, replicas
from litestream._replication.missing import Expectation as Expectation
from litestream._replication.missing import Recovered, Recovery, require_some
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from litestream._config.config import Config, ConfigArgument
    from litestream._config.database import Database

__all__ = [
    "Recovered",
    "recover",
]


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
    config's path, or a mapping (see ``configure``); with ``expand_env=False`` variables in the file
    are not replaced. A database that exists is left alone; a file of 0 bytes counts as missing. A
    restored database is complete and checked, or not there at all. Many processes may call this at
    once: one restores, the others wait. A restore that fails is tried three times.

    ``expect`` says what is normal. ``"backup"``: a missing backup is an error
    (BackupNotFoundError). ``"none"``: an existing backup is an error (BackupExistsError), and
    nothing is restored. ``"any"``: neither is an error. ``timeout`` is the limit for each database,
    in seconds; within that limit, a replica has ``answer_timeout`` seconds to list its backups.
    ``progress`` is called as by ``commands.restore``, but with the database's path before the
    bytes: with ``(path, 0, None)`` while the replica is asked, and with ``(path, 0, 0)`` if the
    replica holds no backup.

    Of several replicas (0.3) the one that holds the newest backup is taken, and the next one if it
    does not answer or cannot be restored; or the one that ``replica`` names. On 0.3, a newer backup
    that 0.5 has written to the same directory is an error (RestoreError); on a server, where 0.3
    does not see it, the older one is restored.

    Raises:
        ConfigurationError: The config cannot be read, or does not name ``database``.
        UnsupportedCommandError: ``replica`` is given on 0.5.
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
        require_some(config)

    def one(found: Database) -> Recovered:
        done = Recovery(found, expect, replica, timeout, answer_timeout, progress).run()
        if progress is not None and done.action == "no backup":
            progress(found.path, 0, 0)
        return done

    return list(side_by_side.results(one, databases_of(config, database), jobs))


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
