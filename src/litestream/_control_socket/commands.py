"""The commands that a running 0.5 daemon carries out, sent over its control socket."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from litestream._config.paths import escaped, refuse_stray
from litestream._config.paths import target as target_of
from litestream._control_socket.find import client as client_of
from litestream._executable import traps
from litestream._executable.series import require_series
from litestream.errors import ConfigurationError, UnsafeCommandWarning

if TYPE_CHECKING:
    import builtins

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath
    from litestream._control_socket.client import ControlSocket
    from litestream.rows import ChangeResult, InfoRow, ManagedRow, SyncResult

_UNSAFE = (
    f"Up to Litestream {traps.last('stop-start')}, 'stop' and then 'start' loses changes without "
    "an error when the WAL was checkpointed in between (even by an application closing its last "
    "connection). Restart the daemon's process instead"
)


def info(
    *, socket: StrPath | None = None, config: ConfigArgument = None, timeout: float = 10.0
) -> InfoRow:
    """Return a running daemon's version, pid, start and number of databases.

    The daemon at ``socket``, or else the config's daemon: at the config's ``socket.path``, at the
    private socket of a Replication or of ``litestream run``, or at upstream's
    ``/var/run/litestream.sock``.

    Raises:
        ControlSocketError: No daemon answers within ``timeout`` seconds, or another config's does.
        UnsupportedCommandError: The executable is of series 0.3, which has no control socket.

    """
    return _client("info", socket, config, timeout).info()


def list(  # noqa: A001 - upstream's name
    *, socket: StrPath | None = None, config: ConfigArgument = None, timeout: float = 10.0
) -> builtins.list[ManagedRow]:
    """Return the databases that a running daemon manages, with their state and last sync.

    A healthy daemon's ``last_sync_at`` advances at every sync interval, even when nothing is
    written; the status stays ``"replicating"`` during an outage. Arguments and errors as ``info``.
    """
    return _client("list", socket, config, timeout).list()


def register(
    database: StrPath,
    replica_url: str,
    *,
    socket: StrPath | None = None,
    config: ConfigArgument = None,
    timeout: float = 30.0,
) -> ChangeResult:
    """Have a running daemon replicate one more database, until the daemon ends.

    The config is not changed: to verify or recover the database, pass ``config={database:
    replica_url}``. A restarted daemon has forgotten the database. If a ``Replication`` or
    ``litestream run`` restarts the daemon, an error in the log names the database (unless it was
    registered a few seconds before). To replicate the database for good, add it to the config.
    Arguments and errors as ``info``.

    Raises:
        ConfigurationError: The daemon would take the URL for another directory.

    """
    if characters := escaped(replica_url):
        raise ConfigurationError(
            f"The daemon would escape {characters!r} in {replica_url!r}, and so write to another "
            "directory. Choose a directory without that, or put the database into the config"
        )
    client = _client("register", socket, config, timeout)
    path = target_of(database)
    refuse_stray(path, "0.5")
    return _change(client, "/register", {"path": path, "replica_url": replica_url})


def unregister(
    database: StrPath,
    *,
    dry_run: bool = False,
    socket: StrPath | None = None,
    config: ConfigArgument = None,
    timeout: float = 30.0,
) -> ChangeResult:
    """Have a running daemon forget a database after a last sync; the replica stays.

    With ``dry_run`` nothing is done: ``status`` is ``"would be unregistered"``, or
    ``"not registered"`` if the daemon does not know the database. Arguments as ``info``.
    """
    client = _client("unregister", socket, config, timeout, database)
    if dry_run:
        path = target_of(database)
        known = any(row["path"] == path for row in client.list())
        status = "would be unregistered" if known else "not registered"
        return {"path": path, "status": status, "txid": None}
    return _change(client, "/unregister", {"path": target_of(database)})


def sync(
    database: StrPath,
    *,
    wait: bool = False,
    socket: StrPath | None = None,
    config: ConfigArgument = None,
    timeout: float = 30.0,
) -> SyncResult:
    """Have a running daemon sync a database now.

    With ``wait`` the call returns when everything committed before it is in the replica
    (``replicated_txid`` has reached the ``txid`` of the first answer). It repeats the request
    instead of using upstream's own wait, which on 0.5.17 can damage the replica for good. Without
    ``wait`` the changes are in the local LTX files, and the replica follows at its interval.

    Raises:
        ControlSocketError: No daemon answers, it does not manage this database, or the wait took
            longer than ``timeout`` seconds.
        UnsupportedCommandError: The executable is of series 0.3.

    """
    client = _client("sync", socket, config, timeout, database)
    path = target_of(database)
    return client.sync_and_wait(path, timeout) if wait else client.sync(path)


def start(
    database: StrPath,
    *,
    socket: StrPath | None = None,
    config: ConfigArgument = None,
    timeout: float = 30.0,
) -> ChangeResult:
    """Have a running daemon replicate a stopped database again.

    Warns with UnsafeCommandWarning if changes can be lost between ``stop`` and ``start``: up to
    0.5.17, and on releases that were not examined. Arguments and errors as ``info``.
    """
    return _start_or_stop("start", database, socket, config, timeout)


def stop(
    database: StrPath,
    *,
    socket: StrPath | None = None,
    config: ConfigArgument = None,
    timeout: float = 30.0,
) -> ChangeResult:
    """Have a running daemon stop replicating a database after a last sync.

    Warns with UnsafeCommandWarning if changes can be lost between ``stop`` and ``start``: up to
    0.5.17, and on releases that were not examined. Arguments and errors as ``info``.
    """
    return _start_or_stop("stop", database, socket, config, timeout)


def _client(
    verb: str,
    socket: StrPath | None,
    config: ConfigArgument,
    timeout: float,
    database: StrPath | None = None,
) -> ControlSocket:
    require_series("0.5", f"'{verb}'")
    return client_of(config, socket, timeout, database)


def _change(client: ControlSocket, target: str, body: dict[str, str]) -> ChangeResult:
    answer = client.request("POST", target, body)
    return {
        "path": answer.get("path", body["path"]),
        "status": answer["status"],
        "txid": answer.get("txid"),
    }


def _start_or_stop(
    verb: str,
    database: StrPath,
    socket: StrPath | None,
    config: ConfigArgument,
    timeout: float,
) -> ChangeResult:
    client = _client(verb, socket, config, timeout, database)
    if traps.has("stop-start", client.info()["version"]):
        warnings.warn(_UNSAFE, UnsafeCommandWarning, stacklevel=3)
    return _change(client, f"/{verb}", {"path": target_of(database)})
