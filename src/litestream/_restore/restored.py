"""The file that a restore has made, and what it is the state of."""

from __future__ import annotations

import json
from pathlib import PosixPath
from typing import TYPE_CHECKING, Any

from litestream._executable import log_lines, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._executable.run import Output


class Restored(PosixPath):
    """The path of a restored database; a path that is made of it is an ordinary one again.

    ``replica`` is the name of the replica that it comes from, ``txid`` its transaction as 16
    hexadecimal digits (0.5), ``generation`` and ``index`` its place (0.3): each None where the
    executable does not tell.
    """

    replica: str | None = None
    txid: str | None = None
    generation: str | None = None
    index: int | None = None
    _created: Callable[[Restored], str | None] | None = None
    _as_of: str | None = None

    @property
    def as_of(self) -> str | None:
        """Return the time of the newest change in it, such as ``"2024-04-17T00:01:19Z"``.

        The replica is asked, once, when this is first read; None where it does not tell.

        Raises:
            CommandFailedError, CommandTimeoutError: it could not be asked.

        """
        if self._created is not None:
            self._as_of, self._created = self._created(self), None
        return self._as_of

    def __reduce__(self) -> Any:
        return (PosixPath, (str(self),))


def log_of_03(output: Output) -> Iterator[dict[str, str]]:
    """Yield what 0.3 logs of a restore: which snapshot and which WAL files it takes.

    Source: 0.3.13 logs ``restoring snapshot`` with ``replica``, ``generation`` and ``index``, then,
    where there are any, ``restoring wal files`` with ``index_max``.
    """
    for line in (*output.stdout.split("\n"), *output.stderr.split("\n")):
        log = log_lines.parse(line)
        if log is not None and log.message in (
            messages.RESTORING_SNAPSHOT,
            messages.RESTORING_WAL,
        ):
            yield log.fields


def restored(path: str, output: Output, created: Callable[[Restored], str | None]) -> Restored:
    """Return the path with what the executable said.

    Source: 0.5 prints ``{"replica": …, "txid": …}`` with ``-json``.
    """
    made = Restored(path)
    made._created = created  # noqa: SLF001
    start = output.stdout.find("{\n")
    if start >= 0:
        try:
            said = json.loads(output.stdout[start:])
            made.replica, made.txid = said.get("replica"), said.get("txid")
        except ValueError:
            pass
        return made
    for fields in log_of_03(output):
        made.replica = fields.get("replica")
        made.generation = fields.get("generation")
        made.index = int(fields.get("index_max", fields.get("index", made.index or 0)))
    return made
