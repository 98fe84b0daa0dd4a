"""`litestream init`: what it finds, what it writes, and that the rest works with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from litestream import ConfigurationError, configuration
from litestream._check import check
from litestream._setup import create
from litestream._setup.create import KINDS
from tests import projects
from tests.check.test_keys import databases
from tests.support import S3_KEY, S3_SECRET
from tests.walk import walk

COMMAND = Path(sys.executable).parent / "litestream"


def init(*argv, **options):
    return subprocess.run([COMMAND, "init", *argv], capture_output=True, text=True, **options)


def filled(kind, monkeypatch):
    for variable in KINDS[kind].variables:
        value = "https://x.example" if variable.endswith("ENDPOINT") else "/x"
        monkeypatch.setenv(variable, value if "BUCKET" not in variable else "bucket")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_one_that_the_executable_takes(kind, series, installed, tmp_path, monkeypatch):
    paths = [projects.database(tmp_path / "project" / name) for name in ("a.db", "b/a.db")]
    if series not in KINDS[kind].series:
        with pytest.raises(ConfigurationError, match=f"no kind of replica '{kind}'"):
            configuration.create(paths, to=kind)
        return
    filled(kind, monkeypatch)
    text = configuration.create(paths, to=kind, directory=tmp_path / "project")
    rows = check.check_text(text, "c.yml", series)
    assert [] == rows
    said = databases(installed, text, tmp_path)
    # the library of 0.5 reads the file of the certificate at once
    assert "" == said, said
    assert set(KINDS[kind].variables) >= set(re.findall(r"\$\{?(\w+)", text))
    assert str(tmp_path / "project" / "a.db") in text


@pytest.mark.parametrize("name", [n for n in projects.PROJECTS if n != "500 files"])
def test_what_is_found(name, tmp_path, installed, monkeypatch):
    root, expected = projects.make(name, tmp_path)
    for variable, value in projects.variables(root).items():
        monkeypatch.setenv(variable, value)
    plan = create.plan([], str(root), "0.5")
    stray = [path for path in expected if set("#%?") & set(str(path))]
    assert sorted(map(str, expected)) == sorted(f.path for f in plan.chosen.values())
    assert not stray
    assert len(plan.chosen) == len(expected)
    for prefix in plan.chosen:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", prefix)
    root.chmod(0o700)


test_what_is_found = pytest.mark.only_series("0.5")(test_what_is_found)


def test_prefixes_are_stable_unique_and_readable(tmp_path):
    def named(*below):
        paths = [str(tmp_path / path) for path in below]
        return list(create.plan(paths, str(tmp_path), "0.5").chosen)

    assert ["db", "data-logs", "tenants-a-app"] == named(
        "db.sqlite3", "data/logs.db", "tenants/a/app.sqlite"
    )
    assert named("app.db") == named("app.db", "other.db")[:1]
    one, two = named("a/b.db", "a-b.db")
    assert one != two
    assert re.fullmatch(r"a-b-[0-9a-f]{6}", one)
    assert ["null-db", "database"][1:] == named("🎉.db")
    assert [] == [name for name in named("/elsewhere/secret/x.db") if "secret" in name]


def test_what_cannot_be_replicated_is_left_out(tmp_path, series):
    for name in ("a#b.db", "a?b.db", "a%b.db"):
        projects.database(tmp_path / name)
    plan = create.plan([], str(tmp_path), series)
    assert (2 if series == "0.3" else 0) == len(plan.chosen)
    assert all("rename it" in each.reason for each in plan.left_out)


def test_nothing_to_write(installed, tmp_path, series):
    done = init()
    assert 1 == done.returncode
    assert "No SQLite database was found" in done.stderr
    assert [] == os.listdir(tmp_path)
    projects.database(tmp_path / "test_a.db")
    done = init()
    assert "it is a test's database" in done.stderr


def test_settings_that_cannot_be_loaded_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no.such.settings")
    projects.database(tmp_path / "a.db")
    plan = create.plan([], str(tmp_path), "0.5")
    assert ["a"] == list(plan.chosen)
    assert "cannot be loaded" in plan.left_out[0].reason


def test_scanning_does_not_drop_the_locks_of_this_process(tmp_path):
    import sqlite3

    path = projects.database(tmp_path / "a.db")
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    create.plan([], str(tmp_path), "0.5")
    script = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN EXCLUSIVE')"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    held.close()
    assert "database is locked" in other.stderr


class TestVerb:
    def test_it_writes_says_and_never_overwrites(self, installed, tmp_path, series):
        projects.database(tmp_path / "app.db")
        projects.database(tmp_path / "tests/x.db")
        done = init(stdin=subprocess.DEVNULL)
        assert 0 == done.returncode, done.stderr
        assert f"{tmp_path}/app.db (a file), as 'app'" in done.stdout
        assert "left out: " in done.stdout
        assert "it is in a directory of tests" in done.stdout
        assert done.stdout.splitlines()[-3:] == [
            "  litestream check",
            "  litestream run -- YOUR-PROGRAM",
            "  litestream verify --all",
        ]
        config = tmp_path / "litestream.yml"
        assert 0o644 == config.stat().st_mode & 0o777
        assert "type: s3" in config.read_text()
        assert "is up to date" in init().stdout
        config.write_text(config.read_text() + "\nsecret-access-key: canary-1\n")
        before = config.read_text()
        done = init("--to", "file")
        assert 1 == done.returncode
        assert before == config.read_text()
        assert "+      - type: file" in done.stdout
        assert "canary" not in done.stdout
        assert 0 == init("--to", "file", "--force").returncode
        assert "type: file" in config.read_text()
        assert ["app.db", "litestream.yml", "tests"] == sorted(os.listdir(tmp_path))

    def test_options(self, installed, tmp_path, series):
        projects.database(tmp_path / "data/app.db")
        done = init("data/app.db", "--to", "r2", "--relative", "--output", "l.yml", "--for", "0.3")
        assert 0 == done.returncode, done.stderr
        text = (tmp_path / "l.yml").read_text()
        assert "path: data/app.db" in text
        assert "region: auto" in text
        assert "litestream check --config l.yml" in done.stdout
        assert 1 == init("--to", "ftp").returncode
        assert 1 == init("--output", "no/such/l.yml", "data/app.db").returncode
        assert ["data", "l.yml"] == sorted(os.listdir(tmp_path))

    def test_the_type_is_asked_for_on_a_terminal(self, installed, tmp_path, series):
        import pty

        projects.database(tmp_path / "app.db")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(COMMAND, [str(COMMAND), "init"])
        os.write(terminal, b"ftp\nfile\n")
        said = b""
        try:
            while chunk := os.read(terminal, 4096):
                said += chunk
        except OSError:  # its end
            pass
        os.close(terminal)
        assert 0 == os.waitpid(pid, 0)[1], said
        assert "type: file" in (tmp_path / "litestream.yml").read_text()


@pytest.mark.parametrize("name", ["Django, two databases", "spaces, $ and emoji"])
def test_init_check_run_verify(name, series, installed, tmp_path):
    root, expected = projects.make(name, tmp_path)
    walk(root, expected, {"LITESTREAM_REPLICA_PATH": str(tmp_path / "backups")}, "file")


def test_init_check_run_verify_on_s3(series, installed, tmp_path, s3):
    root, expected = projects.make("Flask-SQLAlchemy", tmp_path)
    environment = {
        "LITESTREAM_REPLICA_BUCKET": s3.replica()["bucket"],
        "LITESTREAM_REPLICA_ENDPOINT": s3.endpoint,
        "LITESTREAM_ACCESS_KEY_ID": S3_KEY,
        "LITESTREAM_SECRET_ACCESS_KEY": S3_SECRET,
        **projects.variables(root),
    }
    walk(root, expected, environment, "minio")
