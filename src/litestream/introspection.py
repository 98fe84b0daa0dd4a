"""The databases, their replicas, and the process that replicates them."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from litestream._control_socket.find import client, known
from litestream._database.lock import Lock
from litestream._executable import contents, listings, run, side_by_side
from litestream._executable.arguments import loaded
from litestream.errors import ControlSocketError, MissingExtraError

if TYPE_CHECKING:
    from litestream._config.config import Config, ConfigArgument
    from litestream._config.paths import StrPath
    from litestream._control_socket.find import Known
    from litestream.rows import DatabaseOverview, DatabaseRow, ReplicateProcess

__all__ = [
    "databases",
    "replicate_process",
]


def databases(
    *,
    config: ConfigArgument = None,
    timeout: float | None = run.TIMEOUT,
    jobs: int = 4,
    expand_env: bool = True,
) -> list[DatabaseOverview]:
    """Return every database of the config with its generations and their snapshots.

    The executable runs once for the list, and then for each database, ``jobs`` at a time: once
    (0.5) or twice (0.3). If the replica is a directory, it is read without the executable (0.5), or
    with one run (0.3). ``timeout`` limits each run. With ``expand_env=False``, variables in the
    config are not replaced.

    Errors are those of ``commands.generations``. A ``dir:`` entry yields a row for each database in
    the directory, and for each lost one (see ``recover``).
    """
    with loaded(config, expand_env=expand_env) as found:
        rows = listings.databases(config=found, timeout=timeout)
        return list(side_by_side.results(lambda row: _overview(row, found, timeout), rows, jobs))


def _overview(row: DatabaseRow, config: Config, timeout: float | None) -> DatabaseOverview:
    generations, snapshots = contents.generations_and_snapshots(
        row["path"], row["replicas"], config, timeout
    )
    return {
        "path": row["path"],
        "replicas": row["replicas"],
        "generations": [
            {
                **generation,
                "snapshots": [
                    {"index": one["index"], "size": one["size"], "created": one["created"]}
                    for one in snapshots
                    if one["replica"] == generation["name"]
                    and one["generation"] == generation["generation"]
                ],
            }
            for generation in generations
        ],
    }


def replicate_process(
    *, socket: StrPath | None = None, config: ConfigArgument = None
) -> ReplicateProcess | None:
    """Return the pid, status and start of the config's daemon, or None if none runs.

    The daemon is asked over its control socket (0.5: ``socket``, or as ``commands.info`` finds it).
    If no socket answers, the process table is searched for a ``litestream replicate`` that has this
    config, or has one of its databases open; without any config, for the oldest on this machine.

    Raises:
        MissingExtraError: No socket answers and ``psutil`` is not installed
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
        if wanted.config is None or _is_wanted(process, argv, wanted):
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
    """Tell whether a daemon has the config, or one of its databases open."""
    import psutil

    try:
        folder = process.cwd()
        named = [os.path.realpath(os.path.join(folder, word.split("=")[-1])) for word in argv[2:]]
        ours = {os.path.realpath(path) for path in wanted.databases}
        if wanted.config is not None and wanted.config.path:
            ours.add(os.path.realpath(wanted.config.path))
        ours |= {_private_config(path) for path in wanted.databases}
        return bool(ours & {*named, *(file.path for file in process.open_files())})
    except psutil.Error:  # the process has ended, or belongs to another user
        return False


def _private_config(database: str) -> str:
    """Return the path of the config that a Replication has written for its daemon."""
    directory = Lock(os.path.realpath(database)).noted().get("directory")
    return os.path.realpath(os.path.join(str(directory), "litestream.yml")) if directory else ""
