"""A connection with the settings that Litestream wants."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

_NO_CHECKPOINT_ON_CLOSE = "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE"


def connect(
    database: str | os.PathLike[str], *, timeout: float = 5.0, **kwargs: Any
) -> sqlite3.Connection:
    """Open a database with the settings that Litestream wants, as ``sqlite3.connect`` does.

    WAL mode, a busy timeout of ``timeout`` seconds, ``synchronous=NORMAL``, and no checkpoints:
    neither automatic ones (``wal_autocheckpoint=0``) nor, from Python 3.12 on, one at the close
    of the last connection. Checkpoints are then the daemon's alone, so that it never has to copy
    the whole database anew because somebody started the WAL over while it was away.

    The WAL grows while no daemon runs. Use it in processes that are always replicated; anything
    else, such as a script now and then, opens the database as usual.

    Source: litestream.io/tips.
    """
    # With autocommit=False a transaction is always open, and in one the pragmas are refused.
    wanted = kwargs.get("autocommit")
    if wanted is not None:
        kwargs["autocommit"] = True
    connection: sqlite3.Connection = sqlite3.connect(os.fspath(database), timeout=timeout, **kwargs)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {pragma}").close()
        option = getattr(sqlite3, _NO_CHECKPOINT_ON_CLOSE, None)
        if option is not None:
            # of Python 3.12, and types are checked for 3.10
            connection.setconfig(option, True)  # type: ignore[attr-defined, unused-ignore]
        if wanted is not None:
            connection.autocommit = wanted  # type: ignore[attr-defined, unused-ignore]
    except BaseException:
        connection.close()
        raise
    return connection
