"""``litestream.django`` in a real project, whose settings are those of docs/django.md."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Page, adapted, serving, started
from tests.support import Site, wait_until

pytest.importorskip("django")

PAGE = Page("django")
SETTINGS, RELAXED = PAGE.files("settings.py")
(ASGI,) = PAGE.files("asgi.py")
(HOOKS,) = PAGE.files("gunicorn.conf.py")
(NIGHTLY,) = PAGE.files("nightly.py")
(URLS,) = PAGE.files("urls.py")
RUN_GUNICORN, RUN_RUNSERVER, RECOVER, VERIFY, VERIFY_ONE, DATABASES, CHECK, NIGHT = PAGE.commands()
STARTPROJECT = """
    from pathlib import Path
    BASE_DIR = Path(__file__).parent.parent
    SECRET_KEY, DEBUG, ROOT_URLCONF, USE_TZ = "x", True, "project.urls", True
    ALLOWED_HOSTS = ["*"]
    INSTALLED_APPS = []
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "app.db"}}
"""
FILES = {
    "manage.py": """
        import os, sys
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
    """,
    "project/__init__.py": "",
    "project/urls.py": """
        import os
        from django.db import connection
        from django.http import HttpResponse
        from django.urls import path
        def insert(request, value):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO items (value) VALUES (%s)", [value])
            return HttpResponse(str(os.getpid()))
        urlpatterns = [path("<value>", insert)]
    """,
    "project/wsgi.py": """
        import os
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        from django.core.wsgi import get_wsgi_application
        application = get_wsgi_application()
    """,
    "project/asgi.py": ASGI,
}


def project(settings: str = SETTINGS, **files: str) -> dict[str, str]:
    own = "\n".join(line.strip() for line in STARTPROJECT.splitlines())
    return {**FILES, "project/settings.py": f"{own}\n{settings}", **files}


@pytest.fixture
def written(site: Site) -> Site:
    """Return a site with a project in its directory; its config would name another replica."""
    write(site, project())
    site.config.rename(site.directory / "elsewhere.yml")
    return site


def write(site: Site, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = site.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(adapted(content, site))


def manage(site: Site, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = command.removeprefix("python ").split()
    return subprocess.run(
        [sys.executable, *argv],
        cwd=site.directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def evaluate(site: Site, script: str) -> Any:
    """Run a script in the project, and return what it prints as JSON."""
    prelude = "import os, django, json\nos.environ['DJANGO_SETTINGS_MODULE']='project.settings'\n"
    text = f"{prelude}django.setup()\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=site.directory, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", [RUN_GUNICORN, RUN_RUNSERVER])
def test_the_server_runs_beside_the_daemon(replicated: Site, command: str) -> None:
    replicated.connection.close()
    for file in replicated.directory.glob("app.db*"):
        file.unlink()
    command += " -w 2 -b 127.0.0.1:PORT" if command == RUN_GUNICORN else " 127.0.0.1:PORT"
    with serving(replicated, command, project()) as server:
        first = server.wait_for_daemon()
        server.assert_proved()
        if command == RUN_RUNSERVER:
            wait_until(lambda: reloading(replicated.directory), "the reloader")
            server.wait_for_answers("the new server")
        assert [first] == server.daemons()
        os.kill(first, signal.SIGKILL)
        server.wait_for_daemon(other_than=first)
        server.client.save("two")
        server.end()
        server.assert_kept()


def reloading(directory: Path) -> bool:
    """Touch a module, and tell whether Django's reloader saw it: it may not have looked before."""
    later = time.time() + 5
    os.utime(directory / "project/urls.py", (later, later))
    return "changed, reloading" in (directory / "server.log").read_text()


@pytest.mark.only_series("0.5")
@pytest.mark.parametrize(
    "command",
    [
        "gunicorn -w 2 -b 127.0.0.1:PORT project.wsgi",
        "uvicorn --workers 2 --port PORT project.asgi:application",
    ],
)
def test_the_other_ways_to_start(site: Site, command: str) -> None:
    with serving(site, command, {**project(), "gunicorn.conf.py": HOOKS}) as server:
        server.client.save("one")
        server.assert_proved()
        server.end()
        server.assert_kept()


