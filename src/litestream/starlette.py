"""Litestream in the lifespan of a Starlette or FastAPI application.

::

    import litestream.starlette

    app = Starlette(routes=routes, lifespan=litestream.starlette.lifespan())
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from litestream.asgi import replicating
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from litestream.configuration import ConfigArgument

    Lifespan = Callable[[Any], contextlib.AbstractAsyncContextManager[Any]]

__all__ = ["lifespan"]

_KEY = "litestream"


def lifespan(
    own: Lifespan | None = None, config: ConfigArgument = None, **options: Any
) -> Lifespan:
    """Return a lifespan that recovers and replicates around the application's ``own`` one.

    The databases are recovered and replicated before ``own`` begins, and until after it has ended;
    when that fails, the server does not serve. The ``Replication`` is ``request.state.litestream``.
    ``config`` and ``options`` are those of ``litestream.asgi.replicating``.

    Raises:
        ConfigurationError: ``own`` is a lifespan of this function already.

    """
    if hasattr(own, _KEY):
        raise ConfigurationError("This lifespan replicates already: call lifespan() once")

    @contextlib.asynccontextmanager
    async def replicated(app: Any) -> AsyncGenerator[dict[str, Any], None]:
        async with replicating(config, **options) as replication:
            if own is None:
                yield {_KEY: replication}
                return
            async with own(app) as state:
                yield {_KEY: replication, **(state or {})}

    setattr(replicated, _KEY, True)
    return replicated
