"""Describe how two private copies of a database differ."""

from __future__ import annotations

import itertools
import sqlite3
from typing import TYPE_CHECKING, Any

from litestream._database import integrity
from litestream.errors import CorruptBackupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
_NUMBERS = ("user_version", "application_id")
_ROWIDS = ("rowid", "oid", "_rowid_")
_TYPES = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob"}
_ROWS = 1000  # held at once
_NOWHERE = "some differ, though no row, type, rowid or index does"


def differences(
    original: str, restored: str, interrupt: Callable[[], object] = lambda: None
) -> dict[str, str]:
    """Return the differences by table; ``"schema"``, ``"indexes"``, … name the rest.

    Every row of every table is compared, in constant memory. The result is never empty: it has
    ``"pages"`` if no statement can show a difference. ``interrupt`` is called again and again, and
    may raise to end the comparison.
    """
    with integrity.opened(original) as mine, integrity.opened(restored) as others:
        mine.text_factory = others.text_factory = _text
        found: dict[str, str] = {}
        try:
            for pragma in _NUMBERS:
                if _number(mine, pragma) != _number(others, pragma):
                    found[pragma] = f"{_number(mine, pragma)} became {_number(others, pragma)}"
            if mine.execute(_SCHEMA).fetchall() != others.execute(_SCHEMA).fetchall():
                found["schema"] = "differs"
            names = sorted({*_names(mine), *_names(others)})
        except sqlite3.Error as error:
            return {**found, "schema": f"cannot be read: {error}"}
        for name in names:
            how = _difference(mine, others, name, interrupt)
            if how:
                found[name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")] = how
    return found or _hidden(restored, interrupt)


def _hidden(restored: str, interrupt: Callable[[], object]) -> dict[str, str]:
    """Return a difference that no row shows: indexes that do not fit their tables, or pages."""
    try:
        integrity.check(restored, "full", interrupt)
    except CorruptBackupError as error:
        return {"indexes": "; ".join(problem.replace("\n", ", ") for problem in error.problems)}
    return {"pages": _NOWHERE}


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return number


def _names(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute(_TABLES)]


def _difference(
    mine: sqlite3.Connection,
    others: sqlite3.Connection,
    name: str,
    interrupt: Callable[[], object],
) -> str:
    table = '"' + name.replace('"', '""') + '"'
    try:
        rows = [_rows(connection, table, interrupt) for connection in (mine, others)]
        for one, other in itertools.zip_longest(*rows):
            if one == other and list(map(type, one)) == list(map(type, other)):
                continue
            how = _only(one, other)
            if how:
                return how
            break
        else:
            return ""
        count = f"SELECT count(*) FROM {table} NOT INDEXED"  # noqa: S608
        counts = [
            integrity.rows(connection, count, interrupt)[0][0] for connection in (mine, others)
        ]
    except sqlite3.Error as error:
        return f"cannot be compared: {error}"
    return f"{counts[0]} rows in the database, {counts[1]} in the backup, and not the same"


def _only(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> str:
    """Return how two rows differ if only a type or the rowid differs."""
    if one is None or other is None or len(one) != len(other):
        return ""
    pairs = list(zip(one[1:], other[1:], strict=True))
    if all(left == right and type(left) is type(right) for left, right in pairs):
        return f"the row with rowid {one[0]} has rowid {other[0]} in the backup"
    for left, right in pairs:
        if type(left) is not type(right) and _plain(left) == _plain(right):
            return (
                f"a value of type {_TYPES[type(left)]} is of type {_TYPES[type(right)]} in the "
                f"backup (rowid {one[0]})"
            )
    return ""


def _plain(value: object) -> object:
    """Return a value as text if a CAST can produce its type."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return f"{value:g}" if isinstance(value, int | float) else value


def _rows(
    connection: sqlite3.Connection, table: str, interrupt: Callable[[], object]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, each behind its rowid (None where there is none)."""
    cursor = connection.execute(f"SELECT * FROM {table} NOT INDEXED LIMIT 0")  # noqa: S608
    columns = {column[0].lower() for column in cursor.description}
    rowid = next((name for name in _ROWIDS if name not in columns), "NULL")
    try:
        cursor = connection.execute(f"SELECT {rowid}, * FROM {table} NOT INDEXED")  # noqa: S608
    except sqlite3.OperationalError:  # WITHOUT ROWID
        cursor = connection.execute(f"SELECT NULL, * FROM {table} NOT INDEXED")  # noqa: S608
    cursor.arraysize = _ROWS
    while rows := cursor.fetchmany():
        interrupt()
        yield from rows
