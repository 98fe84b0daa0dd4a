"""Tell in which tables two private copies of a database differ."""

from __future__ import annotations

import itertools
import sqlite3
from typing import TYPE_CHECKING

from litestream import _integrity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
_NUMBERS = ("user_version", "application_id")
_ROWS = 1000  # held at once


def differences(
    original: str, restored: str, interrupt: Callable[[], object] = lambda: None
) -> dict[str, str]:
    """Return what differs, and how: by table; ``"schema"``, ``"user_version"``, … for the rest.

    Every row of every table is compared, in constant memory. Empty: the two are equal, whatever
    their free pages hold. ``interrupt`` is called again and again, and ends it by raising.
    """
    with _integrity.opened(original) as mine, _integrity.opened(restored) as others:
        mine.text_factory = others.text_factory = bytes
        found: dict[str, str] = {}
        for pragma in _NUMBERS:
            if _number(mine, pragma) != _number(others, pragma):
                found[pragma] = f"{_number(mine, pragma)} became {_number(others, pragma)}"
        try:
            if mine.execute(_SCHEMA).fetchall() != others.execute(_SCHEMA).fetchall():
                found["schema"] = "differs"
            names = sorted({*_names(mine), *_names(others)})
        except sqlite3.Error as error:
            return {**found, "schema": f"cannot be read: {error}"}
        for name in names:
            how = _difference(mine, others, name, interrupt)
            if how:
                found[name.decode("utf-8", "replace")] = how
        return found


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return number


def _names(connection: sqlite3.Connection) -> list[bytes]:
    return [row[0] for row in connection.execute(_TABLES)]


def _difference(
    mine: sqlite3.Connection,
    others: sqlite3.Connection,
    name: bytes,
    interrupt: Callable[[], object],
) -> str:
    table = '"' + name.decode("utf-8", "surrogateescape").replace('"', '""') + '"'
    try:
        rows = [_rows(connection, table, interrupt) for connection in (mine, others)]
        if all(one == other for one, other in itertools.zip_longest(*rows)):
            return ""
        count = f"SELECT count(*) FROM {table} NOT INDEXED"  # noqa: S608
        counts = [
            _integrity.rows(connection, count, interrupt)[0][0] for connection in (mine, others)
        ]
    except sqlite3.Error as error:
        return f"cannot be compared: {error}"
    return f"{counts[0]} rows in the database, {counts[1]} in the backup, and not the same"


def _rows(
    connection: sqlite3.Connection, table: str, interrupt: Callable[[], object]
) -> Iterator[tuple[object, ...]]:
    cursor = connection.execute(f"SELECT * FROM {table} NOT INDEXED")  # noqa: S608
    cursor.arraysize = _ROWS
    while rows := cursor.fetchmany():
        interrupt()
        yield from rows
