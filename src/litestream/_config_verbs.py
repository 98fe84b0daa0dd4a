"""The verbs about the config: their arguments, and what each of them prints."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from litestream import configuration

if TYPE_CHECKING:
    import argparse

    from litestream._rows import FindingRow

_CHECK = """Say what is wrong with the config, as path:line:column: message [id], with a hint. No
database is opened, and no network; no value is shown. The exit status is 0 without an error, 1 with
one, 2 for wrong usage."""


def add(verbs: Any) -> None:
    """Add the verbs to a parser's subparsers."""
    check = verbs.add_parser("check", description=_CHECK)
    check.add_argument("config", nargs="?", help="the config; by default it is looked for")
    check.add_argument("--config", dest="named", metavar="FILE", help="the same")
    _series(check)
    check.add_argument("--json", action="store_true", help="print the findings as JSON")
    check.add_argument("--select", metavar="IDS", default="", help="say these findings alone (a,b)")
    check.add_argument("--ignore", metavar="IDS", default="", help="do not say these")
    check.add_argument("--strict", action="store_true", help="let a warning fail, too")
    check.set_defaults(run=_check)


def _series(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="series",
        choices=["0.3", "0.5"],
        help="the series; by default that of the executable",
    )


def _ids(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _check(options: argparse.Namespace) -> int:
    rows = configuration.check(
        options.named or options.config,
        series=options.series,
        select=_ids(options.select),
        ignore=_ids(options.ignore),
    )
    if options.json:
        import json

        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    return 1 if any(options.strict or row["level"] == "error" for row in rows) else 0


def _print(rows: list[FindingRow]) -> None:
    from litestream import _config_check

    for row in rows:
        shown: FindingRow = {**row, "path": _shown(row["path"])}
        print(f"{_config_check.line(shown)}\n    {row['hint']}")
    errors = sum(row["level"] == "error" for row in rows)
    found = [f"{errors} error{'s' * (errors != 1)}"] if errors else []
    if warnings := len(rows) - errors:
        found.append(f"{warnings} warning{'s' * (warnings != 1)}")
    print(f"litestream check: {', '.join(found) or 'nothing found'}", file=sys.stderr)


def _shown(path: str) -> str:
    """Return a path as it is shortest to read: relative, where it is below this directory."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below
