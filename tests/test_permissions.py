"""What a user may not read or write is the first thing that an error says, with the file's name.

Root may everything. So the calls run in a process without the capability that lets it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litestream._database.lock import Lock
from litestream._database.permissions import lacking
from tests.support import Site

VERIFY = "litestream.verify(db, config=config, timeout=1)"
EXACT = "litestream.verify(db, config=config, timeout=1, exact=True)"
START = "litestream.Replication(config).start()"
ADOPT = "litestream.Replication(config, adopt=True).start()"
SYNC = "litestream.sync(db, config=config, timeout=1)"
RECOVER = "litestream.recover(config=config)"
LIST = "litestream.commands.generations(db, config=config)"


def said(site: Site, call: str) -> str:
    """Return the kind and the text of the error of a call, made by a user without privileges."""
    drop = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and there is no setpriv to take that away")
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    script = (
        "import litestream, litestream.commands\n"
        f"db, config = {str(site.database)!r}, {str(site.config)!r}\n"
        f"try:\n    {call}\n"
        "except litestream.LitestreamError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [*drop, sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    if drop and "setpriv" in done.stderr:
        pytest.skip(f"root may read everything here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def sealed(replicated: Site) -> Site:
    """Return a Site that has a commit which is not in its replica, and no daemon."""
    replicated.write(1)
    return replicated


@pytest.mark.parametrize(
    ("file", "mode", "call", "error"),
    [
        ("litestream.yml", 0, VERIFY, "ConfigurationError"),
        ("litestream.yml", 0, START, "ConfigurationError"),
        ("litestream.yml", 0, LIST, ""),
        (".app.db-litestream", 0, VERIFY, "UnusableDatabaseError"),
        (".app.db-litestream", 0, START, "UnusableDatabaseError"),
        (".app.db-litestream", 0, ADOPT, "UnusableDatabaseError"),
        (".app.db-litestream", 0o555, ADOPT, "UnusableDatabaseError"),
        (".app.db-litestream", 0, SYNC, ""),
        (".app.db-litestream", 0o555, VERIFY, "VerificationFailure"),
        (".app.db-litestream", 0o555, START, "UnusableDatabaseError"),
        (".app.db-litestream", 0o555, EXACT, "VerificationFailure"),
        ("app.db", 0, VERIFY, "UnusableDatabaseError"),
        ("app.db", 0, EXACT, "UnusableDatabaseError"),
        ("app.db", 0o444, VERIFY, "UnusableDatabaseError"),
        ("replica", 0, VERIFY, "VerificationFailure"),
        ("replica", 0, SYNC, ""),
        ("replica", 0o555, VERIFY, "VerificationFailure"),
        ("replica", 0, LIST, "CommandFailedError"),
    ],
)
def test_the_file_and_what_lacks_are_named(
    sealed: Site, file: str, mode: int, call: str, error: str
) -> None:
    path = sealed.directory / file
    sealed.connection.close()
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        found = said(sealed, call)
    finally:
        path.chmod(before)
    assert found.startswith(error or tuple("CRU"))
    assert str(path) in found
    lack = "may not write" if mode else "may not read"
    assert lack in found or "ermission denied" in found
    for wrong in ("adopt=True", "damaged", "directory="):
        assert wrong not in found


def test_a_folder_in_the_state_is_named_too(sealed: Site) -> None:
    sealed.connection.close()
    state = sealed.directory / ".app.db-litestream"
    folder = next(path for path in state.iterdir() if path.is_dir())
    folder.chmod(0)
    try:
        found = [said(sealed, call) for call in (VERIFY, SYNC, START)]
    finally:
        folder.chmod(0o755)
    for text in found:
        assert f"may not read {str(folder)!r}" in text


@pytest.mark.parametrize("call", [VERIFY, SYNC])
def test_what_lacks_comes_before_the_hole_that_follows_from_it(sealed: Site, call: str) -> None:
    sealed.connection.close()
    lock, state = Lock(str(sealed.database)), sealed.directory / ".app.db-litestream"
    assert lock.acquire()
    lock.note(hole="the canary")
    lock.release()
    state.chmod(0o555)
    try:
        found = said(sealed, call)
    finally:
        state.chmod(0o755)
    assert found.index(f"may not write {str(state)!r}") < found.index("the canary")


def test_a_lost_database_is_not_called_one_without_a_backup(sealed: Site) -> None:
    sealed.connection.close()
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        (sealed.directory / name).unlink(missing_ok=True)
    sealed.replica_path.chmod(0)
    try:
        found = said(sealed, RECOVER)
    finally:
        sealed.replica_path.chmod(0o755)
    assert found.startswith("CommandFailedError")
    assert f"open {sealed.replica_path}" in found
    assert "permission denied" in found


def test_nothing_lacks(tmp_path: Path) -> None:
    (tmp_path / "app.db").touch()
    assert (
        lacking(str(tmp_path / "app.db"), str(tmp_path / "none"), [str(tmp_path)], write=True) == ""
    )
