"""What a config says, read as the executable reads it."""

from __future__ import annotations

import json
import os
import pwd
from typing import Any

import pytest

import litestream
from litestream import ConfigurationError, Replication, commands
from litestream._config.config import Config
from litestream._config.database import databases_of
from tests.support import Site

FILE = {"url": "file:///copies"}


def test_paths_intervals_and_meta_paths() -> None:
    entry: dict[str, Any] = {
        "path": "~/a.db",
        "meta-path": "~/meta",
        "replicas": [{**FILE, "sync-interval": "1m30s"}],
    }
    (found,) = databases_of(Config("0.5", content={"dbs": [entry]}))
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert (found.path, found.meta) == (f"{home}/a.db", f"{home}/meta")
    assert found.interval == 90
    entry = {"path": "sqlite:///a.db", "replica": FILE}
    (found,) = databases_of(Config("0.5", content={"dbs": [entry]}))
    assert found.path == "/a.db"
    assert found.meta == "/.a.db-litestream"
    assert found.interval == 1


def test_two_leading_slashes_are_one(site: Site) -> None:
    """As in `${ROOT}/app.db` where ROOT is `/`."""
    text = site.config.read_text()
    site.config.write_text(text.replace(json.dumps(str(site.database)), f'"/{site.database}"'))
    with Replication(site.config):
        for database in (str(site.database), f"/{site.database}"):
            assert litestream.verify(database, config=site.config)


def test_a_relative_path_in_a_directory_behind_a_link(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell leaves the link in PWD: `cd current`, where that leads to a release."""
    link = site.directory.with_name("current")
    link.symlink_to(site.directory)
    monkeypatch.chdir(link)
    monkeypatch.setenv("PWD", str(link))
    text = site.config.read_text()
    site.config.write_text(text.replace(str(site.database), site.database.name))
    name = site.database.name
    with Replication("litestream.yml") as replication:
        site.write(3)
        replication.sync()
        assert litestream.verify(name, config="litestream.yml")
    copy = commands.restore(name, "copy.db", config="litestream.yml")
    assert site.rows(copy) == site.rows()


@pytest.mark.parametrize(
    ("dbs", "line", "problem"),
    [
        (["a.db"], "0.5", "not a mapping"),
        ([{"path": "a.db", "replica": FILE}], "0.3", "0.3 ignores 'replica:'"),
        ([{"path": "a%41.db", "replicas": [FILE]}], "0.5", "stray file"),
        ([{"dir": "/data", "replicas": [FILE]}], "0.3", "no 'path:'"),
        ([{"dir": "/data", "replica": FILE}], "0.5", "no 'pattern:'"),
        ([{"path": "a?.db", "replicas": [FILE]}], "0.3", "stray file"),
        (5, "0.3", "not a list"),
        ([{"replicas": [FILE]}], "0.5", "no 'path:'"),
        ([{"path": "a.db", "replicas": FILE}], "0.5", "are not a list"),
        ([{"path": "a.db", "replicas": [FILE, FILE]}], "0.5", "takes one"),
        ([{"path": "a.db"}], "0.3", "no replica"),
        ([], "0.3", "names no database"),
    ],
)
def test_what_would_not_be_replicated_is_refused(dbs: Any, line: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        assert databases_of(Config(line, content={"dbs": dbs}))
