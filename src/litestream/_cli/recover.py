"""``litestream recover``: its arguments and its output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from litestream._cli.arguments import add_config, add_expand_env

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a parser's subparsers."""
    recover = verbs.add_parser(
        "recover",
        description="Restore the databases that are missing, before the application starts.",
    )
    recover.add_argument("database", nargs="?", help="its path (default: all of the config)")
    add_config(recover)
    add_expand_env(recover)
    recover.add_argument(
        "--expect",
        choices=["any", "backup", "none"],
        default="any",
        help="backup: fail if there is no backup; none: fail if there is one",
    )
    recover.add_argument(
        "--replica", metavar="NAME", help="the replica to restore from (0.3, with several)"
    )
    recover.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds that a replica has to say what it holds (default: 30)",
    )
    recover.add_argument("--json", action="store_true", help="print one JSON object for each")
    recover.set_defaults(run=_recover)


def _recover(options: argparse.Namespace) -> int:
    from litestream import recovery
    from litestream._cli import progress

    with progress.shown() as report:
        found = recovery.recover(
            options.database,
            expect=options.expect,
            replica=options.replica,
            config=options.config,
            expand_env=options.expand_env,
            answer_timeout=options.timeout,
            progress=report,
        )
    for done in found:
        print(json.dumps(done._asdict()) if options.json else recovery.told(done))
    return 0