@pytest.mark.only_series("0.5")
def test_a_killed_run_leaves_nothing_behind(site: Site) -> None:
    with serving(site, f"{RUN_GUNICORN} -b 127.0.0.1:PORT", project()) as server:
        server.client.save("one")
        server.end(signal.SIGKILL)
        server.assert_kept()


def test_the_verbs(written: Site) -> None:
    written.write(5)
    written.connection.execute("PRAGMA journal_mode=DELETE")
    done = manage(written, VERIFY)
    assert 1 == done.returncode
    assert "no daemon" in done.stdout
    assert "CommandError: litestream verify ended with status 1" in done.stderr
    with started(written, "python manage.py litestream run", {}) as server:
        server.wait_for_daemon()
        for command in (VERIFY, VERIFY_ONE, NIGHT, DATABASES, f"{CHECK} --fail-level ERROR"):
            done = manage(written, command)
            assert 0 == done.returncode, done.stderr
        for listing in ("generations", "snapshots"):
            done = manage(written, f"python manage.py litestream {listing} default")
            assert 0 == done.returncode, done.stderr
            assert done.stdout.split()[1] == "generation"
        assert "present" in manage(written, RECOVER).stdout
        assert 0 == server.end()
    written.connection.close()
    for file in written.directory.glob("app.db*"):
        file.unlink()
    assert "app.db: restored" in manage(written, RECOVER).stdout
    with contextlib.closing(sqlite3.connect(written.database)) as connection:
        assert (5,) == connection.execute("SELECT count(*) FROM items").fetchone()


@pytest.mark.only_series("0.5")
def test_what_goes_wrong_is_one_error(written: Site) -> None:
    for command, message, status in (
        ("verify defualt", "Did you mean 'default'?", 1),
        ("restore -no-such-flag", "no-such-flag", 1),
        ("run -- no-such-program", "litestream run ended with status 127", 127),
        ("verify", "name the databases", 2),
    ):
        done = manage(written, f"manage.py litestream {command}")
        assert message in done.stdout + done.stderr, command
        assert status == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
    write(written, project(SETTINGS.replace("app", "x") + "LITESTREAM['EXPECT'] = 'backup'"))
    written.connection.close()
    for file in written.directory.glob("app.db*"):
        file.unlink()
    done = manage(written, RECOVER)
    assert (1, True) == (done.returncode, "no matching backup files" in done.stderr), done.stderr
    assert not written.database.exists()
    write(written, project(SETTINGS + "LITESTREAM['REPLICA'] = {}"))
    done = manage(written, VERIFY)
    assert "no key 'REPLICA'. Did you mean 'REPLICAS'?" in done.stderr
    assert 1 == done.returncode


