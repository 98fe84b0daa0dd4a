"""Everything that this library raises.

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
    │   └── BackupNotFoundError       the replica holds nothing that fits what was asked for
    ├── CommandTimeoutError           it did not end within the time limit, and was killed
    ├── RestoreError                  nothing was restored, and the output is as it was
    │   ├── OutputExistsError         there is a file at the output, or what another one left
    │   ├── OutputInUseError          a process has the database at the output open
    │   ├── OutputNotWritableError    the output's directory is missing or cannot be written to
    │   ├── NotEnoughSpaceError       the output's file system is too full
    │   └── CorruptBackupError        what came back fails SQLite's integrity check
    ├── ReplicationError              a daemon of ours did not start, or replication has ended
    │   ├── BackupExistsError         another database's backup would be written over
    │   └── ReplicationTimeoutError   a change did not reach the replica within the time limit
    ├── VerificationFailure           a backup is not proved: its reason says which promise broke
    ├── UnusableDatabaseError         a database is missing, damaged, encrypted or not writable
    ├── ControlSocketError            no daemon answers on the control socket, or it said no
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
    """Be the root of every error that this library raises."""


class ConfigurationError(LitestreamError):
    """Say that settings, arguments or the config do not fit together."""


class ConfigNotFoundError(ConfigurationError):
    """Say that there is no config where one was named or looked for."""


class ExecutableError(LitestreamError):
    """Say that the Litestream executable cannot be used."""


class DirectoryNotFoundError(ExecutableError):
    """Say that ``LITESTREAM_INSTALL_DIR`` names no directory."""


class ExecutableNotFoundError(ExecutableError):
    """Say that no Litestream executable was found, and where it was looked for."""


class UnsupportedPlatformError(ExecutableError):
    """Say that Litestream has no release for this operating system or processor."""


class UnsupportedCommandError(LitestreamError):
    """Say that the executable's series does not have this command or option."""


class CommandFailedError(LitestreamError):
    """Say that the executable ran and failed.

    ``reason`` is upstream's own sentence, taken out of its log line. ``hint`` says what to do
    about it, where that is known. ``purpose`` is what it was run for, such as ``"read the replica
    of '/srv/app.db'"``, where that was not what the caller asked for. Secrets are masked in every
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
    """Say that the replica holds no backup, or none that fits what was asked for."""


class CommandTimeoutError(LitestreamError, TimeoutError):
    """Say that the executable did not end within ``timeout`` seconds and was killed.

    ``purpose`` as in CommandFailedError.
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
                "that its endpoint answers, or pass a longer answer_timeout="
            )
        return (
            f"litestream {' '.join(self.argv[1:2])} did not end within {self.timeout:g} s and was "
            f"killed.{said} Check that the replica's endpoint answers, or pass a longer timeout="
        )


class RestoreError(LitestreamError):
    """Say why nothing was restored; what was at the output before is as it was."""


class OutputExistsError(RestoreError, FileExistsError):
    """Say that there is a file at the output, or a WAL or journal that another one left there."""


class OutputInUseError(RestoreError):
    """Say that a process has the database at the output open, so that it cannot be replaced."""


class OutputNotWritableError(RestoreError):
    """Say that the output's directory is missing or cannot be written to."""


class NotEnoughSpaceError(RestoreError):
    """Say that the output's file system is too full for the restored database."""


class CorruptBackupError(RestoreError):
    """Say that the restored database fails SQLite's integrity check.

    ``problems`` are SQLite's own sentences, the first of them.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message, list(problems))
        self.problems = list(problems)

    def __str__(self) -> str:
        return str(self.args[0])


class ReplicationError(LitestreamError):
    """Say that a daemon of ours did not start, or that a replication has ended."""


class BackupExistsError(ReplicationError):
    """Say that a replica already holds backups, and would be written over by another database.

    ``database`` is the path of that database.
    """

    def __init__(self, message: str, database: str = "") -> None:
        super().__init__(message, database)
        self.database = database

    def __str__(self) -> str:
        return str(self.args[0])


class ReplicationTimeoutError(ReplicationError, TimeoutError):
    """Say that a change did not reach the replica within the time limit."""


class UnusableDatabaseError(LitestreamError):
    """Say that a database is missing, no SQLite database, damaged, encrypted or not writable."""


class VerificationFailure(LitestreamError):  # noqa: N818 - what the Ruby gem raises
    """Say that a backup is not proved.

    ``reason`` says which promise broke:

    - ``"unrestorable"``: a restore fails;
    - ``"corrupt"``: what is restored fails SQLite's integrity check;
    - ``"stale"``: a commit did not reach the replica in time, or nothing replicates;
    - ``"different"``: what is restored is not what the database holds;
    - ``"busy"``: other writers left no moment in which it could be decided; nothing is known;
    - ``"unusable"``: the database itself, the config or the executable; nothing is known.

    ``details`` holds what is known besides, JSON-ready: ``position`` and ``age`` (in seconds) of
    the newest change in the replica, ``tables`` that differ, SQLite's ``problems``.
    """

    def __init__(
        self, database: str, reason: str, message: str, details: dict[str, object] | None = None
    ) -> None:
        super().__init__(database, reason, message, details or {})
        self.database = database
        self.reason = reason
        self.message = message
        self.details = details or {}

    def __str__(self) -> str:
        return f"The backup of {self.database!r} is not proved ({self.reason}): {self.message}"


class ControlSocketError(LitestreamError):
    """Say that no daemon answers on the control socket, or that it refused the request.

    ``status`` is the HTTP status of a refusal, or None when nothing answered.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class UnreadableOutputError(LitestreamError):
    """Say that the executable's output was cut short or cannot be read without guessing."""


class MissingExtraError(LitestreamError, ImportError):
    """Say that an optional dependency is not installed, and how to install it."""


class UnsafeCommandWarning(RuntimeWarning):
    """Warn that a command can harm a replica on the release at hand."""
