"""A task for ``django.tasks`` (Django 6.0 and newer) and its backport ``django-tasks``."""

from __future__ import annotations

from typing import Any

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task

from litestream import _adapters
from litestream.django import _settings

__all__ = ["verify"]


@task()
def verify(alias: str | None = None, *, exact: bool = True, timeout: float = 30.0) -> list[Any]:
    """Verify the backup of a database, or of all, and return the proofs.

    Raises:
        VerificationFailure: A backup is not proved: the task has failed.

    """
    database = None if alias is None else _settings.path(alias)
    return _adapters.prove(_settings.config(), database, exact=exact, timeout=timeout)
