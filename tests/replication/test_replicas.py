"""Which replica a lost database comes back from, and what is said of its age."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import (
    BackupExistsError,
    BackupNotFoundError,
    CommandFailedError,
    ConfigurationError,
    Replication,
    RestoreError,
    UnsupportedCommandError,
    commands,
)
from tests.support import S3Server, Site, executable, wait_until
from tests.test_recovery import lose

COMMAND = str(Path(sys.executable).with_name("litestream"))


def replicate_to(site: Site, *replicas: dict[str, Any], rows: int = 3) -> None:
    """Write some rows and replicate them, until a final sync."""
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"] = [{"sync-interval": "50ms", **r} for r in replicas]
    site.config.write_text(json.dumps(content))
    site.write(rows)
    with Replication(site.config, adopt=True) as replication:
        replication.sync()


def set_age(replica: str, seconds: float) -> None:
    """Let everything in a replica be of another time: rows have whole seconds."""
    moment = time.time() + seconds
    for path in Path(replica).rglob("*.lz4"):
        os.utime(path, (moment, moment))


def age(as_of: str | None) -> timedelta:
    assert as_of is not None
    return datetime.now(timezone.utc) - datetime.fromisoformat(as_of.replace("Z", "+00:00"))


@pytest.mark.parametrize("s3_replica", [False, True])
def test_what_is_restored_has_a_time(
    make_site: Callable[..., Site], s3: S3Server, s3_replica: bool
) -> None:
    site = make_site(replica=s3.replica()) if s3_replica else make_site()
    site.write(3)
    site.back_up()
    newest = max(row["created"] for row in commands.wal(site.database, config=site.config))
    lose(site)
    (done,) = litestream.recover(config=site.config)
    assert (done.action, done.as_of, done.replica, done.skipped) == ("restored", newest, None, None)
    assert timedelta(seconds=-1) < age(done.as_of) < timedelta(minutes=5)
    (done,) = litestream.recover(config=site.config)
    assert (done.action, done.as_of) == ("present", None)
    json.dumps(done._asdict())


@pytest.mark.parametrize("verb", [["recover"], ["run", "--", "true"]])
def test_the_commands_say_of_which_time_it_is(replicated: Site, verb: list[str]) -> None:
    lose(replicated)
    command = [COMMAND, verb[0], "--config", str(replicated.config), *verb[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    (time,) = re.findall(
        r"app\.db: restored \(.* s\), its newest change from (\d{4}-\S+Z)$", said, re.MULTILINE
    )
    assert timedelta(seconds=-1) < age(time) < timedelta(minutes=5)


@pytest.mark.only_series("0.3")
def test_05_tells_the_time_of_what_03_has_copied(
    replicated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = max(
        row["created"] for row in commands.wal(replicated.database, config=replicated.config)
    )
    lose(replicated)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    (done,) = litestream.recover(config=replicated.config)
    assert (done.action, done.as_of) == ("restored", newest)


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("fault", ["wiped", "wiped under the daemon", "down", "damaged", "older"])
def test_the_replica_that_answers_and_is_newest_is_taken(
    site: Site, s3: S3Server, fault: str
) -> None:
    near: dict[str, Any] = {"type": "file", "name": "near", "path": f"{site.directory}/near"}
    far: dict[str, Any] = {"type": "file", "name": "far", "path": f"{site.directory}/far"}
    if fault == "older":
        replicate_to(site, near, far)
        set_age(near["path"], -10)
        replicate_to(site, far)
    elif fault == "wiped under the daemon":
        replicate_to(site, near, far)
        site.start()
        site.write(3)
        litestream.sync(site.database, config=site.config)
        shutil.rmtree(near["path"])
        site.write(3)
        wait_until(lambda: list(Path(near["path"]).rglob("*.wal.lz4")), "a segment in the replica")
        site.stop()
    else:
        replicate_to(site, near, far)
    if fault == "wiped":
        shutil.rmtree(near["path"])
    elif fault == "damaged":
        for path in Path(near["path"]).rglob("*.lz4"):
            path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8)
        set_age(near["path"], 1000)
    elif fault == "down":
        near = {**s3.replica(), "name": "near", "endpoint": "http://127.0.0.1:9"}
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"] = [near, far]
    site.config.write_text(json.dumps(content))
    kept = site.rows()
    lose(site)
    (done,) = litestream.recover(config=site.config, expect="backup")
    assert (done.action, done.replica) == ("restored", "far")
    assert site.rows(site.database) == kept
    skipped = done.skipped or {}
    assert (fault == "older") is ("near" not in skipped), skipped


@pytest.mark.only_series("0.3")
def test_run_starts_the_command_though_one_replica_is_down(site: Site, s3: S3Server) -> None:
    replicate_to(site, site.replica)
    kept = site.rows()
    lose(site)
    content = json.loads(site.config.read_text())
    down = {**s3.replica(), "endpoint": "http://127.0.0.1:9"}
    content["dbs"][0]["replicas"].insert(0, down)
    site.config.write_text(json.dumps(content))
    script = f"import sqlite3; print(len(sqlite3.connect({str(site.database)!r}).execute("
    script += "'SELECT * FROM items').fetchall()))"
    command = [COMMAND, "run", "--config", str(site.config), "--", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(kept)}\n")
    assert "from its replica 'file'; not from 's3': " in done.stderr


@pytest.mark.only_series("0.3")
def test_a_replica_may_be_named(site: Site) -> None:
    near = {"type": "file", "name": "near", "path": f"{site.directory}/near"}
    far = {"type": "file", "path": f"{site.directory}/far"}
    replicate_to(site, near, far)
    kept = site.rows()
    replicate_to(site, near)
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"].append(far)
    site.config.write_text(json.dumps(content))
    lose(site)
    with pytest.raises(ConfigurationError, match="Its replicas: 'near', 'file'"):
        litestream.recover(config=site.config, replica="far")
    (done,) = litestream.recover(config=site.config, replica="file")
    assert (done.replica, done.skipped) == ("file", None)
    assert site.rows(site.database) == kept
    for name, count in (("near", 6), ("file", 3)):
        lose(site)
        command = [COMMAND, "recover", "--replica", name, "--config", str(site.config)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"from its replica {name!r}" in said
        assert len(site.rows(site.database)) == count


@pytest.mark.only_series("0.3")
def test_an_empty_replica_beside_one_that_does_not_answer_is_no_answer(
    site: Site, s3: S3Server
) -> None:
    lose(site)
    down = {**s3.replica(), "endpoint": "http://127.0.0.1:9"}
    content = json.loads(site.config.read_text())
    content["dbs"][0]["replicas"].append(down)
    site.config.write_text(json.dumps(content))
    for expect in ("any", "backup", "none"):
        with pytest.raises(CommandFailedError, match="refused") as caught:
            litestream.recover(config=site.config, expect=expect)
        assert not isinstance(caught.value, BackupNotFoundError)


@pytest.mark.only_series("0.5")
def test_05_has_one_replica(site: Site) -> None:
    with pytest.raises(UnsupportedCommandError):
        litestream.recover(config=site.config, replica="near")


@pytest.mark.only_series("0.5")
def test_03_does_not_pass_off_an_old_state_as_the_newest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host is lost after an upgrade to 0.5, and the new one has 0.3 again."""
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.3").parent))
    replicate_to(site, site.replica)
    set_age(str(site.replica_path), -60)
    (newest, *_) = commands.snapshots(site.database, config=site.config)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    replicate_to(site, site.replica)
    kept = site.rows()
    lose(site)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.3").parent))
    older = f"0.5 wrote; the newest that 0.3 can restore is of {newest['created']}"
    for refused in (
        lambda: litestream.recover(config=site.config),
        lambda: litestream.recover(config=site.config, expect="backup"),
    ):
        with pytest.raises(RestoreError, match=re.escape(older)):
            refused()
    command = [COMMAND, "run", "--config", str(site.config), "--", "echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert older in done.stderr
    with pytest.raises(BackupExistsError):
        litestream.recover(config=site.config, expect="none")
    assert not site.database.exists()
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.5").parent))
    (restored,) = litestream.recover(config=site.config)
    assert restored.action == "restored"
    assert site.rows(site.database) == kept


@pytest.mark.only_series("0.5")
def test_03_does_not_take_a_backup_of_05_for_none(
    replicated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(replicated)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.3").parent))
    with pytest.raises(RestoreError, match=r"0\.3 can restore none"):
        litestream.recover(config=replicated.config)
    with pytest.raises(BackupExistsError):
        Replication(replicated.config).start()


@pytest.mark.only_series("0.5")
def test_03_restores_what_it_has_written_last(
    replicated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable("0.3").parent))
    replicate_to(replicated, replicated.replica)
    kept = replicated.rows()
    lose(replicated)
    (done,) = litestream.recover(config=replicated.config)
    assert done.action == "restored"
    assert replicated.rows(replicated.database) == kept


def test_no_folder_is_made_where_there_is_no_backup(site: Site) -> None:
    content = json.loads(site.config.read_text())
    content["dbs"][0]["path"] = str(site.directory / "new" / "data" / "app.db")
    site.config.write_text(json.dumps(content))
    for expect in ("any", "none"):
        (done,) = litestream.recover(config=site.config, expect=expect)
        assert done.action == "no backup"
    with pytest.raises(BackupNotFoundError):
        litestream.recover(config=site.config, expect="backup")
    assert not (site.directory / "new").exists()


def test_a_folder_is_made_for_a_backup(replicated: Site) -> None:
    kept = replicated.rows()
    content = json.loads(replicated.config.read_text())
    path = replicated.directory / "new" / "data" / "app.db"
    content["dbs"][0]["path"] = str(path)
    replicated.config.write_text(json.dumps(content))
    with pytest.raises(BackupExistsError):
        litestream.recover(config=replicated.config, expect="none")
    assert not path.parent.exists()
    (done,) = litestream.recover(config=replicated.config, expect="backup")
    assert done.action == "restored"
    assert replicated.rows(path) == kept
