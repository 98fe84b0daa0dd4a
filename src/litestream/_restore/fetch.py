"""Let the executable restore into a private directory."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from litestream._executable import listings, log_lines, run
from litestream._restore import watched
from litestream.configuration import find_config
from litestream.errors import BackupNotFoundError, CommandFailedError, NotEnoughSpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from litestream._executable.run import Flag, StrPath
    from litestream._restore.staging import Staging

_ABSENT = re.compile(
    r"no matching backups found|no matching backup files available|timestamp does not exist"
)


def fetch(
    source: str,
    staging: Staging,
    flags: Mapping[str, Flag],
    *,
    config: StrPath | None,
    deadline: float | None = None,
    stall: float | None = None,
    report: tuple[watched.Progress | None, int | None] = (None, None),
) -> str:
    """Restore ``source``, a path or a replica URL, into ``staging``; return the copy's path.

    All the children together have until ``deadline`` (``time.monotonic``); ``stall`` is that of
    ``_restore.watched.run``. ``report`` is whom to tell how many bytes are there, and how many are
    expected.

    Raises:
        BackupNotFoundError: there is no backup, or none that fits ``flags``.
        NotEnoughSpaceError: the file system is full.
        CommandFailedError, CommandTimeoutError: as ``_restore.watched.run``.

    """
    copy = staging.file("database")
    if not run.is_url(source):
        flags = {"config": find_config(config), **flags}
    progress, expected = report
    argv = run.arguments("restore", source, o=copy, **flags)
    try:
        output = watched.run(
            argv,
            staging,
            timeout=_left(deadline),
            stall=stall,
            progress=progress,
            expected=expected,
        )
    except CommandFailedError as error:
        if "no space left on device" in error.reason or "file too large" in error.reason:
            raise NotEnoughSpaceError(
                f"The file system of {staging.path!r} is full: {error.reason}"
            ) from error
        if not _ABSENT.search(error.reason):
            raise
        if not _is_after_last_change(source, flags, config, deadline):
            held = _generation_at(source, flags, config, deadline)
            if held is None:
                reason = error.reason
                raise not_found(error.argv, error.returncode, error.stderr, reason) from error
            flags = {**flags, **held}
            return fetch(
                source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
            )
    else:
        index = flags.get("index")
        if index is not None and _last_index(output) < int(str(index), 16):
            raise not_found(argv, 0, "", f"there is no WAL index {index} (hexadecimal) yet")
        return copy
    # What was asked for is the last change. A change that arrives now would be one too many.
    last = {**flags, "timestamp": None}
    fetch(source, staging, last, config=config, deadline=deadline, stall=stall, report=report)
    if _is_after_last_change(source, flags, config, deadline):
        return copy
    os.unlink(copy)
    return fetch(
        source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
    )


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _is_after_last_change(
    source: str, flags: Mapping[str, Flag], config: StrPath | None, deadline: float | None
) -> bool:
    """Say whether the time asked for lies after everything that the replica holds.

    Source: 0.3.13 finds nothing then, and neither does 0.5.17 in a replica URL; 0.5.17 with a
    config restores the last change.
    """
    wanted = _moment(str(flags.get("timestamp")))
    if wanted is None:
        return False
    if run.series() == "0.5":
        found = _rows(listings.ltx, source, flags, config, deadline, level="all")
    else:
        found = _rows(listings.snapshots, source, flags, config, deadline)
        found += _rows(listings.wal, source, flags, config, deadline)
    last = _moment(max((row["created"] for row in found), default=""))
    # rows give whole seconds: what they call :19 may have happened at :19.9
    return last is not None and wanted >= last + timedelta(seconds=1)


def _generation_at(
    source: str, flags: Mapping[str, Flag], config: StrPath | None, deadline: float | None
) -> dict[str, Flag] | None:
    """Name the generation that was the newest at the time asked for, if that was not named yet.

    Source: where one generation had ended and the next not begun, 0.3.13 finds nothing.
    """
    wanted = _moment(str(flags.get("timestamp")))
    if wanted is None or run.series() == "0.5" or flags.get("generation") is not None:
        return None
    found = _rows(listings.snapshots, source, flags, config, deadline)
    earlier = [row for row in found if (_moment(row["created"]) or wanted) < wanted]
    if not earlier:
        return None
    newest = max(earlier, key=lambda row: str(row["created"]))
    return {"generation": newest["generation"], "replica": newest["replica"] or None}


def _rows(
    listing: Callable[..., list[Any]],
    source: str,
    flags: Mapping[str, Flag],
    config: StrPath | None,
    deadline: float | None,
    **options: object,
) -> list[Any]:
    limit = watched.STALL if deadline is None else _left(deadline)
    literal = flags.get("no_expand_env")
    found = listing(source, config=config, timeout=limit, no_expand_env=literal, **options)
    for column in ("replica", "generation"):
        if flags.get(column) is not None:
            found = [row for row in found if row[column] == flags[column]]
    return found


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def not_found(
    argv: Sequence[str], returncode: int, stderr: str, reason: str
) -> BackupNotFoundError:
    """Return the error that says that a replica holds nothing that fits."""
    hint = (
        "nothing in the replica fits what was asked for; an empty or mistyped replica path looks "
        "the same"
    )
    return BackupNotFoundError(argv, returncode, stderr, reason, hint)


def _last_index(output: run.Output) -> int:
    """Return the WAL index up to which 0.3 restored.

    Source: 0.3.13 logs ``restoring snapshot`` with ``index``, then, where there are any,
    ``restoring wal files`` with ``index_max``. Without ``-generation`` it takes an index that is
    too high for the newest one, and says nothing.
    """
    last = 0
    for line in (*output.stdout.split("\n"), *output.stderr.split("\n")):
        log = log_lines.parse(line)
        if log is not None and log.message in ("restoring snapshot", "restoring wal files"):
            last = int(log.fields.get("index_max", log.fields.get("index", last)))
    return last
