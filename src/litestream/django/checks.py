"""System checks; docs/django.md lists their ids. Only ``databases`` looks at the disk."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from litestream import commands
from litestream.django import _settings
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SILENCE = "Or silence it with SILENCED_SYSTEM_CHECKS."


def settings(**_: Any) -> list[CheckMessage]:
    """Look at the settings alone."""
    found: list[CheckMessage] = [
        Error(problem.message + ".", hint=problem.hint, id=problem.id)
        for problem in _settings.problems()
    ]
    return found or [*_unreplicated(), *_files(), *_options(), *_places()]


def deployment(**_: Any) -> list[CheckMessage]:
    """Look at what matters in production."""
    if not django_settings.DEBUG or not _settings.setting():
        return []
    return [
        Warning(
            "DEBUG is on: error pages show the setting LITESTREAM with its replica URLs.",
            hint="Set DEBUG = False.",
            id="litestream.W006",
        )
    ]


def databases(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Open the databases that are there, and read the config's file."""
    if any(_settings.problems()):
        return []
    found: list[CheckMessage] = []
    wanted = [alias for alias in _settings.sqlite() if alias in (databases or ())]
    if wanted and not _settings.setting().get("REPLICAS"):
        try:
            named = {row["path"] for row in commands.databases(config=_settings.config())}
        except LitestreamError as error:
            return [Error(f"The config cannot be read: {error}", id="litestream.E006")]
        found += [_is_not_replicated(a) for a in wanted if _settings.path(a) not in named]
    for alias in set(wanted).intersection(_replicated()):
        if os.path.exists(_settings.path(alias)):
            with connections[alias].cursor() as cursor:
                (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                found.append(
                    Warning(
                        f"The database {alias!r} is in journal mode {mode!r}, not WAL.",
                        hint="Use OPTIONS = litestream.django.sqlite_options(). " + _SILENCE,
                        id="litestream.W003",
                    )
                )
    return found


def _unreplicated() -> Iterator[CheckMessage]:
    given = _settings.setting()
    if given.get("CONFIG"):
        return  # the file names them: see databases()
    for alias in _settings.sqlite():
        if alias not in given.get("REPLICAS", {}):
            yield _is_not_replicated(alias)


def _is_not_replicated(alias: str) -> CheckMessage:
    return Warning(
        f"The database {alias!r} is not replicated.",
        hint=f"Name its replica in LITESTREAM['REPLICAS'][{alias!r}], or write None there.",
        id="litestream.W001",
    )


def _replicated() -> list[str]:
    found = _settings.sqlite()
    if not _settings.setting().get("REPLICAS"):  # a file names them
        return found
    return [alias for alias in found if alias in _settings.replicas()]


def _files() -> Iterator[CheckMessage]:
    for alias in _replicated():
        name = os.fspath(django_settings.DATABASES[alias]["NAME"])
        if not os.path.isabs(name):
            yield Warning(
                f"The database {alias!r} has a relative NAME: {name!r}.",
                hint="In another directory, it is another, empty database. Use BASE_DIR / ….",
                id="litestream.W004",
            )
        for place in ("STATIC_ROOT", "MEDIA_ROOT"):
            root = getattr(django_settings, place, None)
            if root and _is_below(_settings.path(alias), root):
                yield Error(
                    f"The database {alias!r} is in {place}: the web server serves it to everybody.",
                    hint="Move it to a directory of its own.",
                    id="litestream.E005",
                )


def _options() -> Iterator[CheckMessage]:
    for alias in _replicated() if django.VERSION >= (5, 1) else ():
        options = django_settings.DATABASES[alias].get("OPTIONS") or {}
        if str(options.get("transaction_mode")).upper() != "IMMEDIATE":
            yield Warning(
                f"Transactions of the database {alias!r} are not IMMEDIATE.",
                hint="If two transactions read first and write later, one fails with 'database is "
                "locked', and no timeout helps. Use OPTIONS = litestream.django.sqlite_options(). "
                + _SILENCE,
                id="litestream.W002",
            )


def _places() -> Iterator[CheckMessage]:
    project = getattr(django_settings, "BASE_DIR", None)
    for alias, replica in _settings.replicas().items():
        for one in replica if isinstance(replica, (list, tuple)) else [replica]:
            path = _directory(one)
            if project and path and _is_below(path, project):
                yield Warning(
                    f"The replica of the database {alias!r} is in the project's directory.",
                    hint="It is lost with the project. Use another disk, or another machine.",
                    id="litestream.W005",
                )


def _directory(replica: Any) -> str:
    """Return the directory of a file replica; empty for any other."""
    if isinstance(replica, dict):
        return str(replica.get("path", "")) if replica.get("type") == "file" else ""
    kind, _, path = str(replica).partition("://")
    return f"/{path.lstrip('/')}" if kind == "file" else ""


def _is_below(path: str, root: str | os.PathLike[str]) -> bool:
    above = os.path.abspath(root)
    with contextlib.suppress(ValueError):
        return os.path.commonpath([os.path.abspath(path), above]) == above
    return False
