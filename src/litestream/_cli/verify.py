"""``litestream verify``: its arguments and its output."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from litestream._cli import ping
from litestream._cli.arguments import add_config, add_expand_env, count, seconds
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from types import FrameType

    from litestream.verification import Outcome


UNUSABLE = {"database": None, "proved": False, "reason": "unusable"}
"""The fields that ``--json`` adds to an error that comes before any proof."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a parser's subparsers."""
    parser = verbs.add_parser(
        "verify",
        allow_abbrev=False,
        description="Prove that the backups of databases can be restored and are up to date: "
        "commit a row, wait until the replica has it, restore into a private directory, check, "
        "and look for the row. Prints a line for each database.",
        epilog="Exit status: 0 if every backup is proved, 1 if one is not, 2 for wrong usage.",
    )
    parser.add_argument("databases", nargs="*", metavar="DATABASE", help="paths as in the config")
    parser.add_argument("--all", action="store_true", help="every database of the config")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="write nothing; compare the whole content at one transaction: the only proof that "
        "nothing is missing in between",
    )
    parser.add_argument(
        "--timestamp",
        metavar="TIME",
        help="prove that the state at a time in the past can be restored and is sound, such as "
        "2026-11-25T13:00:00Z (default: the newest state)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds that a commit may take to reach the replica, and a restore may stand still "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--integrity-check",
        choices=("none", "quick", "full"),
        default="quick",
        help="SQLite's check of the restored copy (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=count, default=4, metavar="N", help="verify N databases at once (default: 4)"
    )
    parser.add_argument(
        "--replica", metavar="NAME", help="prove this replica only (0.3; default: each)"
    )
    parser.add_argument("--directory", metavar="DIR", help="where to restore the copies to")
    add_config(parser)
    add_expand_env(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each")
    ping.add(parser, "call a dead man's switch at the start and at the end")
    parser.set_defaults(run=lambda options: _run(parser, options))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if bool(options.databases) == options.all:
        parser.error("name the databases, or pass --all")
    if options.exact and options.timestamp:
        parser.error("--exact compares with what the database holds now: leave --timestamp out")
    to = ping.chosen(options.ping)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _verify(options, []) if to is None else _verify_and_tell(options, to)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _verify_and_tell(options: argparse.Namespace, to: str) -> int:
    """Verify, with a ping at the start and at the end, however it ends."""
    lines: list[str] = []
    status = 1
    try:
        _tell(to, "start", ())
        status = _verify(options, lines)
        return status
    except BaseException as error:
        lines.append(f"{type(error).__name__}: {error}")
        raise
    finally:
        _tell(to, "fail" if status else "", lines)


def _tell(to: str, event: str, lines: Iterable[str]) -> None:
    failed = ping.send(to, event, lines)
    if failed:
        ping.warn("verify", failed)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that the row and the copy are removed


def _verify(options: argparse.Namespace, lines: list[str]) -> int:
    """Verify, print a line for each database, and add the line to `lines`."""
    from litestream import verification
    from litestream._cli import progress
    from litestream._executable.arguments import loaded

    proved = True
    with (
        loaded(options.config, expand_env=options.expand_env) as config,
        progress.shown("the last commit to reach the replica") as report,
    ):
        databases = [*config.paths, *config.unusable] if options.all else options.databases
        if not databases:
            raise ConfigurationError(
                "The config names no database, so nothing is proved: add one to its 'dbs:' list"
            )
        outcomes = verification.each(
            databases,
            options.jobs,
            progress=lambda database, *figures: report(os.fspath(database), *figures),
            timeout=options.timeout,
            integrity_check=options.integrity_check,
            exact=options.exact,
            timestamp=options.timestamp,
            replica=options.replica,
            directory=options.directory,
            config=config,
        )
        for outcome in outcomes:
            proved = proved and bool(outcome)
            line = json.dumps(outcome.as_dict()) if options.json else _as_line(outcome)
            lines.append(line)
            print(line, flush=True)
    return 0 if proved else 1


def _as_line(outcome: Outcome) -> str:
    from litestream._executable.log_lines import escaped

    database = escaped(outcome.database)
    if outcome.failure is not None:
        message = escaped(outcome.failure.message)
        return f"FAILED  {database}  {outcome.failure.reason}: {message}"
    proved = outcome.verification
    assert proved is not None
    tables = proved.tables["restored"]
    content = "content equal at one transaction" if proved.exact else "up to date"
    checked = {"none": "not checked", "quick": "sound", "full": "sound, indexes too"}
    if proved.timestamp is not None:
        content = f"the state at {proved.timestamp}"
    lines = [
        f"proved  {database}  restores, {checked[proved.integrity_check]}, {content}  "
        f"({proved.size['restored']} bytes, {tables} table{'s' * (tables != 1)}, "
        f"{proved.seconds:.2f} s)"
    ]
    lines += [
        f"warning {database}  points in time between {gap['start']} and {gap['end']} cannot be "
        f"restored from replica {gap['replica']!r}"
        for gap in proved.gaps or []
    ]
    return "\n".join(lines)
