"""One function for each Litestream command, its output as plain rows.

Every function works with both series: natively if the series has the command, translated if it has
another one, and with UnsupportedCommandError if the series has nothing like it.

In all of them ``database`` is a database's path or a replica URL, ``config`` the config's path, or
a mapping of a database's path to its replica (see ``configure``, which sets it for all calls),
``timeout`` the seconds after which the executable is killed and CommandTimeoutError raised. Further
keyword arguments are passed to the executable as flags: ``no_expand_env=True`` becomes
``-no-expand-env``. A failing executable raises CommandFailedError with upstream's own sentence in
``reason``, also where it exits 0 (0.3).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from litestream._config import paths
from litestream._config.paths import target
from litestream._control_socket.commands import info, list, register, start, stop, sync, unregister
from litestream._executable import listings, run
from litestream._executable.arguments import arguments, config_flags, loaded
from litestream._executable.find import find as find_executable
from litestream._executable.listings import databases, generations, ltx, snapshots, status, wal
from litestream._executable.series import require_series, series
from litestream._executable.series import version as version_of
from litestream._restore.restore import restore

if TYPE_CHECKING:
    import builtins

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath
    from litestream._executable.arguments import Flag
    from litestream.rows import ResetResult, VerifyResult

__all__ = [
    "databases",
    "executable",
    "generations",
    "info",
    "list",
    "ltx",
    "register",
    "replicate",
    "reset",
    "restore",
    "snapshots",
    "start",
    "status",
    "stop",
    "sync",
    "unregister",
    "verify",
    "version",
    "wal",
]


def executable() -> Path:
    """Return the path of the executable that all commands run."""
    return Path(find_executable())


def version() -> str:
    """Return the executable's version, such as ``"0.5.17"``."""
    return version_of(find_executable())


def reset(
    database: StrPath,
    *,
    dry_run: bool = False,
    config: ConfigArgument = None,
    timeout: float | None = run.TIMEOUT,
    **flags: Flag,
) -> ResetResult:
    """Remove the local LTX files of a database, or say with ``dry_run`` what would be removed.

    The database and its replica are not touched. Stop the daemon first.

    Raises:
        UnsupportedCommandError: the executable is of series 0.3.

    """
    require_series("0.5", "'reset'")
    options: dict[str, Flag] = {"dry_run": dry_run or None, **flags}
    text = listings.printed("reset", database, config, timeout, options)
    removed = re.search(r"^(?:Removing|Would remove): (.*?/ltx)$", text, re.DOTALL | re.MULTILINE)
    return {"path": target(database), "removed": removed[1] if removed else ""}


def verify(
    database: StrPath,
    *,
    timeout: float = 30.0,
    config: ConfigArgument = None,
    expand_env: bool = True,
) -> VerifyResult:
    """Prove a database's backup by ``litestream.verify``, and return its figures.

    Raises:
        VerificationFailure: the backup is not proved. Further errors as ``litestream.verify``.

    """
    from litestream import verification

    proved = verification.verify(database, timeout=timeout, config=config, expand_env=expand_env)
    return {"size": proved.size, "tables": proved.tables}


def replicate(
    database: StrPath | None = None,
    *replica_urls: str,
    config: ConfigArgument = None,
    exec: str | None = None,  # noqa: A002 - upstream's name
    timeout: float | None = None,
    **flags: Flag,
) -> None:
    """Run a daemon in the foreground until it ends.

    The daemon's output goes where this process's goes. SIGINT (Ctrl-C) makes the daemon sync once
    more and end. Without ``database`` it replicates the databases of the config; with one, that
    database to the ``replica_urls``.

    Raises:
        CommandFailedError: the daemon ended with a non-zero exit status.
        CommandTimeoutError: the daemon did not end within ``timeout`` seconds, and was stopped.
        KeyboardInterrupt: Ctrl-C, after the daemon has ended.

    """
    positional: builtins.list[str] = []
    if database is not None:
        paths.refuse_stray(target(database), series())
        positional = [target(database), *(target(url) for url in replica_urls)]
        if not any(paths.escaped(url) for url in replica_urls):
            run.foreground(arguments("replicate", *positional, exec=exec, **flags), timeout)
            return
        config = {database: replica_urls}
    with loaded(config) as found:
        argv = arguments("replicate", exec=exec, **{**config_flags(found), **flags})
        run.foreground(argv, timeout)


for _name in __all__:
    globals()[_name].__module__ = __name__  # where a pickle finds it
