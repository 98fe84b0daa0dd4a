"""A file system that is full is said to be that: which one, what for, and what to do about it.

Root mounts small file systems in memory for these. Nobody else can have a full one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import litestream
from tests.support import Site


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a directory with 16 MiB of its own."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", str(path)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount).returncode:
        pytest.skip("a full file system takes root, who may mount one")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path: Path, left: int = 0) -> Path:
    """Fill a file system, but for so many bytes; return the file to remove."""
    filling = path / "filling"
    free = shutil.disk_usage(path).free - left
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    return filling


def of_2_mib(site: Site) -> Site:
    site.connection.execute("BEGIN")
    site.write(100, size=10_000)
    site.connection.execute("COMMIT")
    site.start()
    site.wait_for_backup()
    return site


def filling(small: Path, left: int, *, restored: bool) -> Callable[[int, int | None], None]:
    """Return a progress that fills the file system, while the commit or the copy is looked at."""

    def progress(_written: int, _expected: int | None) -> None:
        is_restored = any(small.glob(".litestream-restore-*/database"))
        if is_restored == restored and not (small / "filling").exists():
            fill(small, left)

    return progress


def failure(site: Site, **options: Any) -> litestream.VerificationFailure:
    with pytest.raises(litestream.VerificationFailure) as failed:
        litestream.verify(site.database, config=site.config, **options)
    return failed.value


def assert_says(found: Exception, folder: Path, *words: str) -> None:
    said = str(found)
    for word in (str(folder), *words):
        assert word in said
    for word in ("damaged", "corrupt", "endpoint", "exit status"):
        assert word not in said


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("when", ["before", "while it is restored"])
def test_where_the_copy_goes(make_site: Any, small: Path, exact: bool, when: str) -> None:
    site = of_2_mib(make_site(socket=True))
    options: dict[str, Any] = {"exact": exact, "directory": small}
    if when == "before":
        fill(small, 500_000)
    else:
        options["progress"] = filling(small, 500_000, restored=False)
    found = failure(site, **options)
    assert found.reason == "unusable"
    assert_says(found, small, "free" if when == "before" else "full", "restor", "directory=")
    assert [path.name for path in small.iterdir()] == ["filling"]


def test_where_the_second_copy_goes(make_site: Any, small: Path) -> None:
    site = of_2_mib(make_site(socket=True))
    found = failure(site, exact=True, directory=small, progress=filling(small, 0, restored=True))
    assert found.reason == "unusable"
    assert_says(found, small, "full", "compare", "directory=")


def test_where_the_database_is(make_site: Any, small: Path, temporary: Path) -> None:
    site = of_2_mib(make_site("small/site", socket=True))
    fill(small)
    with pytest.raises(litestream.UnusableDatabaseError) as failed:
        litestream.verify(site.database, config=site.config, directory=temporary)
    assert_says(failed.value, site.directory, "full", "Make room", "exact=True")


@pytest.mark.parametrize("what", ["state", "replica"])
def test_where_the_daemon_writes(make_site: Any, small: Path, temporary: Path, what: str) -> None:
    site = make_site(socket=True)
    content = json.loads(site.config.read_text())
    if what == "state":
        content["dbs"][0]["meta-path"] = str(small / "state")
    else:
        content["dbs"][0]["replicas"][0]["path"] = str(small / "replica")
    site.config.write_text(json.dumps(content))
    of_2_mib(site)
    fill(small)
    site.write(5)
    found = failure(site, exact=True, directory=temporary, timeout=2)
    assert found.reason == "stale"
    assert_says(found, small, "full", "Make room")