CASES: list[tuple[str, list[str]]] = [
    ("LITESTREAM=dict(REPLICAS=dict(default=OUT))", []),
    ("LITESTREAM=dict(REPLICAS=dict(default=None))", []),
    ("LITESTREAM=dict(REPLICAS=dict(default=None)), DATABASES=alone(OPTIONS={})", []),
    ("LITESTREAM=dict(CONFIG='litestream.yml')", []),
    ("LITESTREAM=dict(EXPCT='any')", ["litestream.E001"]),
    ("LITESTREAM=[]", ["litestream.E001"]),
    ("LITESTREAM=dict(DASHBOARD=dict(ACTION=[]))", ["litestream.E001"]),
    ("LITESTREAM=dict(DASHBOARD='open')", ["litestream.E002"]),
    ("LITESTREAM=dict(CONFIG='x', REPLICAS=dict(default=OUT))", ["litestream.E002"]),
    ("LITESTREAM=dict(EXPECT='maybe')", ["litestream.E002"]),
    ("LITESTREAM=dict(REPLICAS=[])", ["litestream.E002"]),
    ("LITESTREAM=dict(CONFIG={})", ["litestream.W001"]),
    ("LITESTREAM=dict(CONFIG=dict(default=OUT))", ["litestream.E002"]),
    ("LITESTREAM=dict(REPLICAS=dict(defualt=OUT))", ["litestream.E003"]),
    ("LITESTREAM=dict(REPLICAS=dict(default=7))", ["litestream.E004"]),
    ("LITESTREAM=dict(REPLICAS=dict(other=OUT)), DATABASES=with_(PG)", ["litestream.E004"]),
    ("LITESTREAM=dict(REPLICAS=dict(other=OUT)), DATABASES=with_(MEMORY)", ["litestream.E004"]),
    ("LITESTREAM=dict(REPLICAS=dict(other=OUT)), DATABASES=with_(TEST)", ["litestream.E004"]),
    ("LITESTREAM=dict(REPLICAS=dict(default=OUT)), DATABASES=with_(PG)", []),
    ("LITESTREAM=dict(REPLICAS=dict(default=OUT)), DATABASES=with_(MEMORY)", []),
    ("LITESTREAM=dict(REPLICAS=dict(default=OUT)), DATABASES=with_(OTHER)", ["litestream.W001"]),
    ("LITESTREAM={}", ["litestream.W001"]),
    ("MEDIA_ROOT=BASE_DIR", ["litestream.E005"]),
    ("DATABASES=alone(NAME='app.db')", ["litestream.W004"]),
    ("DATABASES=alone(OPTIONS={})", ["litestream.W002"]),
    ("LITESTREAM=dict(REPLICAS=dict(default=f'file://{BASE_DIR}/r'))", ["litestream.W005"]),
    ("LITESTREAM=dict(REPLICAS=dict(default='s3://key:secret@bucket/app'))", []),
]
LOOK = f"""
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
BASE_DIR, OUT = settings.BASE_DIR, "file:///elsewhere/app"
SQLITE = "django.db.backends.sqlite3"
PG = dict(ENGINE="django.db.backends.postgresql", NAME="x")
MEMORY = dict(ENGINE=SQLITE, NAME="file:x?mode=memory&cache=shared")
TEST = dict(ENGINE=SQLITE, NAME="/elsewhere/t.db", TEST=dict(NAME="/elsewhere/t.db"))
OTHER = dict(settings.DATABASES["default"], NAME="/elsewhere/other.db")
with_ = lambda other: dict(settings.DATABASES, other=other)
alone = lambda **keys: dict(default=dict(settings.DATABASES["default"], **keys))
settings.LITESTREAM = dict(REPLICAS=dict(default=OUT))
found = []
for case in {[case for case, _ in CASES]!r}:
    with override_settings(**eval(f"dict({{case}})")):
        # Django 6.1 takes None for all
        checks = run_checks(tags=["litestream"], databases=[])
        found.append([check.id for check in checks])
print(json.dumps(found))
"""


@pytest.mark.only_series("0.5")
def test_the_checks_find_what_is_wrong(written: Site) -> None:
    import django

    found = evaluate(written, "import warnings; warnings.simplefilter('ignore')\n" + LOOK)
    for (case, wanted), ids in zip(CASES, found, strict=True):
        if django.VERSION < (5, 1):
            wanted = [one for one in wanted if one != "litestream.W002"]
        assert wanted == ids, case
    listed = {line.split("`")[1] for line in PAGE.text.splitlines() if "| `litestream." in line}
    assert {one for _, ids in CASES for one in ids} < listed


