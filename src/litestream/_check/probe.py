"""Try a config for real, in steps that are named, timed and limited."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from litestream._check import s3
from litestream._check.replicas import kind_of, plain, text
from litestream._check.s3 import Trouble
from litestream._config import places
from litestream._database.open_files import files_needed
from litestream._executable.series import version
from litestream.errors import CommandFailedError, CommandTimeoutError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestream._check.nodes import Node
    from litestream._check.report import Report
    from litestream._check.rules import Database

LIMIT = 15.0
"""Seconds that a step may take."""

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "ncpfs")
_OLD = 3600.0


class Step(NamedTuple):
    """A step that was tried: its duration and its message; ``trouble`` if it failed."""

    name: str
    seconds: float
    said: str
    trouble: Trouble | None


def probe(
    report: Report,
    databases: list[Database],
    executable: str,
    told: Callable[[Step], object] = lambda _step: None,
    limit: float = LIMIT,
) -> None:
    """Try each step, add failures to the report, and announce each step."""
    trial = _Trial(report, told, limit)
    start = databases[0].node if databases else 0
    if not trial.step("executable", start, _executable, executable):
        return
    paths = [(path, each) for each in databases for path in each.paths()]
    trial.step("open files", start, _files, len(paths))
    done: set[object] = set()
    for path, database in paths:
        shown = os.path.basename(path)
        if trial.step(f"{shown}: database", database.node, _database, path):
            trial.step(f"{shown}: room", database.node, _room, path)
        trial.step(f"{shown}: directory", database.node, _directory, path)
        trial.step(f"{shown}: daemon", database.node, _daemon, path)
        trial.step(f"{shown}: last proof", database.node, _proof, path)
        good = True
        for node, found in database.replicas:
            key = (id(node), id(found)) if kind_of(found) == "file" else _account(found)
            if key in done:  # the same bucket and key: once is enough
                continue
            done.add(key)
            name = f"{shown}: {kind_of(found)} replica"
            good = trial.step(name, node, _replica, found, path, report, limit)
        if good:
            trial.step(f"{shown}: newest backup", database.node, _backup, path, report, limit)


class _Trial:
    def __init__(self, report: Report, told: Callable[[Step], object], limit: float) -> None:
        self._report, self._told, self._limit = report, told, limit

    def step(self, name: str, at: Node | int, run: Callable[..., str], *given: object) -> bool:
        """Run a step for as long as it may take; leave a step that hangs behind."""
        said: list[str] = []
        failed: list[Trouble] = []

        def work() -> None:
            try:
                said.append(run(*given))
            except Trouble as trouble:
                failed.append(trouble)
            except LitestreamError as error:
                ident = "no-executable" if name == "executable" else "replica-failed"
                failed.append(Trouble(ident, str(error).split("\n")[0], "Do what the message says"))
            except OSError as error:
                why = error.strerror or str(error)
                failed.append(
                    Trouble("replica-failed", f"the step failed: {why}", "Remove the cause")
                )

        began = time.monotonic()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(self._limit + 1)  # the step's own limit is shorter, and its error says more
        if thread.is_alive():
            failed.append(s3.slow(self._limit))
        seconds = time.monotonic() - began
        trouble = failed[0] if failed else None
        if trouble:
            self._report.add(
                trouble.ident, at, f"{name}: {trouble.message}", trouble.hint, level=trouble.level
            )
        self._told(Step(name, seconds, said[0] if said else "", trouble))
        return trouble is None or trouble.level == "warning"


def _executable(path: str) -> str:
    return f"Litestream {version(path)}"


def _files(count: int) -> str:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a start raises the other one to it
    need = files_needed(count)
    if hard != resource.RLIM_INFINITY and need > hard:
        hint = f"Raise the hard limit: ulimit -Hn {need}, LimitNOFILE= in systemd"
        message = f"{count} databases need some {need} open files, and {hard} are allowed"
        raise Trouble("few-files", message, hint)
    return f"{need} of {'any number' if hard == resource.RLIM_INFINITY else hard}"


def _database(path: str) -> str:
    import sqlite3
    from contextlib import closing
    from pathlib import Path

    if not os.path.exists(path):
        hint = "Nothing to do if your application creates it; otherwise correct the path"
        raise Trouble("no-file", "there is no such file", hint, level="warning")
    kind = _file_system(path)
    if kind.startswith(_NETWORK):
        hint = "Put it on a local disk: processes of two machines do not share a WAL"
        raise Trouble("network-file-system", f"it is on {kind}", hint)
    try:
        uri = f"{Path(path).as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        hint = "Correct the path; for a damaged database, run 'PRAGMA integrity_check'"
        raise Trouble("no-sqlite", f"it cannot be read: {error}", hint) from None
    if mode != "wal":
        hint = "Nothing to do if that is fine: Litestream switches to WAL at its first start"
        raise Trouble("not-wal", f"its journal mode is {mode}", hint, level="warning")
    return f"WAL mode, {os.path.getsize(path):,} bytes"


def _file_system(path: str) -> str:
    """Return the type of a path's file system; empty if unknown (macOS)."""
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                parts, _, rest = line.partition(" - ")
                point = parts.split()[4].encode().decode("unicode_escape")
                inside = (os.path.realpath(path) + "/").startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, rest.split()[0]
    except (OSError, ValueError, IndexError):
        return ""
    return kind


def _room(path: str) -> str:
    if not os.path.exists(path):
        return "unknown until the database exists"
    size, free = os.path.getsize(path), shutil.disk_usage(os.path.dirname(path)).free
    if free < size:
        hint = "Make room: a restore is written beside the database before it replaces it"
        raise Trouble("no-room", f"the database has {size:,} bytes, and {free:,} are free", hint)
    return f"{free:,} bytes are free"


