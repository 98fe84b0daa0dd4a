"""S3 through a proxy that is slow, resets, refuses or is down: nothing lost, nobody held up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest

import litestream
from litestream import Replication, commands
from tests.proxy import Proxy
from tests.support import S3_SECRET, S3Server, Site

TROUBLE = 2.0  # seconds


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    proxy = Proxy(int(s3.endpoint.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.mark.parametrize("mode", ["slow", "reset", "500", "503", "down"])
def test_replication_catches_up(
    make_site: Callable[..., Site],
    s3: S3Server,
    proxy: Proxy,
    mode: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = make_site(replica={**s3.replica(), "endpoint": proxy.endpoint})
    with (
        caplog.at_level(logging.WARNING, "litestream.daemon"),
        Replication(site.config, stop_timeout=10) as replication,
    ):
        replication.sync(timeout=60)
        proxy.set(mode)
        begun = time.monotonic()
        while time.monotonic() - begun < TROUBLE:
            site.write(1)  # fails when it is held up for longer than its busy timeout
            time.sleep(0.001)
        if mode != "slow":
            with pytest.raises(litestream.ReplicationTimeoutError, match=r"within 0\.[23]"):
                replication.sync(timeout=0.3)
        proxy.set("pass")
        replication.sync(timeout=120)
        output = commands.restore(site.database, site.directory / "r.db", config=site.config)
        assert site.rows(output) == site.rows()
    assert len(caplog.records) < 60
    if site.series == "0.3" and mode in ("reset", "down"):  # the others are retried for longer
        assert replication.last_error
    assert S3_SECRET not in caplog.text
