"""The config that a daemon of ours reads."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from litestream import ConfigurationError, ReplicationError, commands
from litestream._config import file as config_file
from litestream._config import runtime_directory
from litestream._config.config import Config
from litestream._executable.series import series as series_of
from litestream._replication import daemon_config
from tests.support import Site


def prepare(given: Any) -> daemon_config.Prepared:
    return daemon_config.prepare(daemon_config.sound(Config.load(given, series_of())), 1.0)


@pytest.mark.only_series("0.5")
def test_a_socket_of_the_users_own_is_used(site: Site) -> None:
    text = f"socket: {{enabled: true, path: {site.directory}/own.sock}}\n"
    text += f"dbs: [{{path: {site.database}, replica: {{path: /copies}}}}]\n"
    site.config.write_text(text)
    prepared = prepare(site.config)
    assert prepared.socket == f"{site.directory}/own.sock"
    assert (prepared.directory, prepared.config.path) == ("", str(site.config))
    site.config.write_text(text.replace("enabled: true", "enabled: false"))
    assert prepare(site.config).socket == ""


@pytest.mark.parametrize(
    ("databases", "problem"),
    [
        (5, "a mapping of each database's path"),
        ({5: "file:///backups"}, "not a path"),
        ({"app.db": Path("/backups")}, "must be a URL"),
        ({"app.db": "/backups"}, "must be a URL"),
        ({"app.db": []}, "no replica"),
        ({"s3://bucket/app": "app.db"}, "wrong way round"),
        ({"app.db": {"url": "s3://bucket/app", "regoin": "x"}}, "Did you mean 'region'"),
        ({"app.db": {"url": "s3://bucket/app", "monitor-interval": "1s"}}, "belongs to a database"),
        ({"app.db": {"url": "s3://bucket/app", "sync-interval": 10}}, "duration with its unit"),
        ({"app.db": {"url": "s3://bucket/app", "bucket": ["a"]}}, "takes text, not list"),
        ({"app.db": {"url": "s3://bucket/app", "skip-verify": "no"}}, "takes True or False"),
        ({"app.db": "sftp://user:hunter22@host/app"}, r"password in it.*user:\*\*\*@host"),
        ({"app.db": {"url": "sftp://user:hunter22@host/app"}}, r"password in it"),
    ],
)
def test_databases_of_another_kind(
    installed: Path, series: str, databases: Any, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        prepare(databases)
    assert "hunter22" not in str(caught.value)


def test_a_config_that_is_a_directory(installed: Path, series: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        prepare(tmp_path)


def test_a_path_that_no_config_can_name(site: Site) -> None:
    path = os.fsdecode(b"/srv/\xff.db")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        prepare({path: "file:///copies"})


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(
    "text",
    [
        "{dbs: [{path: ${DB}, replicas: [{type: file, path: /copies}]}]}",
        "{dbs: [{path: $DB, replicas: [{type: file, path: /copies}]}],}\n",
        "# Ours.\n{dbs: [{path: ${DB}, replicas: [{path: /copies}]}]} # the {end}\n",
        "dbs:\n- path: $DB\n  replicas: [{path: /copies}]\n...\n",
    ],
)
def test_the_socket_is_added_to_every_form_of_a_config(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DB", str(site.database))
    site.config.write_text(text)
    before = config_file.read(str(site.config))
    prepared = prepare(site.config)
    try:
        assert config_file.read(prepared.config.path) == {
            **before,
            "socket": {"enabled": True, "path": prepared.socket},
        }
        assert "$" in Path(prepared.config.path).read_text()
        (row,) = commands.databases(config=prepared.config)
        assert row["path"] == str(site.database)
    finally:
        runtime_directory.remove(prepared.directory)


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize(
    "text",
    [
        "dbs: [{path: $DB, replicas: [{path: /copies}]}]\nlogging: {level: warn, type: json}\n",
        "logging:\n  level: $LEVEL # ours\n  type: json\n"
        "dbs:\n- path: ${DB}\n  replicas: [{path: /copies}]\n",
        '\ufefflogging: {type: json, level: "${LEVEL}"}\r\n'
        "dbs: [{path: $DB, replicas: [{path: 2024.10, secret-access-key: 0123}]}]\r\n",
        "logging: &log {level: WA${HALF}N, type: json}\n"
        "dbs: [{path: $DB, replicas: [{path: /copies, access-key-id: $UNSET}]}]\n...\n",
    ],
)
def test_the_log_says_what_was_copied_whatever_its_level(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DB", str(site.database))
    monkeypatch.setenv("LEVEL", "WARN")
    monkeypatch.setenv("HALF", "R")
    site.config.write_bytes(text.encode())
    before = config_file.read(str(site.config))
    prepared = prepare(site.config)
    try:
        found = config_file.read(prepared.config.path)
        assert found["logging"] == {"level": "info", "type": "json"}
        assert found["dbs"] == before["dbs"]
        written = Path(prepared.config.path).read_bytes().decode()
        place = config_file.place_of(text, "logging", "level")
        assert place is not None
        assert written == f"{text[: place[0]]}info{text[place[1] :]}"
        assert prepared.job().unasked == ("INFO",)
    finally:
        runtime_directory.remove(prepared.directory)
    site.config.write_text(
        "dbs: [{path: $DB, replicas: [{path: /copies}]}]\nlogging: {level: debug}"
    )
    assert prepare(site.config).config.path == str(site.config)


@pytest.mark.only_series("0.3")
def test_a_log_level_that_cannot_be_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGGING", "{level: error}")
    site.config.write_text(f"dbs: [{{path: {site.database}, replicas: [{{path: /copies}}]}}]\n")
    with site.config.open("a") as file:
        file.write("logging: $LOGGING\n")
    with pytest.raises(ConfigurationError, match=r"log level that hides.*'level: info'"):
        prepare(site.config)


@pytest.mark.only_series("0.5")
def test_a_config_without_a_place_for_the_socket(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL", json.dumps(json.loads(site.config.read_text())))
    site.config.write_text("$ALL\n")
    with pytest.raises(ConfigurationError, match=r"litestream\.yml' leaves no place.*'socket:'"):
        prepare(site.config)


@pytest.mark.only_series("0.5")
@pytest.mark.usefixtures("installed", "series")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyError()])
def test_a_config_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(runtime_directory, "write", fail)
    expected = ReplicationError if isinstance(error, OSError) else KeyError
    with pytest.raises(expected) as caught:
        prepare({tmp_path / "app.db": "file:///copies"})
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
