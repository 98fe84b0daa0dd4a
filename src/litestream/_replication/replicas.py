"""What the replicas of a database hold, and which of them has the newest backup."""

from __future__ import annotations

import os
import struct
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._config.places import OWN
from litestream._config.places import directory as places_directory
from litestream._config.places import name as places_name
from litestream._database.files import head
from litestream._database.local_state import LTX_HEADER_SIZE
from litestream._executable import contents, messages, run
from litestream._executable.arguments import alone, arguments, config_flags
from litestream.errors import CommandFailedError, CommandTimeoutError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from litestream._config.database import Database
    from litestream.errors import LitestreamError

LISTING = 30.0
"""Seconds that one of several replicas has to answer."""
_LONG_AGO = "1971-01-01T00:00:00Z"


class Held(NamedTuple):
    """The newest change that a replica holds; ``as_of`` is empty where its time is unknown.

    ``replica`` is the name for a restore, on 0.3 with several replicas.
    """

    replica: str | None
    as_of: str


class Answers(NamedTuple):
    """The replicas with a backup, newest first, those without, and those that do not answer."""

    held: list[Held]
    empty: list[str]
    failures: dict[str, LitestreamError]


def ask(
    database: Database,
    replica: str | None,
    deadline: float,
    limit: float | None = LISTING,
) -> Answers:
    """Ask the replicas of a database, or the one that is named, for their newest backup.

    Each replica has ``limit`` seconds; without a limit, one of several has half a minute. On 0.5
    only LTX files are listed: where there is none, there may be a backup of 0.3.
    """
    series = database.config.series
    replicas = database.chosen(replica)
    names = list(dict.fromkeys(map(places_name, replicas)))
    backups: dict[str, Sequence[Any]] = {}
    failures: dict[str, LitestreamError] = {}
    cap = limit or (LISTING if len(names) > 1 else None)
    for name in names:
        left = max(0.1, deadline - time.monotonic())
        seconds = left if cap is None else min(cap, left)
        try:
            if series == "0.5":
                backups[name] = contents.ltx(database, seconds)
            else:
                backups[name] = _backups_03(database, name, seconds)
        except (CommandFailedError, CommandTimeoutError) as error:
            error.purpose = f"read the replica of {database.path!r}"
            failures[name] = error
    if series == "0.5":
        times = [row["created"] for rows in backups.values() for row in rows]
        times += filter(None, map(_newest_03, directories(replicas)))
        return Answers([Held(None, max(times))] if times else [], [], failures)
    several = len(names) > 1 or replica is not None
    return Answers(
        [
            Held(name if several else None, max(row["created"] for row in backups[name]))
            for name in _newest_first({n: rows for n, rows in backups.items() if rows})
        ],
        [name for name, rows in backups.items() if not rows],
        failures,
    )


def _backups_03(database: Database, name: str, limit: float) -> list[Any]:
    """Return the rows of the generations that can be restored: those with a snapshot."""
    one = database._replace(replicas=database.chosen(name), replica=name)
    snapshots, wal = contents.snapshots_and_wal(one, limit)
    whole = {row["generation"] for row in snapshots}
    return [*snapshots, *(row for row in wal if row["generation"] in whole)]


def _newest_first(backups: dict[str, Sequence[Any]]) -> list[str]:
    """Sort replicas: by their place in the newest generation, which they may share, then by time.

    The time is that of the upload: a replica that lags behind has a later time for the same change.
    """

    def last(rows: Sequence[Any]) -> Any:
        return max(rows, key=lambda row: row["created"])

    if not backups:
        return []
    newest = last([row for rows in backups.values() for row in rows])["generation"]

    def freshness(name: str) -> tuple[tuple[int, int], str]:
        places = [
            (row["index"], row.get("offset", 0))
            for row in backups[name]
            if row["generation"] == newest
        ]
        return max(places, default=(-1, 0)), last(backups[name])["created"]

    return sorted(backups, key=freshness, reverse=True)


