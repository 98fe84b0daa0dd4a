"""The errors that this library raises.

::

    LitestreamError
    ├── ConfigurationError            settings, arguments or the config do not fit together
    │   └── ConfigNotFoundError       no config where one was named or looked for
    ├── ExecutableError               the executable cannot be used
    │   ├── DirectoryNotFoundError    LITESTREAM_INSTALL_DIR names no directory
    │   ├── ExecutableNotFoundError   there is no executable
    │   └── UnsupportedPlatformError  Litestream has no release for this system
    ├── UnsupportedCommandError       the executable's series has no such command
    ├── CommandFailedError            the executable ran and failed
    │   └── BackupNotFoundError       the replica holds nothing that fits the request
    ├── CommandTimeoutError           the executable did not end in time, and was killed
    ├── RestoreError                  nothing was restored, and the output is as it was
    │   ├── OutputExistsError         there is a file at the output, or an old WAL or journal
    │   ├── OutputInUseError          a process has the database at the output open
    │   ├── OutputNotWritableError    the output's directory is missing or cannot be written to
    │   ├── NotEnoughSpaceError       the output's file system is too full
    │   └── CorruptBackupError        what came back fails SQLite's integrity check
    ├── ReplicationError              a daemon of ours did not start, or replication has ended
    │   ├── BackupExistsError         another database's backup would be written over
    │   └── ReplicationTimeoutError   a change did not reach the replica within the time limit
    ├── VerificationFailure           a backup is not proved: its reason says which promise broke
    ├── UnusableDatabaseError         a database is missing, damaged, encrypted or not writable
    ├── ControlSocketError            no daemon answers on the control socket, or one refused
    ├── UnreadableOutputError         the executable's output could not be read exactly
    └── MissingExtraError             an optional dependency is not installed

    UnsafeCommandWarning              the command can harm a replica on this release
"""

from __future__ import annotations

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
    "LitestreamError",
    "MissingExtraError",
    "NotEnoughSpaceError",
    "OutputExistsError",
    "OutputInUseError",
    "OutputNotWritableError",
    "ReplicationError",
    "ReplicationTimeoutError",
    "RestoreError",
    "UnreadableOutputError",
    "UnsafeCommandWarning",
    "UnsupportedCommandError",
    "UnsupportedPlatformError",
    "UnusableDatabaseError",
    "VerificationFailure",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class LitestreamError(Exception):
    """The root of every error that this library raises."""


class ConfigurationError(LitestreamError):
    """Settings, arguments or the config do not fit together."""


class ConfigNotFoundError(ConfigurationError):
    """There is no config where one was named or looked for."""


class ExecutableError(LitestreamError):
    """The Litestream executable cannot be used."""


class DirectoryNotFoundError(ExecutableError):
    """``LITESTREAM_INSTALL_DIR`` names no directory."""


class ExecutableNotFoundError(ExecutableError):
    """No Litestream executable was found; the message names every place that was searched."""


class UnsupportedPlatformError(ExecutableError):
    """Litestream has no release for this operating system or processor."""


class UnsupportedCommandError(LitestreamError):
    """The executable's series does not have this command or option."""


class CommandFailedError(LitestreamError):
    """The executable ran and failed.

    ``reason`` is upstream's own sentence, taken from its log line. ``hint`` says what to do about
    it, if that is known. ``purpose`` is what the run was for, such as ``"read the replica of
    '/srv/app.db'"``, if the caller did not ask for that run itself. Secrets are masked in every
    attribute.
    """

    purpose = ""

    def __init__(
        self, argv: Sequence[str], returncode: int, stderr: str, reason: str, hint: str = ""
    ) -> None:
        super().__init__(list(argv), returncode, stderr, reason, hint)
        self.argv = list(argv)
        self.returncode = returncode
        self.stderr = stderr
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        command = " ".join(self.argv[1:2])
        how = f"exit status {self.returncode}"
        if self.returncode < 0:
            how = f"killed by signal {-self.returncode}"
        text = f"litestream {command} failed ({how})"
        if self.purpose:
            text = f"Litestream cannot {self.purpose}"
        text += f": {self.reason or 'it gave no reason'}"
        return f"{text} ({self.hint})" if self.hint else text


class BackupNotFoundError(CommandFailedError):
    """The replica holds no backup, or none that fits the request."""


