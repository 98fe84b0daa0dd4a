"""The point in time that a restore asks for."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from litestream._executable import listings, run
from litestream._executable.series import require_series, series
from litestream._restore.restored import log_of_03
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestream._config.config import Config
    from litestream._executable.arguments import Flag


_CLOCKS = timedelta(minutes=1)
"""By how much the clocks of two machines may differ."""


def moment(timestamp: datetime | str) -> str:
    """Return a time as the executable takes it: UTC. One without a zone is local time.

    Raises:
        ConfigurationError: it is none, or has not come yet.
        TypeError: it is neither text nor a ``datetime``.

    """
    if isinstance(timestamp, str):
        timestamp = read(timestamp)
    elif not isinstance(timestamp, datetime):
        raise TypeError(f"timestamp= is a datetime, or text, not {type(timestamp).__name__}")
    if timestamp.astimezone(timezone.utc) > datetime.now(timezone.utc) + _CLOCKS:
        raise ConfigurationError(
            f"timestamp={str(timestamp)!r} is in the future: give a time in the past"
        )
    return timestamp.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(text: str) -> datetime:
    """Read a time.

    Raises:
        ConfigurationError: it is none.

    """
    found = _time(text)
    if found is None:
        raise ConfigurationError(
            f"timestamp={text!r} is not a time: write it like 2026-11-25T13:00:00Z"
        )
    return found


def is_after_last_change(
    source: str, flags: Mapping[str, Flag], config: Config | None, deadline: float | None
) -> bool:
    """Say whether the requested time lies after everything that the replica holds.

    Source: 0.3.13 finds nothing then, and neither does 0.5.17 in a replica URL; 0.5.17 with a
    config restores the last change.
    """
    wanted = _time(str(flags.get("timestamp")))
    if wanted is None:
        return False
    if series() == "0.5":
        found = _rows(listings.ltx, source, flags, config, deadline, level="all")
    else:
        found = _rows(listings.snapshots, source, flags, config, deadline)
        found += _rows(listings.wal, source, flags, config, deadline)
    last = _time(max((row["created"] for row in found), default=""))
    # rows have whole seconds: a change at :19.9 is listed as :19
    return last is not None and wanted >= last + timedelta(seconds=1)


def generation_at(
    source: str, flags: Mapping[str, Flag], config: Config | None, deadline: float | None
) -> dict[str, Flag] | None:
    """Name the generation that was the newest at the requested time, unless one is named.

    Source: where one generation had ended and the next not begun, 0.3.13 finds nothing.
    """
    wanted = _time(str(flags.get("timestamp")))
    if wanted is None or series() == "0.5" or flags.get("generation") is not None:
        return None
    found = _rows(listings.snapshots, source, flags, config, deadline)
    earlier = [row for row in found if (_time(row["created"]) or wanted) < wanted]
    if not earlier:
        return None
    newest = max(earlier, key=lambda row: str(row["created"]))
    return {"generation": newest["generation"], "replica": newest["replica"] or None}


def oldest_if_later(
    source: str, flags: Mapping[str, Flag], config: Config | None, deadline: float | None
) -> str:
    """Return the oldest time that can be restored, if the requested one lies before; else "".

    Rows have whole seconds; the time is rounded up, so that it can be restored itself.
    """
    wanted = _time(str(flags.get("timestamp")))
    if wanted is None:
        return ""
    if series() == "0.5":
        rows = _rows(listings.ltx, source, flags, config, deadline, level="all")
        found = [row["created"] for row in rows if int(row["min_txid"], 16) == 1]
    else:
        found = [
            row["created"] for row in _rows(listings.snapshots, source, flags, config, deadline)
        ]
    first = _time(min(found, default=""))
    if first is None or wanted >= first + timedelta(seconds=1):
        return ""
    return (first + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rows(
    listing: Callable[..., list[Any]],
    source: str,
    flags: Mapping[str, Flag],
    config: Config | None,
    deadline: float | None,
    **options: object,
) -> list[Any]:
    limit = run.STALL if deadline is None else run.seconds_left(deadline)
    if "no_expand_env" in flags:
        options["no_expand_env"] = flags["no_expand_env"]
    found = listing(source, config=config, timeout=limit, **options)
    for column in ("replica", "generation"):
        if flags.get(column) is not None:
            found = [row for row in found if row[column] == flags[column]]
    return found


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def last_index(output: run.Output) -> int:
    """Return the WAL index up to which 0.3 restored.

    Source: without ``-generation``, 0.3.13 takes an index that is too high for the newest one, and
    says nothing.
    """
    last = 0
    for fields in log_of_03(output):
        last = int(fields.get("index_max", fields.get("index", last)))
    return last


def point_flags(
    replica: str | None,
    generation: str | None,
    index: int | None,
    txid: int | str | None,
    timestamp: datetime | str | None,
) -> dict[str, Flag]:
    """Return the flags that say what to restore, checked against the executable's series."""
    for name, value in (("replica", replica), ("generation", generation), ("index", index)):
        if value is not None:
            require_series("0.3", f"restore({name}=…)")
    if txid is not None:
        require_series("0.5", "restore(txid=…)")
        txid = _txid(txid)
    if timestamp is not None:
        timestamp = moment(timestamp)
    return {
        "replica": replica,
        "generation": generation,
        "index": None if index is None else f"{index:x}",  # 0.3 prints decimal, takes hexadecimal
        "txid": txid,
        "timestamp": timestamp,
    }


def _txid(txid: int | str) -> str:
    text = f"{txid:016x}" if isinstance(txid, int) else txid
    # upstream takes 0 for "not given" and restores the newest
    if not re.fullmatch("[0-9a-f]{16}", text) or int(text, 16) == 0:
        raise ConfigurationError(
            f"txid={txid!r} is not a transaction: give a number from 1 on, or the 16 hexadecimal "
            "digits of a row"
        )
    return text
