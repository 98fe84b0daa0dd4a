"""docs/monitoring.md: its blocks run, its tables are the code's own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

import litestream
from litestream import metrics
from litestream._health import exposition, look
from tests.cli.test_ping import Switch
from tests.servers import Page
from tests.support import wait_until

PAGE = Page("monitoring")


@pytest.fixture
def beside(site, monkeypatch, tmp_path):
    """Return a site whose app.db is replicated by `litestream run`, from the page's own folder."""
    site.write(3)
    monkeypatch.chdir(site.directory)
    (tmp_path / "histories").mkdir()
    with litestream.Replication(site.config) as replication:
        replication.sync()
        litestream.verify(site.database)
        wait_until(lambda: litestream.health().verdict == "ok", "a good verdict")
        yield site


def shell(line: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        line, shell=True, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )


def test_its_python_blocks(beside, tmp_path, capsys):
    registered = set(REGISTRY._collector_to_names)
    try:
        for block in PAGE.code():
            exec(compile(block.replace("/srv", str(tmp_path)), "monitoring.md", "exec"), {})
    finally:
        for collector in set(REGISTRY._collector_to_names) - registered:
            REGISTRY.unregister(collector)
    assert f"ok {beside.database} The replica " in capsys.readouterr().out


def test_its_commands(beside):
    for command in PAGE.commands():
        if not command.startswith(("export", "litestream verify", "litestream run")):
            done = shell(command)
            assert (0, "") == (done.returncode, done.stderr), command
    (shown,) = [body for kind, body in PAGE.blocks if kind == "text"]
    pattern = re.sub(r"proved 9 hours ago", "proved .* ago", re.escape(shown.strip()).replace(
        r"proved\ 9\ hours\ ago", "proved .* ago"))  # fmt: skip
    pattern = pattern.replace("/srv/app\\.db", re.escape(str(beside.database)))
    newest = re.escape("has the newest change")
    assert newest in pattern
    pattern = pattern.replace(newest, rf"({newest}|is \d+ s behind)")  # the verify removes its row
    assert re.fullmatch(pattern, shell("litestream health").stdout.strip())


def test_its_pings(beside, monkeypatch):
    export, verify, run = PAGE.commands()[-3:]
    with contextlib.closing(Switch()) as switch:
        monkeypatch.setenv(export.split()[1].partition("=")[0], switch.url)
        assert 0 == shell(verify).returncode
        assert ["/start", ""] == switch.events
    (option,) = re.findall(r"--\S+", run)
    assert option in shell("litestream run --help").stdout


def test_the_healthcheck_of_a_container(beside):
    (line,) = [body for kind, body in PAGE.blocks if kind == "dockerfile"]
    argv = json.loads(line.partition(" CMD ")[2])
    assert "LITESTREAM OK: 1 databases\n" == shell(" ".join(argv)).stdout


def test_its_rules_are_of_metrics_that_there_are(beside):
    (rules,) = [body for kind, body in PAGE.blocks if kind == "yaml"]
    expressions = [rule["expr"] for rule in yaml.safe_load(rules)["groups"][0]["rules"]]
    names = re.findall(r"litestream_\w+", " ".join(expressions))
    assert len(names) == 4
    assert set(names) <= set(re.findall(r"^# TYPE (\S+)", metrics.text(), re.MULTILINE))


def test_every_metric_has_its_line():
    (row,) = litestream.health("/nowhere/a.db")
    numbers = {key: 1 for key, value in row.items() if value is None}
    known = {family.name for family in exposition.families([{**row, **numbers}])}  # type: ignore[typeddict-item]
    known |= {"litestream_backup_last_proof_ok", "litestream_backup_last_restore_seconds"}
    table = PAGE.text.partition("| `litestream_backup_…` |")[2].partition("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in
             re.findall(r"`(\w+)`", line.split("|")[1])}  # fmt: skip
    assert {name.removeprefix("litestream_backup_") for name in known} == named


def test_every_verdict_has_its_line():
    assert set(look.ORDER) <= set(re.findall(r"^\| \d \| `(\w+)` \|", PAGE.text, re.MULTILINE))
