"""The health of backups for Prometheus: as text, and for users of ``prometheus_client``.

All names begin with ``litestream_backup_``, unlike Litestream's own. Times are timestamps:
``time() - litestream_backup_last_good_proof_timestamp_seconds`` is an age. For more than 100
databases there are the figures of all of them together, and of each of the ten worst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream import monitoring
from litestream._health import exposition
from litestream.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath

__all__ = [
    "Collector",
    "text",
]


def text(
    databases: StrPath | Iterable[StrPath] | None = None, *, config: ConfigArgument = None
) -> str:
    """Return the health of databases in Prometheus' text format, version 0.0.4.

    ``databases``, ``config`` and the errors are as for ``litestream.health``, with its default
    limits. Serve the text as ``text/plain;
    version=0.0.4; charset=utf-8``.
    """
    return exposition.text(monitoring.health(databases, config=config))


class Collector:
    """A collector of ``prometheus_client``: ``REGISTRY.register(litestream.metrics.Collector())``.

    The figures are collected at each scrape, so all workers of a server give the same figures.
    ``databases`` and ``config`` are as for ``litestream.health``, with its default limits.
    """

    def __init__(
        self,
        databases: StrPath | Iterable[StrPath] | None = None,
        *,
        config: ConfigArgument = None,
    ) -> None:
        self._databases = databases
        self._config = config

    def describe(self) -> list[Metric]:
        """Return nothing, so that a registration collects nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now.

        Raises:
            MissingExtraError: ``prometheus_client`` is not installed.

        """
        try:
            from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        except ImportError:
            raise MissingExtraError(
                "A collector needs Prometheus' client: pip install prometheus_client. "
                "litestream.metrics.text() needs nothing"
            ) from None

        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        for family in exposition.families(monitoring.health(self._databases, config=self._config)):
            names = list(family.samples[0][0])
            metric = kinds[family.type](family.name, family.help, labels=names)
            for labels, value in family.samples:
                metric.add_metric([labels[name] for name in names], value)
            yield metric


for _public in (text, Collector):
    _public.__module__ = __name__
