"""A backup for many tests, and a config where the gem's installer puts it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import Site

NAMES = ("LITESTREAM_REPLICA_BUCKET", "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY")


@pytest.fixture(scope="session")
def _made() -> dict[str, Path]:
    return {}


@pytest.fixture
def backup(
    series: str,
    installed: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    _made: dict[str, Path],
) -> Path:
    """Return a directory with ``app.db`` and its replica: ten rows, made once for each series."""
    if series not in _made:
        site = Site(tmp_path_factory.mktemp("gem"), series)
        try:
            site.write(10)
            site.back_up(snapshot=True)
        finally:
            site.close()
        site.config.unlink()
        _made[series] = site.directory
    return Path(shutil.copytree(_made[series], tmp_path / "backup"))


def configure(config: Path, database: object, backup: Path) -> Path:
    """Write a config that replicates a database to the backup's replica, and return its path."""
    config.parent.mkdir(exist_ok=True)
    replica = {"type": "file", "path": str(backup / "replica")}
    config.write_text(json.dumps({"dbs": [{"path": str(database), "replicas": [replica]}]}))
    return config


@pytest.fixture
def config(backup: Path, tmp_path: Path) -> Path:
    """Return ``config/litestream.yml`` of the working directory, for the backup's ``app.db``."""
    return configure(tmp_path / "config" / "litestream.yml", backup / "app.db", backup)
