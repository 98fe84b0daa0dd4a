"""Metrics: Prometheus' own parser reads them, and none has the name of one of Litestream's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import litestream
from litestream._durability.series_03 import metrics_page
from litestream._health import exposition
from tests.support import free_port, wait_until

NAMES = ["a.db", 'q"uo\\te.db', "line\nbreak.db", "\u202e\x1b[0m\r.db", "\udcff.db"]


def parsed(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the value of each sample, by its name and its labels' values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def row(name: str, **changed):
    (found,) = litestream.health(f"/nowhere/{name}")
    return {**found, **changed}


def test_the_figures_of_a_database(running):
    litestream.verify(running.database, config=running.config)
    text = litestream.metrics.text(config=running.config)
    found = parsed(text)
    database = str(running.database)
    (health,) = litestream.health(config=running.config)
    (proof,) = litestream.history(running.database)
    prefix = "litestream_backup_"
    assert health["last_proof"] == found[f"{prefix}last_proof_timestamp_seconds"][database,]
    assert {(database,): 1.0} == found[f"{prefix}last_proof_ok"]
    assert proof["restore_seconds"] == found[f"{prefix}last_restore_seconds"][database,]
    assert health["size"] == found[f"{prefix}database_size_bytes"][database,]
    assert 0.0 == found[f"{prefix}never_proved_databases"][()]
    assert 1.0 == sum(found[f"{prefix}databases"].values())


def test_a_failed_run_moves_the_last_proof_and_not_the_last_good_one(running):
    litestream.verify(running.database, config=running.config)
    running.kill()
    with pytest.raises(litestream.VerificationFailure):
        litestream.verify(running.database, timeout=0.5, config=running.config)
    found = parsed(litestream.metrics.text(config=running.config))
    (last,) = found["litestream_backup_last_proof_timestamp_seconds"].values()
    (good,) = found["litestream_backup_last_good_proof_timestamp_seconds"].values()
    assert good < last
    assert [0.0] == list(found["litestream_backup_last_proof_ok"].values())


def test_no_name_is_one_of_litestreams(site):
    site.configure("50ms", addr=f"127.0.0.1:{(port := free_port())}")
    site.write(3)
    site.start()
    site.wait_for_backup()
    page = wait_until(lambda: metrics_page(f"127.0.0.1:{port}"), "the metrics page")
    theirs = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    rows = [row("a", verdict="ok", behind=0.0, restarts=1, size=1, last_sync=1.0, last_proof=1.0)]
    ours = {family.name for family in exposition.families(rows)}
    assert any(name.startswith("litestream_") for name in theirs)
    assert len(ours) > 10
    assert not ours & theirs
    assert not any(name.startswith("litestream_backup_") for name in theirs)


def test_hostile_names_are_read_back_as_they_are():
    found = parsed(exposition.text([row(name) for name in NAMES]))
    shown = {labels[0] for labels in found["litestream_backup_ok"]}
    assert {f"/nowhere/{name}" for name in NAMES[:-1]} | {"/nowhere/\\udcff.db"} == shown


def test_of_many_there_are_the_worst_ten():
    rows = [row(f"{number}.db", verdict="ok") for number in range(500)]
    for number in range(490, 500):
        rows[number]["verdict"] = "failing"
    found = parsed(exposition.text(rows))
    failing = {f"/nowhere/{number}.db" for number in range(490, 500)}
    assert failing == {labels[0] for labels in found["litestream_backup_ok"]}
    assert {490.0, 10.0, 0.0} == set(found["litestream_backup_databases"].values())
    assert sum(len(samples) for samples in found.values()) < 150


def test_a_registry_gives_the_same(running):
    registry = CollectorRegistry()
    registry.register(litestream.metrics.Collector(running.database, config=running.config))
    theirs = parsed(generate_latest(registry).decode())
    ours = parsed(litestream.metrics.text(running.database, config=running.config))
    assert set(ours) == set(theirs)
    name = "litestream_backup_database_size_bytes"
    assert ours[name] == theirs[name]


def test_the_collector_says_what_to_install():
    script = (
        "import sys; sys.modules['prometheus_client.core'] = None; import litestream.metrics; "
        "list(litestream.metrics.Collector('a.db').collect())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert "pip install prometheus_client" in done.stderr
