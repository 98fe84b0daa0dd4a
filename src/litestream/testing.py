"""Fixtures for the tests of an application that is replicated.

::

    # conftest.py
    pytest_plugins = ["litestream.testing"]
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import litestream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "assert_proved",
    "litestream_config",
    "litestream_database",
    "litestream_replica",
    "litestream_replication",
]


def assert_proved(
    database: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    timeout: float = 30.0,
) -> litestream.Verification:
    """Assert that the replica of a database holds exactly its content."""
    __tracebackhide__ = True
    try:
        with suppress(litestream.ReplicationTimeoutError):  # the proof names the fault
            litestream.sync(database, timeout / 2, config=config)  # a daemon may be very young
        return litestream.verify(database, exact=True, config=config, timeout=timeout)
    except litestream.VerificationFailure as failure:
        raise AssertionError(str(failure)) from failure


@pytest.fixture
def litestream_database(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet; override it to name your own."""
    return tmp_path / "app.db"


@pytest.fixture
def litestream_replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty directory for the replica."""
    return tmp_path_factory.mktemp("replica")


@pytest.fixture
def litestream_config(
    litestream_database: Path,
    litestream_replica: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return the config of that database and replica; ``LITESTREAM_CONFIG`` names it meanwhile."""
    replica = {"type": "file", "path": str(litestream_replica), "sync-interval": "50ms"}
    content = {
        "dbs": [
            {
                "path": str(litestream_database),
                "monitor-interval": "50ms",
                "replicas": [replica],
            }
        ]
    }
    path = tmp_path_factory.mktemp("config") / "litestream.yml"
    path.write_text(json.dumps(content, ensure_ascii=False))
    monkeypatch.setenv("LITESTREAM_CONFIG", str(path))
    return path


@pytest.fixture
def litestream_replication(litestream_config: Path) -> Iterator[litestream.Replication]:
    """Return a running ``Replication`` of the database; a final sync ends it with the test."""
    with litestream.Replication(litestream_config) as replication:
        yield replication
