"""Django's ``inspectdb`` without Litestream's own tables."""

from __future__ import annotations

from typing import Any

from django.apps import apps

if apps.is_installed("django.contrib.gis"):
    from django.contrib.gis.management.commands import inspectdb
else:
    from django.core.management.commands import inspectdb


class Command(inspectdb.Command):
    """Leave out ``_litestream_seq``, ``_litestream_lock`` and ``_litestream_verification``."""

    def handle_inspection(self, options: dict[str, Any]) -> Any:
        """Inspect, unless the tables are named."""
        if not options["table"]:
            options.setdefault("table_name_filter", lambda name: name[:12] != "_litestream_")
        return super().handle_inspection(options)
