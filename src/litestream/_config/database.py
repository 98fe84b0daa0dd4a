"""A database of the config, with its replicas and its local state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream._config import places
from litestream._config.paths import target
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from litestream._config.config import Config
    from litestream._config.paths import StrPath


class Database(NamedTuple):
    """A database of the config.

    ``meta`` is Litestream's local state, ``replicas`` are the replicas as the config has them.
    ``interval`` is the number of seconds between two syncs, ``monitor_interval`` between two looks
    at the database. ``replica`` names the chosen one (0.3); None if there is only one.
    """

    config: Config
    path: str
    meta: str
    interval: float
    monitor_interval: float
    replicas: list[dict[str, Any]]
    replica: str | None = None
    is_restored: bool = False
    """Whether the config has a daemon of 0.5 restore it if it is missing."""

    @property
    def folders(self) -> list[str] | None:
        """Return the replicas' directories; None if a replica is no readable directory."""
        found = [not r.get("age") and places.directory(r) for r in self.replicas]
        return [folder for folder in found if folder] if all(found) else None

    @property
    def names(self) -> list[str]:
        """Return the replicas' names."""
        return [places.name(replica) for replica in self.replicas]

    @property
    def has_local_state(self) -> bool:
        """Tell whether Litestream, of either series, already keeps local state for the database."""
        return any(os.path.exists(os.path.join(self.meta, name)) for name in ("generation", "ltx"))

    def is_at(self, path: StrPath) -> bool:
        """Tell whether a path, which may be a symbolic link, leads to this database."""
        name = target(path)
        return self.path in (name, os.path.realpath(name))

    def chosen(self, replica: str | None) -> list[dict[str, Any]]:
        """Return the replicas, all of them or those of a name.

        Raises:
            ConfigurationError: There is none of that name.

        """
        found = [r for r in self.replicas if replica in (None, places.name(r))]
        if not found:
            known = ", ".join(map(repr, self.names))
            raise ConfigurationError(
                f"{self.path!r} has no replica named {replica!r}. Its replicas: {known}"
            )
        return found

    def each_replica(self) -> list[Database]:
        """Return the database once for each of its replicas, with that replica alone."""
        if len(self.replicas) == 1:
            return [self]
        return [self._replace(replicas=[r], replica=places.name(r)) for r in self.replicas]
