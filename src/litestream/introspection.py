"""What is backed up where, and by which process."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from litestream import commands
from litestream._config.config import listed
from litestream._config.file import socket_path
from litestream._control_socket.client import ControlSocket
from litestream._executable import run
from litestream.errors import ControlSocketError, MissingExtraError

if TYPE_CHECKING:
    from litestream._executable.arguments import StrPath
    from litestream.rows import DatabaseOverview, GenerationOverview, ReplicateProcess

__all__ = [
    "databases",
    "replicate_process",
]


def databases(
    *, config: StrPath | None = None, timeout: float | None = run.TIMEOUT
) -> list[DatabaseOverview]:
    """Return every database of the config with its generations and their snapshots.

    ``timeout`` limits each call of the executable, of which there are some for each database.
    Errors are those of ``commands.generations``, and ConfigurationError for a ``dir:`` entry, whose
    databases Litestream does not list.
    """
    return [
        {
            "path": row["path"],
            "replicas": row["replicas"],
            "generations": _generations(row["path"], config, timeout),
        }
        for row in listed(config, timeout)
    ]


def _generations(
    path: str, config: StrPath | None, timeout: float | None
) -> list[GenerationOverview]:
    snapshots = commands.snapshots(path, config=config, timeout=timeout)
    return [
        {
            **generation,
            "snapshots": [
                {"index": row["index"], "size": row["size"], "created": row["created"]}
                for row in snapshots
                if row["replica"] == generation["name"]
                and row["generation"] == generation["generation"]
            ],
        }
        for generation in commands.generations(path, config=config, timeout=timeout)
    ]


def replicate_process(
    *, socket: StrPath | None = None, config: StrPath | None = None
) -> ReplicateProcess | None:
    """Return the running daemon's pid, status and start, or None when none runs.

    Asked over the control socket where one answers (0.5: ``socket``, else the config's
    ``socket.path``, else upstream's default), otherwise looked for in the process table: the
    oldest process of this machine that runs ``litestream replicate``.

    Raises:
        MissingExtraError: no socket answers and ``psutil`` is not installed
            (``pip install 'litestream[process]'``).

    """
    path = str(socket) if socket is not None else socket_path(config)
    try:
        answer = ControlSocket(path, timeout=2.0).info()
    except ControlSocketError:
        return _from_process_table()
    started = answer["started_at"].split(".")[0].removesuffix("Z") + "Z"
    return {"pid": answer["pid"], "status": "running", "started": started}


def _from_process_table() -> ReplicateProcess | None:
    try:
        import psutil
    except ImportError:
        raise MissingExtraError(
            "To find a daemon without a control socket, the process table has to be read: "
            "pip install 'litestream[process]'"
        ) from None
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "status", "create_time"]):
        argv = process.info["cmdline"] or []
        if process.info["name"] == "litestream" and argv[1:2] == ["replicate"]:
            found.append(process.info)
    if not found:
        return None
    first = min(found, key=lambda info: info["create_time"])
    started = datetime.fromtimestamp(first["create_time"], timezone.utc)
    return {
        "pid": first["pid"],
        "status": first["status"],
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
