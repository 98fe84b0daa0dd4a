"""What the gem's tests check of the daemon, of its page and of its installer.

What differs, and why:

- The gem asks ``systemctl status``, by a command that can be set, and reads what it prints; else
  ``ps``. Here the daemon itself is asked over its socket (0.5), or found in the process table,
  under systemd as anywhere. So there is no such setting.
- Its page shows one process. Here each database has its daemon's state, pid and last sync. The
  daemon's start is in ``replicate_process()``.
- Its page takes a controller of Rails' as its base, for the host's own login. Here ``auth=`` says
  who may see the page (``test_dashboard.py``, under four hosts).
- Its installer writes an initializer, which fetches the credentials. That is Rails' own. Here
  ``configure()`` or ``LITESTREAM_SETTINGS`` do it (``test_settings.py``).
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream._cli.listings import table
from tests import projects
from tests.gem.conftest import NAMES
from tests.support import Site, wait_until

COMMAND = Path(sys.executable).with_name("litestream")


class TestProcess:
    @pytest.fixture
    def daemon(self, make_site: Any) -> Site:
        site: Site = make_site()
        site.start()
        return site

    def test_it_is_found_as_anybody_starts_it(self, daemon: Site) -> None:
        """A service of systemd's is a process like this one, with an absolute path and a config."""
        found = wait_until(
            lambda: litestream.replicate_process(config=daemon.config), "the daemon in the table"
        )
        assert daemon.daemon is not None
        assert found["pid"] == daemon.daemon.pid
        assert found["status"] in ("running", "sleeping")
        started = datetime.datetime.fromisoformat(found["started"].replace("Z", "+00:00"))
        assert started <= datetime.datetime.now(datetime.timezone.utc)

    def test_a_command_that_only_looks_like_it_is_none(self, site: Site) -> None:
        """The gem searches lines of ``ps`` for two words, and has to leave out its own."""
        words = ["rails litestream:replicate", "litestream", "replicate", str(site.config)]
        sleeper = [sys.executable, "-c", "input()", *words]
        with subprocess.Popen(sleeper, stdin=subprocess.PIPE) as process:
            assert litestream.replicate_process(config=site.config) is None
            process.communicate(b"\n")


class TestTables:
    ROWS = (
        {"path": "/storage/database.db", "replicas": "s3"},
        {"path": "/storage/another-database.db", "replicas": "s3"},
    )

    def check(self, printed: str, name: str) -> None:
        header, *lines = printed.splitlines()
        assert header.split() == ["path", name]
        assert len(lines) == len(self.ROWS)
        for line, row in zip(lines, self.ROWS, strict=True):
            assert line.startswith(row["path"])
            assert line.index(row["replicas"], len(row["path"])) == header.index(name)

    def test_of_ours(self) -> None:
        self.check(table(["path", "replicas"], self.ROWS), "replicas")

    def test_of_the_executables(self, series: str, installed: Path, tmp_path: Path) -> None:
        replica = {"type": "s3", "bucket": "b"}
        dbs = [{"path": row["path"], "replicas": [replica]} for row in self.ROWS]
        (tmp_path / "litestream.yml").write_text(json.dumps({"dbs": dbs}))
        done = subprocess.run([COMMAND, "databases"], capture_output=True, text=True)
        self.check(done.stdout, "replicas" if series == "0.3" else "replica")


def test_the_page_shows_the_daemon_and_the_backups(running: Site, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    from tests.dashboard.pages import ids_of, opened

    with opened(str(running.config), tmp_path / "kept") as browser:
        (one,) = ids_of(browser.text("/"))
        page = browser.text(f"/database/{one}")
        assert running.daemon is not None
        assert f"<dt>Daemon's pid</dt><dd>{running.daemon.pid}</dd>" in page
        assert f"<bdi>{running.database.name}</bdi>" in page
        assert f"<bdi>{running.directory}" in page
        assert "replicating" in page
        browser.press(f"/database/{one}", "refresh")
        wait_until(lambda: "Snapshots: " in browser.text(f"/database/{one}"), "the listing")
        text = re.sub(r"<[^>]*>", " ", browser.text(f"/database/{one}"))
        (generation,) = litestream.commands.generations(running.database, config=running.config)
        assert generation["generation"] in text
        assert generation["start"].strip("Z").replace("T", " ") in text


def test_the_installer_writes_a_config_for_every_database(
    series: str, installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    for name in ("data", "queue", "errors"):
        projects.database(tmp_path / "storage" / f"{name}.sqlite3")
    words = [str(COMMAND), "init", "--output", "config/litestream.yml", "--relative"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "config" / "litestream.yml").read_text()
    for name in ("data", "queue", "errors"):
        assert f"- path: storage/{name}.sqlite3\n" in text
    for key, name in zip(("bucket", "access-key-id", "secret-access-key"), NAMES, strict=True):
        assert f"{key}: ${name}\n" in text
        assert name in done.stdout
    litestream.configure(replica_bucket="b")
    rows = litestream.commands.databases()  # found there by itself
    assert len(rows) == 3
