"""The application: system checks, and nothing that starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks as django_checks


class LitestreamConfig(AppConfig):
    """Register the system checks."""

    name = "litestream.django"
    label = "litestream"
    verbose_name = "Litestream"

    def ready(self) -> None:
        """Register the checks; this runs in every process, so nothing else may."""
        from litestream.django import checks

        django_checks.register(checks.settings, "litestream")
        django_checks.register(checks.deployment, "litestream", deploy=True)
        django_checks.register(checks.databases, "litestream", django_checks.Tags.database)
