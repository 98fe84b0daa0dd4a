"""SQLite's own checks of a restored copy, which no other process has opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from litestream.errors import ConfigurationError, CorruptBackupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IntegrityCheck = Literal["none", "quick", "full"]

_PRAGMAS = {"quick": "quick_check", "full": "integrity_check"}
_SHOWN = 10  # problems in an error; SQLite finds up to a hundred
_LOOK = 0.1  # seconds between two calls of interrupt


@contextlib.contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open a restored copy for reading, its content not trusted.

    Immutable: no lock is taken and no ``-wal`` or ``-shm`` is made.

    Raises:
        CorruptBackupError: SQLite cannot read the copy. An error of SQLite's own would look like
            one of the database itself.

    """
    uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
    connection = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # see rows
    )
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        yield connection
    except sqlite3.Error as error:
        raise CorruptBackupError(
            f"The restored database cannot be read: {error}", [str(error)]
        ) from error
    finally:
        connection.close()


def rows(
    connection: sqlite3.Connection, statement: str, interrupt: Callable[[], object]
) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that may take long; an error from ``interrupt`` ends it.

    The statement runs in a thread of its own, so that signals are handled here. SQLite's progress
    handler is not enough: before SQLite 3.41 it is not called while the pages of a table are
    checked, and an exception that a signal raises in it is lost.
    """
    import threading

    found: list[tuple[Any, ...]] = []
    failed: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.extend(connection.execute(statement))
        except Exception as error:
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run).start()
    try:
        interrupt()
        while not done.wait(_LOOK):
            interrupt()
    finally:
        while not done.is_set():  # repeated: the statement may not have begun
            connection.interrupt()
            done.wait(_LOOK)
    if failed:
        raise failed[0]
    return found


def require_known(how: str) -> None:
    """Raise ConfigurationError unless ``how`` names an integrity check."""
    if how not in ("none", *_PRAGMAS):
        raise ConfigurationError(
            f"integrity_check={how!r} is unknown: give 'none', 'quick' or 'full'"
        )


def check(path: str, how: IntegrityCheck, interrupt: Callable[[], object] = lambda: None) -> None:
    """Check a restored copy: its pages (``"quick"``), also its indexes (``"full"``), or nothing.

    ``interrupt`` is called some ten times a second; an error from it ends the check.

    Raises:
        CorruptBackupError: the check fails; ``problems`` says where.

    """
    if how == "none":
        return
    if os.path.getsize(path) == 0:
        raise CorruptBackupError("The restored database is empty: 0 bytes")
    with opened(path) as connection:
        try:
            found = rows(connection, f"PRAGMA {_PRAGMAS[how]}({_SHOWN})", interrupt)
            problems = [str(row[0]) for row in found]
        except sqlite3.Error as error:
            problems = [str(error)]
    if problems != ["ok"]:
        raise CorruptBackupError(
            f"The restored database fails SQLite's {_PRAGMAS[how].replace('_', ' ')}: "
            + "; ".join(problem.replace("\n", ", ") for problem in problems),
            problems,
        )
