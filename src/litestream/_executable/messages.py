"""The sentences of Litestream's output that this library compares: change them here.

Each with the series that says it (0.3: 0.3.13, 0.5: up to 0.5.17), and where it stands in
upstream's source. What is compared is a part of a log's message, or of an error. The keeper imports
this.
"""

from __future__ import annotations

# Errors of a command, on standard error or in the log.

ERROR = "Error: "
"""0.5, before the error with which a command ends (cmd/litestream/main.go)."""
TRY = "\nTry: "
"""0.5, before a hint of its own (the same)."""
NO_BACKUP = (
    "no matching backups found",  # 0.3, restore: cmd/litestream/restore.go
    "no matching backup files available",  # 0.5, restore: replica.go, cmd/litestream/restore.go
    "timestamp does not exist",  # 0.5, restore -timestamp: replica.go
)
"""A replica holds nothing, or nothing that fits what was asked for."""
NOTHING_AT_ALL = NO_BACKUP[1]
"""0.5: neither has a file of its own format, nor one of 0.3's."""
ONLY_LATER_03 = "no snapshots available"
"""0.5: backups in the format of 0.3 exist, all newer than the time asked for (litestream.go)."""
NO_JSON = "not defined: -json"
"""0.5 before ``restore`` could say as JSON what it restores (Go's flag package)."""
FULL = ("no space left on device", "file too large")
"""Both, from the operating system: the copy has no room."""
HINTS = (
    # 0.5, AWS's library: aws/config/resolve.go
    ("unable to add custom RootCAs", "unset AWS_CA_BUNDLE: Litestream 0.5 cannot use it"),
    # both: cmd/litestream/restore.go, ltx.go, generations.go, snapshots.go, wal.go, replicate.go
    ("database not found in config", "the path must be the one in the config's dbs: list"),
    ("no databases specified", "add the database to the config's dbs: list"),
)
"""Errors whose reason can be told, and what to do."""

AWAY = ("connection refused", "no such host", "unreachable", "timeout", "deadline")
"""Both, from Go's network package: a replica's server does not answer."""

REMOVED = r"^(?:Removing|Would remove): (.*?/ltx)$"
"""0.5, reset: the local state that is gone, or would be (cmd/litestream/reset.go)."""

# The log of a restore.

RESTORING_SNAPSHOT = "restoring snapshot"
"""0.3, with ``index`` (replica.go)."""
RESTORING_WAL = "restoring wal files"
"""0.3, with ``index_max``, where there are any (replica.go)."""

# The log of a daemon.

STARTED = ("replicating to", "initialized db")
"""Both, once for each replica, or for each database (cmd/litestream/replicate.go)."""
SIGNAL = "signal received"
"""Both: it begins to end (cmd/litestream/main.go)."""
TRANSIENT = ("initialize replica client", "cannot open store")
"""0.5, which gives up at its start because an SFTP, WebDAV or NATS server is away (store.go,
cmd/litestream/replicate.go)."""
SEGMENT_BEGUN, SEGMENT_WRITTEN = "write wal segment", "wal segment written"
"""0.3, with where a part of the WAL starts, and then how far a replica has come (replica.go)."""
MONITOR_ERROR = "monitor error"
"""0.3, of a replica's monitor: what it had begun to write has failed (replica.go)."""
SYNC_ERROR, SYNC_RECOVERED = "sync error", "sync recovered"
"""0.5, of the local sync of a database, which it names by its file alone (db.go)."""
LOST_TABLE = "no such table: _litestream_"
"""Both, again and again once somebody has dropped their tables, such as a migration."""
HOUSEKEEPING = (
    r"starting .* monitor|control socket listening|compaction complete|snapshot complete|"
    r"(?:write|enforc|delet).*|l0 retention enforced|(?:snapshot|wal segment) written|retainer.*"
)
"""What a healthy daemon of either series says every few seconds or minutes, at INFO."""
HARMLESS_AT_END = ("release read lock: context canceled", MONITOR_ERROR)
"""0.3, of its monitors at the end, while the final sync goes well (db.go, replica.go)."""
UNSYNCED_AT_END = (
    "failed to close database",
    "shutdown sync failed after",
    "shutdown sync skipped",
)
"""0.5, which exits 0, when its final sync did not succeed (db.go, cmd/litestream/replicate.go)."""
