"""Upstream's verbs for a running daemon, where the daemon is one of ours: its socket is private.

``sync`` is carried out here, in the form of the request that is safe.
"""

from __future__ import annotations

import argparse
import json
import time

from litestream import commands
from litestream._cli.arguments import seconds, with_two_dashes
from litestream._config.paths import target
from litestream._control_socket.find import known, of_config, of_database
from litestream._executable.series import series
from litestream.errors import LitestreamError


def socket(argv: list[str]) -> str | None:
    """Return the private socket of our daemon, where upstream would look at its default place.

    It is the daemon of the database at the end of the command line, or of the config. There is
    none where a socket is named, or the config cannot be read: the executable says the rest.
    """
    names = [word.lstrip("-").partition("=")[0] for word in argv if word.startswith("-")]
    if series() != "0.5" or {"socket", "h", "help"} & {*names}:
        return None
    is_named = len(argv) > 1 and argv[0] in ("sync", "unregister")
    try:
        return of_database(argv[-1] if is_named else None) or of_config(known(None))
    except LitestreamError:
        return None


def sync(arguments: list[str], socket: str) -> int:
    """Carry out ``litestream sync`` on one of our daemons, print as it does, return the status.

    Raises:
        ControlSocketError: The daemon refuses the request, or does not answer in time.

    """
    parser = argparse.ArgumentParser(prog="litestream sync", allow_abbrev=False)
    parser.add_argument("database", metavar="DB_PATH")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--timeout", type=seconds, default=30.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(with_two_dashes(arguments))
    begun = time.monotonic()
    answer = commands.sync(
        options.database, wait=options.wait, socket=socket, timeout=options.timeout
    )
    shown: dict[str, str | int] = {"db_path": target(options.database), "txid": answer["txid"]}
    if options.wait:
        shown["replica_txid"] = answer["replicated_txid"]
    shown["duration_ms"] = round((time.monotonic() - begun) * 1000)
    if options.json:
        print(json.dumps(shown, indent=2))
    else:
        print(*(f"{key}: {value}" for key, value in shown.items()), sep="\n")
    return 0
