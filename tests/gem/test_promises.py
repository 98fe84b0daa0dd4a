"""What the README of litestream-ruby promises, on both series; docs/gem.md has the names."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import litestream
from litestream import commands
from tests.support import Site, executable, tokens

COMMAND = str(Path(sys.executable).with_name("litestream"))


def run(*argv: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [COMMAND, *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture
def home(replicated: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a Site whose config lies where the gem's installer puts it; we are in its folder."""
    (replicated.directory / "config").mkdir()
    replicated.config.rename(replicated.directory / "config" / "litestream.yml")
    monkeypatch.chdir(replicated.directory)
    return replicated


class TestInstallation:
    @pytest.mark.parametrize("relative", [True, False])
    def test_an_executable_of_ones_own(
        self, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".bin").mkdir()
        shutil.copy(executable("0.3"), tmp_path / ".bin" / "litestream")
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", ".bin" if relative else f"{tmp_path}/.bin")
        assert commands.version() == "0.3.13"
        assert run("version").stdout == "v0.3.13\n"

    def test_a_directory_without_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
        with pytest.raises(litestream.ExecutableNotFoundError):
            commands.version()
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "nope"))
        with pytest.raises(litestream.DirectoryNotFoundError):
            commands.version()


class TestConfiguration:
    def test_the_values_fill_the_variables_of_the_config(self, site: Site) -> None:
        text = site.config.read_text().replace(str(site.replica_path), "$LITESTREAM_REPLICA_BUCKET")
        site.config.write_text(text)
        litestream.configure(replica_bucket=str(site.replica_path), replica_key_id="id")
        site.write(3)
        with litestream.Replication(site.config) as replication:
            replication.sync()
        assert site.replica_path.is_dir()
        assert "LITESTREAM_REPLICA_BUCKET" not in os.environ

    def test_a_variable_that_is_set_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LITESTREAM_REPLICA_BUCKET", "set")
        litestream.configure(replica_bucket="configured")
        assert "LITESTREAM_REPLICA_BUCKET=set" in run("env").stdout


class TestCommandLine:
    @pytest.mark.parametrize(
        ("verb", "columns"),
        [
            ("databases", None),
            ("generations", "name generation lag start end"),
            ("snapshots", "replica generation index size created"),
        ],
    )
    def test_the_listings(self, verb: str, columns: str | None, home: Site, series: str) -> None:
        done = run(verb, *([] if verb == "databases" else [home.database]))
        assert done.returncode == 0, done.stderr
        header, row = done.stdout.splitlines()
        # 0.5's own 'databases' says 'replica': it has one
        expected = columns or ("path replicas" if series == "0.3" else "path replica")
        assert header.split() == expected.split()
        assert len(row.split()) == len(expected.split())

    def test_restore_takes_the_executables_options(self, home: Site) -> None:
        done = run("restore", "-o", "copy.db", "-parallelism", "2", home.database)
        assert done.returncode == 0, done.stderr
        assert home.rows(Path("copy.db").absolute()) == home.rows()
        assert run("restore", "-o", "copy.db", home.database).returncode == 1
        assert run("restore", "-if-db-not-exists", "-o", "copy.db", home.database).returncode == 0

    def test_a_missing_backup_can_be_no_error(self, site: Site) -> None:
        base = ["restore", "-config", site.config, "-o", site.directory / "copy.db"]
        assert run(*base, site.database).returncode == 1
        assert run(*base, "-if-replica-exists", site.database).returncode == 0

    def test_a_command_beside_the_daemon(self, home: Site) -> None:
        done = run("replicate", "-exec", "echo beside")
        assert (done.returncode, "beside" in done.stdout) == (0, True)


class TestRows:
    def test_databases(self, home: Site) -> None:
        assert commands.databases() == [{"path": str(home.database), "replicas": "file"}]

    def test_generations(self, home: Site) -> None:
        (row,) = commands.generations("app.db")
        assert list(row) == ["name", "generation", "lag", "start", "end"]

    def test_snapshots(self, home: Site) -> None:
        (row,) = commands.snapshots("app.db")
        assert list(row) == ["replica", "generation", "index", "size", "created"]
        assert isinstance(row["index"], int)  # the gem has text
        assert isinstance(row["size"], int)

    def test_all_of_it(self, home: Site) -> None:
        (database,) = litestream.databases()
        (generation,) = database["generations"]
        assert generation["snapshots"]


class TestRestore:
    def test_it_goes_beside_the_database_with_the_time_in_its_name(self, home: Site) -> None:
        before = home.rows()
        path = commands.restore("app.db")
        assert path.parent == home.directory
        assert re.fullmatch(r"app-\d{14}\.db", path.name)
        assert home.rows(path) == home.rows() == before


class TestVerify:
    def test_a_backup_that_is_up_to_date(self, running: Site, temporary: Path) -> None:
        before = set(running.directory.iterdir())
        for _ in range(2):
            assert litestream.verify(running.database, config=running.config, directory=temporary)
        assert tokens(running) == 0
        assert list(temporary.iterdir()) == []
        left = {path.name for path in set(running.directory.iterdir()) - before}
        assert left == {".app.db-litestream.history"}
        figures = commands.verify(running.database, config=running.config)
        assert list(figures["size"]) == list(figures["tables"]) == ["original", "restored"]
        assert list(figures) == ["size", "tables"]

    def test_a_backup_that_is_not(self, home: Site) -> None:
        """Nothing replicates: the row never comes back."""
        with pytest.raises(litestream.VerificationFailure) as failed:
            litestream.verify("app.db", timeout=1)
        assert failed.value.reason == "stale"
        assert tokens(home) == 0

    def test_a_mistyped_path_makes_no_file(self, home: Site) -> None:
        with pytest.raises(litestream.LitestreamError):
            litestream.verify("ap.db", timeout=1)
        assert not Path("ap.db").exists()

    def test_what_is_restored_can_be_opened(self, home: Site) -> None:
        with closing(sqlite3.connect(commands.restore("app.db"))) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class TestProcess:
    def test_the_daemon_beside_the_application(self, home: Site) -> None:
        assert litestream.replicate_process() is None
        with litestream.Replication() as replication:
            replication.sync()
            found = litestream.replicate_process()
            assert found is not None
            assert list(found) == ["pid", "status", "started"]
            assert found["pid"] == replication.pid
        assert litestream.replicate_process() is None
