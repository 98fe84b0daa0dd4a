"""What the adapters share: where the config is, and the command line inside another one."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import litestream
from litestream import cli, configuration
from litestream.errors import ConfigurationError, VerificationFailure

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

Config = str | os.PathLike[str] | Mapping[Any, Any] | None
"""The config's path, or a mapping of a database's path to its replica."""

_TAKE_CONFIG = ("recover", "run", "verify")


def where(config: Config) -> dict[str, Any]:
    """Return the arguments of ``Replication`` and ``recover`` that say what is replicated."""
    return {"databases" if isinstance(config, Mapping) else "config": config}


@contextlib.contextmanager
def written(config: Config) -> Iterator[str | os.PathLike[str] | None]:
    """Give the path of a config, a private one for a mapping, for as long as the block runs."""
    if not isinstance(config, Mapping):
        yield config
        return
    content = {"dbs": [_entry(path, replica) for path, replica in config.items()]}
    with tempfile.TemporaryDirectory(prefix="litestream-") as directory:
        path = os.path.join(directory, "litestream.yml")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file)
        yield path


def _entry(path: Any, replicas: Any) -> dict[str, Any]:
    name = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if "$" in name:
        raise ConfigurationError(
            f"Litestream replaces the '$' in the path {name!r} when it reads a config. Move the "
            "database"
        )
    found = replicas if isinstance(replicas, (list, tuple)) else [replicas]
    return {"path": name, "replicas": [_replica(one) for one in found]}


def _replica(replica: Any) -> dict[str, Any]:
    if isinstance(replica, Mapping):
        return dict(replica)
    if str(replica).startswith("file://"):
        return {"type": "file", "path": replica.removeprefix("file://")}
    return {"url": replica}


def invoke(argv: Sequence[str], config: Config) -> int:
    """Run ``litestream VERB …`` with a config and return its exit status; it may be a mapping."""
    words = list(argv)
    with written(config) as path:
        if words and not words[0].startswith("-") and words[0] not in ("help", *cli.OWN_VERBS):
            return _executed(words, path)
        if path is not None and words[:1] and words[0] in _TAKE_CONFIG:
            words[1:1] = ["--config", os.fspath(path)]
        try:
            return cli.main(words)
        except SystemExit as end:  # argparse, and a signal that comes before the daemon has begun
            return end.code if isinstance(end.code, int) else int(end.code is not None)


def _executed(argv: Sequence[str], path: str | os.PathLike[str] | None) -> int:
    """Run one of the executable's verbs as a child; it is told to end when we are."""
    environment = configuration.environment()
    if path is not None:
        environment["LITESTREAM_CONFIG"] = os.path.abspath(path)
    child = subprocess.Popen([sys.executable, "-m", "litestream", *argv], env=environment)
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGTERM)
    if in_main:
        signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the child has it as well
                status = child.wait()
                return status if status >= 0 else 128 - status
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, previous)


def prove(
    config: Config, database: str | os.PathLike[str] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Verify one database, or all of the config, and return what was proved, JSON-ready.

    Raises:
        VerificationFailure: One is not proved; the message names each of them.

    """
    with written(config) as path:
        if database is not None:
            return [_as_dict(litestream.verify(database, config=path, **options))]
        outcomes = litestream.verify_all(path, **options)
    if not outcomes:
        raise ConfigurationError("The config names no database, so nothing is proved")
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


def sync(config: Config, database: str | os.PathLike[str], timeout: float) -> None:
    """Return when what is committed is in the replica, as ``litestream.sync``."""
    with written(config) as path:
        litestream.sync(database, timeout, config=path)


def connection(database: Any, **options: Any) -> sqlite3.Connection:
    """Be the ``factory`` of ``sqlite3.connect``, for whoever calls that: ``litestream.connect``."""
    options.pop("factory", None)
    return litestream.connect(database, **options)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was meant, or which there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(names)}."