def _directory(path: str) -> str:
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "Let Litestream's user write there: it keeps the WAL and its own state there"
        what = "it cannot be written to" if os.path.isdir(folder) else "it does not exist"
        raise Trouble("not-writable", what, hint)
    return "writable"


def _daemon(path: str) -> str:
    from litestream._database import foreign_daemons
    from litestream._database.lock import Lock

    found = foreign_daemons.find([path])
    if found is None:
        return "none runs"
    if os.path.exists(Lock(path).path):
        return f"process {found[0]}, started by this library or beside it"
    hint = "Stop it before you start another: two daemons destroy a replica"
    message = f"process {found[0]} replicates it already"
    raise Trouble("other-daemon", message, hint, level="warning")


def _proof(path: str) -> str:
    from litestream._health import history

    last = history.newest(path)
    if last is None:
        return "none is known on this host; 'litestream verify' proves the backup"
    hint = "Prove it: litestream verify"
    if not last["proved"]:
        message = f"the last proof failed at {last['at']}: {last['reason']}"
        raise Trouble("old-proof", message, hint, level="warning")
    hours = (time.time() - (history.seconds_of(last["at"]) or 0.0)) / 3600
    if hours > 48:
        raise Trouble("old-proof", f"it was proved {hours:,.0f} hours ago", hint, level="warning")
    return f"proved at {last['at']}"


def _account(found: dict[str, Node]) -> tuple[str, ...]:
    names = ("url", "bucket", "endpoint", "region", "host", "user", "access-key-id")
    return (kind_of(found), *(text(found, name) for name in names))


def _replica(found: dict[str, Node], path: str, report: Report, limit: float) -> str:
    kind = kind_of(found)
    if kind == "file":
        return _folder(places.directory(plain(found)))
    place = s3.bucket(found) if kind == "s3" else None
    if place:
        return s3.probe(place, limit)
    _listing(path, report, limit)
    return "Litestream lists it; writing is not tried for this type"


def _folder(path: str | None) -> str:
    if path is None:
        hint = "Write the directory as 'path:' instead"
        raise Trouble("replica-failed", "Litestream escapes a part of the URL", hint)
    folder = path
    while not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise Trouble(
                "replica-failed", "the path of the directory is a file", "Choose another path"
            )
        folder = os.path.dirname(folder)
    name = os.path.join(folder, f".litestream-check-{secrets.token_hex(8)}")
    content = secrets.token_bytes(16)
    try:
        with open(name, "xb") as file:
            file.write(content)
            os.fsync(file.fileno())
        try:
            with open(name, "rb") as file:
                same = file.read() == content
            listed = os.path.basename(name) in os.listdir(folder)
        finally:
            os.unlink(name)
    except OSError as error:
        hint = "Let the user that runs Litestream write there"
        raise Trouble(
            "no-permission", f"the directory cannot be used: {error.strerror}", hint
        ) from None
    if not (same and listed):
        hint = "Examine the file system that is mounted there"
        raise Trouble("replica-failed", "a file came back with other content", hint)
    where = "" if folder == path else f" in {folder}: {path} is not there yet"
    return f"a file was written, listed, read and deleted{where}"


def _listing(path: str, report: Report, limit: float) -> list[str]:
    """Return when each piece of a backup was made, by Litestream's own listing."""
    from litestream._executable import listings

    try:
        rows = listings.wal(path, config=report.path, timeout=limit)
    except CommandTimeoutError:
        raise s3.slow(limit) from None
    except CommandFailedError as error:
        raise _sentence(error.reason) from None
    return sorted(row["created"] for row in rows)


_SAID = (
    ("no such host", "replica-name", "the replica's host name does not resolve", "Correct it"),
    ("connection refused", "replica-refused", "the connection is refused", "Check the port"),
    ("certificate", "replica-tls", "its certificate is not trusted", "Install its authority's"),
    ("unable to authenticate", "wrong-key", "the server refuses the login", "Check the key"),
    ("NoSuchBucket", "wrong-bucket", "there is no such bucket", "Create it, or correct 'bucket:'"),
    ("AccessDenied", "no-permission", "the key may not list", "Allow it s3:ListBucket"),
    ("InvalidAccessKeyId", "wrong-key", "the service does not know the key", "Check it"),
    ("SignatureDoesNotMatch", "wrong-key", "the secret does not fit the key", "Check it"),
    ("could not find default credentials", "wrong-key", "there are no credentials",
     "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key"),
)  # fmt: skip


def _sentence(reason: str) -> Trouble:
    for needle, ident, message, hint in _SAID:
        if needle.lower() in reason.lower():
            return Trouble(ident, message, hint)
    said = reason.split("\n")[0][:200]
    return Trouble("replica-failed", f"Litestream says: {said}", "Check the replica's keys")


def _backup(path: str, report: Report, limit: float) -> str:
    from litestream._executable import parse

    created = _listing(path, report, limit)
    if not created:
        return "none yet"
    newest = parse.seconds_since_epoch(created[-1])
    changed = max(
        (os.path.getmtime(p) for p in (path, f"{path}-wal") if os.path.exists(p)), default=0.0
    )
    if changed - newest > _OLD:
        hint = "Check that the daemon runs, and its log; then run litestream verify"
        message = f"the database changed {(changed - newest) / 3600:,.0f} hours after it"
        raise Trouble("old-backup", message, hint)
    return f"{max(time.time() - newest, 0):,.0f} s old; 'litestream verify' proves it"
