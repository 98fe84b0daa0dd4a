"""Notice that a database was replaced or deleted under a daemon, and when it may be opened."""

from __future__ import annotations

import os

from litestream._database.files import identity, is_database
from litestream._database.wal import wal_path, wal_salts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from litestream._supervision.job import Job

    Identity = tuple[int, int]


class Files:
    """The files at the paths of a job's databases, since a daemon was started on them.

    `changed` holds the paths at which a file was replaced or deleted, until the next start.
    The WAL of a file that was replaced is kept open: no other file then gets its inode's number.
    Its salts tell nothing, since whoever has the old file open may restart it at any time.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._known: dict[str, Identity | None] = {}
        self._wals: dict[str, Identity | None] = {}
        self._old_wals: dict[str, int] = {}
        self.changed: set[str] = set()

    def started(self) -> None:
        """Begin anew, with a daemon that has just been started."""
        self.close()
        self.changed.clear()
        self._known = {d.path: identity(d.path) for d in self.job.databases}

    def identities(self) -> dict[str, Identity | None]:
        """Return which file was at each path when it was last looked at."""
        return dict(self._known)

    def close(self) -> None:
        """Close the WALs that are kept open."""
        while self._old_wals:
            os.close(self._old_wals.popitem()[1])

    def is_there(self, path: str) -> bool:
        """Tell whether a database existed when it was last looked at."""
        return self._known.get(path) is not None

    def replaced(self, only: Collection[str] | None = None) -> str:
        """Say that a database was replaced or deleted since the daemon was started, if it was."""
        for path in self._known if only is None else only:
            before, now = self._known.get(path), identity(path)
            if before is None:
                self._known[path] = now
            elif now == before:
                self._wals[path] = identity(wal_path(path))
            elif now is None and path in self.job.watched:
                continue
            elif now is None:
                self.changed.add(path)
                return f"{path} was deleted while it was being replicated"
            else:
                self.changed.add(path)
                self._keep_wal(path)
                return f"{path} was replaced while it was being replicated"
        return ""

    def forbidden(self) -> str:
        """Say why a database that was replaced must not be opened yet, if that is so.

        SQLite would play the WAL of the old file into the new one. Litestream would look for the
        WAL beside a link, and SQLite has it beside the link's target.
        """
        for database in self.job.databases:
            path = database.path
            if os.path.islink(path):
                return (
                    f"{path} is a symbolic link to {os.path.realpath(path)}, and Litestream cannot "
                    "replicate a link. Name its target in the config, and start again"
                )
        for path in self._old_wals.keys() & {database.path for database in self.job.databases}:
            wal, old = wal_path(path), os.fstat(self._old_wals[path])
            is_old = identity(wal) == (old.st_dev, old.st_ino) and wal_salts(wal) is not None
            if is_old and is_database(path):
                return (
                    f"{path} was replaced, and {wal} still belongs to the old file: SQLite "
                    f"would write it into the new file. Remove {wal} and {path}-shm while nothing "
                    "uses the database; the replication then goes on by itself"
                )
        return ""

    def _keep_wal(self, path: str) -> None:
        """Keep the WAL open if it is still that of the file before."""
        if path in self._old_wals or self._wals.get(path) is None:
            return
        try:
            file = os.open(wal_path(path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        found = os.fstat(file)
        if (found.st_dev, found.st_ino) == self._wals[path]:
            self._old_wals[path] = file
        else:
            os.close(file)
