"""Litestream in a Django project.

::

    # settings.py
    import litestream.django

    INSTALLED_APPS += ["litestream.django"]
    DATABASES["default"]["OPTIONS"] = litestream.django.sqlite_options()
    LITESTREAM = {"REPLICAS": {"default": "s3://bucket/app"}}

Then ``manage.py litestream VERB``, and ``manage.py litestream run -- gunicorn project.wsgi``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litestream.configuration import ConfigArgument

__all__ = ["config", "sqlite_options"]


def config() -> ConfigArgument:
    """Return the config of the setting ``LITESTREAM``, for every ``config=`` of the adapters.

    Raises:
        ConfigurationError: The setting is wrong; the system checks name every fault.

    """
    from litestream.django import _settings

    return _settings.config()


def sqlite_options(*, replicated: bool = True) -> dict[str, Any]:
    """Return the ``OPTIONS`` that a SQLite database needs for Litestream.

    WAL mode, ``synchronous=NORMAL``, a busy timeout of five seconds, transactions that are
    ``IMMEDIATE`` (Django 5.1 and newer), and, unless ``replicated`` is False, no checkpoints but
    the daemon's, as ``litestream.connect``. Pass False if no daemon runs: the WAL would grow.
    """
    import django

    from litestream import _adapters

    options: dict[str, Any] = {"timeout": 5}
    if django.VERSION >= (5, 1):
        options["transaction_mode"] = "IMMEDIATE"
        options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
    if replicated:
        options["factory"] = _adapters.connection
    return options
