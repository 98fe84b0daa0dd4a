"""Let the executable restore into a private directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from litestream._executable import messages, run
from litestream._executable.arguments import alone, arguments, config_flags
from litestream._restore.point_in_time import (
    generation_at,
    is_after_last_change,
    last_index,
    oldest_if_later,
)
from litestream.errors import BackupNotFoundError, CommandFailedError, NotEnoughSpaceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestream._config.config import Config
    from litestream._executable.arguments import Flag
    from litestream._restore.staging import Staging


def fetch(
    source: str,
    staging: Staging,
    flags: Mapping[str, Flag],
    *,
    config: Config | None,
    deadline: float | None = None,
    stall: float | None = None,
    report: tuple[run.Progress | None, int | None] = (None, None),
) -> str:
    """Restore ``source``, a path or a replica URL, into ``staging``; return the copy's path.

    All child processes together have until ``deadline`` (``time.monotonic``); ``stall`` is as for
    ``run``. ``report`` is the progress callback and the expected size. ``config`` is None for a
    replica URL.

    Raises:
        BackupNotFoundError: there is no backup, or none that fits ``flags``.
        NotEnoughSpaceError: the file system is full.
        CommandFailedError, CommandTimeoutError: as ``run``.

    """
    copy = staging.file("database")
    progress, expected = report

    def once_more(flags: Mapping[str, Flag]) -> str:
        return fetch(
            source, staging, flags, config=config, deadline=deadline, stall=stall, report=report
        )

    argv = arguments("restore", source, o=copy, **{**config_flags(config), **flags})
    try:
        output = run.run(
            argv,
            config=alone(config, source),
            fills=staging,
            timeout=run.seconds_left(deadline),
            stall=stall,
            progress=progress,
            expected=expected,
        )
    except CommandFailedError as error:
        if any(said in error.reason for said in messages.FULL):
            raise NotEnoughSpaceError(
                f"The restored copy has no room in {os.path.dirname(staging.path)!r}: "
                f"the file system is full ({error.reason})"
            ) from error
        if flags.get("json") and messages.NO_JSON in error.reason:
            return once_more({**flags, "json": None})
        if not any(said in error.reason for said in messages.NO_BACKUP):
            raise
        if not is_after_last_change(source, flags, config, deadline):
            held = generation_at(source, flags, config, deadline)
            if held is None:
                raise not_found(
                    error.argv,
                    error.returncode,
                    error.stderr,
                    error.reason,
                    oldest_if_later(source, flags, config, deadline),
                ) from error
            return once_more({**flags, **held})
    else:
        index = flags.get("index")
        if index is not None and last_index(output) < int(str(index), 16):
            raise not_found(argv, 0, "", f"there is no WAL index {index} (hexadecimal) yet")
        staging.output = output
        return copy
    # The requested time is after the last change: restore the newest state, then make sure that
    # nothing arrived meanwhile.
    once_more({**flags, "timestamp": None})
    if is_after_last_change(source, flags, config, deadline):
        return copy
    os.unlink(copy)
    return once_more(flags)


def not_found(
    argv: Sequence[str], returncode: int, stderr: str, reason: str, oldest: str = ""
) -> BackupNotFoundError:
    """Return the error for a replica that holds nothing that fits; ``oldest``: what it has."""
    hint = (
        f"the oldest restorable point is {oldest}"
        if oldest
        else "nothing in the replica fits what was asked for; an empty or mistyped replica path "
        "looks the same"
    )
    return BackupNotFoundError(argv, returncode, stderr, reason, hint)
