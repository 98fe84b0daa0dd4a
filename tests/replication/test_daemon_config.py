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
from litestream._replication import daemon_config
from tests.support import Site


@pytest.mark.only_series("0.5")
def test_a_socket_of_the_users_own_is_used(site: Site) -> None:
    text = f"socket: {{enabled: true, path: {site.directory}/own.sock}}\n"
    text += f"dbs: [{{path: {site.database}, replica: {{path: /copies}}}}]\n"
    site.config.write_text(text)
    prepared = daemon_config.prepare(site.config, None, 1.0)
    assert prepared.socket == f"{site.directory}/own.sock"
    assert (prepared.directory, prepared.config) == ("", str(site.config))
    site.config.write_text(text.replace("enabled: true", "enabled: false"))
    assert daemon_config.prepare(site.config, None, 1.0).socket == ""


@pytest.mark.parametrize(
    ("databases", "problem"),
    [("app.db", "maps each path"), ({"app.db": Path("/backups")}, "must be a URL")],
)
def test_databases_of_another_kind(
    installed: Path, series: str, databases: Any, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        daemon_config.prepare(None, databases, 1.0)


def test_a_config_that_is_a_directory(installed: Path, series: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        daemon_config.prepare(tmp_path, None, 1.0)


def test_a_path_that_no_config_can_name(site: Site) -> None:
    path = os.fsdecode(b"/srv/\xff.db")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        daemon_config.prepare(None, {path: "file:///copies"}, 1.0)


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
    with daemon_config.readable(site.config, None) as prepared:
        assert config_file.read(prepared.config) == {
            **before,
            "socket": {"enabled": True, "path": prepared.socket},
        }
        assert "$" in Path(prepared.config).read_text()
        (row,) = commands.databases(config=prepared.config)
        assert row["path"] == str(site.database)


@pytest.mark.only_series("0.5")
def test_a_config_without_a_place_for_the_socket(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL", json.dumps(json.loads(site.config.read_text())))
    site.config.write_text("$ALL\n")
    with pytest.raises(ConfigurationError, match=r"litestream\.yml' leaves no place.*'socket:'"):
        daemon_config.prepare(site.config, None, 1.0)


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
        daemon_config.prepare(None, {tmp_path / "app.db": "file:///copies"}, 1.0)
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
