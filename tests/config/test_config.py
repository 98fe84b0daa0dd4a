"""What is read from the config about one database."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream._config import file as config_file
from litestream._config.config import Config
from litestream._config.database import database_of
from litestream._executable.series import series as series_of
from tests.support import PATIENCE


def find(tmp_path: Path, entry: Mapping[str, object], replica: str | None = None, **top: object):
    config = tmp_path / "litestream.yml"
    config.write_text(json.dumps({"dbs": [entry], **top}))
    return database_of(Config.load(config, series_of()), tmp_path / "app.db", replica)


@pytest.mark.parametrize(
    ("replicas", "folders"),
    [
        ({"replicas": [{"type": "file", "path": "/backups/app"}]}, ["/backups/app"]),
        ({"replicas": [{"path": "/backups/app"}]}, ["/backups/app"]),
        ({"replicas": [{"url": "file:///backups/app"}]}, ["/backups/app"]),
        ({"replicas": [{"url": "s3://bucket/app"}]}, None),
        ({"replicas": [{"type": "s3", "bucket": "b", "path": "app"}]}, None),
    ],
)
@pytest.mark.usefixtures("installed")
def test_the_folder_of_a_file_replica(tmp_path, series, replicas, folders):
    source = find(tmp_path, {"path": str(tmp_path / "app.db"), **replicas})
    assert folders == source.folders
    assert str(tmp_path / ".app.db-litestream") == source.meta
    config = source.config
    assert ("", {}, series) == (config.metrics, config.flags, config.series)


@pytest.mark.only_series("0.3")
@pytest.mark.usefixtures("installed", "series")
def test_one_of_several_replicas(tmp_path):
    replicas = [{"path": "/one"}, {"name": "second", "path": "/two"}]
    entry = {"path": str(tmp_path / "app.db"), "replicas": replicas}
    assert ["/two"] == find(tmp_path, entry, "second").folders
    assert ["/one"] == find(tmp_path, entry, "file").folders
    assert ["/one", "/two"] == find(tmp_path, entry).folders


@pytest.mark.usefixtures("installed", "series")
def test_a_database_without_a_replica(tmp_path):
    with pytest.raises(litestream.ConfigurationError, match="copied nowhere"):
        find(tmp_path, {"path": str(tmp_path / "app.db")})


@pytest.mark.only_series("0.5")
@pytest.mark.usefixtures("installed", "series")
def test_series_05_has_one_replica(tmp_path):
    with pytest.raises(litestream.UnsupportedCommandError, match="one replica"):
        litestream.verify(tmp_path / "app.db", replica="second")


@pytest.mark.usefixtures("installed", "series")
def test_references_are_expanded_as_litestream_does(tmp_path, monkeypatch):
    monkeypatch.setenv("APP_HOME", str(tmp_path))
    entry = {
        "path": "${APP_HOME}/app.db",
        "meta-path": "$APP_HOME/state",
        "replicas": [{"path": "/backups"}],
    }
    source = find(tmp_path, entry, addr="127.0.0.1:9090")
    assert (str(tmp_path / "state"), "127.0.0.1:9090") == (source.meta, source.config.metrics)


@pytest.mark.usefixtures("installed", "series")
def test_a_path_with_a_dollar_is_found_as_it_is(tmp_path):
    entry = {"path": str(tmp_path / "$HOME.db"), "replicas": [{"path": "/backups"}]}
    config = tmp_path / "litestream.yml"
    config.write_text(json.dumps({"dbs": [entry]}))
    found = database_of(Config.load(config, series_of()), tmp_path / "$HOME.db")
    assert found.config.flags == {"no_expand_env": True}


@pytest.mark.usefixtures("installed", "series")
def test_a_database_that_is_not_there(tmp_path):
    with pytest.raises(litestream.ConfigurationError, match="The databases there: '/elsewhere"):
        find(tmp_path, {"path": "/elsewhere.db", "replicas": [{"path": "/backups"}]})


@pytest.mark.usefixtures("installed")
def test_replicas_are_known_by_their_names_or_types(tmp_path, series):
    replicas = [{"url": "s3://bucket/app"}, {"name": "near", "path": "/near"}]
    entry = {"path": str(tmp_path / "app.db"), "replicas": replicas}
    if series == "0.3":
        assert [replicas[0]] == find(tmp_path, entry, "s3").replicas
        assert [replicas[1]] == find(tmp_path, entry, "near").replicas
        with pytest.raises(litestream.ConfigurationError, match="Its replicas: 's3', 'near'"):
            find(tmp_path, entry, "far")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_is_forked_while_a_thread_reads_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "litestream.yml"
    path.write_text("dbs: []")
    reads, goes_on = threading.Event(), threading.Event()
    parse = config_file.parse

    def slow(*arguments: Any, **options: Any) -> dict[str, Any]:
        reads.set()
        assert goes_on.wait(PATIENCE)
        return parse(*arguments, **options)

    monkeypatch.setattr(config_file, "parse", slow)
    thread = threading.Thread(target=lambda: Config("0.5", str(path)).content)
    thread.start()
    try:
        assert reads.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            goes_on.set()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(5)  # it would wait for ever
            os._exit(0 if Config("0.5", str(path)).content == {"dbs": []} else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        goes_on.set()
        thread.join()