def has_backup(database: Database, replica: str | None, deadline: float) -> bool:
    """Tell whether the replicas of a database, or the one that is named, hold a backup.

    Raises:
        CommandFailedError, CommandTimeoutError: None that answered does, and one did not answer.

    """
    answers = ask(database, replica, deadline, None)
    if answers.held:
        return True
    series = database.config.series
    if series == "0.3" and newest_05(database.chosen(replica)):
        return True
    for failure in answers.failures.values():
        raise failure
    if series == "0.3":
        return False
    return _has_03_backup(database, deadline)


def are_empty(database: Database) -> bool:
    """Tell whether the replicas of a database are directories that hold nothing of Litestream's."""
    folders = database.folders
    if not folders:
        return False
    return not any(os.path.lexists(os.path.join(f, name)) for f in folders for name in OWN)


def _has_03_backup(database: Database, deadline: float) -> bool:
    """Tell whether there are backups in the format of 0.3, which 0.5 restores and lists nowhere.

    Source: asked for a time before all of them, 0.5.17 says "no snapshots available", and "no
    matching backup files available" where there are none: for every type of replica, and only
    after it was answered. Anything else tells nothing.

    Raises:
        CommandFailedError: The replica could not be asked.

    """
    with tempfile.TemporaryDirectory() as directory:
        never = os.path.join(directory, "never")
        argv = arguments(
            "restore", database.path, o=never, timestamp=_LONG_AGO, **config_flags(database.config)
        )
        try:
            run.run(
                argv,
                timeout=max(0.1, deadline - time.monotonic()),
                config=alone(database.config, database.path),
            )
        except CommandFailedError as error:
            if messages.NOTHING_AT_ALL in error.reason:
                return False
            if messages.ONLY_LATER_03 not in error.reason:
                error.purpose = f"read the replica of {database.path!r}"
                raise
    return True  # restored, too: the times of files that were copied may be lost


def require_newest(database: Database, answers: Answers, replica: str | None) -> None:
    """Refuse to let 0.3 restore an old state where 0.5 has written a newer one.

    Only in a directory that can be seen: 0.3 lists nothing of 0.5's.

    Raises:
        RestoreError: there is a newer one.

    """
    newer = newest_05(database.chosen(replica))
    held = max((held.as_of for held in answers.held), default="")
    if newer is None or newer <= held:
        return
    older = f"the newest that 0.3 can restore is of {held}" if held else "0.3 can restore none"
    raise RestoreError(
        f"The replica of {database.path!r} holds a backup of {newer} that Litestream 0.5 wrote; "
        f"{older}. Install the other series to restore it: pip install 'litestream==0.5.*'. "
        "If you want the older state, restore it with litestream.commands.restore; if you want no "
        "backup, let the application create a new database. Then start with adopt=True, or --adopt"
    )


def newest_05(replicas: Sequence[dict[str, Any]]) -> str | None:
    """Return the time of the newest LTX file in the directories among some replicas, if any.

    Source: 0.5.17 keeps `ltx/LEVEL/MIN-MAX.ltx`; a header has the time in milliseconds.
    """
    found = []
    for folder in directories(replicas):
        for level in _entries_of(os.path.join(folder, "ltx")):
            files = [e.path for e in _entries_of(level.path) if e.name.endswith(".ltx")]
            header = _header(max(files, key=_last_txid)) if files else b""
            if header[:4] == b"LTX1":
                found.append(struct.unpack(">Q", header[32:40])[0] / 1000)
    return contents.created(max(found)) if found else None


def _header(path: str) -> bytes:
    with suppress(OSError):
        return head(path, LTX_HEADER_SIZE)
    return b""


def _last_txid(path: str) -> str:
    return os.path.basename(path).partition("-")[2]


def _newest_03(folder: str) -> str | None:
    """Return the time of the newest file of 0.3 in a replica's directory, as 0.5.17 takes it."""
    found = [
        file.stat().st_mtime
        for generation in _entries_of(os.path.join(folder, "generations"))
        for kind in ("snapshots", "wal")
        for file in _entries_of(os.path.join(generation.path, kind))
    ]
    return contents.created(max(found)) if found else None


def directories(replicas: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the directories among some replicas."""
    return filter(None, map(places_directory, replicas))


def _entries_of(folder: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as found:
        return list(found)
    return []
