"""``litestream.configuration.check``: the text of a config, and with ``online`` a trial of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from litestream import _settings
from litestream._config.keys import VERSIONS
from litestream._executable.find import find as find_executable
from litestream._executable.series import asked
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from litestream._check.probe import Step
    from litestream.rows import FindingRow


def findings(
    config: str | os.PathLike[str] | None = None,
    *,
    series: str | None = None,
    online: bool = False,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    progress: Callable[[Step], object] | None = None,
) -> list[FindingRow]:
    """Return the faults of the config, as the executable reads it; no other file is opened.

    With ``online=True``, and without an error in the text, the config is tried: databases are
    opened for reading, and an object of our own is written to the replica, listed, read, deleted.
    Each step takes 15 seconds at most; ``progress`` is called with each.

    A row has ``path``, ``line`` and ``column`` (from 1), ``id``, ``level`` (``"error"``: the config
    does not do what it says; ``"warning"``), ``message`` and ``hint``. No row contains a value.
    ``series``, ``"0.3"`` or ``"0.5"``, is by default the executable's own. ``select`` and
    ``ignore`` are ids of findings.

    Raises:
        ConfigNotFoundError: There is no config; the message lists the places.
        ConfigurationError: No finding has that id.

    """
    if series is None:
        answer = asked(find_executable())
    elif series in VERSIONS:
        answer = partial(VERSIONS.__getitem__, series)
    else:
        raise ConfigurationError(f"There is no series {series!r}: it is '0.3' or '0.5'")
    from litestream._check.check import chosen, load  # yaml, while the executable answers

    version = answer()
    report, databases = load(_settings.find_config(config), version)
    if online and not any(row["level"] == "error" for row in report.rows):
        from litestream._check import probe  # ssl and http.client, which cost more than a check

        told = progress or (lambda _step: None)
        probe.probe(report, databases, find_executable(), told)
    return chosen(report.sorted(), select, ignore)


findings.__module__, findings.__name__ = "litestream.configuration", "check"  # where it is public
findings.__qualname__ = "check"
