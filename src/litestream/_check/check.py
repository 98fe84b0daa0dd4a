"""The faults of a config, found without opening a database or the network."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from litestream._check import nodes, rules
from litestream._check.nodes import Node, Text, Unreadable
from litestream._check.report import IDS, ONLINE, Report, line
from litestream._config.keys import VERSIONS
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestream._check.rules import Database
    from litestream.rows import FindingRow


def check(path: str, version: str, *, literal: bool = False) -> list[FindingRow]:
    """Return the faults of the config, as the executable of ``version`` reads it."""
    return load(path, version, literal=literal)[0].sorted()


def load(path: str, version: str, *, literal: bool = False) -> tuple[Report, list[Database]]:
    """Return the findings of a config, and its databases as they are written."""
    series = ".".join(version.split(".")[:2])
    is_known = _number(version) <= _number(VERSIONS[series])
    try:
        source = nodes.read(path)
    except Unreadable as problem:
        report = Report(path, None, series)
        report.add(problem.ident, 0, problem.message, problem.hint)
        return report, []
    return _load(Report(path, Text(source, literal=literal), series, is_known=is_known))


def check_text(source: str, path: str, series: str, *, is_known: bool = True) -> list[FindingRow]:
    """Return the faults of a config's text; the rows give its path as ``path``."""
    return _load(Report(path, Text(source), series, is_known=is_known))[0].sorted()


def _load(report: Report) -> tuple[Report, list[Database]]:
    try:
        root = nodes.build(report.text.expanded)
    except Unreadable as problem:
        report.add(problem.ident, problem.at, problem.message, problem.hint)
        return report, []
    if root is not None and root.kind != "mapping" and not root.is_null:
        report.add("wrong-type", root, "the config is not a mapping", "Begin it with 'dbs:'")
        return report, []
    report.root = root
    return report, rules.check(report, root or Node("mapping", 0, 0))


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def chosen(
    rows: Iterable[FindingRow], select: Iterable[str] = (), ignore: Iterable[str] = ()
) -> list[FindingRow]:
    """Return the findings whose id is selected (all without a selection) and not ignored.

    Raises:
        ConfigurationError: No finding has such an id.

    """
    select, ignore = set(select), set(ignore)
    unknown = sorted((select | ignore) - set(IDS) - set(ONLINE))
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], [*IDS, *ONLINE], 1)
        more = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"{unknown[0]!r} is not the id of a finding{more}")
    return [row for row in rows if (not select or row["id"] in select) and row["id"] not in ignore]


def require_sound(path: str | os.PathLike[str], version: str, *, literal: bool = False) -> None:
    """Raise the errors of a config, in the words of ``litestream check``.

    Raises:
        ConfigurationError: There are errors; the message names each one.

    """
    errors = [
        row for row in check(os.fspath(path), version, literal=literal) if row["level"] == "error"
    ]
    if errors:
        said = "\n".join(f"{line(row)}\n    {row['hint']}" for row in errors[:20])
        more = f"\n(and {len(errors) - 20} more)" if len(errors) > 20 else ""
        raise ConfigurationError(f"The config has errors, so nothing is started\n{said}{more}")
