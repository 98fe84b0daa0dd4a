"""A daemon's log lines as records of `logging`."""

from __future__ import annotations

import logging
import time

import pytest

from litestream import Replication
from litestream._replication.daemon_log import DaemonLog
from tests.support import Site, wait_until


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (
            'level=INFO msg="compaction complete" system=store db=app.db level=1 txid.min=1 size=4',
            "DEBUG",
            "compaction complete db=app.db level=1",
        ),
        (
            'level=INFO msg="replicating to" name=file type=file sync-interval=1s path="/my rep"',
            "INFO",
            'replicating to path="/my rep" name=file type=file',
        ),
        (
            'level=ERROR msg="sync error" system=store db=app.db error="disk full" backoff=1s',
            "ERROR",
            "sync error db=app.db: disk full",
        ),
        ('level=WARN msg="compaction complete"', "WARNING", "compaction complete"),
        ('level=INFO msg="starting L0 retention monitor" interval=15s', "DEBUG", None),
        ("level=INFO msg=litestream version=0.5.17", "INFO", "litestream version=0.5.17"),
    ],
)
def test_a_message_says_what_it_is_about(
    line: str, level: str, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "litestream.daemon"):
        DaemonLog().line(f"time=2026-11-25T22:58:07.903Z {line}")
    (record,) = caplog.records
    assert record.levelname == level
    assert message is None or record.getMessage() == message


def test_a_healthy_daemon_is_quiet_at_info(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "litestream.daemon"), Replication(site.config) as running:
        site.write(3)
        running.sync()
        wait_until(lambda: len(caplog.records) > 3, "records")
        time.sleep(0.5)
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    assert [text for text in told if "monitor" in text or "written" in text] == []
    assert any(str(site.database) in text for text in told)
