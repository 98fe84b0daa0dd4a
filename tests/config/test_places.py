"""Where a replica is, however the config writes it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import BackupExistsError, ConfigurationError, Replication, commands
from litestream._config import places
from litestream._config.config import Config
from litestream._config.database import databases_of
from litestream._executable.find import find as find_executable
from tests.support import Site

BOTH = ("0.3", "0.5")
AWS = {"type": "s3", "bucket": "b", "path": "app"}
OWN = {**AWS, "endpoint": "https://minio.example:9000"}
SFTP = {"type": "sftp", "host": "h", "user": "u", "path": "/app"}
DAV = {"type": "webdav", "webdav-url": "https://one.example/dav", "path": "app"}
NATS = {"type": "nats", "url": "nats://one.example/app"}
AZURE = {"type": "abs", "account-name": "one", "bucket": "b", "path": "app"}

SAME: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({"path": "/r"}, {"type": "file", "path": "/r"}, BOTH),
    ({"path": "/r"}, {"url": "file:///r"}, BOTH),
    ({"path": "/r"}, {"url": "file:///r/"}, BOTH),
    ({"path": "/r"}, {"path": "/r//"}, BOTH),
    ({"path": "/r/x"}, {"path": "/r/y/../x"}, BOTH),
    ({"path": "/r/x"}, {"url": "file://r/x"}, BOTH),
    ({"path": "/r"}, {"url": "FILE:///r"}, BOTH),
    ({"path": "/r"}, {"path": "/r", "name": "other", "sync-interval": "9s"}, BOTH),
    ({"path": "~/r"}, {"path": f"{pwd.getpwuid(os.getuid()).pw_dir}/r"}, BOTH),
    (AWS, {"url": "s3://b/app"}, BOTH),
    (AWS, {"url": "s3://b/app/"}, BOTH),
    (AWS, {**AWS, "path": "/app/"}, BOTH),
    (AWS, {**AWS, "region": "eu-central-1"}, BOTH),
    (AWS, {**AWS, "endpoint": "https://s3.eu-central-1.amazonaws.com"}, BOTH),
    (AWS, {**AWS, "access-key-id": "another"}, BOTH),
    (AWS, {"url": "s3://b.s3.eu-central-1.amazonaws.com/app"}, ("0.5",)),
    (OWN, {**OWN, "endpoint": "minio.example:9000/"}, BOTH),
    (OWN, {"url": "s3://b/app", "endpoint": "https://minio.example:9000"}, BOTH),
    (OWN, {"url": "s3://b/app?endpoint=minio.example:9000"}, ("0.5",)),
    ({**AWS, "endpoint": "https://m.io"}, {**AWS, "endpoint": "https://M.io:443"}, BOTH),
    ({**AWS, "endpoint": "http://localhost:9000"}, {"url": "s3://b.localhost:9000/app"}, BOTH),
    ({**AWS, "endpoint": "http://m:9000"}, {"url": "s3://b.m:9000/app"}, ("0.5",)),
    (
        {**AWS, "endpoint": "https://fra1.digitaloceanspaces.com"},
        {"url": "s3://b.fra1.digitaloceanspaces.com/app"},
        BOTH,
    ),
    (
        {**AWS, "bucket": "arn:aws:s3:eu-west-1:1:accesspoint/p"},
        {"url": "s3://arn:aws:s3:eu-west-1:1:accesspoint/p/app"},
        ("0.5",),
    ),
    ({"type": "gcs", "bucket": "b", "path": "app"}, {"url": "gcs://b/app"}, ("0.3",)),
    ({"type": "gs", "bucket": "b", "path": "app"}, {"url": "gs://b/app"}, ("0.5",)),
    (AZURE, {"url": "abs://one@b/app"}, BOTH),
    (AZURE, {**AZURE, "endpoint": "https://one.blob.core.windows.net"}, BOTH),
    (SFTP, {**SFTP, "host": "h:22", "path": "/app/", "password": "p"}, BOTH),
    (SFTP, {"url": "sftp://u:p@h/app"}, BOTH),
    (DAV, {**DAV, "path": "/app/", "webdav-url": "https://one.example:443/dav/"}, ("0.5",)),
    (DAV, {"url": "webdavs://u:p@one.example/dav/app"}, ("0.5",)),
    (NATS, {"url": "nats://u:p@one.example:4222/app/"}, ("0.5",)),
    (NATS, {"type": "nats", "url": "nats://one.example", "bucket": "app"}, ("0.5",)),
    (
        {"type": "oss", "bucket": "b", "path": "a", "region": "cn-x"},
        {"url": "oss://b.oss-cn-x.aliyuncs.com/a"},
        ("0.5",),
    ),
]

APART = [
    ({"path": "/r"}, {"path": "/s"}),
    ({"path": "/r"}, {"path": "/r/s"}),
    (AWS, {**AWS, "path": "other"}),
    (AWS, {**AWS, "bucket": "other"}),
    (AWS, OWN),
    (OWN, {**OWN, "endpoint": "https://minio.example:9001"}),
    (AWS, {**AWS, "type": "gs"}),
    (AZURE, {**AZURE, "account-name": "two"}),
    (SFTP, {**SFTP, "user": "v"}),
    (SFTP, {**SFTP, "host": "i"}),
    (SFTP, {**SFTP, "host": "h:2222"}),
    (SFTP, {**SFTP, "path": "app"}),  # below the home directory
    (DAV, {**DAV, "webdav-url": "https://two.example/dav"}),
    (DAV, {**DAV, "webdav-url": "https://one.example/vad"}),
    (NATS, {"type": "nats", "url": "nats://two.example/app"}),
    (NATS, {"type": "nats", "url": "nats://one.example/bpp"}),
    ({"type": "sftp", "url": "not a [url"}, AWS),
]


def check(one: dict[str, Any], two: dict[str, Any], series: str, **top: Any) -> None:
    dbs = [{"path": f"/{name}.db", "replicas": [r]} for name, r in (("a", one), ("b", two))]
    assert databases_of(Config(series, content={"dbs": dbs, **top}))


@pytest.mark.parametrize(
    ("one", "two", "line"), [(one, two, line) for one, two, lines in SAME for line in lines]
)
def test_one_place_written_in_two_ways(one: dict[str, Any], two: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'/a.db' and '/b.db' have the same replica"):
        check(one, two, line)


@pytest.mark.parametrize("line", BOTH)
@pytest.mark.parametrize(("one", "two"), APART)
def test_two_places(one: dict[str, Any], two: dict[str, Any], line: str) -> None:
    check(one, two, line)


@pytest.mark.parametrize(
    ("one", "two", "top"),
    [
        (AWS, {"type": "s3", "path": "app"}, {"bucket": "b"}),
        (OWN, AWS, {"endpoint": "https://minio.example:9000"}),
        (AZURE, {"type": "abs", "bucket": "b", "path": "app"}, {"account-name": "one"}),
        (SFTP, {"type": "sftp", "path": "/app"}, {"host": "h", "user": "u"}),
    ],
)
def test_05_takes_the_rest_from_the_top_level(
    one: dict[str, Any], two: dict[str, Any], top: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="the same replica"):
        check(one, two, "0.5", **top)
    check(one, two, "0.3", **top)


def test_a_directory_under_two_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ConfigurationError, match="the same replica"):
        check({"path": f"{tmp_path}/real/r"}, {"url": f"file://{tmp_path}/link/r"}, "0.5")


@pytest.mark.parametrize(
    ("dbs", "problem"),
    [
        ([{"path": "/a.db"}, {"path": "/x/../a.db"}], "in the config twice"),
        (
            [{"path": "/a.db", "meta-path": "/m"}, {"path": "/b.db", "meta-path": "/m/"}],
            "meta-path",
        ),
        ([{"path": "/a.db", "replicas": [{"path": "/.a.db-litestream"}]}], "keeps its state"),
        (
            [{"path": "/a.db"}, {"path": "/b.db", "replicas": [{"path": "/.a.db-litestream/b"}]}],
            "the replica of '/b.db', '/.a.db-litestream/b', lies in",
        ),
        (
            [
                {"path": "/a.db", "replicas": [{"path": "/r"}]},
                {"path": "/b.db", "replicas": [{"path": "/r/ltx/0"}]},
            ],
            "lies among the backups in the replica of '/a.db'",
        ),
    ],
)
def test_what_would_be_destroyed_otherwise(dbs: list[dict[str, Any]], problem: str) -> None:
    for number, entry in enumerate(dbs):
        entry.setdefault("replicas", [{"path": f"/replica/{number}"}])
    with pytest.raises(ConfigurationError, match=f"(?i){problem}"):
        assert databases_of(Config("0.5", content={"dbs": dbs}))


def test_a_database_under_two_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    dbs = [
        {"path": f"{tmp_path}/{folder}/a.db", "replicas": [{"path": f"/{folder}"}]}
        for folder in ("real", "link")
    ]
    with pytest.raises(ConfigurationError, match="in the config twice, as"):
        assert databases_of(Config("0.5", content={"dbs": dbs}))


def test_two_replicas_in_one_place() -> None:
    replicas = [{"path": "/r"}, {"name": "second", "url": "file:///r"}]
    with pytest.raises(ConfigurationError, match="Two replicas of '/a"):
        assert databases_of(
            Config("0.3", content={"dbs": [{"path": "/a.db", "replicas": replicas}]})
        )


@pytest.mark.parametrize(
    ("replica", "directory"),
    [
        ({"path": "/backups"}, "/backups"),
        ({"url": "file:///backups/"}, "/backups"),
        ({"url": "file:///my disk"}, None),
        ({"url": "file:///my%20disk"}, None),
        ({"type": "s3", "path": "x"}, None),
        ({"url": "s3://bucket/x"}, None),
        ({"path": "s3://bucket/x"}, None),
    ],
)
def test_the_directory_of_a_replica(replica: dict[str, str], directory: str | None) -> None:
    assert directory == places.directory(replica)


def two_databases(site: Site, replicas: dict[str, dict[str, Any]]) -> None:
    """Make databases in a site's directory, their names in them, and a config for them."""
    dbs = []
    for name, replica in replicas.items():
        path = site.directory / name
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE whose (name TEXT)")
            connection.execute("INSERT INTO whose VALUES (?)", (name,))
        entry = {"path": str(path), "monitor-interval": "50ms"}
        dbs.append({**entry, "replicas": [{"sync-interval": "50ms", **replica}]})
    site.config.write_text(json.dumps({"dbs": dbs}))


