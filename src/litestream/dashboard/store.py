"""The files of the dashboard: samples for plots, lists of backups, results of actions.

A private directory, one file of a fixed size for a database's samples, and small JSON files. All
processes that serve the dashboard share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
import struct
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestream.rows import HealthRow

RANGES = {"24h": (300, 288), "7d": (1800, 336), "30d": (7200, 360)}
"""The ranges of the plots: the seconds of a step, and the number of steps."""
_RECORD = struct.Struct("<dddd")
_PAUSE = 55.0
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class Sample(NamedTuple):
    """A step's beginning, the most that the replica was behind in it, and the sizes at its end."""

    at: float
    behind: float | None
    size: float | None
    wal_size: float | None


def id_of(database: str) -> str:
    """Return the id of a database for addresses and names of files."""
    return hashlib.sha256(database.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Store:
    """The directory."""

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        named = directory is not None
        default = os.path.join(tempfile.gettempdir(), f"litestream-dashboard-{os.geteuid()}")
        self._directory = os.path.abspath(os.fspath(directory) if directory else default)
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            found = os.stat(self._directory, follow_symlinks=named)
        except OSError as error:
            raise ConfigurationError(
                f"The dashboard keeps its figures in {self._directory!r}, which cannot be made: "
                f"{error.strerror}. Name another directory with directory="
            ) from error
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not stat.S_ISDIR(found.st_mode):
            raise ConfigurationError(
                f"The dashboard keeps its figures in {self._directory!r}, which others may write "
                "to. Name a directory of this user alone with directory="
            )

    def _path(self, database: str, kind: str) -> str:
        return os.path.join(self._directory, f"{id_of(database)}.{kind}")

    def write(self, database: str, kind: str, content: dict[str, Any]) -> None:
        """Write a file about a database, completely or not at all."""
        with contextlib.suppress(OSError):  # a full disk costs a list, not a page
            file, temporary = tempfile.mkstemp(dir=self._directory, suffix=".tmp")
            try:
                with open(file, "w", encoding="ascii") as stream:
                    json.dump(content, stream)
                os.replace(temporary, self._path(database, kind))
            except OSError:
                os.unlink(temporary)
                raise

    def read(self, database: str, kind: str) -> dict[str, Any]:
        """Return the content of such a file; an empty dictionary if there is none."""
        try:
            with open(self._path(database, kind), encoding="ascii") as stream:
                found = json.load(stream)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_due(self, now: float) -> bool:
        """Tell whether samples are to be taken: by one of the processes, once a minute."""
        path = os.path.join(self._directory, "sampled")
        with contextlib.suppress(OSError):
            if 0 <= now - os.stat(path).st_mtime < _PAUSE:
                return False
        with contextlib.suppress(OSError):
            os.close(os.open(path, _FLAGS | os.O_CREAT | os.O_WRONLY, 0o600))
            os.utime(path, (now, now))
            return True
        return False

    def sample(self, rows: Iterable[HealthRow], now: float) -> None:
        """Keep a sample of each database."""
        for row in rows:
            with contextlib.suppress(OSError):
                file = os.open(
                    self._path(row["database"], "samples"), _FLAGS | os.O_RDWR | os.O_CREAT, 0o600
                )
                try:
                    _add(file, now, row["behind"], row["size"], row["wal_size"])
                finally:
                    os.close(file)

    def samples(self, database: str, span: str, now: float) -> list[Sample]:
        """Return the samples of one of the RANGES, oldest first; steps without one are left out."""
        step, count = RANGES[span]
        try:
            with open(self._path(database, "samples"), "rb") as stream:
                stream.seek(_offset(span))
                raw = stream.read(count * _RECORD.size)
        except OSError:
            return []
        whole = raw[: len(raw) - len(raw) % _RECORD.size]
        found = [Sample(at, *map(_value, more)) for at, *more in _RECORD.iter_unpack(whole)]
        return sorted(one for one in found if now - step * count < one.at <= now)


def _offset(span: str) -> int:
    names = list(RANGES)
    return sum(RANGES[name][1] for name in names[: names.index(span)]) * _RECORD.size


def _value(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _add(file: int, now: float, *values: float | None) -> None:
    behind, *sizes = (math.nan if value is None else float(value) for value in values)
    for span, (step, count) in RANGES.items():
        begin = now // step * step
        place = _offset(span) + int(now // step) % count * _RECORD.size
        before = os.pread(file, _RECORD.size, place)
        most = behind
        if len(before) == _RECORD.size:
            at, known, *_ = _RECORD.unpack(before)
            if at == begin and not known <= behind:
                most = behind if math.isnan(known) else known
        os.pwrite(file, _RECORD.pack(begin, most, *sizes), place)
