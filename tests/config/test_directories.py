"""Directories of databases (``dir:``, 0.5), against what the real executable makes of them."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litestream import ConfigurationError
from litestream._config import pattern
from litestream._config.config import Config
from litestream._config.database import databases_of
from litestream._config.directories import Directory
from litestream._settings import environment
from tests.support import wait_until

pytestmark = pytest.mark.only_series("0.5")

GO = [
    ("*.db", "a.db", True),
    ("*.db", ".a.db", True),
    ("*.db", "a.db-wal", False),
    ("*", "", True),
    ("?.db", "ü.db", True),
    ("?.db", "ab.db", False),
    ("[a-c]*", "b.db", True),
    ("[a-c]*", "d.db", False),
    ("[^a-c]*", "d.db", True),
    ("[!a]*", "!x", True),
    ("[!a]*", "b", False),
    (r"\*.db", "*.db", True),
    (r"\*.db", "a.db", False),
    (r"[\]x]", "]", True),
    ("[z-a]", "m", False),
    ("a]b", "a]b", True),
    ("{a,b}.db", "a.db", False),
    ("**.db", "a.db", True),
    ("[[:x]*", ":", True),
    ("a.db\n", "a.db", False),
]
BAD = ["[", "[]", "[]a]", "[a", "[-a]", "[a-]", "x\\", "[a-"]


def database(path: Path, rows: int = 1) -> sqlite3.Connection:
    """Make a database with rows; the connection stays open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS items (name TEXT)")
    connection.executemany("INSERT INTO items VALUES (?)", [(path.name,)] * rows)
    return connection


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., sqlite3.Connection]]:
    """Return a function that makes a database in the directory of databases."""
    with contextlib.ExitStack() as stack:

        def make(name: str, rows: int = 1) -> sqlite3.Connection:
            made = database(tmp_path / "data" / name, rows)
            return stack.enter_context(contextlib.closing(made))

        yield make


def entry(tmp_path: Path, **more: Any) -> dict[str, Any]:
    replica = more.pop("replica", {"type": "file", "path": str(tmp_path / "backups")})
    return {"dir": str(tmp_path / "data"), "pattern": "*.db", "replica": replica, **more}


def replicated_once(executable: Path, config: Path) -> None:
    """Let the executable replicate a config as it is, once."""
    subprocess.run(
        [executable, "replicate", "-once", "-no-expand-env", "-config", config],
        *(),
        check=True,
        env=environment(),
        capture_output=True,
        timeout=60,
    )


def copies(folder: Path) -> set[str]:
    """Return the directories below one that are replicas, or local states."""
    return {str(path.parent.relative_to(folder)) for path in folder.rglob("ltx") if path.is_dir()}


@pytest.mark.parametrize(("given", "name", "matches"), GO)
def test_a_pattern_is_one_of_go_s(given: str, name: str, matches: bool) -> None:
    assert matches == (pattern.compiled(given).fullmatch(name) is not None)


@pytest.mark.parametrize("given", BAD)
def test_what_go_takes_for_no_pattern_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="The pattern"):
        pattern.compiled(given)


@pytest.mark.parametrize("given", ["*", "[^a-c]*", "[!a]*", r"[\]x]", "?.db", "a]b", "[]a]", "[a"])
def test_the_executable_says_the_same_of_a_pattern(
    installed: Path, tmp_path: Path, make: Callable[..., Any], given: str
) -> None:
    for name in ("a.db", ".a.db", "ü.db", "d", "!x", "]", "a]b"):
        make(name)
    config = tmp_path / "litestream.yml"
    config.write_text(json.dumps({"dbs": [entry(tmp_path, pattern=given)]}, ensure_ascii=False))
    with contextlib.suppress(subprocess.CalledProcessError):
        replicated_once(installed, config)
    found: set[str] = set()
    with contextlib.suppress(ConfigurationError):
        (directory,) = Config("0.5", str(config), literal=True).directories
        found = {os.path.basename(path) for path in directory.on_disk()}
    assert found == copies(tmp_path / "backups")


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("meta", [{}, {"meta-dir": "M"}, {"meta-path": "M"}])
@pytest.mark.parametrize("kind", ["path", "url", "replicas", "url with a space"])
def test_each_database_is_copied_where_the_executable_copies_it(
    installed: Path,
    tmp_path: Path,
    make: Callable[..., Any],
    recursive: bool,
    meta: dict[str, str],
    kind: str,
) -> None:
    for name in ("a.db", ".hidden.db", "my app+(1).db", "deep/b.db", "deep/er/a.db", "x.sqlite"):
        make(name)
    (tmp_path / "data" / "no.db").write_text("This is no database." * 100)
    (tmp_path / "data" / "empty.db").touch()
    base = f"{tmp_path}/{'my ' if 'space' in kind else ''}backups"
    replica = {"type": "file", "path": base} if kind == "path" else {"url": f"file://{base}"}
    more: dict[str, Any] = {key: str(tmp_path / "state") for key in meta}
    written = entry(tmp_path, replica=replica, recursive=recursive, **more)
    if kind == "replicas":
        written["replicas"] = [written.pop("replica")]
    config = tmp_path / "litestream.yml"
    config.write_text(json.dumps({"dbs": [written]}))
    replicated_once(installed, config)
    found = databases_of(Config("0.5", str(config), literal=True))
    assert len(found) == (5 if recursive else 3)
    assert all(one.has_local_state for one in found)
    folders = {os.path.relpath((one.folders or ["?"])[0], tmp_path) for one in found}
    assert folders == {name for name in copies(tmp_path) if "backups" in name.split("/")[0]}
    # what is lost is found again, by what is left of it
    for one in found:
        os.unlink(one.path)
    again = databases_of(Config("0.5", str(config), literal=True))
    assert [one.path for one in again] == [one.path for one in found]