class CommandTimeoutError(LitestreamError, TimeoutError):
    """The executable did not end within ``timeout`` seconds and was killed.

    ``purpose`` is as in CommandFailedError.
    """

    purpose = ""

    def __init__(self, argv: Sequence[str], timeout: float, reason: str = "") -> None:
        super().__init__(list(argv), timeout, reason)
        self.argv = list(argv)
        self.timeout = timeout
        self.reason = reason

    def __str__(self) -> str:
        said = f" Its last words: {self.reason}." if self.reason else ""
        if self.purpose:
            return (
                f"Litestream could not {self.purpose} within {self.timeout:.3g} s.{said} Check "
                "that its endpoint answers, or pass a longer answer_timeout= (--timeout)"
            )
        return (
            f"litestream {' '.join(self.argv[1:2])} did not end within {self.timeout:g} s and was "
            f"killed.{said} Check that the replica's endpoint answers, or pass a longer timeout="
        )


class RestoreError(LitestreamError):
    """Nothing was restored; a file at the output is as it was before."""


class OutputExistsError(RestoreError, FileExistsError):
    """There is a file at the output, or a WAL or journal of an earlier database."""


class OutputInUseError(RestoreError):
    """A process has the database at the output open, so the database cannot be replaced."""


class OutputNotWritableError(RestoreError):
    """The output's directory is missing or cannot be written to."""


class NotEnoughSpaceError(RestoreError):
    """The output's file system is too full for the restored database."""


class CorruptBackupError(RestoreError):
    """The restored database fails SQLite's integrity check.

    ``problems`` are the first of SQLite's own sentences.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message, list(problems))
        self.problems = list(problems)

    def __str__(self) -> str:
        return str(self.args[0])


class ReplicationError(LitestreamError):
    """A daemon of this library did not start, or a replication has ended."""


class BackupExistsError(ReplicationError):
    """A replica already holds backups, and another database would be written over them.

    ``database`` is the path of that database.
    """

    def __init__(self, message: str, database: str = "") -> None:
        super().__init__(message, database)
        self.database = database

    def __str__(self) -> str:
        return str(self.args[0])


class ReplicationTimeoutError(ReplicationError, TimeoutError):
    """A change did not reach the replica within the time limit."""


class UnusableDatabaseError(LitestreamError):
    """A database is missing, no SQLite database, damaged, encrypted or not writable."""


TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this module
    from typing import Literal

    Reason = Literal["unrestorable", "corrupt", "stale", "different", "busy", "unusable"]

INCONCLUSIVE = ("busy", "unusable")
"""The reasons that say nothing about the backup."""


class VerificationFailure(LitestreamError):  # noqa: N818 - what the Ruby gem raises
    """A backup is not proved.

    ``reason`` says which promise broke:

    - ``"unrestorable"``: a restore fails;
    - ``"corrupt"``: the restored copy fails SQLite's integrity check;
    - ``"stale"``: a commit did not reach the replica in time, or nothing replicates;
    - ``"different"``: the restored copy does not hold what the database holds;
    - ``"busy"``: other writers left no moment for the proof; nothing is known;
    - ``"unusable"``: the database itself, the config or the executable; nothing is known.

    ``details`` holds further facts, JSON-ready: ``position`` and ``age`` (in seconds) of
    the newest change in the replica, ``tables`` that differ, SQLite's ``problems``.
    """

    def __init__(
        self, database: str, reason: Reason, message: str, details: dict[str, object] | None = None
    ) -> None:
        super().__init__(database, reason, message, details or {})
        self.database = database
        self.reason = reason
        self.message = message
        self.details = details or {}

    def __str__(self) -> str:
        return f"The backup of {self.database!r} is not proved ({self.reason}): {self.message}"


class ControlSocketError(LitestreamError):
    """No daemon answers on the control socket, or the daemon refused the request.

    ``status`` is the HTTP status of a refusal, or None when nothing answered.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class UnreadableOutputError(LitestreamError):
    """The executable's output was cut short, or cannot be read without guessing."""


class MissingExtraError(LitestreamError, ImportError):
    """An optional dependency is not installed; the message says how to install it."""


class UnsafeCommandWarning(RuntimeWarning):
    """A command can harm a replica on this release of Litestream."""
