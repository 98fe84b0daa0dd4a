"""Litestream's settings on every connection of a SQLAlchemy engine, and Alembic without our tables.

::

    engine = create_engine("sqlite:///app.db")
    litestream.sqlalchemy.configure(engine)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from litestream import _adapters
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["configure", "include_name"]

_Engine = TypeVar("_Engine", Engine, AsyncEngine)
_DRIVERS = ("pysqlite", "aiosqlite")
_TABLES = "_litestream_"


def configure(engine: _Engine) -> _Engine:
    """Let every connection of an engine be one of ``litestream.connect``, and return the engine.

    WAL mode, ``synchronous=NORMAL``, a busy timeout of 5 seconds unless the engine has another one,
    and no checkpoints but the daemon's: so use it in processes that are always replicated. Engines
    of ``sqlite`` and ``sqlite+aiosqlite``; call it before the first connection.

    Raises:
        ConfigurationError: The engine is of another database or driver, or has connections already.

    """
    core = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if core.dialect.name != "sqlite" or core.dialect.driver not in _DRIVERS:
        raise ConfigurationError(
            f"The engine is {core.dialect.name}+{core.dialect.driver}. Litestream replicates "
            f"SQLite: use the driver {' or '.join(_DRIVERS)}"
        )
    pool: Any = core.pool
    if any(getattr(pool, name, int)() for name in ("checkedin", "checkedout")):
        raise ConfigurationError(
            "The engine already has connections, without Litestream's settings. Call configure() "
            "right after create_engine()"
        )
    if not event.contains(core, "do_connect", _do_connect):
        event.listen(core, "do_connect", _do_connect)
    return engine


def _do_connect(_dialect: Any, _record: Any, _args: Any, arguments: dict[str, Any]) -> None:
    """Let ``sqlite3.connect`` make our connections, wherever the driver calls it."""
    arguments.setdefault("factory", _adapters.connection)


def include_name(
    name: str | None,
    type_: str,
    parent_names: Mapping[str, str | None],  # noqa: ARG001 - Alembic's
) -> bool:
    """Keep Litestream's tables from Alembic's autogenerate, which would drop them.

    ``context.configure(include_name=litestream.sqlalchemy.include_name, …)`` in ``env.py``.
    """
    return not (type_ == "table" and (name or "").startswith(_TABLES))
