"""A mapping of databases to replicas, wherever a config is taken."""

from __future__ import annotations

import contextlib
import gc
import glob
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import ConfigurationError, Replication, commands
from litestream._config import file as config_file
from litestream._config import runtime_directory
from litestream._config.config import Config
from litestream._config.database import databases_of
from litestream._replication import daemon_config
from tests.support import Site
from tests.test_recovery import lose

HOSTILE = "my disk/a#b 100%?/$HOME"


@pytest.fixture(autouse=True)
def _no_file_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let private files be made where they can be counted: none may stay."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield
        gc.collect()
        assert glob.glob(f"{name}/litestream-*") == []


@pytest.mark.parametrize("folder", ["copies", HOSTILE])
def test_one_mapping_once_and_everything_works(site: Site, folder: str) -> None:
    litestream.configure(config={site.database: f"file://{site.directory}/{folder}"})
    site.config.unlink()
    with pytest.raises(ConfigurationError, match="mapping, so there is no file"):
        litestream.configuration.find_config()
    with Replication(sync_interval=0.05) as replication:
        site.write(3)
        replication.sync()
        litestream.sync(site.database)
        assert litestream.verify(site.database, exact=True)
        assert commands.verify(site.database)["tables"]["restored"] > 0
        assert all(litestream.verify_all())
        site.write(2)
    assert (site.directory / folder).is_dir()
    (row,) = litestream.databases()
    assert (row["path"], row["replicas"]) == (str(site.database), "file")
    assert row["generations"]
    (listed,) = commands.databases()
    assert listed == {"path": str(site.database), "replicas": "file"}
    assert commands.generations(site.database)
    assert commands.wal(site.database)
    restored = commands.restore(site.database, "copy.db")
    assert site.rows(restored) == site.rows()
    url = f"file://{site.directory}/{folder}"
    assert commands.generations(url)[0]["name"] == "file"
    assert site.rows(commands.restore(url, "by-url.db")) == site.rows()
    kept = site.rows()
    lose(site)
    (done,) = litestream.recover()
    assert (done.action, site.rows(site.database)) == ("restored", kept)


def test_an_argument_comes_before_what_was_configured(site: Site) -> None:
    litestream.configure(config={"elsewhere.db": "file:///nowhere"})
    (row,) = commands.databases(config={site.database: "s3://bucket/app"})
    assert row == {"path": str(site.database), "replicas": "s3"}
    (row,) = commands.databases(config=site.config)
    assert row["path"] == str(site.database)


def test_a_replica_may_be_given_by_its_keys(site: Site) -> None:
    keys = {"type": "file", "path": site.directory / "copies $HOME", "sync-interval": "70ms"}
    prepared = daemon_config.prepare(Config.load({site.database: keys}, site.series), 0.05)
    (entry,) = config_file.read(prepared.config.path, literal=True)["dbs"]
    assert entry["monitor-interval"] == "50ms"
    assert entry["replicas"][0]["sync-interval"] == "70ms"
    assert prepared.databases[0].interval == pytest.approx(0.07)
    runtime_directory.remove(prepared.directory)
    with Replication({site.database: keys}, sync_interval=0.05) as replication:
        site.write(3)
        replication.sync()
        assert litestream.verify(site.database, config={site.database: keys})
    assert (site.directory / "copies $HOME").is_dir()


@pytest.mark.only_series("0.3")
def test_several_replicas(site: Site) -> None:
    config = {
        site.database: [
            f"file://{site.directory}/one",
            {"name": "two", "url": f"file://{site.directory}/a#2"},
        ]
    }
    with Replication(config, sync_interval=0.05) as replication:
        site.write(3)
        replication.sync()
        assert litestream.verify(site.database, config=config).replicas == ["file", "two"]
        assert litestream.verify(site.database, config=config, replica="two")


@pytest.mark.parametrize(
    "call",
    [
        lambda config: commands.databases(config=config),
        lambda config: commands.wal("app.db", config=config),
        lambda config: commands.restore("app.db", "out.db", config=config),
        lambda config: litestream.verify("app.db", config=config),
        lambda config: litestream.verify_all(config),
        lambda config: litestream.sync("app.db", config=config),
        lambda config: litestream.recover(config=config),
        lambda config: litestream.databases(config=config),
        lambda config: Replication(config).start(),
    ],
)
@pytest.mark.usefixtures("installed", "series")
def test_bad_input_is_one_clear_error_without_a_secret(call: Callable[[Any], object]) -> None:
    for config in (
        {"app.db": {"url": "s3://b/a", "secret_access_key": "hunter22"}},
        {"app.db": "sftp://user:hunter22@host/app"},
        {"app.db": {"url": "s3://b/a", "secret-access-key": ["hunter22"]}},
    ):
        with pytest.raises(ConfigurationError) as caught:
            call(config)
        assert "hunter22" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"path of a litestream\.yml, or a mapping"):
        call(5)
    assert os.listdir() == []


