"""The setting ``LITESTREAM``: read without a look at the disk, and everything wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from litestream._adapters import suggestion
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream.configuration import ConfigArgument

KEYS = ("CONFIG", "DASHBOARD", "EXPECT", "REPLICAS")
DASHBOARD_KEYS = ("ACTIONS", "AUTH", "DIRECTORY")
_EXPECTATIONS = ("any", "backup", "none")


class Problem(NamedTuple):
    """An error in the setting: the id of its system check, the fault, and what to do."""

    id: str
    message: str
    hint: str


def config() -> ConfigArgument:
    """Return the config's path, a mapping of database → replica, or None for the usual places."""
    for problem in problems():
        raise ConfigurationError(f"{problem.message}. {problem.hint}")
    given = setting()
    if given.get("REPLICAS"):
        return {path(alias): replica for alias, replica in replicas().items()}
    found: ConfigArgument = given.get("CONFIG")
    return found


def expect() -> str:
    """Return the ``expect`` for ``recover`` and ``run``."""
    return str(setting().get("EXPECT", "any"))


def setting() -> Mapping[str, Any]:
    """Return the setting, or an empty one."""
    found: Mapping[str, Any] = getattr(settings, "LITESTREAM", {})
    return found


def dashboard() -> Mapping[str, Any]:
    """Return the dashboard's part of the setting."""
    for problem in problems():
        raise ConfigurationError(f"{problem.message}. {problem.hint}")
    found: Mapping[str, Any] = setting().get("DASHBOARD", {})
    return found


def replicas() -> dict[str, Any]:
    """Return alias → replica, without the databases that are not replicated (None)."""
    return {a: replica for a, replica in setting().get("REPLICAS", {}).items() if replica}


def sqlite() -> list[str]:
    """Return the aliases of the SQLite databases that are files."""
    return [alias for alias, one in settings.DATABASES.items() if _why_not(one) == ""]


def path(alias: str = DEFAULT_DB_ALIAS) -> str:
    """Return the absolute path of a database."""
    name: str = os.fspath(settings.DATABASES[alias]["NAME"])
    return os.path.abspath(os.path.expanduser(name))


def problems() -> Iterator[Problem]:
    """Yield every fault of the setting."""
    given = getattr(settings, "LITESTREAM", {})
    if not isinstance(given, Mapping):
        yield Problem("litestream.E001", "LITESTREAM is not a dictionary", _EXAMPLE)
        return
    for key in given:
        if key not in KEYS:
            yield Problem(
                "litestream.E001", f"LITESTREAM has no key {key!r}", suggestion(str(key), KEYS)
            )
    if given.get("CONFIG") and given.get("REPLICAS"):
        hint = "Name the databases in one of them."
        yield Problem("litestream.E002", "LITESTREAM has both CONFIG and REPLICAS", hint)
    if not isinstance(given.get("CONFIG") or "", (str, os.PathLike)):
        yield Problem("litestream.E002", "LITESTREAM['CONFIG'] is not a path", _EXAMPLE)
    if given.get("EXPECT", "any") not in _EXPECTATIONS:
        hint = f"Choose one of {', '.join(map(repr, _EXPECTATIONS))}."
        yield Problem("litestream.E002", "LITESTREAM['EXPECT'] has an unknown value", hint)
    page = given.get("DASHBOARD", {})
    if not isinstance(page, Mapping):
        hint = "For example: {'ACTIONS': ['verify']}."
        yield Problem("litestream.E002", "LITESTREAM['DASHBOARD'] is not a dictionary", hint)
        page = {}
    for key in page:
        if key not in DASHBOARD_KEYS:
            message = f"LITESTREAM['DASHBOARD'] has no key {key!r}"
            yield Problem("litestream.E001", message, suggestion(str(key), DASHBOARD_KEYS))
    chosen = given.get("REPLICAS", {})
    if not isinstance(chosen, Mapping):
        yield Problem("litestream.E002", "LITESTREAM['REPLICAS'] is not a dictionary", _EXAMPLE)
        return
    for alias, replica in chosen.items():
        yield from _of_replica(alias, replica)


def _of_replica(alias: str, replica: Any) -> Iterator[Problem]:
    where = f"LITESTREAM['REPLICAS'][{alias!r}]"
    if alias not in settings.DATABASES:
        hint = suggestion(str(alias), settings.DATABASES)
        yield Problem("litestream.E003", f"{where} is not an alias of DATABASES", hint)
        return
    if replica is None:
        return
    if not replica or not isinstance(replica, (str, list, tuple, Mapping)):
        hint = "Give a replica URL, or None for a database without replication."
        yield Problem("litestream.E004", f"{where} is not a replica", hint)
    reason = _why_not(settings.DATABASES[alias])
    if reason:
        hint = "Litestream replicates SQLite databases that are files. Take the alias out."
        yield Problem("litestream.E004", f"{where}: the database {reason}", hint)


def _why_not(database: Mapping[str, Any]) -> str:
    """Return why a database cannot be replicated; empty if it can."""
    engine = str(database.get("ENGINE", ""))
    if "sqlite" not in engine and "spatialite" not in engine:
        return f"is not a SQLite database ({engine or 'it has no ENGINE'})"
    name = str(database.get("NAME") or "")
    if not name:
        return "has no NAME"
    if ":memory:" in name or "mode=memory" in name:
        return "is in memory"
    if name == str((database.get("TEST") or {}).get("NAME")):
        return "is the test runner's"
    return ""


_EXAMPLE = "For example: LITESTREAM = {'REPLICAS': {'default': 's3://bucket/app'}}."
