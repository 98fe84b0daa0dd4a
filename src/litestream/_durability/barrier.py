"""The durability barrier: return when everything committed is in the replica."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from litestream._config.database import database_of
from litestream._config.paths import target
from litestream._control_socket.find import client
from litestream._database import wal
from litestream._database.connect import bump
from litestream._database.permissions import lacking
from litestream._database.wal import wal_path
from litestream._durability.watch import NotArrivedError, Watch
from litestream._executable import listings
from litestream._executable.arguments import loaded, require_positive
from litestream._executable.series import require_known_files, series
from litestream.errors import (
    ConfigurationError,
    ControlSocketError,
    ReplicationTimeoutError,
    UnusableDatabaseError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestream._config.config import ConfigArgument
    from litestream._config.database import Database
    from litestream._database.local_state import Position03


def sync(
    database: str | os.PathLike[str],
    timeout: float = 30.0,
    *,
    config: ConfigArgument = None,
    expand_env: bool = True,
) -> None:
    """Return when everything committed before the call is in the replica, whoever runs the daemon.

    The call asks the daemon's control socket (0.5), or follows the position of the last commit
    through Litestream's local state into the replica. On 0.3 with a replica on a server, the
    config's ``addr:`` makes this cheap. Without ``addr:``, the replica is listed and Litestream's
    own row changed once a second, until a segment starts after that commit.

    ``config`` is as for ``configure``; with ``expand_env=False`` variables in it are not replaced,
    as by a daemon that runs with ``-no-expand-env``.

    Raises:
        ReplicationTimeoutError: The replica did not hold the commits after ``timeout`` seconds.
        ConfigurationError: The config does not name the database, and no ``commands.register`` has
            given it to the daemon.
        CommandFailedError: The executable does not accept the config.
        UnusableDatabaseError: The database is in memory, or this user may not read the files beside
            it.

    """
    require_positive(timeout)
    named = None
    try:
        with loaded(config, expand_env=expand_env) as found:
            named = database_of(found, database)
            wait(named, timeout)
    except ConfigurationError:
        if named is None and series() == "0.5" and _is_registered(database, config, timeout):
            return
        raise


def _is_registered(
    database: str | os.PathLike[str], config: ConfigArgument, timeout: float
) -> bool:
    """Sync a database that is not in the config, but was given to the daemon by ``register``."""
    path, deadline = target(database), time.monotonic() + timeout
    with suppress(ControlSocketError):
        socket = client(config, None, min(timeout, 10.0))
        if all(row["path"] != path for row in socket.list()):
            return False
        left = max(0.001, deadline - time.monotonic())
        try:
            socket.sync_and_wait(path, left)
        except ControlSocketError as error:
            raise ReplicationTimeoutError(str(error)) from error
        return True
    return False


sync.__module__ = "litestream"  # where a pickle finds it


def wait(
    database: Database,
    timeout: float,
    *,
    positions: Mapping[str, Mapping[str, Position03]] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Wait for one database; ``check`` is called now and then, and may raise.

    ``positions`` are logged by a daemon of ours, for each database and replica (0.3).
    """
    if not os.path.exists(database.path):
        return  # nothing is committed to a database that does not exist
    require_known_files()
    watch = Watch(
        database,
        time.monotonic() + timeout,
        positions=positions,
        sure=True,
        pulse=check,
        touch=lambda: bump(database.path),
    )
    try:
        watch.arrival(wal.committed_end(wal_path(database.path)))
    except NotArrivedError as error:
        lack = lacking(database.path, database.meta, database.folders or (), write=True)
        if error.hole:
            cause = (
                f"Since {lack}, no daemon of this user's can replicate the database. "
                "Give this user that permission. "
            )
            raise ReplicationTimeoutError(
                f"{cause if lack else ''}The replica of {database.path!r} has a hole, and was not "
                f"mended within {timeout:.3g} s: {error.hole}. A daemon of this library mends it "
                "by itself: look at its log; start any other daemon again"
            ) from None
        listings.require_valid(database.config)
        raise ReplicationTimeoutError(
            f"{database.path!r} was not replicated within {timeout:.3g} s. "
            + (f"Note that {lack}. " if lack else "")
            + "Does a daemon run? Look at its log, and whether the replica's endpoint answers"
        ) from None
    except PermissionError as error:
        lack = lacking(database.path, database.meta, database.folders or (), write=False)
        raise UnusableDatabaseError(
            f"{database.path!r} cannot be synced: {lack or error}. Give this user that permission"
        ) from error
