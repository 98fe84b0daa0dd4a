"""The notes beside the databases, for other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream._database.local_state import Position03
from litestream._database.lock import Lock
from litestream._supervision import notes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_no_database_waits_for_ever_while_others_are_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_EVERY", 0.0)
    monkeypatch.setattr(notes, "_AT_ONCE", 2)
    locks = [Lock(str(tmp_path / f"{number}.db")) for number in range(5)]
    assert all(lock.acquire() for lock in locks)
    try:
        kept = notes.Notes(locks)
        for lock in locks:
            kept.arrived(lock.database)
        for _ in range(3):
            for lock in locks[:2]:
                kept.arrived(lock.database)
            kept.flush({lock.database: {"file": Position03("a", 1, 2)} for lock in locks})
        assert [lock.noted().get("positions") for lock in locks] == [{"file": ["a", 1, 2]}] * 5
    finally:
        for lock in locks:
            lock.release()
