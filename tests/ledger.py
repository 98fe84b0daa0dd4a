"""The oracle of "nothing lost": a ledger outside the database, and its comparison with a restore.

Each writer appends a line to its own file after COMMIT has returned. Completeness: every line's row
is in the restored database, with its digest. No holes: each writer's restored numbers are 1 to the
highest. A count, or "the newest row is there", sees neither.

Run as a program it is the writers: `ledger.py DATABASE FOLDER RATE WRITERS [SEED]`; they end when
FOLDER/stop appears. They are ordinary applications: default `wal_autocheckpoint`, five seconds'
busy timeout.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple


class Verdict(NamedTuple):
    """What a restored database lacks of what writers were told is committed."""

    committed: int
    lost: int
    holes: int
    damaged: str
    failed_writes: int
    longest_write: float

    @property
    def good(self) -> bool:
        return not (self.lost or self.holes or self.damaged or self.failed_writes)


def make(database: Path) -> None:
    """Make the table into which the writers write."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS ledger (writer INTEGER, number INTEGER, digest TEXT, "
            "content TEXT)"
        )


@contextmanager
def writers(
    database: Path, folder: Path, rate: float, count: int = 4, seed: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run writers for as long as the block lasts; `rate` is commits a second, all together."""
    folder.mkdir(exist_ok=True)
    (folder / "stop").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, __file__, str(database), str(folder), str(rate), str(count), str(seed)]
    )
    try:
        yield process
    finally:
        (folder / "stop").touch()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def judge(folder: Path, restored: Path) -> Verdict:
    """Compare a restored database with the ledgers in a folder."""
    committed = lost = holes = failed = 0
    longest = 0.0
    with closing(sqlite3.connect(restored)) as connection:
        for ledger in sorted(folder.glob("ledger-*")):
            writer = int(ledger.name.partition("-")[2])
            wanted = dict(line.split() for line in ledger.read_text().splitlines())
            found = {
                str(number): digest if digest == _digest(content) else "damaged"
                for number, digest, content in connection.execute(
                    "SELECT number, digest, content FROM ledger WHERE writer = ?", (writer,)
                )
            }
            committed += len(wanted)
            lost += sum(found.get(number) != digest for number, digest in wanted.items())
            numbers = {int(number) for number in found}
            holes += bool(numbers) and numbers != set(range(1, max(numbers) + 1))
            failed += len((folder / f"failed-{writer}").read_text().splitlines())
            longest = max(longest, float((folder / f"longest-{writer}").read_text()))
        (damaged,) = connection.execute("PRAGMA integrity_check").fetchone()
    return Verdict(
        committed, lost, holes, "" if damaged == "ok" else damaged, failed, round(longest, 3)
    )


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(database: str, folder: str, rate: float, writer: int, seed: int) -> None:
    source = random.Random(f"{seed}-{writer}")
    with (
        open(f"{folder}/ledger-{writer}", "a", buffering=1) as ledger,
        open(f"{folder}/failed-{writer}", "a", buffering=1) as failed,
        closing(sqlite3.connect(database, timeout=5.0, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous = normal")
        query = "SELECT coalesce(max(number), 0) FROM ledger WHERE writer = ?"
        (number,) = connection.execute(query, (writer,)).fetchone()
        longest = 0.0
        due = time.monotonic()
        while not os.path.exists(f"{folder}/stop"):
            number += 1
            content = source.randbytes(source.randint(50, 4000)).hex()
            row = (writer, number, _digest(content), content)
            begun = time.monotonic()
            try:
                connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?)", row)
            except sqlite3.Error as error:
                failed.write(f"{error}\n")
                number -= 1
            else:
                ledger.write(f"{number} {row[2]}\n")
            longest = max(longest, time.monotonic() - begun)
            due = max(due + 1 / rate, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
    Path(f"{folder}/longest-{writer}").write_text(str(longest))


if __name__ == "__main__":
    _database, _folder, _rate, _count, _seed = sys.argv[1:]
    _threads = [
        threading.Thread(
            target=_write,
            args=(_database, _folder, float(_rate) / int(_count), writer, int(_seed)),
        )
        for writer in range(int(_count))
    ]
    for _thread in _threads:
        _thread.start()
    for _thread in _threads:
        _thread.join()
