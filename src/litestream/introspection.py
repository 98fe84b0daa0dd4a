"""What is backed up where, and by which process."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from litestream import commands
from litestream._config.config import listed
from litestream._control_socket.find import client, known
from litestream._database.lock import Lock
from litestream._executable import run
from litestream.errors import ControlSocketError, MissingExtraError

if TYPE_CHECKING:
    from litestream._control_socket.find import Known
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
    """Return the pid, status and start of the config's daemon, or None when none runs.

    Asked over the control socket where one answers (0.5: ``socket``, or as ``commands.info`` finds
    it), otherwise looked for in the process table: a ``litestream replicate`` with this config, or
    one that has one of its databases open. Without any config, the oldest of this machine.

    Raises:
        MissingExtraError: no socket answers and ``psutil`` is not installed
            (``pip install 'litestream[process]'``).

    """
    try:
        answer = client(config, socket, timeout=2.0).info()
    except ControlSocketError:
        return _from_process_table(known(config))
    started = answer["started_at"].split(".")[0].removesuffix("Z") + "Z"
    return {"pid": answer["pid"], "status": "running", "started": started}


def _from_process_table(wanted: Known) -> ReplicateProcess | None:
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
        if process.info["name"] != "litestream" or argv[1:2] != ["replicate"]:
            continue
        if not wanted.config or _is_wanted(process, argv, wanted):
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


def _is_wanted(process: Any, argv: list[str], wanted: Known) -> bool:
    """Tell whether a daemon has the config, or a database of it."""
    import psutil

    try:
        folder = process.cwd()
        named = [os.path.realpath(os.path.join(folder, word.split("=")[-1])) for word in argv[2:]]
        ours = {os.path.realpath(path) for path in (wanted.config, *wanted.databases)}
        ours |= {_private_config(path) for path in wanted.databases}
        return bool(ours & {*named, *(file.path for file in process.open_files())})
    except psutil.Error:  # it has ended, or is another user's
        return False


def _private_config(database: str) -> str:
    """Return the config that a Replication has written for its daemon."""
    directory = Lock(os.path.realpath(database)).noted().get("directory")
    return os.path.realpath(os.path.join(str(directory), "litestream.yml")) if directory else ""
