"""What was found: kept in results.json, told in docs/upstream.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from litestream._executable.traps import TRAPS
from upstream.harness import ABSENT, FAILED, INAPPLICABLE, OBSCURED, PRESENT, Verdict
from upstream.releases import number

if TYPE_CHECKING:
    from upstream.harness import Probe

RESULTS = Path(__file__).with_name("results.json")
TABLE = Path(__file__).parent.parent / "docs" / "upstream.md"
MARKS = {PRESENT: "**yes**", ABSENT: "no", INAPPLICABLE: "-", OBSCURED: "~", FAILED: "?"}
Results = dict[str, dict[str, Verdict]]  # by release, then by probe

HEAD = """# What each Litestream release loses without a word

Written by `make upstream`; do not edit. Each row is a probe in `upstream/`: it walks into one trap
on the bare executable, without this library's protection, restores, and compares everything (each
table with rowids and types, the indexes, the schema, `user_version`).

| | |
| --- | --- |
| **yes** | the trap is there |
| no | every trial was right |
| - | the release does not have the command or option |
| ~ | the same steps go wrong without the trap, too (see `load`): it cannot be told apart |
| ? | the probe itself failed |

`2/3` is two wrong trials of three. A probe stops as soon as it is sure, so the Wilson interval
(95 %) in the evidence says more than the share does, and a "no" after few trials is a weak one.
Where a trial is a matter of chance, its share depends on the machine, and on what else runs there.
Measured on Linux x86_64, two cores that other work kept busy, with file replicas (endpoints: S3).
"""


def read() -> Results:
    """Return what is known."""
    if not RESULTS.exists():
        return {}
    content = json.loads(RESULTS.read_text())
    return {
        version: {name: Verdict(**verdict) for name, verdict in found.items()}
        for version, found in content.items()
    }


def write(results: Mapping[str, Mapping[str, Verdict]], probes: Iterable[Probe]) -> None:
    """Keep what is known, and write the table."""
    probes = list(probes)
    ordered = {version: results[version] for version in sorted(results, key=number)}
    content = {
        version: {probe.name: asdict(found[probe.name]) for probe in probes if probe.name in found}
        for version, found in ordered.items()
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(render(ordered, probes))


def render(results: Mapping[str, Mapping[str, Verdict]], probes: list[Probe]) -> str:
    """Return the page: the table, then the evidence by trap."""
    lines = [HEAD, f"| trap | {' | '.join(results)} |", f"| --- |{' --- |' * len(results)}"]
    for probe in probes:
        cells = [_cell(found.get(probe.name)) for found in results.values()]
        lines.append(f"| [{probe.name}](#{probe.name}) | {' | '.join(cells)} |")
    lines += ["", "## Evidence"]
    for probe in probes:
        lines += ["", f"### {probe.name}", "", f"{TRAPS[probe.name]}.", ""]
        for verdict, versions in _grouped(results, probe).items():
            lines.append(f"- {', '.join(versions)}: {verdict}")
    return "\n".join(lines) + "\n"


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    count = f" {verdict.wrong}/{verdict.trials}" if verdict.trials > 1 else ""
    return f"{MARKS[verdict.verdict]}{count}"


def _grouped(results: Mapping[str, Mapping[str, Verdict]], probe: Probe) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for version, found in results.items():
        if probe.name in found:
            said = str(found[probe.name]).replace("|", "\\|").replace("\n", " ")
            groups.setdefault(said, []).append(version)
    return groups


def changes(results: Results, version: str) -> str:
    """Say which verdicts differ from those of the release before."""
    older = [other for other in sorted(results, key=number) if number(other) < number(version)]
    if not older:
        return f"No release before {version} was examined.\n"
    before = results[older[-1]]
    lines = [
        f"- `{name}`: {verdict} (before: {before[name].verdict if name in before else 'unknown'})"
        for name, verdict in results[version].items()
        if name not in before or before[name].verdict != verdict.verdict
    ]
    head = f"Against {older[-1]}, `make upstream` finds {len(lines)} other verdicts"
    return "\n".join([head + (":\n" if lines else "."), *lines]) + "\n"
