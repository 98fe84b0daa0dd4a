"""The proof by a row that comes back."""

from __future__ import annotations

import sqlite3
import time

import pytest

from litestream._verification import by_sentinel
from tests.support import tokens
from tests.test_verification import fails, verify


def test_the_gems_table_is_used_as_it_is(running, temporary):
    running.connection.execute(
        "CREATE TABLE _litestream_verification (id INTEGER PRIMARY KEY, uuid BLOB)"
    )
    running.connection.execute(
        "INSERT INTO _litestream_verification (uuid) VALUES ('a1b2'), (x'00112233445566778899')"
    )
    verify(running, temporary)
    assert 2 == tokens(running)


def test_rows_that_killed_verifies_left_are_removed_a_day_later(running, temporary):
    verify(running, temporary)
    for age in (86_401, 3600):
        running.connection.execute(
            "INSERT INTO _litestream_verification (uuid) VALUES (?)",
            (by_sentinel._uuid(time.time() - age),),
        )
    verify(running, temporary)
    assert 1 == tokens(running)


def test_the_sentinel_goes_also_when_the_verify_is_interrupted(running, temporary):
    verify(running, temporary)

    def interrupt(_written, _expected):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(running, temporary, progress=interrupt)
    assert (0, []) == (tokens(running), list(temporary.iterdir()))


def test_an_error_of_the_cleanup_does_not_hide_the_real_one(running, temporary, monkeypatch):
    def broken(*_arguments):
        raise sqlite3.OperationalError("cannot remove")

    monkeypatch.setattr(by_sentinel, "_remove", broken)
    monkeypatch.setattr(by_sentinel, "is_in", lambda *_: False)
    assert "cannot remove" not in str(fails(running, temporary))
