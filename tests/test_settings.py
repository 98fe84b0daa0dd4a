"""The settings of the application, and the command: `LITESTREAM_SETTINGS`, variables by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import _settings, cli, commands
from tests.support import S3_KEY, S3_SECRET, S3Server

COMMAND = Path(sys.executable).parent / "litestream"
VAULT = f"""
import litestream

def keys():
    litestream.configure(replica_key_id={S3_KEY!r}, replica_access_key={S3_SECRET!r},
                         variables={{"SHOP_TOKEN": "canary-of-the-shop"}})

def broken():
    raise RuntimeError("the vault is sealed")
"""


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vault.py").write_text(VAULT)
    monkeypatch.setenv("LITESTREAM_SETTINGS", "vault:keys")


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    words = [str(COMMAND), *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


@pytest.mark.usefixtures("vault")
def test_the_command_has_the_keys_of_the_application(make_site: Any, s3_server: S3Server) -> None:
    site = make_site(replica=s3_server.replica())
    site.write(3)
    add = f"import sqlite3; c = sqlite3.connect({str(site.database)!r}); "
    add += "c.execute('CREATE TABLE IF NOT EXISTS more (x)'); c.commit(); "
    add += "import os; assert 'SHOP_TOKEN' not in os.environ"
    done = run("run", "--config", site.config, "--", sys.executable, "-c", add)
    assert done.returncode == 0, done.stderr
    assert S3_SECRET not in done.stderr
    done = run("restore", "-config", site.config, "-o", site.directory / "copy.db", site.database)
    assert done.returncode == 0, done.stderr
    assert (site.directory / "copy.db").exists()


@pytest.mark.usefixtures("vault")
def test_env_shows_what_the_application_configures() -> None:
    shown = run("env").stdout
    assert "LITESTREAM_SECRET_ACCESS_KEY='***'" in shown
    assert "SHOP_TOKEN='***'" in shown
    assert "canary-of-the-shop" not in shown
    assert "SHOP_TOKEN=canary-of-the-shop" in run("env", "--show-secrets").stdout


@pytest.mark.parametrize(
    ("named", "because"),
    [
        ("vault:broken", "RuntimeError: the vault is sealed"),
        ("vault:nothing", "AttributeError"),
        ("no_such_vault:keys", "No module named 'no_such_vault'"),
    ],
)
@pytest.mark.usefixtures("vault")
def test_what_cannot_be_called_is_one_error(
    named: str, because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITESTREAM_SETTINGS", named)
    done = run("env")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"litestream: LITESTREAM_SETTINGS={named} could not be called: ")
    assert because in done.stderr
    assert "Traceback" not in done.stderr


def test_variables_of_other_providers_reach_the_child_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    litestream.configure(
        variables={"AWS_SESSION_TOKEN": "token-canary", "LITESTREAM_AZURE_ACCOUNT_KEY": "azure-key"}
    )
    litestream.configure(variables={"SFTP_PASSWORD": "pass-canary", "NATS_HOST": "nats.example"})
    found = _settings.environment()
    assert found["AWS_SESSION_TOKEN"] == "token-canary"
    assert found["LITESTREAM_AZURE_ACCOUNT_KEY"] == "azure-key"
    said = "token-canary azure-key pass-canary nats.example"
    assert _settings.masked(said) == "*** *** *** nats.example"
    monkeypatch.setenv("SFTP_PASSWORD", "set-by-hand")
    assert _settings.environment()["SFTP_PASSWORD"] == "set-by-hand"
    assert _settings.masked("set-by-hand") == "***"
    litestream.configure(variables={"AWS_SESSION_TOKEN": None})
    assert "AWS_SESSION_TOKEN" not in _settings.environment()


def test_a_setting_has_one_value_by_either_name() -> None:
    litestream.configure(variables={"LITESTREAM_REPLICA_BUCKET": "one"})
    litestream.configure(replica_bucket="two")
    assert _settings.environment()["LITESTREAM_REPLICA_BUCKET"] == "two"


def test_wrong_variables_are_refused() -> None:
    wrong: Any = {"A": 1}
    with pytest.raises(TypeError, match="A must be text"):
        litestream.configure(variables=wrong)
    with pytest.raises(litestream.ConfigurationError, match="'A-B' cannot be the name"):
        litestream.configure(variables={"A-B": "x"})


def test_a_variable_reaches_a_config(make_site: Any) -> None:
    site = make_site()
    folder = site.directory / "elsewhere"
    site.config.write_text(site.config.read_text().replace(str(site.replica_path), "$SHOP_PATH"))
    litestream.configure(variables={"SHOP_PATH": str(folder)})
    assert 0 == cli.main(["check", "--config", str(site.config)])
    assert commands.databases(config=site.config)
    assert str(folder) in str(_settings.environment()["SHOP_PATH"])
