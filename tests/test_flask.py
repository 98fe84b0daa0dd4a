"""``litestream.flask`` in a real application, that of docs/flask.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import flask
import pytest

import litestream
from litestream.flask import Litestream
from tests.servers import Page, adapted, serving, started
from tests.support import Site

PAGE = Page("flask")
(APP,) = PAGE.files("app.py")
(HOOKS,) = PAGE.files("gunicorn.conf.py")
(CODE,) = PAGE.code()
RUN_GUNICORN, RUN_FLASK, RECOVER, VERIFY, DATABASES, NIGHT = PAGE.commands()
SHOP = """
    from flask import Blueprint
    from rows import insert
    pages = Blueprint("pages", __name__)
    @pages.get("/<value>")
    def save(value):
        return insert(value)
"""
FILES = {"app.py": APP, "shop.py": SHOP}


def run(site: Site, command: str) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("flask")), *command.split()[1:]]
    return subprocess.run(argv, cwd=site.directory, capture_output=True, text=True, timeout=120)


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(
    "command",
    [
        RUN_GUNICORN.replace("--workers 2", "--workers 2 --bind 127.0.0.1:PORT"),
        f"{RUN_FLASK} --debug --port PORT",
    ],
)
def test_the_server_runs_beside_the_daemon(replicated: Site, command: str) -> None:
    replicated.connection.close()
    for file in replicated.directory.glob("app.db*"):
        file.unlink()
    with serving(replicated, command, FILES) as server:
        first = server.wait_for_daemon()
        server.assert_proved()
        os.kill(first, signal.SIGKILL)
        server.wait_for_daemon(other_than=first)
        server.client.save("two")
        server.end()
        server.assert_kept()


def test_the_verbs_and_the_extension(site: Site) -> None:
    with started(site, "flask litestream run", FILES) as server:
        server.wait_for_daemon()
        site.write(3)
        for command in (RECOVER, VERIFY, DATABASES, NIGHT):
            done = run(site, command)
            assert 0 == done.returncode, done.stderr
            assert str(site.database) in done.stdout
        for verb in ("health", "history", "config"):
            done = run(site, f"flask litestream {verb}")
            assert 0 == done.returncode, done.stderr
            assert str(site.database) in done.stdout
        assert 0 == run(site, "flask litestream check").returncode
        for listing in ("generations", "snapshots"):
            done = run(site, f"flask litestream {listing} app.db")
            assert 0 == done.returncode, done.stderr
            assert done.stdout.split()[1] == "generation"
        script = "from app import create_app\nwith create_app().app_context():\n"
        script += "".join(f"    {line}\n" for line in CODE.splitlines())
        subprocess.run([sys.executable, "-c", script], cwd=site.directory, check=True)
        assert 0 == server.end()


def test_messages_name_the_setting_and_no_file_of_ours(site: Site) -> None:
    replica = {"path": str(site.directory / "copies"), "secret-access-key": "canary"}
    (site.directory / "app.py").write_text(
        "import flask\nfrom litestream.flask import Litestream\napp = flask.Flask('app')\n"
        f"app.config['LITESTREAM_REPLICAS'] = {{{str(site.database)!r}: {replica}}}\n"
        "Litestream(app)\n"
    )
    for verb in ("check", "check --json", "config", "upgrade", "verify nowhere.db"):
        done = run(site, f"flask litestream {verb}")
        said = done.stdout + done.stderr
        assert "LITESTREAM_REPLICAS" in said, said
        assert "litestream.yml" not in said
        assert "canary" not in said
    done = run(site, "flask litestream check")
    assert "LITESTREAM_REPLICAS: warning: the replica is in the directory of the" in done.stdout
    assert "in plain text" not in done.stdout  # where, is for Python's code to say


@pytest.mark.only_series("0.5")
def test_the_other_way_to_start(site: Site) -> None:
    command = 'gunicorn -w 2 -b 127.0.0.1:PORT "app:create_app()"'
    with serving(site, command, {**FILES, "gunicorn.conf.py": HOOKS}) as server:
        server.client.save("one")
        assert 0 == server.end()
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_what_goes_wrong_has_its_status(site: Site) -> None:
    for name, content in {**FILES, "rows.py": "insert = None"}.items():
        (site.directory / name).write_text(adapted(content, site))
    for command, message, status in (
        ("verify", "name the databases", 2),
        ("run -- no-such-program", "no-such-program", 127),
        ("restore -no-such-flag", "no-such-flag", 1),
        ("verify nowhere.db", "nowhere.db", 1),
        ("help", "usage: litestream VERB", 0),
    ):
        done = run(site, f"flask litestream {command}")
        assert (status, True) == (done.returncode, message in done.stdout + done.stderr), done


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"LITESTREAM_REPLICA": {}}, "Did you mean 'LITESTREAM_REPLICAS'"),
        ({"LITESTREAM_REPLICAS": {"a": "b"}, "LITESTREAM_CONFIG": "c"}, "both set"),
        ({"LITESTREAM_REPLICAS": ["app.db"]}, "map each database's path"),
        ({"LITESTREAM_REPLICAS": {":memory:": "file:///x"}}, "in memory has no backup"),
        ({"LITESTREAM_REPLICAS": {"postgresql://host/db": "file:///x"}}, "not a file"),
    ],
)
def test_a_wrong_setting_is_one_error(settings: dict[str, object], message: str) -> None:
    app = flask.Flask(__name__)
    app.config.update(settings)
    with pytest.raises(litestream.ConfigurationError, match=message):
        Litestream(app)


def test_the_settings_of_configs_are_configured() -> None:
    app = flask.Flask(__name__)
    app.config["LITESTREAM_REPLICA_BUCKET"] = "a-bucket"
    extension = Litestream()
    extension.init_app(app)
    assert extension is app.extensions["litestream"]
    assert (
        "LITESTREAM_REPLICA_BUCKET=a-bucket"
        in app.test_cli_runner().invoke(args=["litestream", "env"]).output
    )
    with pytest.raises(litestream.ConfigurationError, match="already"):
        Litestream(app)