def whose(site: Site, name: str) -> str:
    copy = commands.restore(site.directory / name, f"{name}.copy", config=site.config)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        return str(connection.execute("SELECT name FROM whose").fetchone()[0])


def test_the_loss_that_a_shared_replica_is(site: Site) -> None:
    """Litestream takes such a config, and gives the rows of one database for the other's."""
    place = site.replica_path
    two_databases(site, {"a.db": {"path": f"{place}"}, "b.db": {"url": f"file://{place}"}})
    site.start()
    site.database = site.directory / "a.db"
    site.wait_for_backup(snapshot=True)
    site.stop()
    try:
        names = {whose(site, name) for name in ("a.db", "b.db")}
    except litestream.LitestreamError:
        names = {"neither"}
    assert names != {"a.db", "b.db"}
    for refused in (
        lambda: Replication(site.config).start(),
        lambda: litestream.recover(config=site.config),
    ):
        with pytest.raises(ConfigurationError, match="the same replica"):
            refused()


def test_a_replica_above_another_does_no_harm(site: Site) -> None:
    place = site.replica_path
    two_databases(site, {"a.db": {"path": f"{place}"}, "b.db": {"path": f"{place}/b"}})
    for _ in range(2):
        with Replication(site.config) as replication:
            replication.sync()
    assert {name: whose(site, name) for name in ("a.db", "b.db")} == {
        "a.db": "a.db",
        "b.db": "b.db",
    }


