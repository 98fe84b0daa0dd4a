"""Examine Litestream releases: python -m upstream [VERSION ...] [--probe NAME ...].

Prints each verdict, and writes docs/upstream.md. All pinned releases unless some are named.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from wheels.pins import WorkshopError

from upstream import configs, daemons, endpoints, report, restores, sockets, writers
from upstream.harness import FAILED, Probe, Verdict, examine
from upstream.lab import Release
from upstream.releases import pinned, release

FAMILIES = writers, daemons, sockets, restores, endpoints, configs
PROBES: list[Probe] = [probe for family in FAMILIES for probe in family.PROBES]
JOBS = 16  # probes wait more than they work


def main() -> int:
    """Run the probes, print and keep what they find; 1 when one found no verdict."""
    parser = argparse.ArgumentParser(prog="upstream", description=__doc__)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="such as 0.5.16")
    parser.add_argument("--probe", action="append", help="this probe alone; may be repeated")
    parser.add_argument("--jobs", type=int, default=JOBS, help="probes side by side")
    parser.add_argument("--changes", help="write what differs from the release before to this file")
    options = parser.parse_args()
    chosen = [probe for probe in PROBES if not options.probe or probe.name in options.probe]
    failed = False
    for version in options.versions or pinned():
        try:
            under = release(version)
        except WorkshopError as error:
            print(f"upstream: {error}", file=sys.stderr)
            return 1
        begun = time.monotonic()
        found = run(under, chosen, options.jobs)
        failed = failed or any(verdict.verdict == FAILED for verdict in found.values())
        results = report.read()
        results[version] = {**results.get(version, {}), **found}
        report.write(results, PROBES)
        print(f"{version}: {time.monotonic() - begun:.0f} s", flush=True)
        if options.changes:
            Path(options.changes).write_text(report.changes(results, version))
    return int(failed)


def run(under: Release, probes: list[Probe], jobs: int) -> dict[str, Verdict]:
    """Run probes side by side; the longest are begun first."""
    found: dict[str, Verdict] = {}
    ordered = sorted(probes, key=lambda probe: -probe.most)
    with ThreadPoolExecutor(jobs) as pool:
        begun = {pool.submit(examine, probe, under): probe for probe in ordered}
        for done in as_completed(begun):
            found[begun[done].name] = done.result()
            print(f"{under.version} {begun[done].name}: {done.result()}", flush=True)
    return {probe.name: found[probe.name] for probe in probes}


if __name__ == "__main__":
    sys.exit(main())
