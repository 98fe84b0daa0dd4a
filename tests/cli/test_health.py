"""``litestream health`` and ``litestream history``."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

import litestream
from litestream import cli
from tests.support import Site, wait_until


def health(site: Site, *arguments: str) -> int:
    return cli.main(["health", "--config", str(site.config), *arguments])


@pytest.fixture
def proved(running):
    litestream.verify(running.database, config=running.config)
    return running


@pytest.mark.only_series("0.5")
def test_its_status_is_the_verdict(proved, capsys):
    wait_until(lambda: 0 == health(proved), "a good verdict")
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"ok        {proved.database}  The ")
    assert 1 == health(proved, "--max-proof-age", "0")
    proved.kill()
    assert 2 == health(proved)
    assert "failing" in capsys.readouterr().out


@pytest.mark.only_series("0.5")
def test_one_line_for_nagios(proved, capsys):
    wait_until(lambda: 0 == health(proved, "--one-line"), "a good verdict")
    assert "LITESTREAM OK: 1 databases" == capsys.readouterr().out.splitlines()[-1]
    health(proved, "--one-line", "--max-proof-age", "0")
    assert capsys.readouterr().out.startswith("LITESTREAM WARNING: /")
    proved.kill()
    health(proved, "--one-line")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("LITESTREAM CRITICAL: /")


def test_json_is_the_rows(proved, capsys):
    health(proved, "--json")
    (row,) = litestream.health(config=proved.config)
    assert set(row) == set(json.loads(capsys.readouterr().out))


def test_metrics_replace_a_file_that_others_may_read(proved, capsys, tmp_path):
    path = tmp_path / "litestream.prom"
    path.write_text("old")
    health(proved, "--metrics", str(path))
    assert "" == capsys.readouterr().out
    assert list(text_string_to_metric_families(path.read_text()))
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert [] == [p for p in tmp_path.iterdir() if p.suffix == ".tmp"]


def test_what_is_not_known_is_no_warning_only(tmp_path, capsys):
    assert 2 == cli.main(["health"])
    assert "There is no config" in capsys.readouterr().err
    assert 2 == cli.main(["health", "--one-line"])
    assert capsys.readouterr().out.startswith("LITESTREAM CRITICAL: There is no config")
    assert 2 == cli.main(["health", str(tmp_path / "none.db")])


def test_it_is_one_line_whatever_the_names(make_site, capsys):
    site = make_site(name="line\nbreak\x1b[0m.db")
    health(site, "--one-line")
    out = capsys.readouterr().out
    assert 1 == out.count("\n")
    assert "\x1b" not in out


def test_history_prints_each_proof(proved, capsys):
    with pytest.raises(litestream.VerificationFailure):
        litestream.verify(proved.database, directory="/nowhere", config=proved.config)
    assert 0 == cli.main(["history", "--config", str(proved.config)])
    first, second = capsys.readouterr().out.splitlines()
    assert "  by a row  proved  " in first
    assert "  FAILED  unusable: " in second
    assert 0 == cli.main(["history", str(proved.database), "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == litestream.history(proved.database)


def test_a_reader_that_goes_away_is_no_traceback(proved):
    done = subprocess.run(
        f"{sys.executable} -m litestream health --config '{proved.config}' | true",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
