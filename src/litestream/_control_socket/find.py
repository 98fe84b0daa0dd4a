"""Find the control socket of a config's daemon, never that of another application."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from litestream._config.config import DEFAULT_SOCKET, Config
from litestream._config.paths import is_url, target
from litestream._control_socket.client import ControlSocket
from litestream._database.lock import Lock
from litestream._executable.series import series
from litestream.errors import ConfigNotFoundError, ControlSocketError

if TYPE_CHECKING:
    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath


class Known(NamedTuple):
    """A config and the databases that it names; the config is None if there is none."""

    config: Config | None
    databases: list[str]
    socket: str
    """The socket that the config itself switches on."""
    complete: bool = True
    """Whether the config names every database; a ``dir:`` entry does not."""


def known(config: ConfigArgument) -> Known:
    """Return what the config says of its daemon.

    Raises:
        ConfigNotFoundError: The named config does not exist.
        ConfigurationError: The config cannot be read.

    """
    try:
        found = Config.load(config, series())
    except ConfigNotFoundError:
        if config is not None:
            raise
        return Known(None, [], "", complete=False)
    raw = found.content.get("dbs")
    entries = [e for e in raw if isinstance(e, dict)] if isinstance(raw, list) else []
    named = [re.sub(r"^sqlite3?://", "", str(e["path"])) for e in entries if e.get("path")]
    complete = not any(entry.get("dir") for entry in entries)
    return Known(found, [target(name) for name in named], found.own_socket, complete)


def client(
    config: ConfigArgument,
    socket: StrPath | None,
    timeout: float,
    database: StrPath | None = None,
) -> ControlSocket:
    """Return the named socket, or that of the config's daemon.

    A Replication or ``litestream run`` notes its private socket beside the databases.

    Raises:
        ControlSocketError: The daemon that answers has other databases.

    """
    if socket is not None:
        return ControlSocket(os.fspath(socket), timeout)
    if noted := of_database(database):
        return ControlSocket(noted, timeout)
    found = known(config)
    if noted := of_config(found):
        return ControlSocket(noted, timeout)
    return _own(ControlSocket(found.socket or DEFAULT_SOCKET, timeout), found)


def of_database(database: StrPath | None) -> str | None:
    """Return the private socket of our daemon that replicates a database, if one does."""
    return None if database is None or is_url(database) else _noted(target(database))


def of_config(found: Known) -> str | None:
    """Return the private socket of our daemon of a config, if the config names none itself."""
    return None if found.socket else next(filter(None, map(_noted, found.databases)), None)


def _noted(database: str) -> str | None:
    noted = Lock(os.path.realpath(database)).noted().get("socket")
    return noted if isinstance(noted, str) and os.path.exists(noted) else None


def _own(socket: ControlSocket, found: Known) -> ControlSocket:
    """Refuse a daemon that manages none of the databases: it has another config."""
    if found.config is None or not found.databases or not found.complete:
        return socket
    managed = [row["path"] for row in socket.list()]
    if managed and not {*managed} & {*found.databases, *map(os.path.realpath, found.databases)}:
        raise ControlSocketError(
            f"The daemon at the control socket {socket.path!r} replicates none of the databases of "
            f"{found.config.described}: it is another application's. Start one with this config, "
            "or pass socket="
        )
    return socket
