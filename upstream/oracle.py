"""The oracle that looks at everything: rows with rowids and types, schema, indexes, numbers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

OWN = "_litestream_"  # Litestream's own tables change by themselves


def difference(source: Path, restored: Path) -> str:
    """Say what differs between two databases; nothing when they are equal and sound."""
    mine = content(source)
    assert mine["integrity_check"] == [("ok",)], f"the source is damaged: {mine}"
    try:
        others = content(restored)
    except sqlite3.DatabaseError as error:
        return f"exit 0, but the restored file cannot be read: {error}"
    parts = []
    for key in sorted({*mine, *others}):
        here, there = mine.get(key, []), others.get(key, [])
        if here != there:
            lost, added = len({*here} - {*there}), len({*there} - {*here})
            sizes = f"{len(there)} rows instead of {len(here)}, " if key[:6] == "table " else ""
            parts.append(f"{key}: {sizes}{lost} missing or changed, {added} not in the source")
    sound = "ok" if others["integrity_check"] == [("ok",)] else "NOT ok"
    return f"{'; '.join(parts)}; integrity_check {sound}" if parts else ""


def content(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that a database holds: schema, rows with rowid and types, numbers, integrity."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
        connection.execute("BEGIN")
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
        ).fetchall()
        schema = sorted(row for row in schema if OWN not in row[2])
        found: dict[str, list[tuple[Any, ...]]] = {"schema": schema}
        for name in (row[1] for row in schema if row[0] == "table"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            wanted = ", ".join(f"{column}, typeof({column})" for column in columns)
            rows = connection.execute(f"SELECT rowid, {wanted} FROM {name} NOT INDEXED")
            found[f"table {name}"] = rows.fetchall()
        for pragma in ("user_version", "application_id", "integrity_check"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()
        return found
