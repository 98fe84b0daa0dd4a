"""The history of proofs: who verifies appends, and nothing that happens to the file matters."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import configuration
from litestream._health import history as file

CANARY = "canary-in-the-config-7f3a"


def row(database: Path | str, **changed: Any) -> Any:
    return {
        "at": "2026-11-25T03:15:00.000Z",
        "database": os.fspath(database),
        "method": "sentinel",
        "proved": True,
        "reason": None,
        "message": None,
        "seconds": 1.5,
        "restore_seconds": 0.5,
        "size": 4096,
        "position": None,
        "host": "a",
        **changed,
    }


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    path.write_bytes(b"x")
    return path


def history_file(database: Path) -> Path:
    return database.with_name(f".{database.name}-litestream.history")


def test_each_proof_appends_a_row(running):
    proved = litestream.verify(running.database, config=running.config)
    assert litestream.verify(running.database, exact=True, config=running.config)
    first, second = litestream.history(running.database)
    assert ("sentinel", "exact") == (first["method"], second["method"])
    assert first["proved"]
    assert first["reason"] is None
    assert proved.size["restored"] == first["size"]
    assert first["seconds"] >= (first["restore_seconds"] or 0) > 0
    assert (proved.txid is None) == (first["position"] is None)
    assert first["at"].endswith("Z")
    assert first["at"] < second["at"]
    assert str(running.database) == first["database"]


def test_a_proof_that_fails_appends_its_reason(replicated):
    with pytest.raises(litestream.VerificationFailure) as failed:
        litestream.verify(replicated.database, timeout=0.5, config=replicated.config)
    (found,) = litestream.history(replicated.database)
    assert (False, "stale") == (found["proved"], found["reason"])
    assert failed.value.message == found["message"]
    assert found["position"] is not None
    assert found["size"] is None


def test_a_secret_of_the_config_is_masked_in_it(running):
    running.configure("50ms", **{"secret-access-key": CANARY})
    nowhere = running.directory / CANARY
    with pytest.raises(litestream.VerificationFailure, match=CANARY):
        litestream.verify(running.database, directory=nowhere, config=running.config)
    (found,) = litestream.history(running.database)
    assert CANARY not in json.dumps(found)
    assert "***" in str(found["message"])


def test_a_mistyped_path_gets_no_history(site):
    missing = site.directory / "missing.db"
    with pytest.raises(litestream.LitestreamError):
        litestream.verify(missing, config=site.config)
    assert [] == list(site.directory.glob(".missing*"))


def test_it_is_switched_off_and_moved_by_one_setting(database, tmp_path, monkeypatch):
    configuration.configure(history=False)
    file.append(row(database))
    assert not history_file(database).exists()
    place = tmp_path / "histories"
    place.mkdir()
    configuration.configure(history=place)
    file.append(row(database))
    twin = tmp_path / "twin" / "app.db"
    twin.parent.mkdir()
    twin.write_bytes(b"x")
    file.append(row(twin))
    assert 2 == len(list(place.iterdir()))
    assert [row(database)] == litestream.history(database)
    monkeypatch.setenv("LITESTREAM_HISTORY", "off")
    assert [] == litestream.history(database)
    configuration.configure(history=None)
    monkeypatch.delenv("LITESTREAM_HISTORY")
    file.append(row(database))
    assert history_file(database).exists()


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 0o640), (0o600, 0o600), (0o660, 0o660)])
def test_it_is_no_more_open_than_the_database(database, mode, expected):
    database.chmod(mode)
    file.append(row(database))
    found = history_file(database).stat()
    assert oct(expected) == oct(stat.S_IMODE(found.st_mode))
    assert (found.st_uid, found.st_gid) == (database.stat().st_uid, database.stat().st_gid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_gives_it_to_the_databases_owner(database):
    os.chown(database, 12345, 23456)
    database.chmod(0o640)
    file.append(row(database))
    found = history_file(database).stat()
    assert (12345, 23456, 0o640) == (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


def test_a_place_that_cannot_be_written_to_costs_a_warning_and_no_proof(running, caplog):
    history_file(running.database).mkdir()
    with caplog.at_level(logging.WARNING, "litestream.history"):
        assert litestream.verify(running.database, config=running.config)
    assert "cannot be written" in caplog.text
    assert [] == litestream.history(running.database)


def test_a_link_or_a_pipe_in_its_place_is_not_followed(database, tmp_path, caplog):
    victim = tmp_path / "victim"
    victim.write_bytes(b"whole")
    history_file(database).symlink_to(victim)
    file.append(row(database))
    history_file(database).unlink()
    os.link(victim, history_file(database))
    file.append(row(database))
    history_file(database).unlink()
    os.mkfifo(history_file(database))
    file.append(row(database))
    assert [] == litestream.history(database)
    assert b"whole" == victim.read_bytes()
    assert 3 == caplog.text.count("cannot be written")


DAMAGE = [
    b"",
    b"\0" * 5000,
    b"{",
    b"[1]",
    b"null",
    b'{"at": "yesterday"}',
    b"\xff\xfe",
    b"[" * 100000,
    json.dumps(row("a.db", seconds="1")).encode(),
    json.dumps(row("a.db", at="no time")).encode(),
    json.dumps(row("a.db", seconds=1)).encode().replace(b": 1,", b": NaN,"),
    json.dumps(row("a.db"))[:-20].encode(),
]


def test_damaged_lines_are_skipped(database):
    good = [row(database, size=number) for number in range(len(DAMAGE) + 1)]
    path = history_file(database)
    for number, damage in enumerate(DAMAGE):
        file.append(good[number])
        with path.open("ab") as stream:
            stream.write(damage + b"\n")
    with path.open("ab") as stream:
        stream.write(b'{"at": "torn')
    file.append(good[-1])
    assert good == litestream.history(database)


def test_it_is_bounded(database, monkeypatch):
    monkeypatch.setattr(file, "LINES", 400)
    for number in range(1000):
        file.append(row(database, size=number))
    found = [one["size"] or 0 for one in litestream.history(database)]
    assert list(range(found[0], 1000)) == found
    assert 300 <= len(found) <= 401
    names = [path.name for path in database.parent.iterdir()]
    assert [] == [name for name in names if name.endswith(".tmp")]


def test_what_a_writer_left_that_died_while_it_compacted_is_used_by_nobody(database, monkeypatch):
    monkeypatch.setattr(file, "LINES", 400)
    Path(f"{history_file(database)}.tmp").write_bytes(b"half")
    for number in range(500):
        file.append(row(database, size=number))
    assert 499 == litestream.history(database)[-1]["size"]
    assert not Path(f"{history_file(database)}.tmp").exists()


NAMES = [
    "<script>alert(1)<br>.db",
    "quo\"te's &amp; more.db",
    "line\nbreak\r\x1b[31m.db",
    "\u202egnirts\u202c.db",
    "-rf *.db",
    "$HOME %s {}.db",
    os.fsdecode(b"\xff\xfe.db"),
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"x")
    file.append(row(path))
    file.append(row(path, proved=False, reason="stale", message=name))
    assert [name, name] == [os.path.basename(one["database"]) for one in litestream.history(path)]
    shown = litestream.history(path)._repr_html_() + litestream.health(path)._repr_html_()
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_name_that_is_too_long_costs_a_warning(tmp_path, caplog):
    path = tmp_path / ("n" * 250)
    path.write_bytes(b"x")
    file.append(row(path))
    assert "cannot be written" in caplog.text
    assert [] == litestream.history(path)


WRITER = """
import sys
from litestream._health import history
history.LINES = 300
database, writer, row = sys.argv[1], int(sys.argv[2]), eval(sys.argv[3])
number = int(sys.argv[4])
while True:
    history.append({**row, "size": number, "host": str(writer)})
    print(number, flush=True)
    number += 1
