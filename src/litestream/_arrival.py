"""Wait until a place in the WAL is in the replica, by what the series and the daemon offer.

Nothing here proves anything: a replica whose files are gone still has its position in the
daemon's memory. It says when a restore is worth while; the restored copy decides.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _control, _listings, _position
from litestream.errors import ControlSocketError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestream._source import Source

_FIRST, _LAST = 0.01, 0.25  # seconds between two looks
_REQUEST = 5.0  # seconds that a metrics page or a daemon's answer may take


class Arrival(NamedTuple):
    """A place has arrived in the replica; not ``sure`` where only the restored copy can tell."""

    sure: bool
    txid: int | None = None


class NotArrivedError(LitestreamError):
    """Say that a place was not in the replica in time; ``local`` if the daemon had taken it up."""

    def __init__(self, *, local: bool) -> None:
        super().__init__(local)
        self.local = local


class Watch:
    """Watches one database's way into its replica, from before the commit that matters.

    ``pulse`` is called at every look, and ends the wait by raising. ``touch`` makes another commit.
    """

    def __init__(
        self,
        source: Source,
        deadline: float,
        *,
        only_new: bool,
        pulse: Callable[[], object] = lambda: None,
        touch: Callable[[], object] | None = None,
    ) -> None:
        self._source = source
        self._deadline = deadline
        self._patience_ends = (time.monotonic() + deadline) / 2
        self._pulse = pulse
        self._touch = touch
        self._listed = source.series == "0.3" and not source.directory and not source.metrics
        self._seen = self._newest_segment() if only_new and self._listed else None

    def arrival(self, end: _position.WALEnd | None) -> Arrival:
        """Return when everything up to ``end`` is in the replica, as far as can be told.

        Without ``end`` (there is no WAL) that is at once. Where the position cannot be told (0.3
        with a remote replica and no metrics), whenever something new has come; with ``only_new``,
        newer than what was there when this Watch was made.

        Raises:
            NotArrivedError: the deadline has passed.

        """
        if end is None:
            return Arrival(sure=False)
        if self._source.series == "0.3":
            return self._segments(end)
        return self._over_socket() or self._files(end)

    def left(self) -> float:
        """Return the seconds until the deadline, and a moment for what must still be asked."""
        return max(0.1, self._deadline - time.monotonic())

    def is_over(self) -> bool:
        """Say whether the deadline has passed."""
        return time.monotonic() >= self._deadline

    def _looks(self, *, local: bool) -> Iterator[None]:
        pause = _FIRST
        while True:
            yield
            self._pulse()
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise NotArrivedError(local=local)
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LAST)

    def _until(self, look: Callable[[], bool], *, local: bool) -> None:
        for _ in self._looks(local=local):
            if look():
                return

    def _still(self, end: _position.WALEnd) -> _position.WALEnd:
        """Return ``end``, or where the WAL ends now if it was restarted: that covers it, too."""
        wal = _position.wal_path(self._source.database)
        if _position.wal_salts(wal) != end.salts:
            return _position.committed_end(wal) or end
        return end

    # Series 0.5

    def _over_socket(self) -> Arrival | None:
        """Ask the daemon, with the one request that is safe; None if it cannot be asked."""
        client = _control.ControlSocket(self._source.socket, min(_REQUEST, self.left()))
        try:
            if not any(row["path"] == self._source.database for row in client.list()):
                return None
            first = client.sync(self._source.database)["txid"]
        except ControlSocketError:
            return None

        def replicated() -> bool:
            nonlocal first
            with contextlib.suppress(ControlSocketError):  # it may be busy with its endpoint
                answer = client.sync(self._source.database)
                first = first or answer["txid"]
                return 0 < first <= answer["replicated_txid"]
            return False

        self._until(replicated, local=bool(first))
        return Arrival(sure=True, txid=first)

    def _files(self, end: _position.WALEnd) -> Arrival:
        """Find the transaction in the daemon's local LTX files, then in the replica's listing."""
        for _ in self._looks(local=False):
            end = self._still(end)
            txid = _position.local_txid(self._source.meta, end)
            if txid is not None:
                break
        wanted = txid or 0
        self._until(lambda: self._replicated_txid() >= wanted, local=True)
        return Arrival(sure=True, txid=txid)

    def _replicated_txid(self) -> int:
        with contextlib.suppress(LitestreamError):
            rows = _listings.ltx(
                self._source.database,
                level="all",
                config=self._source.config,
                timeout=self.left(),
                no_expand_env=self._source.no_expand_env,
            )
            return max((int(row["max_txid"], 16) for row in rows), default=0)
        return 0

    # Series 0.3

    def _segments(self, end: _position.WALEnd) -> Arrival:
        """Find the place in the shadow WAL, then in the replica."""
        for _ in self._looks(local=False):
            end = self._still(end)
            if place := _position.shadow_position(self._source.meta, end):
                return self._replicated_at(place)
        raise AssertionError

    def _replicated_at(self, place: _position.Position03) -> Arrival:
        for _ in self._looks(local=True):
            if self._listed:
                newest = self._newest_segment()
                if newest not in (None, self._seen):
                    self._seen = newest
                    return Arrival(sure=False)
            elif (known := self._replicated(place.generation)) and known.reaches(place):
                return Arrival(sure=True)
            if self._touch and time.monotonic() > self._patience_ends:
                return self._after_another_commit(self._touch)
        raise AssertionError

    def _after_another_commit(self, touch: Callable[[], object]) -> Arrival:
        """Wake a daemon that has overlooked the last commit, as its next one would.

        Source: 0.3.13 looks at the WAL's size, then copies what is there. What is committed in
        between is copied, but nobody tells the replica; about one commit in a thousand with the
        default interval. It stays out of the replica until the next commit.
        """
        self._touch = None
        touch()
        end = _position.committed_end(_position.wal_path(self._source.database))
        return self._segments(end) if end else Arrival(sure=False)

    def _replicated(self, generation: str) -> _position.Position03 | None:
        if self._source.directory:
            return _position.stored_position(self._source.directory, generation)
        if self._source.metrics:
            return _position.measured_position(
                metrics_page(self._source.metrics), self._source.database, generation
            )
        return None

    def _newest_segment(self) -> object:
        with contextlib.suppress(LitestreamError):
            rows = _listings.wal(
                self._source.database,
                config=self._source.config,
                timeout=self.left(),
                no_expand_env=self._source.no_expand_env,
            )
            return max(
                ((row["created"], row["index"], row["offset"]) for row in rows), default=None
            )
        return None


def metrics_page(address: str) -> str:
    """Return the text of a daemon's metrics page, or nothing."""
    import http.client

    host, _, port = address.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host or "127.0.0.1", int(port), timeout=_REQUEST)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException):
        return ""


def last_replicated(source: Source) -> tuple[str, str] | None:
    """Return the newest position in the replica and when it was written, if that can be read."""

    def rows(listing: Callable[..., list[Any]], **options: Any) -> list[Any]:
        return listing(
            source.database,
            config=source.config,
            timeout=_REQUEST,
            no_expand_env=source.no_expand_env,
            **options,
        )

    with contextlib.suppress(LitestreamError):
        if source.series == "0.5":
            found = rows(_listings.ltx, level="all")
            return max(((row["max_txid"], row["created"]) for row in found), default=None)
        found = [*rows(_listings.snapshots), *rows(_listings.wal)]
        newest = max(found, key=lambda row: (row["created"], row["index"]), default=None)
        if newest is not None:
            return f"{newest['generation']}/{newest['index']}", newest["created"]
    return None
