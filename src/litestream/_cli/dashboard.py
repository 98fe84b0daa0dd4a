"""``litestream dashboard``: its arguments, and what it prints."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from types import FrameType


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the parser's."""
    parser = verbs.add_parser(
        "dashboard",
        allow_abbrev=False,
        description="Serve a page that says how backups are, on 127.0.0.1 until Ctrl-C. The "
        "address that is printed lets one browser in, once. Takes litestream[dashboard].",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--config", metavar="FILE", help="the config, if not where it is found")
    parser.add_argument(
        "--action",
        action="append",
        choices=("verify", "restore"),
        default=[],
        help="give the page a button: prove a backup now, or restore a copy beside the database",
    )
    parser.add_argument(
        "--directory", metavar="DIR", help="where figures for the plots are kept over a reboot"
    )
    parser.add_argument(
        "--hash",
        action="store_true",
        help="ask for a password, print its hash for auth=(user, hash), and end",
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
            print("litestream dashboard: these are two passwords", file=sys.stderr)
            return 1
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        print("litestream dashboard: there is no password", file=sys.stderr)
        return 1
    print(password_hash(password))
    return 0
