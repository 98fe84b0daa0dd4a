"""Litestream for Python: SQLite replicated, the backup proved, the database recovered.

The public names are loaded when they are first used, so that ``import litestream`` costs next to
nothing in a script or a web worker that may never need them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs more than all of this
if TYPE_CHECKING:
    from litestream import commands, errors, metrics
    from litestream._database.connect import connect
    from litestream._durability.barrier import sync
    from litestream.configuration import configure
    from litestream.errors import (
        BackupExistsError,
        BackupNotFoundError,
        CommandFailedError,
        CommandTimeoutError,
        ConfigNotFoundError,
        ConfigurationError,
        ControlSocketError,
        CorruptBackupError,
        DirectoryNotFoundError,
        ExecutableError,
        ExecutableNotFoundError,
        LitestreamError,
        MissingExtraError,
        NotEnoughSpaceError,
        OutputExistsError,
        OutputInUseError,
        OutputNotWritableError,
        ReplicationError,
        ReplicationTimeoutError,
        RestoreError,
        UnreadableOutputError,
        UnsafeCommandWarning,
        UnsupportedCommandError,
        UnsupportedPlatformError,
        UnusableDatabaseError,
        VerificationFailure,
    )
    from litestream.introspection import databases, replicate_process
    from litestream.monitoring import Health, History, health, history
    from litestream.recovery import Recovered, recover
    from litestream.replication import Replication
    from litestream.verification import Outcome, Verification, verify, verify_all

    __version__: str

__all__ = [
    "BackupExistsError",
    "BackupNotFoundError",
    "CommandFailedError",
    "CommandTimeoutError",
    "ConfigNotFoundError",
    "ConfigurationError",
    "ControlSocketError",
    "CorruptBackupError",
    "DirectoryNotFoundError",
    "ExecutableError",
    "ExecutableNotFoundError",
    "Health",
    "History",
    "LitestreamError",
    "MissingExtraError",
    "NotEnoughSpaceError",
    "Outcome",
    "OutputExistsError",
    "OutputInUseError",
    "OutputNotWritableError",
    "Recovered",
    "Replication",
    "ReplicationError",
    "ReplicationTimeoutError",
    "RestoreError",
    "UnreadableOutputError",
    "UnsafeCommandWarning",
    "UnsupportedCommandError",
    "UnsupportedPlatformError",
    "UnusableDatabaseError",
    "Verification",
    "VerificationFailure",
    "__version__",
    "commands",
    "configure",
    "connect",
    "databases",
    "errors",
    "health",
    "history",
    "metrics",
    "recover",
    "replicate_process",
    "sync",
    "verify",
    "verify_all",
]

_HOMES = {
    "Recovered": "recovery",
    "Replication": "replication",
    "connect": "_database.connect",
    "recover": "recovery",
    "sync": "_durability.barrier",
    "configure": "configuration",
    "databases": "introspection",
    "replicate_process": "introspection",
    "Health": "monitoring",
    "History": "monitoring",
    "health": "monitoring",
    "history": "monitoring",
    "Outcome": "verification",
    "Verification": "verification",
    "verify": "verification",
    "verify_all": "verification",
}


def _load(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        value: object = version("litestream")
    elif name in ("commands", "errors", "metrics"):
        value = importlib.import_module(f"litestream.{name}")
    else:
        value = getattr(importlib.import_module(f"litestream.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a checker would take any misspelt name for one that is here
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted(__all__)
