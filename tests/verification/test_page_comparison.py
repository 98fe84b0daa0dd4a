"""What ``exact`` believes: a small part of its campaign (see exact_truth.py)."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from litestream._database import integrity
from litestream._verification import page_comparison, table_differences
from litestream.configuration import configure
from tests import exact_truth
from tests.support import TOKENS
from tests.test_verification import fails, verify


@pytest.mark.parametrize("load", exact_truth.LOADS)
def test_a_healthy_backup_is_proved_under_every_load(series, load):
    assert {"proved": 4} == exact_truth.healthy(series, load, 4)


@pytest.mark.parametrize(
    ("kind", "named"), [("index", "by_mail"), ("type", "blob is of type text"), ("rowid", "rowid")]
)
def test_a_hole_that_no_row_shows_is_not_believed(series, kind, named):
    outcome = exact_truth.hole(series, kind)
    assert outcome.startswith("different: ")
    assert named in outcome


@pytest.fixture
def copies(tmp_path):
    """Return two equal files of a database, with some free pages."""
    paths = [tmp_path / name for name in ("source", "restored")]
    for path in paths:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                "CREATE TABLE items (v); CREATE TABLE gone (v);"
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300)"
                "  INSERT INTO gone SELECT printf('%0500d', i) FROM n;"
                "INSERT INTO items VALUES (1), (x'00'), ('a'); DROP TABLE gone"
            )
            assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 5
    assert paths[0].read_bytes() == paths[1].read_bytes()
    return paths


class _Unmoved(page_comparison.Pin):
    def __init__(self):
        self.end = None
        self.interrupt = lambda: None


def equal(copies) -> bool:
    source, restored = map(str, copies)
    return page_comparison.is_equal(_Unmoved(), source, restored, f"{source}-wal")


def flip(path, page: int, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 + at] ^= 0xFF
    path.write_bytes(content)


def test_what_free_pages_hold_is_nothing(copies):
    with contextlib.closing(sqlite3.connect(copies[0])) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    trunk = int.from_bytes(copies[0].read_bytes()[32:36], "big")
    leaf = next(page for page in (pages, pages - 1) if page != trunk)
    flip(copies[1], leaf, 100)
    assert equal(copies)
    flip(copies[1], trunk, 4095)  # behind the leaves' numbers
    assert equal(copies)
    flip(copies[1], trunk, 11)  # a leaf's number: another page is free then
    assert not equal(copies)


def test_a_page_in_use_must_be_equal(copies):
    flip(copies[1], 2, 4000)
    assert not equal(copies)


def test_a_damaged_copy_is_described(copies):
    flip(copies[1], 2, 0)
    found = table_differences.differences(str(copies[0]), str(copies[1]))
    assert "cannot be compared" in found["items"]


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("UPDATE items SET v = 1.0 WHERE rowid = 1", "integer is of type real"),
        ("UPDATE items SET v = CAST(v AS BLOB) WHERE rowid = 3", "text is of type blob"),
        ("UPDATE items SET rowid = 7 WHERE rowid = 3", "rowid 3 has rowid 7"),
        ("DELETE FROM items WHERE rowid = 3", "3 rows in the database, 2 in the backup"),
    ],
)
def test_what_differs_is_named(copies, statement, how):
    with contextlib.closing(sqlite3.connect(copies[1])) as connection:
        connection.execute(statement)
        connection.commit()
    assert not equal(copies)
    assert how in table_differences.differences(str(copies[0]), str(copies[1]))["items"]


def test_exact_writes_nothing(running, temporary):
    verify(running, temporary, exact=True)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        running.connection.execute(TOKENS)


def test_exact_proves_a_database_that_may_only_be_read(running, temporary, monkeypatch):
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(path, *arguments, **options):
        connection = connect(path, *arguments, **options)
        if "app.db" in str(path):
            connection.set_trace_callback(statements.append)
            assert "mode=ro" in path
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    assert verify(running, temporary, exact=True)
    assert statements
    assert {"PRAGMA", "SELECT", "BEGIN", "ROLLBACK"} >= {text.split()[0] for text in statements}


def test_exact_proves_a_database_that_nobody_has_open(running, temporary, series):
    configure(history=False)
    running.stop()
    running.connection.close()
    before = set(running.directory.iterdir())
    assert verify(running, temporary, exact=True)
    assert before == set(running.directory.iterdir())
    with contextlib.closing(sqlite3.connect(running.database)) as connection:
        connection.execute("DELETE FROM items WHERE id = 3")
        connection.commit()
    failure = fails(running, temporary, exact=True, timeout=2)
    tables = failure.details["tables"]
    assert isinstance(tables, dict)
    assert ("stale", {"items"}) == (failure.reason, set(tables))
    assert before == set(running.directory.iterdir())


def test_a_moving_wal_is_looked_at_again(running, temporary, monkeypatch):
    moves = [True]
    is_equal = page_comparison.is_equal

    def moving(*arguments):
        if moves.pop() if moves else False:
            raise page_comparison.MovedError
        return is_equal(*arguments)

    monkeypatch.setattr(page_comparison, "is_equal", moving)
    assert verify(running, temporary, exact=True)
    monkeypatch.setattr(page_comparison, "is_equal", lambda *_: moving_always())
    assert "busy" == fails(running, temporary, exact=True).reason


def moving_always():
    raise page_comparison.MovedError


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE items SET value = 'x' WHERE id = 150",
        "DELETE FROM items WHERE id = 299",
        "DELETE FROM items WHERE id IN (10, 20); INSERT INTO items (id, value) VALUES (10, 'x')",
        "CREATE TABLE other (id)",
        "CREATE INDEX by_value ON items (value)",
        "DROP TABLE items",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
    ],
)
def test_exact_sees_a_change_of_what_is_restored(running, temporary, monkeypatch, change):
    """The change is made in the restored copy, before it is compared."""
    running.write(300, size=300)

    def spoiled(path, *_):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA journal_mode=DELETE; {change}")

    with monkeypatch.context() as patches:
        patches.setattr(integrity, "check", spoiled)
        failure = fails(running, temporary, exact=True)
        assert "different" == failure.reason
        assert failure.details["tables"]
        patches.setattr(integrity, "check", lambda path, *_: flip_unused(path))
        failure = fails(running, temporary, exact=True)
        assert "'pages'" in str(failure.details["tables"])
    assert verify(running, temporary, exact=True)


def flip_unused(path: str) -> None:
    """Change a byte between the cells of a page: nothing that any row could show."""
    with open(path, "r+b") as file:
        page = bytearray(file.read(4096))
        file.seek(0)
        first_free = 100 + 8 + 2 * int.from_bytes(page[103:105], "big")
        assert first_free < int.from_bytes(page[105:107], "big")
        page[first_free] ^= 0xFF
        file.write(page)
