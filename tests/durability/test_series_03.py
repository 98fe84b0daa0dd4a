"""Positions in a 0.3 replica."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from litestream._database import local_state
from litestream._database.files import meta_path
from litestream._database.local_state import Position03
from litestream._durability.series_03 import measured_position, stored_position
from litestream._executable.log_lines import parse
from tests.database.test_local_state import commit
from tests.support import Site, free_port, restored_values, wait_until


@pytest.mark.only_series("0.3")
def test_an_end_becomes_a_position_that_the_replica_reaches(site: Site) -> None:
    meta = Path(meta_path(site.database))
    site.start()
    wait_until((meta / "generation").exists, "the generation")
    for value in "abcde":
        end = commit(site, value)
        wanted = wait_until(partial(local_state.shadow_position, meta, end), "its position")

        def reached(wanted: Position03 = wanted) -> bool:
            stored = stored_position(site.replica_path, wanted.generation)
            return stored is not None and stored.reaches(wanted)

        wait_until(reached, "the replica")
        assert value in restored_values(site)
        wait_until(partial(is_logged, site, wanted), "the log line")
    assert stored_position(site.replica_path, wanted.generation) == logged(site)


def is_logged(site: Site, wanted: Position03) -> bool:
    return logged(site).reaches(wanted)


def logged(site: Site) -> Position03:
    for line in reversed(site.log.read_text().splitlines()):
        log = parse(line)
        if log is not None and log.message == "wal segment written":
            segment = local_state.logged_segment(log.fields)
            assert segment is not None
            return segment[1]
    return Position03("", 0, 0)


def test_metrics_tell_the_position_of_the_replica_that_is_furthest_behind() -> None:
    metrics = "\n".join(
        (
            'litestream_replica_wal_index{db="/a.db",name="one"} 3',
            'litestream_replica_wal_index{db="/a.db",name="two"} 2',
            'litestream_replica_wal_index{db="/other.db",name="one"} 1',
            'litestream_replica_wal_offset{db="/a.db",name="one"} 0',
            'litestream_replica_wal_offset{db="/a.db",name="two"} 1.04e+06',
        )
    )
    assert measured_position(metrics, "/a.db", "g") == ("g", 2, 1_040_000)
    assert measured_position(metrics, "/b.db", "g") is None


@pytest.mark.only_series("0.3")
def test_the_metrics_of_a_daemon_are_understood(make_site: Callable[..., Site]) -> None:
    site = make_site(name='a "b".db')
    port = free_port()
    site.configure("50ms", addr=f"127.0.0.1:{port}")
    meta = Path(meta_path(site.database))

    def measured() -> Position03 | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        return measured_position(text, str(site.database), wanted.generation)

    site.start()
    wait_until((meta / "generation").exists, "the generation")
    end = commit(site, "new")
    wanted = wait_until(lambda: local_state.shadow_position(meta, end), "its position")
    wait_until(lambda: (at := measured()) is not None and at.reaches(wanted), "the metrics")
