"""Settings, the order in which the config is looked for, and what is masked."""

from __future__ import annotations

import inspect
import os
import traceback
from typing import Any

import pytest

import litestream
from litestream import _settings, cli, commands, configuration
from litestream._config import file as config_file

SETTINGS = {
    "replica_bucket": "LITESTREAM_REPLICA_BUCKET",
    "replica_region": "LITESTREAM_REPLICA_REGION",
    "replica_endpoint": "LITESTREAM_REPLICA_ENDPOINT",
    "replica_key_id": "LITESTREAM_ACCESS_KEY_ID",
    "replica_access_key": "LITESTREAM_SECRET_ACCESS_KEY",
}


def test_settings_reach_the_childs_environment_and_never_ours():
    before = dict(os.environ)
    settings: dict[str, Any] = {setting: f"value of {setting}" for setting in SETTINGS}
    litestream.configure(**settings)
    expected = {variable: f"value of {setting}" for setting, variable in SETTINGS.items()}
    assert expected == _settings.variables()
    here = {"PWD": os.getcwd()} if "PWD" in before else {}  # Go would believe another one
    assert before | expected | here == _settings.environment()
    assert before == dict(os.environ)


@pytest.mark.parametrize("value", ["mine", ""])
def test_a_variable_that_the_user_has_set_wins(monkeypatch, value):
    monkeypatch.setenv("LITESTREAM_REPLICA_BUCKET", value)
    litestream.configure(replica_bucket="ours")
    assert value == _settings.environment()["LITESTREAM_REPLICA_BUCKET"]


def test_what_is_not_given_stays_and_none_forgets():
    litestream.configure(replica_bucket="a", replica_region="b")
    litestream.configure(replica_region=None)
    assert {"LITESTREAM_REPLICA_BUCKET": "a"} == _settings.variables()


def test_an_unknown_setting_is_a_type_error():
    with pytest.raises(TypeError, match="replica_buckt"):
        litestream.configure(replica_buckt="typo")  # type: ignore[call-arg]  # on purpose
    with pytest.raises(TypeError, match="replica_bucket must be text"):
        litestream.configure(replica_bucket=3)  # type: ignore[arg-type]  # on purpose


def test_the_config_refers_to_the_settings(make_site, s3, series):
    replica = s3.replica()
    litestream.configure(replica_bucket=replica["bucket"], replica_endpoint=s3.endpoint)
    replica = {
        **replica,
        "bucket": "$LITESTREAM_REPLICA_BUCKET",
        "endpoint": "${LITESTREAM_REPLICA_ENDPOINT}",
        "access-key-id": "$LITESTREAM_ACCESS_KEY_ID",
        "secret-access-key": "$LITESTREAM_SECRET_ACCESS_KEY",
    }
    site = make_site(replica=replica)
    assert [] == commands.wal(site.database, config=site.config)