def test_a_home_directory_is_the_executables(
    site: Site, series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME may lead elsewhere; both series ask the user database."""
    site.back_up(snapshot=True)
    elsewhere = tmp_path / "another" / "home" / "directory"
    elsewhere.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(elsewhere))
    home = pwd.getpwuid(os.getuid()).pw_dir
    below = f"~/{os.path.relpath(site.replica_path, home)}"
    entry = {"path": str(site.database), "replicas": [{"path": below}]}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    (database,) = databases_of(Config(series, str(site.config)))
    assert database.folders == [str(site.replica_path)]
    assert commands.snapshots(site.database, config=site.config)
    for path in site.directory.glob(".app.db-litestream*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BackupExistsError), Replication(site.config):
        pass


def test_a_name_that_begins_with_a_tilde_is_no_home_directory(
    site: Site, series: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.directory)
    site.replica_path = site.directory / "~root"
    entry = {"path": str(site.database), "replicas": [{"path": "~root"}]}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    (database,) = databases_of(Config(series, str(site.config)))
    assert database.folders == [str(site.directory / "~root")]
    site.back_up(snapshot=True)
    assert commands.snapshots(site.database, config=site.config)


@pytest.mark.parametrize("scheme", ["file:", "File:"])
def test_the_loss_that_a_url_with_one_slash_hides(site: Site, scheme: str) -> None:
    """Litestream takes it for the directory, so a guard that does not sees no backups."""
    site.back_up(snapshot=True)
    entry = {"path": str(site.database), "replicas": [{"url": f"{scheme}{site.replica_path}"}]}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    ran = subprocess.run(
        [find_executable(), "restore", "-config", site.config, "-o", "copy", site.database],
        cwd=site.directory,
        check=True,
        capture_output=True,
    )
    assert (site.directory / "copy").exists(), ran
    for refused in (
        lambda: Replication(site.config).start(),
        lambda: litestream.recover(config=site.config),
    ):
        with pytest.raises(ConfigurationError, match="three slashes"):
            refused()
