"""The page about MinIO: its blocks run as they stand, on another S3 server, with its address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import litestream
from tests import projects
from tests.servers import Page
from tests.support import S3_KEY, S3_SECRET, S3Server, wait_until

PAGE = Page("minio")
(CODE,) = PAGE.code()
(CONFIG,) = [body for kind, body in PAGE.blocks if kind == "yaml"]
INIT, WHERE, KEYS, CHECK, RUN, VERIFY = PAGE.commands()


@pytest.fixture
def filled(s3_server: S3Server) -> Any:
    """Return a function that puts a bucket of the server's, and its keys, into a block."""
    replica = s3_server.replica()

    def fill(text: str) -> str:
        bucket = replica["bucket"]
        for shown, real in (
            ("http://127.0.0.1:9000", s3_server.endpoint),
            ("=backups", f"={bucket}"),
            ('"backups"', repr(bucket)),
            ("=KEY", f"={S3_KEY}"),
            ('"KEY"', repr(S3_KEY)),
            ("=SECRET", f"={S3_SECRET}"),
            ('"SECRET"', repr(S3_SECRET)),
        ):
            text = text.replace(shown, real)
        return text

    return fill


def shell(command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)


def test_the_commands(series: str, installed: Path, tmp_path: Path, filled: Any) -> None:
    projects.database(tmp_path / "app.db")
    (tmp_path / "serve.py").write_text("import time; time.sleep(60)")
    done = shell(INIT)
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load((tmp_path / "litestream.yml").read_text())
    shown = yaml.safe_load(CONFIG)
    assert [db["replicas"] for db in shown["dbs"]] == [db["replicas"] for db in written["dbs"]]
    (tmp_path / "litestream.yml").write_text(CONFIG)
    exports = f"{filled(WHERE)}; {filled(KEYS)}"
    done = shell(f"{exports}; {CHECK}")
    assert done.returncode == 0, done.stdout + done.stderr
    both = f"{exports}; {RUN} & RUN=$!; {VERIFY} --timeout 100; S=$?; kill $RUN; wait $RUN; exit $S"
    wait_until(lambda: shell(both).returncode == 0, "the proof")


def test_the_code(series: str, installed: Path, tmp_path: Path, filled: Any) -> None:
    projects.database(tmp_path / "app.db")
    found: dict[str, Any] = {}
    exec(compile(filled(CODE), "minio.md", "exec"), found)
    copy = litestream.commands.restore("app.db", config={"app.db": found["replica"]})
    assert copy.exists()


def test_a_url_with_the_host_in_it(make_site: Any, s3: S3Server, series: str) -> None:
    """The table's forms of a URL; the last one is of 0.5 alone."""
    bucket, host = s3.replica()["bucket"], s3.endpoint.removeprefix("http://")
    urls = [f"s3://{bucket}.{host.replace('127.0.0.1', 'localhost')}/one"]
    if series == "0.5":
        urls.append(f"s3://{bucket}/two?endpoint={s3.endpoint}")
    site = make_site()
    site.write(3)
    for url in urls:
        with litestream.Replication({site.database: url}, adopt=True) as replication:
            replication.sync()
        copy = litestream.commands.restore(
            site.database, site.directory / url[-3:], config={site.database: url}
        )
        assert site.rows(copy) == site.rows()
