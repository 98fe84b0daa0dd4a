"""The commands, on the real executables of both series."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import litestream
from litestream import _settings, commands
from tests.support import S3_KEY, assert_signal_ends, free_port, processes_of, wait_until

TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def raw(installed: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed, *argv], capture_output=True, text=True, env=_settings.environment()
    )


def test_version_is_the_executables(series, installed):
    assert {"0.3": "0.3.13", "0.5": "0.5.17"}[series] == commands.version()
    assert installed == commands.executable()


def test_databases(replicated):
    expected = [{"path": str(replicated.database), "replicas": "file"}]
    assert expected == commands.databases(config=replicated.config)


def test_generations(replicated, series):
    (row,) = commands.generations(replicated.database, config=replicated.config)
    assert ["name", "generation", "lag", "start", "end"] == list(row)
    assert "file" == row["name"]
    assert ("ltx" == row["generation"]) == (series == "0.5")
    assert row["start"] <= row["end"]
    assert row["lag"].removeprefix("-").endswith("s")


def test_snapshots_and_wal(replicated, series, installed):
    (snapshot, *_) = commands.snapshots(replicated.database, config=replicated.config)
    assert ["replica", "generation", "index", "size", "created"] == list(snapshot)
    assert snapshot["size"] > 0
    segments = commands.wal(replicated.database, config=replicated.config)
    assert ["replica", "generation", "index", "offset", "size", "created"] == list(segments[0])
    assert {"file"} == {row["replica"] for row in segments}
    if series == "0.3":
        printed = raw(installed, "wal", "-config", replicated.config, replicated.database).stdout
        assert [line.split() for line in printed.splitlines()[1:]] == [
            [str(value) for value in row.values()] for row in segments
        ]


@pytest.mark.only_series("0.5")
def test_ltx_is_what_the_executable_prints(replicated, installed):
    printed = raw(
        installed, "ltx", "-json", "-level", "all", "-config", replicated.config,
        replicated.database,
    )  # fmt: skip
    expected = [
        {"created" if key == "timestamp" else key: value for key, value in row.items()}
        for row in json.loads(printed.stdout)
    ]
    assert expected == commands.ltx(replicated.database, level="all", config=replicated.config)
    assert {0} == {
        row["level"] for row in commands.ltx(replicated.database, config=replicated.config)
    }


def test_a_replica_url_stands_for_a_database(replicated, series):
    url = f"file://{replicated.replica_path}"
    rows = commands.generations(url)
    assert ["file"] == [row["name"] for row in rows]
    assert commands.wal(url)


def test_rows_are_ready_for_json(replicated):
    rows = litestream.databases(config=replicated.config)
    assert rows == json.loads(json.dumps(rows))


def test_nested_overview(replicated):
    (database,) = litestream.databases(config=replicated.config)
    assert str(replicated.database) == database["path"]
    (generation,) = database["generations"]
    expected = [
        {key: row[key] for key in ("index", "size", "created")}
        for row in commands.snapshots(replicated.database, config=replicated.config)
    ]
    assert expected == generation["snapshots"]
    assert expected


def test_an_empty_replica_has_no_rows(site):
    assert [] == commands.generations(site.database, config=site.config)
    assert [] == commands.snapshots(site.database, config=site.config)
    assert [] == commands.wal(site.database, config=site.config)


def test_a_relative_path_is_the_configs_absolute_one(replicated, monkeypatch):
    monkeypatch.chdir(replicated.directory)
    assert commands.generations("app.db", config="litestream.yml")
    monkeypatch.setenv("HOME", str(replicated.directory))
    assert commands.generations("~/app.db")  # ./litestream.yml is found by itself


def test_log_lines_on_standard_output_never_become_rows(make_site, series):
    site = make_site()
    site.configure("50ms", logging={"level": "debug"})
    site.write(3)
    site.back_up()
    assert [str(site.database)] == [row["path"] for row in commands.databases(config=site.config)]
    assert commands.generations(site.database, config=site.config)
    site.configure("50ms", logging={"level": "debug", "type": "json"})
    assert commands.generations(site.database, config=site.config)


@pytest.mark.only_series("0.3")
def test_commands_of_series_0_5_are_unsupported_on_0_3(site):
    for call in (
        lambda: commands.ltx(site.database),
        lambda: commands.status(),
        lambda: commands.reset(site.database),
        lambda: commands.info(),
        lambda: commands.list(),
        lambda: commands.register(site.database, "file:///x"),
        lambda: commands.unregister(site.database),
        lambda: commands.sync(site.database),
        lambda: commands.start(site.database),
        lambda: commands.stop(site.database),
    ):
        with pytest.raises(litestream.UnsupportedCommandError, match=r"needs Litestream 0\.5"):
            call()


@pytest.mark.only_series("0.5")
def test_replica_names_are_unsupported_on_0_5(site):
    with pytest.raises(litestream.UnsupportedCommandError, match=r"replica="):
        commands.generations(site.database, replica="file", config=site.config)


@pytest.mark.only_series("0.3")
def test_a_named_replica(replicated):
    assert commands.generations(replicated.database, replica="file", config=replicated.config)
    with pytest.raises(litestream.CommandFailedError, match="not found for database"):
        commands.generations(replicated.database, replica="nope", config=replicated.config)


@pytest.mark.only_series("0.5")
def test_status_and_reset(replicated):
    (row,) = commands.status(replicated.database, config=replicated.config)
    assert (str(replicated.database), "ok") == (row["database"], row["status"])
    assert [] == commands.status("elsewhere.db", config=replicated.config)
    removed = replicated.directory / f".{replicated.database.name}-litestream" / "ltx"
    expected = {"path": str(replicated.database), "removed": str(removed)}
    assert expected == commands.reset(replicated.database, dry_run=True, config=replicated.config)
    assert removed.exists()
    assert expected == commands.reset(replicated.database, config=replicated.config)
    assert not removed.exists()


@pytest.mark.only_series("0.3")
def test_a_failure_that_exits_0_raises(replicated):
    """0.3's listings exit 0 and print the error between the rows."""
    replicated.replica_path.chmod(0o755)
    (generation,) = (replicated.replica_path / "generations").iterdir()
    snapshots = generation / "snapshots"
    for file in snapshots.iterdir():
        file.unlink()
    snapshots.rmdir()
    snapshots.write_text("a file where a directory is meant")
    with pytest.raises(litestream.CommandFailedError) as caught:
        commands.snapshots(replicated.database, config=replicated.config)
    assert 0 == caught.value.returncode
    assert "not a directory" in caught.value.reason