"""


def test_it_survives_writers_that_are_killed_at_random_moments(database):
    """What a writer was told to be written is there, in its order; nothing else is damaged."""
    generator = random.Random(13)
    told: dict[int, set[int]] = {number: set() for number in range(8)}
    for _ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, database, str(number), repr(row(database)),
                 # the line that was being written is there, or not
                 str(max(told[number], default=-1) + 2)],
                stdout=subprocess.PIPE,
            )
            for number in range(8)
        ]  # fmt: skip
        for number, writer in enumerate(writers):
            assert writer.stdout is not None
            told[number].add(int(writer.stdout.readline()))
        for number in generator.sample(range(8), 8):
            newest = litestream.history(database)[-1:]
            while litestream.history(database)[-1:] == newest:
                assert writers[number].poll() is None
            writers[number].send_signal(signal.SIGKILL)
            output, _ = writers[number].communicate()
            told[number].update(int(line) for line in output.split(b"\n")[:-1])
    file.append(row(database, host="last"))
    rows = litestream.history(database)
    assert "last" == rows[-1]["host"]
    assert len(rows) > 200
    raw = history_file(database).read_bytes().split(b"\n")
    assert len([line for line in raw if line]) - len(rows) <= 8 * 3
    for number in range(8):
        sizes = [one["size"] or 0 for one in rows if one["host"] == str(number)]
        assert sorted(set(sizes)) == sizes
        assert {n for n in told[number] if sizes and n >= sizes[0]} <= set(sizes)
