"""The recipes of docs/schedulers.md: a proof that fails fails its task, where one sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import litestream
from tests.servers import SCRIPTS, Page
from tests.support import Site, wait_until

PAGE = Page("schedulers")
CELERY, HUEY = PAGE.commands()
SOON = {
    "celery_app.py": ("crontab(hour=3, minute=15)", "0.5"),
    "huey_app.py": ('crontab(hour="3", minute="15")', "lambda _: True"),
    "apscheduler_app.py": ('"cron", hour=3, minute=15', '"interval", seconds=0.5'),
}
BROKER = """
import os
os.makedirs("queue", exist_ok=True)
folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue"}
app.conf.update(broker_url="filesystem://", broker_transport_options=folders)
"""


def recipe(site: Site, name: str) -> None:
    """Write a recipe that is due at once, of a database whose proof takes at most a second."""
    (text,) = PAGE.files(name)
    text = text.replace(*SOON[name]).replace("/srv/app.db", str(site.database))
    text = text.replace("exact=True", f"exact=True, timeout=1, config={str(site.config)!r}")
    (site.directory / name).write_text(text + BROKER * (name == "celery_app.py"))


@pytest.fixture(params=["proved", "not proved"])
def case(request: pytest.FixtureRequest, site: Site) -> Iterator[tuple[Site, bool]]:
    site.write(3)
    if request.param == "not proved":
        yield site, False
        return
    with litestream.Replication(site.config) as replication:
        replication.sync()
        yield site, True


def prints(site: Site, argv: list[str], text: str) -> None:
    """Run a scheduler until it prints a text; it ends with the test."""
    log = site.directory / "scheduler.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=site.directory,
            stdout=output,
            stderr=output,
            env={**os.environ, "C_FORCE_ROOT": "1"},
            start_new_session=True,
        )
    try:
        wait_until(lambda: text in log.read_text() or process.poll() is not None, text, 60)
        assert text in log.read_text(), log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Celery's beat as well
        process.wait()


@pytest.mark.only_series("0.5")
def test_celery(case: tuple[Site, bool]) -> None:
    site, proved = case
    recipe(site, "celery_app.py")
    argv = [str(SCRIPTS / CELERY.split()[0]), *CELERY.split()[1:]]
    argv += ["--pool", "solo", "--loglevel", "INFO", "--schedule", str(site.directory / "beat")]
    prints(site, argv, "] succeeded in" if proved else "raised unexpected: VerificationFailure")


@pytest.mark.only_series("0.5")
def test_huey(case: tuple[Site, bool]) -> None:
    site, proved = case
    recipe(site, "huey_app.py")
    argv = [str(SCRIPTS / HUEY.split()[0]), *HUEY.split()[1:], "--scheduler-interval", "1"]
    prints(site, argv, "executed in" if proved else "Unhandled exception in task")


@pytest.mark.only_series("0.5")
def test_apscheduler(case: tuple[Site, bool]) -> None:
    site, proved = case
    recipe(site, "apscheduler_app.py")
    script = "import logging, apscheduler_app as app; logging.basicConfig(level='INFO'); "
    argv = [sys.executable, "-c", script + "app.scheduler.start()"]
    prints(site, argv, "executed successfully" if proved else "raised an exception")
