"""The barrier for the databases that a keeper of ours replicates."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from litestream._durability import barrier
from litestream.errors import ConfigurationError, ReplicationTimeoutError

if TYPE_CHECKING:
    from litestream._replication.keeper import Keeper
    from litestream._replication.status import Told
    from litestream._replication.watch_thread import WatchThread


def sync(
    keeper: Keeper,
    told: Told,
    directories: WatchThread | None,
    database: str | os.PathLike[str] | None,
    timeout: float,
) -> None:
    """Wait for one database, or for all of them.

    Raises:
        ReplicationTimeoutError: The replica did not have it after ``timeout`` seconds, or the
            keeper did not take what has changed in a directory.
        ConfigurationError: The database is not replicated; or, for all of them, something in a
            directory is not.

    """
    deadline = time.monotonic() + timeout
    if directories is not None:
        directories.look(timeout)
    found = keeper.prepared.databases
    if database is not None:
        found = [one for one in found if one.is_at(database)]
    if database is not None and not found:
        raise ConfigurationError(
            f"{os.path.abspath(database)!r} is not one of the replicated databases"
        )

    def check() -> None:
        if told.state in ("failed", "stopped"):
            because = f": {told.last_error}" if told.last_error else ""
            raise ReplicationTimeoutError(
                f"The replication has {told.state}, and it is not known whether everything "
                f"committed is in the replica{because}"
            )

    for one in found:
        barrier.wait(
            one,
            deadline - time.monotonic(),
            positions=told.positions if told.state != "standby" else None,
            check=check,
        )
    if database is None and directories is not None and directories.lack:
        raise ConfigurationError(
            f"Something in the directories of the config is not replicated: {directories.lack}"
        )
