"""Whether a 0.5 replica holds a commit: a daemon's answer, or the local and listed LTX files."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from litestream._control_socket.client import ControlSocket
from litestream._database import local_state
from litestream._durability.goal import Arrival
from litestream._executable import listings
from litestream.errors import ControlSocketError, LitestreamError

if TYPE_CHECKING:
    from litestream._durability.goal import Goal
    from litestream.rows import SyncResult

_REQUEST = 5.0
"""Seconds that a daemon's answer may take."""


class Look05:
    """Looks for a commit's transaction in the replica, by its number.

    ``local``: the daemon has copied the commit. ``asked``: a daemon has answered.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._txid = 0
        self.local = self.asked = False

    def forget(self) -> None:
        """Look the transaction's number up again."""
        self._txid = 0

    def look(self) -> Arrival | None:
        """Ask the daemon; if none answers, read its local LTX files and list the replica.

        A daemon that restarts meanwhile goes on counting from its local state, so the transaction's
        number stays valid.
        """
        answer = self._answer()
        self.asked = answer is not None
        if answer is not None:
            self._txid = self._txid or answer["txid"]
            replicated = answer["replicated_txid"]
        else:
            self._txid = self._txid or self._local_txid()
            replicated = self._listed_txid() if self._txid else 0
        self.local = bool(self._txid)
        return Arrival(sure=True, txid=self._txid) if 0 < self._txid <= replicated else None

    def _answer(self) -> SyncResult | None:
        """Let a daemon sync, by the only safe request; return None if no daemon answers."""
        noted = self._goal.noted().get("socket")
        for path in (noted, self._goal.database.config.socket):
            if path and os.path.exists(path):
                with contextlib.suppress(ControlSocketError):
                    client = ControlSocket(path, min(_REQUEST, self._goal.left()))
                    return client.sync(self._goal.database.path)
        return None

    def _local_txid(self) -> int:
        found = self._goal.end and local_state.local_txid(self._goal.database.meta, self._goal.end)
        if found is None:
            self._goal.follow()
        return found or 0

    def _listed_txid(self) -> int:
        with contextlib.suppress(LitestreamError):
            rows = listings.ltx(
                self._goal.database.path,
                level="all",
                config=self._goal.database.config,
                timeout=self._goal.left(),
            )
            return max((int(row["max_txid"], 16) for row in rows), default=0)
        return 0