def test_the_text_keeps_its_references(
    installed: Path, tmp_path: Path, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a$HOME.db")
    monkeypatch.setenv("SECRET", "canary")
    monkeypatch.setenv("WHERE", str(tmp_path / "backups"))
    config = tmp_path / "litestream.yml"
    config.write_text(
        f"dbs:\n- dir: {tmp_path}/data\n  pattern: '*.db'\n"
        "  replica:\n    path: $WHERE\n    secret-access-key: ${SECRET}\n"
    )
    with contextlib.closing(Config("0.5", str(config))) as loaded:
        written = Path(loaded.file).read_text()
        assert "canary" not in written
        assert "${SECRET}" in written
        replicated = Config("0.5", loaded.file)
        assert [str(tmp_path / "data/a$HOME.db")] == replicated.paths
        (found,) = databases_of(replicated)
        assert "canary" == found.replicas[0]["secret-access-key"]
        assert [str(tmp_path / "backups/a$HOME.db")] == found.folders


def test_a_text_that_is_read_only_once_expanded_is_written_as_it_was_read(
    tmp_path: Path, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a.db")
    monkeypatch.setenv("ENTRIES", f"[{json.dumps(entry(tmp_path))}]")
    config = tmp_path / "litestream.yml"
    config.write_text("dbs: $ENTRIES\n")
    with contextlib.closing(Config("0.5", str(config))) as loaded:
        assert [str(tmp_path / "data/a.db")] == Config("0.5", loaded.file).paths


def test_a_url_s_query_stays(tmp_path: Path) -> None:
    directory = Directory.of(
        entry(tmp_path, replica={"url": "s3://bucket/app?endpoint=localhost:9000&region=x"})
    )
    found = directory.entry(str(tmp_path / "data/deep/my a.db"))
    url = "s3://bucket/app/deep/my%20a.db?endpoint=localhost:9000&region=x"
    assert url == found["replica"]["url"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"pattern": ""}, "no 'pattern:'"),
        ({"pattern": "["}, "The pattern"),
        ({"path": "a.db"}, "keep one"),
        ({"meta-path": "/a", "meta-dir": "/b"}, "keep one"),
    ],
)
def test_an_entry_that_says_two_things_is_refused(
    tmp_path: Path, more: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        _ = databases_of(Config("0.5", content={"dbs": [entry(tmp_path, **more)]}))


def test_a_directory_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    directory = Directory.of(entry(tmp_path))
    with pytest.raises(ConfigurationError, match=r"data' .*No such file"):
        directory.on_disk()
    assert [] == directory.databases(lost=True)


def test_no_database_is_opened_in_this_process(
    tmp_path: Path, make: Callable[..., Any], installed: Path
) -> None:
    connection = make("a.db")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO items VALUES ('held')")
    assert [str(tmp_path / "data/a.db")] == Directory.of(entry(tmp_path)).on_disk()
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    done = subprocess.run(
        ["python3", "-c", code, tmp_path / "data/a.db"], capture_output=True, text=True
    )
    assert "database is locked" in done.stderr
    connection.execute("COMMIT")


def test_what_was_no_database_is_looked_at_again(tmp_path: Path) -> None:
    directory = Directory.of(entry(tmp_path))
    path = tmp_path / "data" / "a.db"
    path.parent.mkdir()
    path.write_bytes(b"x" * 4096)
    assert [] == directory.on_disk()
    path.unlink()
    database(path).close()
    assert [str(path)] == wait_until(directory.on_disk, "the database")
