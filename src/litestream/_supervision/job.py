"""The job of a keeper: which daemon to run, on which databases, with which time limits."""

from __future__ import annotations

from collections import namedtuple

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
        stop_timeout: float = 35.0
        max_restarts: int | None = None
        hand_over: bool = True
        delays: tuple[float, float] = (0.5, 30.0)
        """Seconds before a restart after a short life: the first, doubled up to the last."""
        config: str = ""
        """The text of our config in `directory`, to be written again when it is lost."""
else:  # typing takes longer to import than everything else here
    Database = namedtuple("Database", "path meta interval")  # noqa: PYI024
    Job = namedtuple(  # noqa: PYI024
        "Job",
        "argv series databases socket directory stop_timeout max_restarts hand_over delays config",
        defaults=(35.0, None, True, (0.5, 30.0), ""),
    )
