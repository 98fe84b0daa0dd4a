"""``litestream dashboard``: its arguments and its output."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from litestream._cli.arguments import add_config

if TYPE_CHECKING:
    import argparse
    from types import FrameType


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a parser's subparsers."""
    parser = verbs.add_parser(
        "dashboard",
        allow_abbrev=False,
        description="Serve a page about the health of the backups on 127.0.0.1 until Ctrl-C. The "
        "printed address lets one browser in, once. Needs the extra litestream[dashboard].",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="the port (default: any free one)"
    )
    add_config(parser)
    parser.add_argument(
        "--action",
        action="append",
        choices=("verify", "restore"),
        default=[],
        help="add a button: prove a backup now, or restore a copy beside the database",
    )
    parser.add_argument(
        "--directory", metavar="DIR", help="where to keep the figures of the plots beyond a reboot"
    )
    parser.add_argument(
        "--hash",
        action="store_true",
        help="ask for a password, print its hash for auth=(user, hash), and exit",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.hash:
        return _hash()
    from litestream.dashboard.alone import Alone

    try:
        server = Alone(options.port, options.config, options.action, options.directory)
    except (OSError, OverflowError) as error:
        print(f"litestream dashboard: port {options.port}: {error}", file=sys.stderr)
        return 1
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        print("The dashboard, until Ctrl-C. This address works once:", file=sys.stderr)
        print(server.address, flush=True)
        server.serve()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that the server is closed


def _hash() -> int:
    from getpass import getpass

    from litestream.dashboard.auth import password_hash

    if sys.stdin.isatty():
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            print("litestream dashboard: the two passwords differ", file=sys.stderr)
            return 1
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        print("litestream dashboard: the password is empty", file=sys.stderr)
        return 1
    print(password_hash(password))
    return 0
