"""Record the outcome of each proof in the database's history."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from litestream import _settings
from litestream._config.keys import secrets_in
from litestream._health import history
from litestream.errors import LitestreamError, VerificationFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._config.database import Database
    from litestream._verification.result import Verification


class Kept:
    """A proof that is under way; `proved` is its result."""

    proved: Verification | None = None


@contextmanager
def kept(database: Database, *, exact: bool, past: bool) -> Iterator[Kept]:
    """Append the outcome of the block to the history; an interrupted block leaves no row."""
    at, began, proof = datetime.now(timezone.utc), time.monotonic(), Kept()
    try:
        yield proof
    except LitestreamError as error:
        reason = error.reason if isinstance(error, VerificationFailure) else "unusable"
        message = error.message if isinstance(error, VerificationFailure) else str(error)
        details = error.details if isinstance(error, VerificationFailure) else {}
        position = details.get("position")
        _append(
            database,
            at,
            _method(exact=exact, past=past),
            reason=reason,
            message=_masked(message, database),
            seconds=round(time.monotonic() - began, 3),
            position=None if position is None else str(position),
        )
        raise
    proved = proof.proved
    if proved is not None:
        _append(
            database,
            at,
            _method(exact=exact, past=past),
            seconds=round(proved.seconds, 3),
            restore_seconds=round(proved.restored, 3),
            size=proved.size["restored"],
            position=None if proved.txid is None else f"{proved.txid:016x}",
        )


def _method(*, exact: bool, past: bool) -> str:
    return "timestamp" if past else "exact" if exact else "sentinel"


def _append(
    database: Database,
    at: datetime,
    method: str,
    *,
    seconds: float,
    reason: str | None = None,
    message: str | None = None,
    restore_seconds: float | None = None,
    size: int | None = None,
    position: str | None = None,
) -> None:
    if not os.path.exists(database.path):  # nothing is put beside a mistyped path
        return
    history.append(
        {
            "at": at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "database": database.path,
            "method": method,
            "proved": reason is None,
            "reason": reason,
            "message": message,
            "seconds": seconds,
            "restore_seconds": restore_seconds,
            "size": size,
            "position": position,
            "host": socket.gethostname(),
        }
    )


def _masked(message: str, database: Database) -> str:
    """Mask the secrets of the config, too, which stands between the message and the history."""
    for secret in secrets_in(database.config.content):
        message = message.replace(secret, "***")
    return _settings.masked(message)
