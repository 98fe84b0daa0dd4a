"""One function for each Litestream command, its output as plain rows.

Every function works with both series: natively if the series has the command, translated if it has
another one, and with UnsupportedCommandError if the series has nothing like it.

In all of them ``database`` is a database's path or a replica URL, ``config`` the config's path, or
a mapping of a database's path to its replica (see ``configure``, which sets it for all calls),
``timeout`` the seconds after which the executable is killed and CommandTimeoutError raised. With
``expand_env=False`` variables in the config are not replaced, as for the executable with
``-no-expand-env``. Keyword arguments that a function does not know, such as a newer release's
flags, are handed to the executable where it takes ``**flags``: ``some_flag=5`` becomes
``-some-flag 5``. A failing executable raises CommandFailedError with upstream's own sentence in
``reason``, also where it exits 0 (0.3).
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from litestream._config import paths
from litestream._config.paths import target
from litestream._control_socket.commands import info, list, register, start, stop, sync, unregister
from litestream._executable import listings, messages, run
from litestream._executable.arguments import arguments, config_flags, loaded
from litestream._executable.find import find as find_executable
from litestream._executable.listings import databases, generations, ltx, snapshots, status, wal
from litestream._executable.parse import plan as plan_of
from litestream._executable.series import require_series, series
from litestream._executable.series import version as version_of
from litestream._restore.fetch import not_found
from litestream._restore.point_in_time import point_flags
from litestream._restore.restore import restore
from litestream._restore.restored import Restored
from litestream.errors import CommandFailedError

if TYPE_CHECKING:
    import builtins
    from datetime import datetime

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath
    from litestream._executable.arguments import Flag
    from litestream.rows import PlanResult, ResetResult, VerifyResult, VersionRow

__all__ = [
    "Restored",
    "databases",
    "executable",
    "generations",
    "info",
    "list",
    "ltx",
    "plan",
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


@overload
def version(*, verbose: Literal[False] = False) -> str: ...
@overload
def version(*, verbose: Literal[True]) -> VersionRow: ...
def version(*, verbose: bool = False) -> str | VersionRow:
    """Return the executable's version, such as ``"0.5.17"``; with ``verbose`` how it was built.

    Raises:
        UnsupportedCommandError: ``verbose``, and the executable is of series 0.3.

    """
    executable = find_executable()
    if not verbose:
        return version_of(executable)
    require_series("0.5", "version(verbose=True)")
    printed = run.run([executable, "version", "-verbose"], timeout=run.TIMEOUT).stdout
    said = dict(re.findall(r"^([^:\n]+): +(.*)$", printed, re.MULTILINE))
    return {
        "version": version_of(executable),
        "go_version": said.get("Go Version", ""),
        "commit": said.get("Git Commit", ""),
        "commit_time": said.get("Commit Time", ""),
        "platform": said.get("OS/Arch", ""),
    }


def plan(
    database: StrPath,
    *,
    timestamp: datetime | str | None = None,
    txid: int | str | None = None,
    config: ConfigArgument = None,
    expand_env: bool = True,
    timeout: float | None = run.TIMEOUT,
) -> PlanResult:
    """Return what a restore would read from the replica; nothing is restored.

    Arguments as ``restore``. ``size`` is that of all ``files`` together, compressed.

    Raises:
        BackupNotFoundError: there is no backup, or none that fits.
        UnsupportedCommandError: the executable is of series 0.3.

    """
    require_series("0.5", "plan()")
    options: dict[str, Flag] = {**point_flags(None, None, None, txid, timestamp)}
    options |= {"dry_run": True, "json": True}
    with tempfile.TemporaryDirectory(prefix="litestream-") as directory:  # it must not exist
        options["o"] = os.path.join(directory, "never")
        try:
            text = listings.printed(
                "restore", database, config, timeout, options, expand_env=expand_env
            )
        except CommandFailedError as error:
            if not any(said in error.reason for said in messages.NO_BACKUP):
                raise
            said = error.argv, error.returncode, error.stderr, error.reason
            raise not_found(*said) from error
    return plan_of(text)


def reset(
    database: StrPath,
    *,
    dry_run: bool = False,
    config: ConfigArgument = None,
    expand_env: bool = True,
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
    text = listings.printed("reset", database, config, timeout, options, expand_env=expand_env)
    removed = re.search(messages.REMOVED, text, re.DOTALL | re.MULTILINE)
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
    expand_env: bool = True,
    exec: str | None = None,  # noqa: A002 - upstream's name
    once: bool = False,
    force_snapshot: bool = False,
    enforce_retention: bool = False,
    restore_if_db_not_exists: bool = False,
    log_level: str | None = None,
    timeout: float | None = None,
    **flags: Flag,
) -> None:
    """Run a daemon in the foreground until it ends.

    Its output goes where this process's goes. ``once`` and the four after it are 0.5's. SIGINT
    (Ctrl-C) makes it sync once more and end. Without ``database`` it replicates what the config
    names; with one, that database to the ``replica_urls``.

    Raises:
        CommandFailedError: it ended with a non-zero exit status; ``reason`` is its own sentence.
        UnsupportedCommandError: an option that only 0.5 has, and the executable is of series 0.3.
        CommandTimeoutError: it did not end within ``timeout`` seconds, and was stopped.
        KeyboardInterrupt: Ctrl-C, after the daemon has ended.

    """
    own: dict[str, Flag] = {
        "once": once or None,
        "force_snapshot": force_snapshot or None,
        "enforce_retention": enforce_retention or None,
        "restore_if_db_not_exists": restore_if_db_not_exists or None,
        "log_level": log_level,
    }
    for name, value in own.items():
        if value is not None:
            require_series("0.5", f"replicate({name}=…)")
    flags = {**own, **flags}
    inherits = exec is not None
    positional: builtins.list[str] = []
    if database is not None:
        paths.refuse_stray(target(database), series())
        positional = [target(database), *(target(url) for url in replica_urls)]
        if not any(paths.escaped(url) for url in replica_urls):
            argv = arguments("replicate", *positional, exec=exec, **flags)
            run.foreground(argv, timeout, inherits=inherits)
            return
        config = {database: replica_urls}
    with loaded(config, expand_env=expand_env) as found:
        own = config_flags(found)
        if found.path:  # as it is: a daemon knows what a 'dir:' entry is
            own["config"] = found.path
        argv = arguments("replicate", exec=exec, **{**own, **flags})
        run.foreground(argv, timeout, inherits=inherits)


for _name in __all__:
    globals()[_name].__module__ = __name__  # where a pickle finds it