class TestSearchOrder:
    @pytest.fixture(autouse=True)
    def _configs(self, tmp_path, monkeypatch):
        (tmp_path / "config").mkdir()
        self.files = {}
        for name in ("argument", "setting", "variable", "litestream", "config/litestream"):
            self.files[name] = tmp_path / f"{name}.yml"
            self.files[name].write_text("dbs: []")
        litestream.configure(config=self.files["setting"])
        monkeypatch.setenv("LITESTREAM_CONFIG", str(self.files["variable"]))
        self.monkeypatch = monkeypatch

    def test_the_argument_comes_first(self):
        assert str(self.files["argument"]) == configuration.find_config("argument.yml")

    def test_then_the_setting(self):
        assert str(self.files["setting"]) == configuration.find_config()

    def test_then_the_variable(self):
        litestream.configure(config=None)
        assert str(self.files["variable"]) == configuration.find_config()

    def test_then_the_directory_then_its_config_directory(self):
        litestream.configure(config=None)
        self.monkeypatch.delenv("LITESTREAM_CONFIG")
        assert str(self.files["litestream"]) == configuration.find_config()
        self.files["litestream"].unlink()
        assert str(self.files["config/litestream"]) == configuration.find_config()

    def test_none_lists_the_places(self):
        litestream.configure(config=None)
        self.monkeypatch.setenv("LITESTREAM_CONFIG", "")
        self.files["litestream"].unlink()
        self.files["config/litestream"].unlink()
        self.monkeypatch.setattr(_settings, "_PLACES", _settings._PLACES[:2])
        with pytest.raises(litestream.ConfigNotFoundError, match=r"config/litestream\.yml"):
            configuration.find_config()

    @pytest.mark.parametrize(
        ("origin", "expected"),
        [("the argument", "a.yml"), ("configure", "b.yml"), ("LITESTREAM_CONFIG", "c.yml")],
    )
    def test_a_named_one_that_is_missing_is_an_error_that_says_who_named_it(self, origin, expected):
        argument = "a.yml" if origin == "the argument" else None
        litestream.configure(config="b.yml" if origin == "configure" else None)
        self.monkeypatch.setenv("LITESTREAM_CONFIG", "c.yml")
        with pytest.raises(litestream.ConfigNotFoundError) as caught:
            configuration.find_config(argument)
        assert expected in str(caught.value)
        assert origin in str(caught.value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sftp://user:hunter22@host/x", "sftp://user:***@host/x"),
        ("dial s3://:hunter22@host and a://b", "dial s3://:***@host and a://b"),
        ("key secret-canary rejected", "key *** rejected"),
        ("nats://host:4222/bucket", "nats://host:4222/bucket"),
    ],
)
def test_secrets_are_masked(text, masked):
    litestream.configure(replica_access_key="secret-canary")
    assert masked == _settings.masked(text)


@pytest.mark.parametrize("content", ["- a\n- b", "a: [1", "\ud83d"])
def test_a_config_that_is_no_mapping(tmp_path, content):
    path = tmp_path / "litestream.yml"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(litestream.ConfigurationError, match=r"litestream\.yml"):
        config_file.read(str(path))


@pytest.mark.parametrize(
    "secret", ["@s3cr3tvalue", "abc: s3cr3tvalue: x", "*s3cr3tvalue", "'s3cr3tvalue"]
)
def test_a_secret_that_breaks_the_yaml_is_not_shown(tmp_path, secret):
    path = tmp_path / "litestream.yml"
    path.write_text("dbs:\n  - path: a.db\n    secret-access-key: $LITESTREAM_SECRET_ACCESS_KEY\n")
    litestream.configure(replica_access_key=secret)
    with pytest.raises(litestream.ConfigurationError, match=r"not YAML.*line") as caught:
        config_file.read(str(path))
    assert "s3cr3tvalue" not in "".join(traceback.format_exception(caught.value))


def test_an_empty_config_is_an_empty_mapping(tmp_path):
    (tmp_path / "empty.yml").write_text("")
    assert {} == config_file.read(str(tmp_path / "empty.yml"))


def test_an_alias_that_holds_itself_is_no_config(tmp_path):
    path = tmp_path / "litestream.yml"
    path.write_text("dbs: &all\n  - path: a\n    more: *all\n")
    with pytest.raises(litestream.ConfigurationError, match="contains itself"):
        config_file.read(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o644), (0, 0o666)])
def test_a_strangers_config_is_not_found_but_may_be_named(site, owner, mode, monkeypatch):
    config = site.directory / "config" / "litestream.yml"
    config.parent.mkdir()
    site.config.rename(config)
    monkeypatch.chdir(site.directory)
    assert configuration.find_config() == str(config)
    os.chown(config, owner, owner)
    config.chmod(mode)
    with pytest.raises(litestream.ConfigurationError, match="name it"):
        commands.databases()
    assert cli.main(["databases"]) == 1
    assert commands.databases(config=config)
    monkeypatch.setenv("LITESTREAM_CONFIG", str(config))
    assert commands.databases()


def test_help_shows_what_is_kept_in_words():
    assert "replica_bucket: 'str | None' = <as it is>" in str(
        inspect.signature(litestream.configure)
    )
