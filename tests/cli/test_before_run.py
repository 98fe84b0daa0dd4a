"""What `litestream run` says, and how it helps, before and after its command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import litestream
from litestream import CommandFailedError, CommandTimeoutError, configure, recover
from litestream._cli import before_run
from litestream._executable.parse import without_request_ids
from tests.cli.test_run import LITESTREAM, insert, run, start, start_patched
from tests.support import S3Server, Site, restored_values, wait_until
from tests.test_recovery import lose

SOON = "from litestream._cli import before_run; before_run._SOON = 0.2"


@pytest.fixture
def silent() -> Iterator[dict[str, Any]]:
    """Return an S3 replica whose endpoint takes connections and never answers."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield {
            "type": "s3",
            "bucket": "shop",
            "path": "app",
            "region": "us-east-1",
            "access-key-id": "key-of-shop",
            "secret-access-key": "secret-of-shop",
            "endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}",
        }


def run_soon(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    patch = f"{SOON}\nsys.exit(_run_command.run(sys.argv[1:]))"
    with start_patched(site, patch, *arguments) as process:
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def test_a_path_that_does_not_exist_is_said_before_and_after(site: Site) -> None:
    lose(site)
    done = run(site, "--", "true")
    assert done.returncode == 0
    before, after = [line for line in done.stderr.splitlines() if "not exist" in line]
    assert before == f"litestream run: {str(site.database)!r} does not exist yet and has no backup"
    assert "nothing was backed up" in after


def test_a_database_that_the_command_makes_is_not_missed(site: Site) -> None:
    lose(site)
    done = run(site, *insert(site, "x", "")[:-1], _MAKE.format(path=str(site.database)))
    assert done.returncode == 0, done.stderr
    assert "nothing was backed up" not in done.stderr
    assert "never backed up" not in done.stderr


_MAKE = """
import sqlite3
connection = sqlite3.connect({path!r}, isolation_level=None)
connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
"""


def test_a_file_that_is_no_database_is_refused(site: Site) -> None:
    site.connection.close()
    lose(site)
    site.database.write_bytes(b"a shopping list, and no database " * 40)
    done = run(site, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{str(site.database)!r} is not a SQLite database" in done.stderr
    assert site.database.read_bytes().startswith(b"a shopping list")


def test_a_variable_that_is_not_set_is_named(site: Site) -> None:
    config = site.config.read_text().replace(str(site.replica_path), "$SHOP_BACKUPS/app")
    site.config.write_text(config)
    done = run(site, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert any("'$SHOP_BACKUPS' is not set" in line for line in lines), lines
    assert len(lines) > 2, "each finding has lines of its own"


def test_an_endpoint_is_named_while_it_is_waited_for(make_site: Any, silent: Any) -> None:
    site = make_site(replica=silent)
    done = run_soon(site, "--timeout", "1", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    waiting, error = done.stderr.splitlines()
    assert f"s3://shop/app at {silent['endpoint']} has not answered for 0 s" in waiting
    assert f"Litestream could not read the replica of {str(site.database)!r} within " in error
    assert "--timeout S" in error
    assert "--adopt" in error
    assert "secret-of-shop" not in done.stderr


def test_nothing_of_a_missing_database_is_adopted(make_site: Any, silent: Any) -> None:
    site = make_site(replica=silent)
    site.connection.close()
    lose(site)
    done = run_soon(site, "--timeout", "1", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--timeout S" in done.stderr
    assert "--adopt" not in done.stderr


def test_adopting_asks_nobody(make_site: Any, silent: Any) -> None:
    site = make_site(replica=silent)
    job = "from litestream._supervision.job import Job; Job.__new__.__defaults__ = (1.0,) + "
    job += "Job.__new__.__defaults__[1:]"
    patch = f"{SOON}\n{job}\nsys.exit(_run_command.run(sys.argv[1:]))"
    with start_patched(site, patch, "--adopt", "--", "echo", "started") as process:
        stdout, stderr = process.communicate(timeout=120)
    assert stdout == "started\n"
    assert "the final sync did not reach the replica" in stderr


def test_a_refused_key_is_told_without_the_providers_ids(make_site: Any, s3: S3Server) -> None:
    wrong = {"access-key-id": "test-key-id", "secret-access-key": "not-the-secret"}
    site = make_site(replica={**s3.replica(), **wrong})
    done = run(site, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Litestream cannot read the replica of {str(site.database)!r}: " in done.stderr
    assert "SignatureDoesNotMatch" in done.stderr
    for noise in ("litestream ltx", "litestream snapshots", "RequestID", "HostID", "request id"):
        assert noise not in done.stderr
    assert "not-the-secret" not in done.stderr


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "operation error S3: ListObjectsV2, https response error StatusCode: 403, RequestID: "
            "4442587FB7D0A2F9, HostID: Wn8w==, api error SignatureDoesNotMatch: wrong",
            "operation error S3: ListObjectsV2, https response error StatusCode: 403, api error "
            "SignatureDoesNotMatch: wrong",
        ),
        (
            "cannot fetch: SignatureDoesNotMatch: wrong\n\tstatus code: 403, request id: 44, "
            "host id: Wn8w==",
            "cannot fetch: SignatureDoesNotMatch: wrong\n\tstatus code: 403",
        ),
        ("no such file: /srv/RequestIDs/a, host identity", None),
        (
            "Server failed to authenticate the request.\nRequestId:1f2e-33\n"
            "Time:2026-11-25T13:00:00.000Z",
            "Server failed to authenticate the request.",
        ),
    ],
)
def test_what_only_a_provider_can_read_is_left_out(said: str, kept: str | None) -> None:
    assert without_request_ids(said) == (said if kept is None else kept)


def test_a_limit_of_the_answer_can_be_passed(make_site: Any, silent: Any) -> None:
    site = make_site(replica=silent)
    site.connection.close()
    lose(site)
    with pytest.raises(CommandTimeoutError, match=r"within 0\.5 s.*answer_timeout=") as raised:
        recover(config=site.config, answer_timeout=0.5)
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value)


def test_the_purpose_stands_in_the_message_alone() -> None:
    error = CommandFailedError(["litestream", "ltx"], 1, "", "bucket required")
    assert str(error) == "litestream ltx failed (exit status 1): bucket required"
    error.purpose = "read the replica of '/srv/app.db'"
    assert str(error) == "Litestream cannot read the replica of '/srv/app.db': bucket required"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_log_can_be_objects(site: Site) -> None:
    done = run(site, "--log-format", "json", *insert(site, "row"))
    rows = [json.loads(line) for line in done.stderr.splitlines()]
    started = next(row for row in rows if row["msg"] == "initialized db")
    assert (started["source"], started["path"]) == ("litestream", str(site.database))
    assert {"time", "level", "msg", "source"} <= set.intersection(*map(set, rows))
    assert "row" in restored_values(site)


def test_quiet_says_only_what_is_wrong(site: Site) -> None:
    assert run(site, "--quiet", "--", "true").stderr == ""
    site.connection.close()
    lose(site)
    site.config.write_text(site.config.read_text().replace(str(site.replica_path), "/nowhere"))
    assert "does not exist" in run(site, "--quiet", "--", "true").stderr


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "there is no config"),
        ("dbs: []", "names no database"),
        ("dbs: [{path: /srv/app.db}]", "names no replica"),
        (
            "dbs: [{path: /srv/app.db, replicas: [{type: s3, bucket: $SHOP_BUCKET, path: a}]}]",
            "refers to SHOP_BUCKET, of which none is set",
        ),
    ],
)
@pytest.mark.only_series("0.3", "0.5")
def test_optional_runs_the_command_without_a_replica(
    config: str | None, reason: str, installed: Path, tmp_path: Path
) -> None:
    if config is not None:
        (tmp_path / "litestream.yml").write_text(config)
    argv = [LITESTREAM, "run", "--optional", "--", "sh", "-c", "echo started; exit 3"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "started\n")
    assert done.stderr.startswith("litestream run: not replicated: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_optional_forgives_no_half_of_a_config(installed: Path, tmp_path: Path) -> None:
    replica = "{type: s3, bucket: $SHOP_BUCKET, path: $SHOP_PATH}"
    config = tmp_path / "litestream.yml"
    config.write_text(f"dbs: [{{path: {tmp_path}/app.db, replicas: [{replica}]}}]")
    argv = [LITESTREAM, "run", "--optional", "--", "echo", "started"]
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "SHOP_PATH": "app"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "'$SHOP_BUCKET' is not set" in done.stderr


def test_optional_needs_a_command(site: Site) -> None:
    done = run(site, "--optional")
    assert done.returncode == 2
    assert "--optional" in done.stderr


def test_optional_replicates_where_it_can(site: Site) -> None:
    done = run(site, "--optional", *insert(site, "copied"))
    assert done.returncode == 0
    assert "copied" in restored_values(site)


def test_optional_takes_a_dollar_for_a_dollar_where_that_is_wanted(site: Site) -> None:
    site.replica["path"] = "$NOWHERE"
    site.configure("50ms")
    done = run(site, "--optional", *insert(site, "alone"))
    assert "of which none is set" in done.stderr
    done = run(site, "--optional", "--no-expand-env", *insert(site, "copied"))
    assert done.returncode == 0, done.stderr
    assert "not replicated" not in done.stderr
    assert os.listdir("$NOWHERE")


def test_a_mapping_is_a_config_with_replicas(site: Site) -> None:
    configure(config={site.database: f"file://{site.replica_path}"})
    assert before_run.without_replica(None) == ""
    configure(config={})
    assert "names no database" in before_run.without_replica(None)


def asking(site: Site) -> list[int]:
    """Return the processes that ask the replica of a site, and are connected to it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        argv = process.info["cmdline"] or []
        if str(site.database) in argv and {"ltx", "snapshots"} & {*argv}:
            with contextlib.suppress(psutil.Error):
                found += [process.pid] if process.net_connections() else []
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_while_an_endpoint_is_waited_for(
    make_site: Any, silent: Any, number: int
) -> None:
    site = make_site(replica=silent)
    process = start(site, "--", "sleep", "600")
    wait_until(lambda: asking(site), "the question")
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert 128 + number == process.returncode
    assert time.monotonic() - begun < 15
    assert not asking(site)


def test_a_coroutine_that_is_cancelled_waits_for_no_endpoint(make_site: Any, silent: Any) -> None:
    site = make_site(replica=silent)

    async def cancel() -> float:
        async def serve() -> None:
            async with litestream.Replication(site.config):
                await asyncio.sleep(600)

        task = asyncio.create_task(serve())
        while not asking(site):
            await asyncio.sleep(0.02)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - begun

    assert asyncio.run(cancel()) < 15
    assert not asking(site)
