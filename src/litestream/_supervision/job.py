"""The job of a keeper: which daemon to run, on which databases, with which time limits."""

from __future__ import annotations

import marshal
import os
from collections import namedtuple

from litestream._supervision.backoff import DELAYS
from litestream._supervision.final_sync import STOP_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Database(NamedTuple):
        """A database: its path, its local state, its replica's sync interval in seconds."""

        path: str
        meta: str
        interval: float

    class Job(NamedTuple):
        """The daemon, its databases and the time limits."""

        argv: list[str]
        series: str
        databases: list[Database]
        socket: str
        directory: str
        """A run-time directory of ours, to be removed at the end; empty where there is none."""
        stop_timeout: float = STOP_TIMEOUT
        max_restarts: int | None = None
        delays: tuple[float, float] = DELAYS
        directories: tuple[str, ...] = ()
        """What to lock for the directories, beside the databases that are in them now."""
        watched: tuple[str, ...] = ()
        """Databases that may vanish: another job without them follows."""
        unasked: tuple[str, ...] = ()
        """Levels of log lines that the user's config does not ask for."""
        config: str = ""
        """The text of our config in `directory`: it is written again when the file is lost."""
else:  # typing takes longer to import than everything else here
    Database = namedtuple("Database", "path meta interval")  # noqa: PYI024
    Job = namedtuple(  # noqa: PYI024
        "Job",
        "argv series databases socket directory stop_timeout max_restarts delays "
        "directories watched unasked config",
        defaults=(STOP_TIMEOUT, None, DELAYS, (), (), (), ""),
    )


def packed(job: Job) -> bytes:
    """Return a job as it is sent to a keeper: its length, then its content."""
    databases = [tuple(database) for database in job.databases]
    found = marshal.dumps((*job[:2], databases, *job[3:-1], str(job.config)))
    return len(found).to_bytes(8, "big") + found


def received(file: int) -> Job | None:
    """Return the next job from a pipe, or None at its end."""
    length = int.from_bytes(_read(file, 8), "big")
    try:
        argv, series, databases, *rest = marshal.loads(_read(file, length))  # noqa: S302 - ours
    except (EOFError, ValueError, TypeError):
        return None
    return Job(argv, series, [Database(*database) for database in databases], *rest)


def _read(file: int, size: int) -> bytes:
    """Read `size` bytes, in one piece or several; nothing at the end."""
    found = bytearray()
    while len(found) < size:
        piece = os.read(file, size - len(found))
        if not piece:
            return b""
        found += piece
    return bytes(found)
