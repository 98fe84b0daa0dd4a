"""Bad input: each is exact or a typed error that says what, never a crash or a wrong row."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest

import litestream
from litestream import commands, verification
from tests.support import S3_SECRET

NAMES = {
    "space": "my app.db",
    "two spaces": "my  app.db",
    "quotes": 'it\'s "quoted".db',
    "dollar": "a$HOME$$b.db",
    "newline": "two\nlines.db",
    "tab": "a\tb.db",
    "dash": "-config.db",
    "emoji": "🐍 snake.db",
    "semicolon": "a;touch pwned;.db",
}
UNREADABLE_ON_0_3 = ("newline", "tab")


@pytest.mark.parametrize("kind", NAMES)
def test_a_database_path_with(kind, make_site, series):
    site = make_site(name=NAMES[kind])
    site.write(3)
    site.back_up()
    flags = {"config": site.config, "expand_env": False}
    assert commands.generations(site.database, **flags)
    os.chdir(site.directory)
    assert commands.wal(NAMES[kind], **flags)
    if series == "0.3" and kind in UNREADABLE_ON_0_3:
        with pytest.raises(litestream.UnreadableOutputError, match="tab or a line break"):
            commands.databases(**flags)
    else:
        assert [str(site.database)] == [row["path"] for row in commands.databases(**flags)]
    assert not (site.directory / "pwned").exists()


@pytest.mark.only_series("0.3")  # 0.5 ignores a replica's name
@pytest.mark.parametrize("kind", NAMES)
def test_a_replica_name_with(kind, make_site):
    name = NAMES[kind].removesuffix(".db")
    site = make_site()
    site.replica["name"] = name
    site.configure("50ms")
    site.write(3)
    site.start()
    flags = {"config": site.config, "expand_env": False}
    if kind in UNREADABLE_ON_0_3:
        site.stop()
        with pytest.raises(litestream.UnreadableOutputError, match="tab or a line break"):
            commands.databases(**flags)
        return
    site.wait_for_backup()
    site.stop()
    assert {name} == {row["name"] for row in commands.generations(site.database, **flags)}
    assert {name} == {row["replica"] for row in commands.wal(site.database, **flags)}
    if kind != "two spaces":
        assert [name] == [row["replicas"] for row in commands.databases(**flags)]


def test_a_database_path_that_is_no_utf8(site, series):
    path = os.fsdecode(os.fsencode(site.directory) + b"/\xff\xfe.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with pytest.raises(litestream.CommandFailedError, match="not found in config") as caught:
        commands.wal(path, config=site.config)
    assert str(caught.value).encode("utf-8", "surrogateescape")


def test_a_database_path_with_a_null_byte(site):
    with pytest.raises(litestream.ConfigurationError, match="null byte"):
        commands.wal("a\0b", config=site.config)
    with pytest.raises(litestream.ConfigurationError, match="null byte"):
        litestream.Replication({"a\0b": "file:///backup"})


def test_no_such_database(site):
    with pytest.raises(litestream.CommandFailedError, match="not found in config") as caught:
        commands.wal("nope.db", config=site.config)
    assert "dbs: list" in caught.value.hint
    assert not os.path.exists("nope.db")


def test_a_config_that_names_another_database(site, tmp_path):
    other = tmp_path / "other.yml"
    other.write_text(site.config.read_text().replace("app.db", "another.db"))
    with pytest.raises(litestream.CommandFailedError, match="not found in config"):
        commands.generations(site.database, config=other)


@pytest.mark.only_series("0.3")
def test_a_database_of_the_config_that_does_not_exist(site):
    """0.3 looks at the file; 0.5 does not."""
    site.connection.close()
    site.database.unlink()
    with pytest.raises(litestream.CommandFailedError, match="no such file"):
        commands.generations(site.database, config=site.config)


def test_a_directory_instead_of_a_database(make_site):
    site = make_site()
    with pytest.raises(litestream.CommandFailedError, match="not found in config"):
        commands.generations(site.directory, config=site.config)


def test_a_missing_config(installed):
    with pytest.raises(litestream.ConfigNotFoundError, match=r"nope\.yml"):
        commands.databases(config="nope.yml")


def test_an_empty_config(installed, tmp_path):
    (tmp_path / "litestream.yml").write_text("")
    assert [] == commands.databases()
    with pytest.raises(litestream.CommandFailedError, match="not found in config"):
        commands.wal("a.db")


@pytest.mark.parametrize("content", ["dbs: [", "dbs: 3", "\x00", "dbs:\n - path: a\n  x"])
def test_an_invalid_config(installed, tmp_path, content):
    (tmp_path / "litestream.yml").write_text(content)
    with pytest.raises(litestream.CommandFailedError, match="yaml"):
        commands.databases()


def test_a_config_that_is_a_directory(installed, tmp_path):
    with pytest.raises(litestream.CommandFailedError, match="is a directory"):
        commands.databases(config=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_config_that_may_not_be_read(site):
    site.config.chmod(0)
    with pytest.raises(litestream.CommandFailedError, match="permission denied"):
        commands.databases(config=site.config)


def test_a_url_of_an_unknown_kind(installed):
    with pytest.raises(litestream.CommandFailedError):
        commands.wal("gopher://host/x")


def test_a_url_with_a_password_is_refused_before_anyone_can_see_it(installed):
    with pytest.raises(litestream.ConfigurationError) as caught:
        commands.wal("sftp://user:hunter22@localhost/x")
    assert "hunter22" not in str(caught.value)


@pytest.mark.only_series("0.5")
def test_a_url_that_a_running_daemon_would_take_for_another_directory_is_refused(installed):
    with pytest.raises(litestream.ConfigurationError, match="escape ' '"):
        commands.register("app.db", "file:///my disk/app")


def test_a_secret_at_a_wrong_place_in_the_config_is_not_shown(site):
    site.config.write_text("dbs: HUNTER2secret")
    with pytest.raises(litestream.CommandFailedError, match="unmarshal") as caught:
        commands.databases(config=site.config)
    assert "HUNTER" not in str(caught.value)


def test_a_url_is_no_database_to_verify_and_its_password_is_masked(installed):
    with pytest.raises(litestream.ConfigurationError, match="is a replica URL") as caught:
        litestream.verify("s3://user:topsecret@host/bucket")
    assert "topsecret" not in str(caught.value)
    (outcome,) = verification.each(["s3://user:topsecret@host/bucket"], 1)
    assert not outcome
    assert "topsecret" not in f"{outcome!r} {outcome} {outcome.database}"


def test_a_database_that_is_not_verified_is_named_in_full(site):
    (outcome,) = verification.each(["nosuch.db"], 1, config=site.config)
    assert os.path.abspath("nosuch.db") == outcome.database


def test_an_integrity_check_that_is_none(replicated):
    for call in (commands.restore, litestream.verify):
        with pytest.raises(litestream.ConfigurationError, match="'bogus'"):
            # on purpose, what no type checker lets pass
            call(replicated.database, config=replicated.config, integrity_check="bogus")  # type: ignore[arg-type,call-overload]


def test_a_replica_of_an_unknown_kind_is_said_to_be_that(site, series):
    site.replica["type"] = "nope"
    site.configure("50ms")
    with pytest.raises(litestream.CommandFailedError, match="nope"):
        litestream.verify(site.database, timeout=0.5, config=site.config)
    with pytest.raises(litestream.CommandFailedError, match="nope"):
        litestream.sync(site.database, timeout=0.5, config=site.config)


def test_a_database_whose_directory_cannot_be_made(replicated, tmp_path):
    (tmp_path / "file").touch()
    databases = {tmp_path / "file" / "app.db": f"file://{replicated.replica_path}"}
    with pytest.raises(litestream.RestoreError, match="directory cannot be made"):
        litestream.recover(config=databases)


def test_paths_may_be_bytes(replicated):
    path = os.fsencode(replicated.database)
    assert commands.wal(path, config=replicated.config)  # type: ignore[arg-type]  # typed as text


def test_no_secret_in_a_failures_text(make_site, s3):
    site = make_site(replica={**s3.replica(), "bucket": f"no-{S3_SECRET}"})
    with pytest.raises(litestream.CommandFailedError) as caught:
        commands.wal(site.database, config=site.config)
    assert S3_SECRET not in json.dumps([str(caught.value), repr(caught.value), vars(caught.value)])


def test_a_time_limit_that_is_passed_leaves_no_process(site, monkeypatch):
    monkeypatch.setattr("litestream._executable.series._VERSION_TIMEOUT", 30)
    commands.version()
    with pytest.raises(litestream.CommandTimeoutError):
        commands.wal(site.database, config=site.config, timeout=0.001)
