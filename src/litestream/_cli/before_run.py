"""What `litestream run` finds out, and says, before its command starts."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from litestream import configuration
from litestream._check.check import check
from litestream._cli import ping
from litestream._cli.arguments import seconds
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

    from litestream._config.config import Database

_DESCRIPTION = """Restore the databases that are missing, replicate all, and run COMMAND beside the
daemon; then do a final sync and exit with COMMAND's status (128+n when signal n ended it). Without
COMMAND, replicate until SIGTERM or SIGINT."""
_SOON, _AGAIN = 3.0, 10.0
"""Seconds after which it is said whom we wait for, and then again and again."""
_UNCONFIGURED = {"no-database", "no-replica", "missing-key", "unset-variable"}
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before the command."""
    made = argparse.ArgumentParser(
        prog="litestream run",
        usage="%(prog)s [OPTION ...] [-- COMMAND ...]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    made.add_argument("--config", metavar="FILE", help="the config; by default it is looked for")
    made.add_argument(
        "--no-expand-env",
        dest="expand_env",
        action="store_false",
        help="take a $ in the config for a $",
    )
    made.add_argument(
        "--expect",
        choices=["any", "backup", "none"],
        default="any",
        help="backup: a missing database without one is an error; none: one that has a backup is",
    )
    made.add_argument(
        "--adopt", action="store_true", help="replicate over a backup of another database"
    )
    made.add_argument(
        "--optional",
        action="store_true",
        help="where no replica is configured at all, run the command without one",
    )
    made.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds that a replica has to answer at the start (default: %(default)g)",
    )
    made.add_argument("--quiet", action="store_true", help="say only what is wrong")
    made.add_argument(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="json: an object for each line of the log (default: text)",
    )
    ping.add(made, "tell a dead man's switch after syncs, and of failures")
    made.add_argument(
        "--ping-every",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="seconds between two pings (default: %(default)g)",
    )
    return made


def without_replica(config: str | None, *, expand_env: bool = True) -> str:
    """Say why there is no replica at all; nothing where one is configured, in full or in part.

    A config whose replicas refer to variables, of which none is set, configures none.
    """
    try:
        path = configuration.chosen_config(config)
    except ConfigNotFoundError:
        if config is not None:
            raise
        return "there is no config"
    if not isinstance(path, str):  # a mapping that configure() was given
        return "" if path else "the mapping that is the config names no database"
    found = check(path, version(find_executable()), literal=not expand_env)
    errors = [row["id"] for row in found if row["level"] == "error"]
    if not errors or not _UNCONFIGURED.issuperset(errors):
        return ""
    if "no-database" in errors:
        return f"{path} names no database"
    text = _replicas_text(path) if expand_env else ""
    names = {first or second for first, second in _REFERENCE.findall(text)}
    known = configuration.environment()
    if any(known.get(name) for name in names) or configuration.variables():
        return ""
    if names:
        return f"{path} refers to {', '.join(sorted(names))}, of which none is set"
    return f"{path} names no replica" if set(errors) == {"no-replica"} else ""


def _replicas_text(path: str) -> str:
    """Return what the config's text says of replicas, references and all."""
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
    """Refuse a file that is no database, which no daemon would ever copy.

    Raises:
        UnusableDatabaseError: One is none.

    """
    for database in databases:
        if not is_database(database.path):
            continue
        try:
            with contextlib.closing(connect.open_by_uri(database.path, "ro", 0)) as connection:
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):  # locked, or what the daemon will tell
                continue
            raise UnusableDatabaseError(
                f"{database.path!r} is no SQLite database, or is encrypted: Litestream could not "
                "copy it. Is the path in the config right? If not even you know the file, move it "
                "away"
            ) from None


def advice(error: LitestreamError, *, present: bool) -> str:
    """Return what an error says, and which option helps; ``present`` are all databases."""
    text = str(error)
    if not isinstance(error, (CommandFailedError, CommandTimeoutError)) or not error.purpose:
        return text
    text = text.replace("pass a longer answer_timeout=", "wait longer by --timeout S")
    if present and (isinstance(error, CommandTimeoutError) or _is_away(error.reason)):
        text += (
            ". Every database is here: with --adopt the replica is not asked whether it holds the "
            "backup of another one"
        )
    return text


def _is_away(reason: str) -> bool:
    return any(said in reason for said in messages.AWAY)


class Waiting:
    """Says for which replica `recover` and `guard` wait, when that takes long."""

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
        """Be told what is going on, as by ``recover``."""
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
    """Say where a replica is, for people."""
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