@pytest.mark.only_series("0.5")
def test_the_checks_that_open_databases_and_those_for_production(written: Site) -> None:
    write(written, project(SETTINGS + "LITESTREAM['REPLICAS'] = {'default': None}"))
    written.connection.execute("PRAGMA journal_mode=DELETE")
    done = manage(written, "manage.py check --database default")
    assert "litestream." not in done.stdout + done.stderr
    write(written, project(SETTINGS.replace("REPLICAS", "CONFIG") + "LITESTREAM['CONFIG'] = 'no'"))
    assert "E006" in manage(written, f"{CHECK} --fail-level CRITICAL").stderr
    listed = json.dumps({"dbs": [{"path": "/other.db", "replicas": [{"path": "/replica"}]}]})
    (written.directory / "litestream.yml").write_text(listed)
    text = SETTINGS.replace("LITESTREAM =", "_ =") + "DATABASES['default']['OPTIONS'] = {}\n"
    write(written, project(text + "LITESTREAM = {'CONFIG': BASE_DIR / 'litestream.yml'}"))
    written.connection.close()
    done = manage(written, f"{CHECK} --fail-level CRITICAL")
    for one in ("W001", "W003", "W006"):
        assert f"litestream.{one}" in done.stderr, done.stderr


@pytest.mark.only_series("0.5")
def test_our_tables_are_no_business_of_djangos(written: Site) -> None:
    written.write(3)
    manage(written, "manage.py litestream run -- python -c pass")
    tables = [name for (name,) in written.connection.execute("SELECT name FROM sqlite_schema")]
    assert "_litestream_seq" in tables
    done = manage(written, "manage.py inspectdb")
    assert "class Items" in done.stdout
    assert "itestream" not in done.stdout
    assert "class LitestreamSeq" in manage(written, "manage.py inspectdb _litestream_seq").stdout
    for command in ("dumpdata", "sqlflush"):
        done = manage(written, f"manage.py {command}")
        assert (0, False) == (done.returncode, "itestream" in done.stdout), done.stderr


@pytest.mark.only_series("0.5")
def test_options_set_what_connect_sets(written: Site) -> None:
    look = """
from django.db import connection
with connection.cursor() as cursor:
    def value(name):
        return cursor.execute(f"PRAGMA {name}").fetchone()[0]
    names = ("journal_mode", "synchronous", "wal_autocheckpoint", "busy_timeout")
    print(json.dumps([value(name) for name in names]))
"""
    assert ["wal", 1, 0, 5000] == evaluate(written, look)
    write(written, project(f"{SETTINGS}\n{RELAXED}"))
    relaxed = evaluate(written, look)
    assert [1000, 5000] == relaxed[2:]


@pytest.mark.only_series("0.5")
def test_a_task_fails_when_a_backup_is_not_proved(written: Site) -> None:
    import django

    if django.VERSION < (6, 0):
        pytest.importorskip("django_tasks")
    write(written, {"nightly.py": NIGHTLY})
    written.connection.execute("PRAGMA journal_mode=DELETE")
    script = "import nightly, logging; logging.disable()\nprint(json.dumps([nightly.result.status, "
    script += "[error.exception_class_path for error in nightly.result.errors]]))"
    failed = evaluate(written, script)
    assert ["FAILED", ["litestream.errors.VerificationFailure"]] == failed
    inside = f"import os, django, json\ndjango.setup()\n{script}"
    (written.directory / "inside.py").write_text(inside)
    done = manage(
        written,
        "manage.py litestream run -- python inside.py",
        DJANGO_SETTINGS_MODULE="project.settings",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
    )
    assert '["SUCCESSFUL", []]' in done.stdout, done.stderr + done.stdout


SOONER = (
    '"litestream.django.health.Replicated"',
    '("litestream.django.health.Replicated", {"timeout": __import__("datetime").timedelta(0, 1)})',
)


@pytest.mark.only_series("0.5")
def test_the_health_check(written: Site) -> None:
    pytest.importorskip("health_check.base")
    write(written, project(**{"project/urls.py": URLS.replace(*SOONER)}))
    script = """
import logging, sys
from django.test import Client
logging.disable()
print(json.dumps([Client().get("/health/", headers={"accept": "text/plain"}).status_code]))
"""
    assert [500] == evaluate(written, script)
    text = "import os, django, json\ndjango.setup()\n" + script
    (written.directory / "inside.py").write_text(text)
    done = manage(
        written,
        "manage.py litestream run -- python inside.py",
        DJANGO_SETTINGS_MODULE="project.settings",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
    )
    assert "[200]" in done.stdout, done.stderr + done.stdout