def test_flags_reach_the_executable(replicated, series):
    assert commands.databases(config=replicated.config, no_expand_env=True)
    with pytest.raises(litestream.CommandFailedError, match="-no-such-flag"):
        commands.databases(config=replicated.config, no_such_flag=True)


def test_replicate_runs_until_it_ends(site, series, capfd):
    if series == "0.5":
        commands.replicate(config=site.config, once=True)
        assert commands.wal(site.database, config=site.config)
    with pytest.raises(litestream.CommandTimeoutError):
        commands.replicate(config=site.config, timeout=3)
    assert commands.wal(site.database, config=site.config)
    assert "litestream shut down" in capfd.readouterr().out


def test_replicate_a_database_to_urls(site, tmp_path, capfd):
    with pytest.raises(litestream.CommandTimeoutError):
        commands.replicate(site.database, f"file://{tmp_path / 'second'}", timeout=3)
    assert commands.wal(f"file://{tmp_path / 'second'}")


def test_replicate_says_how_it_failed(site, capfd):
    with pytest.raises(litestream.CommandFailedError, match="exit status 1"):
        commands.replicate(config=site.config, no_such_flag=1)


class TestS3:
    def test_keys_of_configure_reach_the_executable_only(self, make_site, s3, series):
        site = make_site(replica=s3.replica())
        site.write(5)
        site.back_up(snapshot=True)
        (row,) = commands.generations(site.database, config=site.config)
        assert "s3" == row["name"]
        assert commands.snapshots(site.database, config=site.config)
        assert not [name for name in os.environ if name.startswith(("LITESTREAM_S", "AWS_"))]

    def test_wrong_credentials(self, make_site, s3, series):
        site = make_site(replica=s3.replica())
        litestream.configure(replica_key_id=S3_KEY, replica_access_key="wrong-canary-7f3a")
        with pytest.raises(litestream.CommandFailedError) as caught:
            commands.wal(site.database, config=site.config)
        assert "SignatureDoesNotMatch" in caught.value.reason
        assert "wrong-canary-7f3a" not in repr(caught.value) + str(caught.value)

    def test_no_such_bucket(self, make_site, s3, series):
        replica = s3.replica()
        (s3.directory / replica["bucket"]).rmdir()
        site = make_site(replica=replica)
        with pytest.raises(litestream.CommandFailedError, match="NoSuchBucket"):
            commands.wal(site.database, config=site.config)

    @pytest.mark.only_series("0.5")  # 0.3 fails by itself, at once
    def test_an_endpoint_that_is_down_costs_the_time_limit(self, make_site, s3, series):
        replica = {**s3.replica(), "endpoint": f"http://127.0.0.1:{free_port()}"}
        site = make_site(replica=replica)
        with pytest.raises(litestream.CommandTimeoutError, match=r"within 2 s") as caught:
            commands.ltx(site.database, config=site.config, timeout=2)
        assert isinstance(caught.value, TimeoutError)
        assert "ltx" == caught.value.argv[1]
        wait_until(lambda: not processes_of(site), "the end of the executable")

    @pytest.mark.only_series("0.5")
    def test_the_cure_for_a_custom_ca_bundle_is_named(self, make_site, s3, monkeypatch):
        site = make_site(replica=s3.replica())
        bundle = site.directory / "ca.pem"
        bundle.write_text("")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        with pytest.raises(litestream.CommandFailedError, match="unset AWS_CA_BUNDLE"):
            commands.ltx(site.database, config=site.config)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_replicate_ends_the_daemon(site, number):
    """The Python process lives until the daemon has synced and ended, and tells how it ended."""
    script = "import sys; from litestream import commands; commands.replicate(config=sys.argv[1])"
    assert_signal_ends(site, number, [sys.executable, "-c", script, site.config])


def test_replicate_with_an_executable_that_cannot_run(tmp_path, monkeypatch):
    (tmp_path / "litestream").write_bytes(b"")
    (tmp_path / "litestream").chmod(0o755)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
    (tmp_path / "litestream.yml").write_text("dbs: []")
    with pytest.raises(litestream.ExecutableError, match="not a program for this system"):
        commands.replicate()
