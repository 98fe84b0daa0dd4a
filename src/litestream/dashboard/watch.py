"""Look at the databases in the background, so that no page waits for a disk, lock or socket."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _settings, monitoring
from litestream._config.config import Config
from litestream._config.keys import secrets_in
from litestream._executable.arguments import loaded
from litestream._health.look import WORST_FIRST, badness
from litestream.dashboard.store import id_of
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestream._config.config import ConfigArgument
    from litestream.dashboard.store import Store
    from litestream.rows import HealthRow

_FRESH = 2.0
"""Seconds for which a look is new enough."""
_PATIENCE = 0.3
"""Seconds that a page waits for a newer look."""
_SAMPLED = 60.0

_log = logging.getLogger("litestream.dashboard")


class Look(NamedTuple):
    """The result of a look: the rows by their ids, the worst first, or the trouble."""

    at: float
    rows: dict[str, HealthRow]
    trouble: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Return how many databases have each verdict, the worst first."""
        verdicts: list[str] = [row["verdict"] for row in self.rows.values()]
        return {verdict: verdicts.count(verdict) for verdict in WORST_FIRST}


class Watch:
    """A thread that looks while somebody asks, and once a minute for the plots.

    It starts with the first page, in the process that serves it: nothing starts at import.
    """

    def __init__(self, config: ConfigArgument, store: Store, thresholds: Mapping[str, Any]) -> None:
        self._config = config
        self._store = store
        self._thresholds = dict(thresholds)
        inspect.signature(monitoring.health).bind(config=None, **self._thresholds)  # or TypeError
        self._latest: Look | None = None
        self._took = 0.0
        self._secrets: tuple[object, tuple[str, ...]] = (None, ())
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()  # a fork copies no thread
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = self._closed = False

    def look(self) -> Look | None:
        """Return the last result; None during the first look."""
        if self._pid != os.getpid():
            self._renew()
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._go_on, name="litestream-dashboard", daemon=True
                )
                self._thread.start()
            before = self._latest
            if before is None or time.time() - before.at > _FRESH:
                self._asked = True
                self._changed.notify_all()
                if before is None or self._took < _PATIENCE:
                    self._changed.wait_for(lambda: self._latest is not before, _PATIENCE)
            return self._latest

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5.0)

    def masked(self, text: str) -> str:
        """Return a text without the secrets that the config and this process hold."""
        for secret in self._secrets[1]:
            text = text.replace(secret, "***")
        return _settings.masked(text)

    def _go_on(self) -> None:
        while not self._closed:
            began = time.monotonic()
            look = self._taken()
            took = self._took = time.monotonic() - began
            with self._changed:
                self._latest, self._asked = look, False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, 4 * took)  # on a slow disk, less often
                self._changed.wait_for(lambda: self._closed or self._asked, _SAMPLED - 4 * took)

    def _taken(self) -> Look:
        now = time.time()
        try:
            with loaded(self._config) as config:
                self._learn_secrets(config)
                rows = monitoring.health(config=config, **self._thresholds)
            if self._store.is_due(now):
                self._store.sample(rows, now)
        except (LitestreamError, OSError) as error:
            return Look(now, {}, self.masked(str(error)))
        except Exception:
            _log.exception("The dashboard cannot look at the databases")
            return Look(now, {}, "The databases cannot be looked at: see the server's log")
        by_name = sorted(rows, key=lambda row: row["database"])
        worst_first = sorted(by_name, key=badness, reverse=True)
        return Look(now, {id_of(row["database"]): row for row in worst_first})

    def _learn_secrets(self, config: Config) -> None:
        """Find the secrets to hide, which messages of other programs may contain."""
        mark = not config.path or (config.path, os.stat(config.path).st_mtime_ns)
        if mark != self._secrets[0]:
            found: set[str] = set()
            for literal in (False, True):
                with contextlib.suppress(LitestreamError):
                    again = Config(config.series, config.path, literal=literal)
                    found.update(secrets_in((again if config.path else config).content))
            self._secrets = (mark, tuple(sorted(found, key=len, reverse=True)))
