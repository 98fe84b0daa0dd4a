"""The probes of upstream/: one on the real executables, and what is known by all of them."""

from __future__ import annotations

import pytest
from upstream import report
from upstream.__main__ import PROBES
from upstream.harness import ABSENT, INAPPLICABLE, OBSCURED, PRESENT, examine, wilson
from upstream.lab import Release
from upstream.releases import pinned

from litestream._executable import traps
from tests.support import executable

NAMES = [probe.name for probe in PROBES]


def test_a_probe_finds_its_trap_on_the_bare_executable(series):
    (probe,) = [probe for probe in PROBES if probe.name == "stale-wal"]
    release = Release("0.3.13" if series == "0.3" else "0.5.17", executable(series))
    assert PRESENT == examine(probe, release).verdict


def test_every_trap_has_its_probe_and_every_probe_its_trap():
    assert list(traps.TRAPS) == NAMES
    assert list(traps.FOUND) == NAMES


def test_the_table_is_complete():
    results = report.read()
    for version in pinned():
        assert NAMES == list(results[version]), version
        verdicts = {verdict.verdict for verdict in results[version].values()}
        assert verdicts <= {PRESENT, ABSENT, INAPPLICABLE, OBSCURED}, version
    assert report.render(results, PROBES) == report.TABLE.read_text()


def test_the_library_knows_what_the_probes_have_found():
    for version, found in report.read().items():
        assert traps.is_among(version, traps.EXAMINED), version
        for name, verdict in found.items():
            known = traps.is_among(version, traps.FOUND[name])
            if verdict.verdict == PRESENT:
                assert known, (name, version)
            elif verdict.verdict == INAPPLICABLE or verdict.trials == 1:
                assert not known, (name, version)


@pytest.mark.parametrize(
    ("version", "known"),
    [("0.5.17", False), ("0.3.13", False), ("0.5.18", True), ("0.6.0", True), ("dev", True)],
)
def test_a_release_that_was_not_examined_has_every_trap(version, known):
    assert known == (traps.of(version) == NAMES)


def test_the_interval_is_that_of_wilson():
    assert [0.0, 0.2425] == [round(bound, 4) for bound in wilson(0, 12)]
    assert [0.3006, 0.9544] == [round(bound, 4) for bound in wilson(3, 4)]