def test_a_wrong_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="mapping of each database's path"):
        litestream.configure(config=5)  # type: ignore[arg-type]


def test_its_private_file_is_ours_alone_and_shows_no_secret(site: Site) -> None:
    keys = {"url": "s3://bucket/app", "secret-access-key": "hunter22"}
    config = Config.load({site.database: keys}, site.series)
    try:
        assert os.stat(config.file).st_mode & 0o777 == 0o600
        assert os.stat(os.path.dirname(config.file)).st_mode & 0o777 == 0o700
        shown = f"{config!r} {databases_of(config)!r} {config.content!r} {config.text!r}"
        assert "hunter22" not in shown
    finally:
        config.close()


def test_a_forked_child_leaves_the_parents_file(site: Site) -> None:
    config = Config.load({site.database: "s3://bucket/app"}, site.series)
    try:
        file = config.file
        if (child := os.fork()) == 0:
            with contextlib.suppress(BaseException):
                config.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert os.path.exists(file)
    finally:
        config.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    origins: list[str] = []
    parse = config_file.parse

    def noted(text: str, origin: str, **options: Any) -> Mapping[str, Any]:
        origins.append(origin)
        return parse(text, origin, **options)

    monkeypatch.setattr(config_file, "parse", noted)
    return origins


@pytest.mark.parametrize(
    "call",
    [
        lambda site: litestream.verify(site.database, config=site.config),
        lambda site: litestream.verify_all(site.config),
        lambda site: litestream.sync(site.database, config=site.config),
        lambda site: litestream.recover(config=site.config),
        lambda site: litestream.databases(config=site.config),
    ],
)
def test_no_config_is_parsed_twice_in_a_call(
    running: Site, monkeypatch: pytest.MonkeyPatch, call: Callable[[Site], object]
) -> None:
    origins = counted(monkeypatch)
    call(running)
    assert len(origins) <= 1


@pytest.mark.parametrize("keyword", ["expand_env", "flag"])
def test_a_dollar_is_a_dollar_without_expansion(
    site: Site, monkeypatch: pytest.MonkeyPatch, keyword: str
) -> None:
    monkeypatch.setenv("NAME", "expanded")
    database, copies = site.directory / "a$NAME.db", site.directory / "copies-$NAME"
    replica = {"path": str(copies), "sync-interval": "50ms"}
    entry = {"path": str(database), "monitor-interval": "50ms", "replicas": [replica]}
    site.config.write_text(json.dumps({"dbs": [entry]}))
    if keyword == "flag":
        program = Path(sys.executable).with_name("litestream")
        code = (
            "import litestream, sys; c = litestream.connect(sys.argv[1]); "
            "c.execute('CREATE TABLE t (x)'); c.commit(); c.close()"
        )
        argv = [str(program), "run", "-no-expand-env", "--config", str(site.config), "--"]
        subprocess.run([*argv, sys.executable, "-c", code, database], check=True)
        argv = [str(program), "verify", "--all", "--no-expand-env", "--timeout", "1"]
        argv += ["--config", str(site.config)]
        told = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert str(database) in told.stdout
    else:
        with Replication(site.config, expand_env=False) as replication:
            connection = litestream.connect(database)
            connection.execute("CREATE TABLE t (x)")
            connection.commit()
            replication.sync()
            litestream.sync(database, config=site.config, expand_env=False)
            assert litestream.verify(database, config=site.config, expand_env=False)
            assert all(litestream.verify_all(site.config, expand_env=False))
            connection.close()
        (row,) = litestream.databases(config=site.config, expand_env=False)
        assert row["path"] == str(database)
        assert row["generations"]
    assert copies.is_dir()
    for path in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
        path.unlink(missing_ok=True)
    (done,) = litestream.recover(config=site.config, expand_env=False)
    assert (done.database, done.action) == (str(database), "restored")
    assert not (site.directory / "copies-expanded").exists()
