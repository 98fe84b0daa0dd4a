"""The shared parts of the adapters: the command line inside another one, and the proofs."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import litestream
from litestream import cli, configuration
from litestream._executable.arguments import loaded
from litestream._settings import call
from litestream.errors import VerificationFailure

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Iterable, Sequence

    from litestream.configuration import ConfigArgument

_TAKE_CONFIG = ("check", "dashboard", "health", "history", "recover", "run", "verify")


def invoke(argv: Sequence[str], config: ConfigArgument, setting: str) -> int:
    """Run ``litestream VERB …`` with a config and return its exit status.

    The config may be a mapping; messages then name the ``setting``, and not the file of ours.
    """
    words = list(argv)
    with contextlib.ExitStack() as stack:
        path = None
        if config is not None:  # without it, each verb searches the usual places itself
            found = stack.enter_context(loaded(config))
            path = found.file
            if not found.path:
                call(path, setting)
                stack.callback(call, path, None)
        if words and not words[0].startswith("-") and words[0] not in ("help", *cli.OWN_VERBS):
            return _executed(words, path)
        if path is not None:
            path = found.path or path  # our verbs know what a 'dir:' entry is
        if path is not None and words[:1] and words[0] in _TAKE_CONFIG:
            words[1:1] = ["--config", path]
        elif path is not None and words in (["config"], ["upgrade"]):
            words.append(path)
        try:
            return cli.main(words)
        except SystemExit as end:  # by argparse, or a signal before the daemon's start
            return end.code if isinstance(end.code, int) else int(end.code is not None)


def _executed(argv: Sequence[str], path: str | None) -> int:
    """Run a verb of the executable as a child process; SIGTERM is passed on to it."""
    environment = configuration.environment()
    if path is not None:
        environment["LITESTREAM_CONFIG"] = path
    child = subprocess.Popen([sys.executable, "-m", "litestream", *argv], env=environment)
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGTERM)
    if in_main:
        signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the child gets Ctrl-C, too
                status = child.wait()
                return status if status >= 0 else 128 - status
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, previous)


def prove(
    config: ConfigArgument, database: str | os.PathLike[str] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Verify a database, or all of the config, and return the proofs, ready for JSON.

    Raises:
        VerificationFailure: A backup is not proved; the message names each one.

    """
    if database is not None:
        return [_as_dict(litestream.verify(database, config=config, **options))]
    outcomes = litestream.verify_all(config, **options)
    failures = [failure for one in outcomes if (failure := _failure(one)) is not None]
    if not failures:
        return [_as_dict(outcome) for outcome in outcomes]
    if len(failures) == 1:
        raise failures[0]
    first = failures[0]
    rest = "; ".join(str(failure) for failure in failures[1:])
    raise VerificationFailure(
        first.database, first.reason, f"{first.message}. And {rest}", first.details
    )


def _failure(outcome: Any) -> VerificationFailure | None:
    if isinstance(outcome, VerificationFailure):
        return outcome
    failure: VerificationFailure | None = getattr(outcome, "failure", None)
    return failure


def _as_dict(outcome: Any) -> dict[str, Any]:
    found: dict[str, Any] = (
        outcome.as_dict() if hasattr(outcome, "as_dict") else dataclasses.asdict(outcome)
    )
    return found


def connection(database: Any, **options: Any) -> sqlite3.Connection:
    """Return a connection of ``litestream.connect``: a ``factory`` for ``sqlite3.connect``."""
    options.pop("factory", None)
    return litestream.connect(database, **options)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a hint: the known name that was probably meant, or all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(names)}."
