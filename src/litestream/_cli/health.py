"""``litestream health`` and ``litestream history``: their arguments and their output."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from litestream._cli.arguments import add_config
from litestream._executable.log_lines import escaped
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    import argparse

    from litestream.monitoring import Health
    from litestream.rows import HistoryRow

_STATUS = {"ok": 0, "degraded": 1, "unknown": 2, "failing": 2}
_WORDS = {"ok": "OK", "degraded": "WARNING", "unknown": "CRITICAL", "failing": "CRITICAL"}
_DATABASES = "their paths (default: all of the config)"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs to a parser's subparsers."""
    health = verbs.add_parser(
        "health",
        allow_abbrev=False,
        description="Print the health of the backups: how far they are behind, when they were last "
        "proved, and whether a daemon runs. The facts are read on this host; the replica is not "
        "called.",
        epilog="Exit status: 0 if every backup is ok, 1 if one is degraded, 2 if one is failing or "
        "unknown, and for wrong usage.",
    )
    health.add_argument("databases", nargs="*", metavar="DATABASE", help=_DATABASES)
    add_config(health)
    form = health.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object for each")
    form.add_argument("--one-line", action="store_true", help="print one line for all")
    form.add_argument(
        "--metrics", metavar="FILE", help="write metrics for Prometheus to a file, print nothing"
    )
    for name, default, about in (
        ("--max-behind", 60.0, "seconds by which the replica may be behind"),
        ("--max-proof-age", 172800.0, "seconds that the last good proof may be old"),
    ):
        health.add_argument(
            name, type=float, default=default, metavar="S", help=f"{about} (default: {default:g})"
        )
    health.set_defaults(run=_health)

    history = verbs.add_parser(
        "history",
        allow_abbrev=False,
        description="Print the proofs that were tried on this host, oldest first.",
    )
    history.add_argument("databases", nargs="*", metavar="DATABASE", help=_DATABASES)
    add_config(history)
    history.add_argument("--json", action="store_true", help="print one JSON object for each")
    history.set_defaults(run=_history)


def _health(options: argparse.Namespace) -> int:
    from litestream import monitoring

    try:
        found = monitoring.health(
            options.databases or None,
            config=options.config,
            max_behind=options.max_behind,
            max_proof_age=options.max_proof_age,
        )
    except LitestreamError as error:  # the health is unknown: 1 would say degraded
        if options.one_line:
            print(f"LITESTREAM CRITICAL: {escaped(str(error))}")
        else:
            print(f"litestream: {error}", file=sys.stderr)
        return 2
    if options.metrics:
        from litestream._health import exposition

        try:
            _replace(options.metrics, exposition.text(found))
        except OSError as error:
            print(f"litestream: the metrics cannot be written: {error}", file=sys.stderr)
            return 2
    elif options.json:
        for row in found:
            print(json.dumps(row))
    elif options.one_line:
        print(_one_line(found))
    else:
        for row in found:
            print(f"{row['verdict']:<8}  {escaped(row['database'])}  {row['reason']}")
    if not len(found):
        print("litestream health: the config names no database", file=sys.stderr)
    return _STATUS[found.verdict]


def _one_line(found: Health) -> str:
    word = _WORDS[found.verdict]
    bad = [row for row in found if row["verdict"] == found.verdict != "ok"]
    if not bad:
        return f"LITESTREAM {word}: {len(found)} databases"
    more = f" ({len(bad)} of {len(found)} databases)" if len(found) > 1 else ""
    return f"LITESTREAM {word}: {escaped(bad[0]['database'])}: {bad[0]['reason']}{more}"


def _replace(path: str, text: str) -> None:
    """Write a file completely or not at all, by a temporary one that no collector reads."""
    folder, name = os.path.split(os.path.abspath(path))
    file, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with open(file, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)  # read by another user's collector
            stream.write(text)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _history(options: argparse.Namespace) -> int:
    from litestream import monitoring
    from litestream._health import watched

    databases = options.databases or [found.path for found in watched.find(None, options.config)]
    for database in databases:
        for row in monitoring.history(database):
            print(json.dumps(row) if options.json else _line(row))
    return 0


def _line(row: HistoryRow) -> str:
    method = {"sentinel": "by a row"}.get(row["method"], row["method"])
    start = f"{row['at']}  {escaped(row['database'])}  {method}"
    if not row["proved"]:
        return f"{start}  FAILED  {escaped(str(row['reason']))}: {escaped(str(row['message']))}"
    return (
        f"{start}  proved  {row['size'] or 0} bytes in {row['seconds']:.2f} s, restored in "
        f"{row['restore_seconds'] or 0:.2f} s"
    )
