"""A check for django-health-check 4: everything committed is in the replica."""

from __future__ import annotations

import dataclasses
import datetime

from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

import litestream
from litestream.django import _settings
from litestream.errors import LitestreamError

__all__ = ["Replicated"]


@dataclasses.dataclass
class Replicated(HealthCheck):
    """Ask whether everything committed to a database reaches its replica within ``timeout``."""

    alias: str = "default"
    timeout: datetime.timedelta = dataclasses.field(
        default=datetime.timedelta(seconds=5), repr=False
    )

    def run(self) -> None:
        """Wait for the last commit; a failure's text is shown to everybody."""
        try:
            seconds = self.timeout.total_seconds()
            litestream.sync(_settings.path(self.alias), seconds, config=_settings.config())
        except LitestreamError as error:
            raise ServiceUnavailable("The last commit is not in the replica") from error
