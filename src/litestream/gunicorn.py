"""Litestream beside gunicorn: the master recovers and replicates the databases.

::

    # gunicorn.conf.py
    import litestream.gunicorn

    when_ready, on_exit = litestream.gunicorn.hooks()
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from litestream import Replication, recover
from litestream.errors import ConfigurationError, LitestreamError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from litestream.configuration import ConfigArgument
    from litestream.recovery import Expectation

    Hook = Callable[[Any], object]

__all__ = ["hooks"]


class _Master:
    """The one replication of this process; gunicorn executes its config again at each SIGHUP."""

    def __init__(self, config: ConfigArgument, options: dict[str, Any]) -> None:
        self.asked = (config, options)
        self.replication = Replication(config, **options)
        self.started = False


_master: _Master | None = None


def hooks(
    config: ConfigArgument = None,
    *,
    expect: Expectation = "any",
    when_ready: Hook | None = None,
    on_exit: Hook | None = None,
    **options: Any,
) -> tuple[Hook, Hook]:
    """Recover the missing databases at once, and return gunicorn's ``when_ready`` and ``on_exit``.

    Call it in ``gunicorn.conf.py``: gunicorn executes that file before it imports the application,
    with ``--preload``, too. ``when_ready`` starts a ``Replication`` in the master before the
    workers are forked, ``on_exit`` stops it with a final sync after they have ended. On SIGHUP the
    replication goes on. After SIGUSR2 the new master stands by until the old one has ended.

    ``config`` and ``expect`` are those of ``recover``, ``options`` those of ``Replication``.
    Hooks of your own go into ``when_ready=`` and ``on_exit=``: the first is called once the
    replication runs, the second while it still does.

    gunicorn does not serve (exit status 1) when a database cannot be recovered or replicated.

    Raises:
        ConfigurationError: The application, or a worker, called this function.
        LitestreamError: As ``recover``.

    """
    global _master
    _require_config_file()
    if _master is None:
        asked = _Master(config, options)
        recover(expect=expect, config=config, expand_env=options.get("expand_env", True))
        _master = asked
    elif _master.asked != (config, options):
        _warn("gunicorn.conf.py has other arguments for hooks() now: restart gunicorn to use them")
    master = _master

    def start(server: Any) -> None:
        try:
            master.replication.start()
        except LitestreamError as error:
            server.halt(reason=f"litestream: {error}", exit_status=1)
        master.started = True
        server.log.info("litestream: %s", master.replication.state)
        if when_ready is not None:
            when_ready(server)

    def stop(server: Any) -> None:
        try:
            if on_exit is not None:
                on_exit(server)
        finally:
            if master.started:
                synced = master.replication.stop()
                server.log.info("litestream: %s", "stopped" if synced else "final sync failed")

    return start, stop


def _warn(text: str) -> None:
    import logging

    logging.getLogger("litestream.gunicorn").warning(text)


def _require_config_file() -> None:
    """Refuse a call of the application: gunicorn would run no hook, or each in every worker."""
    if "gunicorn.arbiter" not in sys.modules:
        raise ConfigurationError(
            "litestream.gunicorn.hooks() works in gunicorn.conf.py only, and this process is not "
            "gunicorn. Use litestream.Replication() instead"
        )
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what inspect.currentframe() is
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _APPLICATION:
            raise ConfigurationError(
                "litestream.gunicorn.hooks() was called by the application or in a worker. Call it "
                "in gunicorn.conf.py: when_ready, on_exit = litestream.gunicorn.hooks()"
            )
        frame = frame.f_back


_APPLICATION = {("gunicorn.arbiter", "spawn_worker"), ("gunicorn.app.base", "wsgi")}
