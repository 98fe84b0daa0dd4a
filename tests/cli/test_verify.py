"""``litestream verify``, as a process of its own on the real executables of both series."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from litestream import cli
from tests.support import tokens, wait_until

COMMAND = [sys.executable, "-m", "litestream", "verify"]


def verify(site, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--config", site.config, "--directory", site.directory, *arguments],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("options", [(), ("--exact",), ("--integrity-check", "full")])
def test_a_proof_is_a_line_and_exit_status_0(running, options):
    done = verify(running, running.database, *options)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"proved  {running.database}  restores, sound")
    assert ("content equal" in line) == ("--exact" in options)
    assert ("indexes too" in line) == ("full" in options)


def test_every_database_is_named_and_one_failure_fails_all(running):
    config = json.loads(running.config.read_text())
    config["dbs"].append({**config["dbs"][0], "path": str(running.directory / "missing.db")})
    running.config.write_text(json.dumps(config))
    done = verify(running, "--all", "--json", "--jobs", "2")
    assert 1 == done.returncode
    proved, failed = [json.loads(line) for line in done.stdout.splitlines()]
    assert (True, str(running.database), False) == (
        proved["proved"],
        proved["database"],
        proved["exact"],
    )
    assert {"original", "restored"} == set(proved["size"])
    assert (False, "unusable", {}) == (failed["proved"], failed["reason"], failed["details"])
    assert "missing.db" in failed["database"]


def test_a_failure_says_its_reason(running):
    running.stop()
    running.write()
    done = verify(running, running.database, "--timeout", "1")
    assert 1 == done.returncode
    assert done.stdout.startswith(f"FAILED  {running.database}  stale: no daemon took up")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "app.db"], ["--timeout", "0", "a"], ["--jobs", "0", "a"], ["--what", "a"]],
)
def test_wrong_usage_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["verify", *arguments])
    assert 2 == caught.value.code
    assert "usage: litestream" in capsys.readouterr().err


def test_a_config_without_databases_proves_nothing(site):
    site.config.write_text("dbs: []\n")
    done = verify(site, "--all")
    assert (1, "") == (done.returncode, done.stdout)
    assert "names no database" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("exact", [False, True])
def test_a_signal_leaves_nothing(running, number, exact, tmp_path):
    running.daemon.send_signal(signal.SIGSTOP)  # so that it waits
    running.write()
    copies = tmp_path / "copies"
    copies.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "--config", running.config, "--directory", copies, running.database]
        + ["--exact"] * exact,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: list(copies.iterdir()), "the verify's start")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert 130 == process.returncode
    assert [] == list(copies.iterdir())
    assert 0 == tokens(running)


def test_a_path_forges_no_line_and_no_colour(make_site):
    site = make_site(name="x\nFAILED  all  \x1b[31m.db")
    site.back_up()
    site.connection.close()
    texts = [verify(site, "--all", "--timeout", "1").stdout]
    site.database.unlink()
    for side in site.directory.glob("x*-*"):
        side.unlink()
    recover = [*COMMAND[:-1], "recover", "--config", site.config]
    texts.append(subprocess.run(recover, capture_output=True, text=True).stdout)
    for text in texts:
        assert "\\x1b[31m.db" in text
        assert "\x1b" not in text
        assert 1 == len(text.splitlines()), text
    assert "restored" in texts[1]


def test_a_variable_that_is_set_for_the_daemon_alone_is_named(running, monkeypatch):
    """As in a second terminal: the replica of nowhere is no evidence against the backup."""
    written = running.config.read_text()
    config = json.loads(written)
    (replica,) = config["dbs"][0]["replicas"]
    replica["path"] = "$SHOP_BACKUPS/" + Path(replica["path"]).name
    running.config.write_text(json.dumps(config))
    for options in ((), ("--exact",)):
        done = verify(running, running.database, "--timeout", "20", *options)
        assert (1, "") == (done.returncode, done.stderr)
        assert "  unusable: $SHOP_BACKUPS is not set here, and the config " in done.stdout
    monkeypatch.setenv(
        "SHOP_BACKUPS", str(Path(json.loads(written)["dbs"][0]["replicas"][0]["path"]).parent)
    )
    done = verify(running, running.database)
    assert 0 == done.returncode, done.stdout


def test_one_table_is_not_tables(running):
    assert ", 1 table," in verify(running, running.database, "--exact").stdout


def test_a_time_before_the_first_backup(replicated):
    done = verify(replicated, replicated.database, "--timestamp", "2020-01-01T00:00:00Z")
    assert 1 == done.returncode
    found = re.search(r"  unrestorable: .*\(the oldest restorable point is (\S+Z)\)", done.stdout)
    assert found is not None, done.stdout
    assert "mistyped" not in done.stdout
    first = datetime.fromisoformat(found[1].replace("Z", "+00:00"))
    wait_until(lambda: datetime.now(timezone.utc) > first, "the time that is named")
    done = verify(replicated, replicated.database, "--timestamp", found[1])
    assert 0 == done.returncode, done.stdout
