"""`litestream run` before its command starts: its options, its checks, its messages."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from litestream import _settings
from litestream._check.check import check
from litestream._cli import ping
from litestream._cli.arguments import add_config, add_expand_env, seconds
from litestream._config import file as config_file
from litestream._config import places
from litestream._database import connect
from litestream._database.files import is_database
from litestream._executable import messages
from litestream._executable.find import find as find_executable
from litestream._executable.series import version
from litestream.errors import (
    CommandFailedError,
    CommandTimeoutError,
    ConfigNotFoundError,
    LitestreamError,
    UnusableDatabaseError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from litestream._config.database import Database

_DESCRIPTION = """Restore the databases that are missing, replicate all, and run COMMAND beside the
daemon; then do a final sync and exit with COMMAND's status (128+n when signal n ended it). Without
COMMAND, replicate until SIGTERM or SIGINT arrives."""
_SOON, _AGAIN = 3.0, 10.0
"""Seconds until the first message about a replica that does not answer, and between two."""
_UNCONFIGURED = {"no-database", "no-replica", "missing-key", "unset-variable"}
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_][A-Za-z0-9_]*))")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options in front of the command."""
    made = argparse.ArgumentParser(
        prog="litestream run",
        usage="%(prog)s [OPTION ...] [-- COMMAND ...]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    add_config(made)
    add_expand_env(made)
    made.add_argument(
        "--expect",
        choices=["any", "backup", "none"],
        default="any",
        help="backup: fail if a missing database has no backup; none: fail if it has one",
    )
    made.add_argument(
        "--adopt", action="store_true", help="replicate even over the backup of another database"
    )
    made.add_argument(
        "--optional",
        action="store_true",
        help="if no replica is configured at all, run the command without replication",
    )
    made.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds to wait for a replica's answer at the start (default: %(default)g)",
    )
    made.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    made.add_argument(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="json: print each line of the log as an object (default: text)",
    )
    ping.add(made, "call a dead man's switch after syncs, and at a failure")
    made.add_argument(
        "--ping-every",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="seconds between two pings (default: %(default)g)",
    )
    return made


def without_replica(config: str | None, *, expand_env: bool = True) -> str:
    """Return why no replica is configured; empty if one is, in full or in part.

    A config whose replicas refer to variables, of which none is set, configures none.
    """
    try:
        path = _settings.chosen_config(config)
    except ConfigNotFoundError:
        if config is not None:
            raise
        return "there is no config"
    if not isinstance(path, str):  # a mapping that configure() was given
        return "" if path else "the mapping given to configure() names no database"
    found = check(path, version(find_executable()), literal=not expand_env)
    errors = [row["id"] for row in found if row["level"] == "error"]
    if not errors or not _UNCONFIGURED.issuperset(errors):
        return ""
    if "no-database" in errors:
        return f"{path} names no database"
    text = _replicas_text(path) if expand_env else ""
    names = {first or second for first, second in _REFERENCE.findall(text)}
    known = _settings.environment()
    if any(known.get(name) for name in names) or _settings.variables():
        return ""
    if names:
        return f"{path} refers to {', '.join(sorted(names))}, of which none is set"
    return f"{path} names no replica" if set(errors) == {"no-replica"} else ""


def _replicas_text(path: str) -> str:
    """Return the text of the config's replicas, with its references to variables."""
    content = config_file.parse(config_file.text(path), path)
    entries = [entry for entry in content.get("dbs") or [] if isinstance(entry, dict)]
    return " ".join(_strings([[e.get("replica"), e.get("replicas")] for e in entries]))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str):
        yield value


def require_databases(databases: Sequence[Database]) -> None:
    """Refuse a file that is not a database: no daemon would ever copy it.

    Raises:
        UnusableDatabaseError: A file is not a database.

    """
    for database in databases:
        if not is_database(database.path):
            continue
        try:
            with contextlib.closing(connect.open_by_uri(database.path, "ro", 0)) as connection:
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):  # locked, or a fault that the daemon reports
                continue
            raise UnusableDatabaseError(
                f"{database.path!r} is not a SQLite database, or is encrypted: Litestream cannot "
                "copy it. Correct the path in the config, or move the file away"
            ) from None


def advice(error: LitestreamError, *, present: bool) -> str:
    """Return an error's text and the option that helps; ``present``: no database is missing."""
    text = str(error)
    if not isinstance(error, (CommandFailedError, CommandTimeoutError)) or not error.purpose:
        return text
    text = text.replace("pass a longer answer_timeout= (--timeout)", "wait longer by --timeout S")
    if present and (isinstance(error, CommandTimeoutError) or _is_away(error.reason)):
        text += (
            ". No database is missing: --adopt starts without asking whether the replica holds the "
            "backup of another database"
        )
    return text


def _is_away(reason: str) -> bool:
    return any(said in reason for said in messages.AWAY)


class Waiting:
    """Names the replica for which `recover` and `guard` wait, once that takes long."""

    def __init__(self, databases: Sequence[Database], say: Callable[[str], object]) -> None:
        self._databases = databases
        self._say = say
        self._asked: dict[str, float] = {}
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def progress(self, path: str, written: int, expected: int | None) -> None:
        """Take a report of ``recover`` or ``guard``: the ``progress`` of both."""
        now = time.monotonic()
        if not written and expected is None:
            if not self._asked:
                signal.setitimer(signal.ITIMER_REAL, _SOON, _AGAIN)
            self._asked.setdefault(path, now)
            return
        if self._asked.pop(path, None) is not None:
            self._said = now
        elif written and now - self._said >= _SOON:
            self._said = now + _AGAIN - _SOON
            of = f" of {expected}" if expected else ""
            self._say(f"restoring {path!r}: {written}{of} bytes so far")
        if not self._asked:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_: object) -> None:
        for database in self._databases:
            since = self._asked.get(database.path)
            waited = 0.0 if since is None else time.monotonic() - since
            if waited >= _SOON:
                replicas = " and ".join(map(_described, database.replicas))
                self._say(f"{database.path!r}: {replicas} has not answered for {waited:.0f} s")


def _described(replica: dict[str, Any]) -> str:
    """Return the place of a replica, for people."""
    where = str(replica.get("url") or "")
    if not where:
        parts = [replica.get(key) for key in ("host", "bucket", "path")]
        where = f"{places.kind(replica)}://" + "/".join(str(p).strip("/") for p in parts if p)
    if replica.get("endpoint"):
        where += f" at {replica['endpoint']}"
    return where


def unborn(databases: Sequence[Database]) -> list[str]:
    """Return the databases of the config that do not exist."""
    return [one.path for one in databases if not os.path.exists(one.path)]
