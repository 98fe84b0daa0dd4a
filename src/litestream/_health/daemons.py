"""Find the daemon that replicates a database on this host, and what the daemon reports.

A daemon of this library holds the lock beside the database, and its keeper notes its state there.
Any daemon of 0.5 may have a control socket. Other daemons are found in the process table.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._control_socket.nonblocking import Request
from litestream._database import foreign_daemons
from litestream._database.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from litestream._health.watched import Watched

_ANSWER = 0.25
"""Seconds for all daemons to answer; a daemon that waits for its endpoint stays silent."""
_NAMESPACE_OF_THE_HOST = 0xEFFFFFFC
"""Source: `PROC_PID_INIT_INO` of Linux: the namespace in which every process is seen."""
_LONGEST = 104  # bytes of a socket's path


class Daemon(NamedTuple):
    """The daemon of one database. ``noted`` are its keeper's notes beside the database.

    ``synced`` is the last time at which 0.5 had the replica up to date with the local state, in
    seconds since 1970: 0 for never, None if the daemon was not asked or is silent.
    """

    state: str
    pid: int | None
    noted: Mapping[str, Any]
    synced: float | None


class _Seen(NamedTuple):
    database: Watched
    held: bool | None
    noted: dict[str, Any]
    socket: str


def find(databases: Sequence[Watched]) -> list[Daemon]:
    """Return the daemon of each database; all are searched for at once."""
    seen = [_seen(database) for database in databases]
    answers = _asked({one.socket for one in seen if one.socket})
    open_by: dict[str, int] = {}
    strangers = [one.database.path for one in seen if not _is_ours(one)]
    if strangers:
        open_by = foreign_daemons.find_all(strangers)
    hidden = bool(strangers) and foreign_daemons.may_be_hidden()
    return [_daemon(one, answers, open_by, hidden=hidden) for one in seen]


def is_none(database: Watched) -> bool:
    """Tell whether surely nothing replicates a database; no daemon is asked while the lock is held.

    That is not known where a daemon may be hidden: on macOS, and in a container, beside which
    another one may share the database.
    """
    if Lock(database.path).is_held() is not False:
        return False
    try:
        is_host = os.stat("/proc/self/ns/pid").st_ino == _NAMESPACE_OF_THE_HOST
    except OSError:
        return False
    return is_host and find([database])[0].state == "not running"


def _seen(database: Watched) -> _Seen:
    lock = Lock(database.path)
    held = lock.is_held()
    noted = lock.noted() if held is not False or os.path.exists(lock.path) else {}
    socket = str(noted.get("socket") or "") if held else ""
    return _Seen(database, held, noted, socket or database.socket)


def _is_ours(one: _Seen) -> bool:
    return bool(one.held) and one.noted.get("state") not in (None, "stopped", "failed")


def _daemon(
    one: _Seen,
    answers: Mapping[str, Mapping[str, Any]],
    open_by: Mapping[str, int],
    *,
    hidden: bool,
) -> Daemon:
    path = one.database.path
    answer = answers.get(one.socket, {})
    row = answer.get(path) or answer.get(os.path.realpath(path))
    synced = _seconds(row.get("last_sync_at")) if row is not None else None
    if _is_ours(one):
        noted = one.noted.get("pid") or None
        state = str(one.noted["state"])
        return Daemon(state, noted if isinstance(noted, int) else None, one.noted, synced)
    pid = open_by.get(os.path.realpath(path))
    if row is not None:
        said = str(row.get("status") or "")
        return Daemon("stopped" if said == "stopped" else "replicating", pid, {}, synced)
    if pid is not None:
        return Daemon("replicating", pid, {}, None)
    if one.held:  # a daemon starts, or a restore runs
        return Daemon("starting", None, one.noted, None)
    is_known = one.held is False and not hidden
    return Daemon("not running" if is_known else "unknown", None, one.noted, None)


def _seconds(text: object) -> float:
    from datetime import datetime

    try:
        # Go prints nanoseconds, which Python 3.10 cannot parse
        date, _, rest = str(text).partition(".")
        zone = "+00:00" if rest[-1:] in ("", "Z") else rest[-6:]
        fraction = float(f"0.{rest.rstrip('Z').split('+')[0].split('-')[0]}") if rest else 0.0
        return datetime.fromisoformat(date.removesuffix("Z") + zone).timestamp() + fraction
    except ValueError:
        return 0.0


def _asked(sockets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Ask the daemons at these sockets for their databases; leave out silent daemons."""
    waiting: dict[str, Request] = {}
    found: dict[str, dict[str, Any]] = {}
    for path in sockets:
        request = _request(path)
        if request is not None:
            waiting[path] = request
    deadline = time.monotonic() + _ANSWER
    pause = 0.0005
    try:
        while waiting and time.monotonic() < deadline:
            for path, request in list(waiting.items()):
                rows = _answer(request)
                if rows is not None:
                    found[path] = rows
                    del waiting[path]
            if waiting:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.01)
    finally:
        for request in waiting.values():
            request.close()
    return found


def _request(path: str) -> Request | None:
    try:
        if len(os.fsencode(path)) < _LONGEST:
            return Request(path, "GET", "/list")
    except (OSError, ValueError):
        pass
    return None


def _answer(request: Request) -> dict[str, Any] | None:
    try:
        answer = request.poll()
        if answer is None:
            return None
        rows = json.loads(answer[1])["databases"] or []
        return {row["path"]: row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
