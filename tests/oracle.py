"""The oracle that looks at everything: rows, rowids, types, schema, indexes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

OWN = "_litestream_"
"""Litestream's own tables change by themselves; nothing is said of them."""


def content(database: str | Path) -> dict[str, object]:
    """Return what a database holds: its tables' rows, its schema, its numbers, its integrity."""
    uri = f"{Path(database).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
        connection.execute("BEGIN")
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        ).fetchall()
        found: dict[str, object] = {"schema": [row for row in schema if OWN not in row[2]]}
        for kind, name, _, sql in schema:
            if kind == "table" and OWN not in name and not sql.startswith("CREATE VIRTUAL"):
                found[f"table {name}"] = _rows(connection, name, sql)
        for pragma in ("user_version", "application_id", "integrity_check", "foreign_key_check"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()
        return found


def _rows(connection: sqlite3.Connection, name: str, sql: str) -> list[tuple[object, ...]]:
    table = '"' + name.replace('"', '""') + '"'
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    names = ['"' + column.replace('"', '""') + '"' for column in columns]
    wanted = ", ".join(f"{name}, typeof({name})" for name in names)
    rowid = "" if "WITHOUT ROWID" in sql.upper() else "rowid, "
    return connection.execute(f"SELECT {rowid}{wanted} FROM {table} NOT INDEXED").fetchall()


def difference(source: str | Path, restored: str | Path) -> str:
    """Say what differs between two databases; nothing when they are equal and sound."""
    mine, others = content(source), content(restored)
    if mine["integrity_check"] != [("ok",)]:
        return f"the source is damaged: {mine['integrity_check']}"
    return "; ".join(
        f"{key}: {_short(mine.get(key))} became {_short(others.get(key))}"
        for key in sorted({*mine, *others})
        if mine.get(key) != others.get(key)
    )


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} rows ({value[-1]!s:.60})"
    return f"{value!s:.120}"
