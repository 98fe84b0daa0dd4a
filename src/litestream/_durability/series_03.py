"""What a 0.3 replica holds: its metrics page, or its directory."""

from __future__ import annotations

import contextlib
import os

from litestream._database.local_state import Position03
from litestream._durability.lz4 import lz4_length

REQUEST = 5.0  # seconds that a metrics page or a daemon's answer may take


def measured_position(
    metrics: str, database: str, generation: str, replica: str | None = None
) -> Position03 | None:
    """Read how far a 0.3 replica has come from the text of the daemon's metrics page.

    With several replicas of one database, the one that is furthest behind counts, unless one is
    named.
    """
    label = f"db={_quoted(database)},name={'' if replica is None else _quoted(replica)}"
    found: dict[str, list[int]] = {"index": [], "offset": []}
    for line in metrics.splitlines():
        name, _, rest = line.partition("{")
        kind = name.removeprefix("litestream_replica_wal_")
        if kind in found and rest.startswith(label):
            found[kind].append(int(float(line.rpartition(" ")[2])))
    places = list(zip(found["index"], found["offset"], strict=False))
    return Position03(generation, *min(places)) if places else None


def _quoted(label: str) -> str:
    return '"' + label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def stored_position(replica: str | os.PathLike[str], generation: str) -> Position03 | None:
    """Find how far a 0.3 replica that is a directory has come, from the directory itself.

    Source: 0.3.13 stores `generations/GENERATION/wal/INDEX_OFFSET.wal.lz4`, both hexadecimal; the
    offset is where the segment starts, so the newest one is measured.
    """
    folder = os.path.join(replica, "generations", generation, "wal")
    try:
        names = os.listdir(folder)
        newest = max(name for name in names if name.endswith(".wal.lz4"))
        index, offset = (int(part, 16) for part in newest.partition(".")[0].split("_"))
        with open(os.path.join(folder, newest), "rb") as file:
            return Position03(generation, index, offset + lz4_length(file.read()))
    except (FileNotFoundError, ValueError):  # nothing there yet, or being written
        return None


def metrics_page(address: str, timeout: float = REQUEST) -> str:
    """Return the text of a daemon's metrics page, or nothing."""
    import http.client

    host, _, port = address.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host or "127.0.0.1", int(port), timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException):
        return ""
