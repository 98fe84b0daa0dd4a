"""A page about the health of backups: over WSGI or ASGI, under any prefix, closed by default.

::

    import litestream.dashboard

    application = litestream.dashboard.wsgi(auth=("ops", "scrypt$…"))  # litestream dashboard --hash

The page is made from facts on this host. The replica is called only in the background, when
somebody presses a button for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestream.dashboard.auth import password_hash
from litestream.dashboard.messages import Request
from litestream.dashboard.over_asgi import Asgi
from litestream.dashboard.over_wsgi import Wsgi

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from litestream._config.config import ConfigArgument
    from litestream.dashboard.auth import Auth

__all__ = ["Request", "asgi", "password_hash", "wsgi"]

Request.__module__ = password_hash.__module__ = __name__


def wsgi(
    *,
    auth: Auth,
    config: ConfigArgument = None,
    actions: Iterable[str] = (),
    directory: str | os.PathLike[str] | None = None,
    secret: str | bytes | None = None,
    **thresholds: Any,
) -> Wsgi:
    """Return the dashboard as a WSGI application.

    Args:
        auth: Who may see the page: a function of a ``Request`` that returns True, a name and the
            ``password_hash`` of the password, or ``"open"`` for everybody who reaches it.
        config: The config's path, or a mapping of a database's path to its replica; by default the
            config is looked for in the usual places.
        actions: Which buttons there are, of ``"verify"`` and ``"restore"``.
        directory: The place of the figures for the plots and of the lists of backups; by default
            the temporary directory, until the next reboot.
        secret: A key that several processes share, for the tokens in forms. Not needed with a
            password's hash.
        thresholds: Those of ``litestream.health``, such as ``max_behind=60``.

    Raises:
        ConfigurationError: ``auth`` or an action is none of these.
        TypeError: A threshold is not one of ``litestream.health``.
        MissingExtraError: Jinja2 is not installed.

    """
    from litestream.dashboard.views import Dashboard

    return Wsgi(Dashboard(auth, config, actions, directory, secret, thresholds))


def asgi(
    *,
    auth: Auth,
    config: ConfigArgument = None,
    actions: Iterable[str] = (),
    directory: str | os.PathLike[str] | None = None,
    secret: str | bytes | None = None,
    **thresholds: Any,
) -> Asgi:
    """Return the dashboard as an ASGI application; the arguments are those of ``wsgi``."""
    from litestream.dashboard.views import Dashboard

    return Asgi(Dashboard(auth, config, actions, directory, secret, thresholds))
