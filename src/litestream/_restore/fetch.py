"""Let the executable restore into a private directory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from litestream._deadline import seconds_left_if_limited
from litestream._executable.arguments import arguments, is_url
from litestream._restore import watched
from litestream._restore.point_in_time import generation_at, is_after_last_change, last_index
from litestream.configuration import find_config
from litestream.errors import BackupNotFoundError, CommandFailedError, NotEnoughSpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._executable.arguments import Flag, StrPath
    from litestream._restore.staging import Staging

ABSENT = re.compile(
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
    if not is_url(source):
        flags = {"config": find_config(config), **flags}
    progress, expected = report
    argv = arguments("restore", source, o=copy, **flags)
    try:
        output = watched.run(
            argv,
            staging,
            timeout=seconds_left_if_limited(deadline),
            stall=stall,
            progress=progress,
            expected=expected,
        )
    except CommandFailedError as error:
        if "no space left on device" in error.reason or "file too large" in error.reason:
            raise NotEnoughSpaceError(
                f"The file system of {staging.path!r} is full: {error.reason}"
            ) from error
        if flags.get("json") and "not defined: -json" in error.reason:  # an early 0.5
            flags = {**flags, "json": None}
            return fetch(
                source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
            )
        if not ABSENT.search(error.reason):
            raise
        if not is_after_last_change(source, flags, config, deadline):
            held = generation_at(source, flags, config, deadline)
            if held is None:
                reason = error.reason
                raise not_found(error.argv, error.returncode, error.stderr, reason) from error
            flags = {**flags, **held}
            return fetch(
                source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
            )
    else:
        index = flags.get("index")
        if index is not None and last_index(output) < int(str(index), 16):
            raise not_found(argv, 0, "", f"there is no WAL index {index} (hexadecimal) yet")
        staging.output = output
        return copy
    # What was asked for is the last change. A change that arrives now would be one too many.
    last = {**flags, "timestamp": None}
    fetch(source, staging, last, config=config, deadline=deadline, stall=stall, report=report)
    if is_after_last_change(source, flags, config, deadline):
        return copy
    os.unlink(copy)
    return fetch(
        source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
    )


def not_found(
    argv: Sequence[str], returncode: int, stderr: str, reason: str
) -> BackupNotFoundError:
    """Return the error that says that a replica holds nothing that fits."""
    hint = (
        "nothing in the replica fits what was asked for; an empty or mistyped replica path looks "
        "the same"
    )
    return BackupNotFoundError(argv, returncode, stderr, reason, hint)
