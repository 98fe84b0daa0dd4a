"""SQLite's own checks of a restored copy, which nobody but us has ever opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from litestream.errors import ConfigurationError, CorruptBackupError

if TYPE_CHECKING:
    from collections.abc import Iterator

IntegrityCheck = Literal["none", "quick", "full"]

_PRAGMAS = {"quick": "quick_check", "full": "integrity_check"}
_SHOWN = 10  # problems in an error; SQLite finds up to a hundred
_LOOK = 1_000_000  # virtual machine steps of SQLite between two looks at the clock


@contextlib.contextmanager
def opened(path: str, deadline: float | None = None) -> Iterator[sqlite3.Connection]:
    """Open a restored copy for reading, its content not trusted.

    Immutable: no lock is taken and no ``-wal`` or ``-shm`` is made. ``deadline``
    (``time.monotonic``) interrupts what still runs then with ``sqlite3.OperationalError``.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        if deadline is not None:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK)
        yield connection
    finally:
        connection.close()


def require_known(how: str) -> None:
    """Raise ConfigurationError unless ``how`` names an integrity check."""
    if how not in ("none", *_PRAGMAS):
        raise ConfigurationError(f"integrity_check={how!r} is none: give 'none', 'quick' or 'full'")


def check(path: str, how: IntegrityCheck, deadline: float | None = None) -> None:
    """Check a restored copy: its pages (``"quick"``), also its indexes (``"full"``), or nothing.

    Raises:
        CorruptBackupError: it fails; ``problems`` says where.
        TimeoutError: the check was not done at ``deadline``.

    """
    if how == "none":
        return
    if os.path.getsize(path) == 0:
        raise CorruptBackupError("The restored database is empty: 0 bytes")
    try:
        with opened(path, deadline) as connection:
            pragma = f"PRAGMA {_PRAGMAS[how]}({_SHOWN})"
            problems = [str(row[0]) for row in connection.execute(pragma)]
    except sqlite3.Error as error:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("the integrity check did not end in time") from error
        problems = [str(error)]
    if problems != ["ok"]:
        raise CorruptBackupError(
            f"The restored database fails SQLite's {_PRAGMAS[how].replace('_', ' ')}: "
            + "; ".join(problem.replace("\n", ", ") for problem in problems),
            problems,
        )
