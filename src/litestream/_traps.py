"""What is known of Litestream's releases: its traps, and the releases in which each was found.

Each row is a probe in `upstream/` of the same name; `make upstream` runs it, and docs/upstream.md
has the evidence. A release that is newer than all examined ones is taken to have every trap.
"""

from __future__ import annotations

NEWEST = "0.5.17"
"""The newest release that was examined."""

TRAPS = {
    "load": (
        "Four processes that write 300 commits/s are enough to lose some, at the default intervals"
    ),
    "load-100ms": (
        "Four processes that write 300 commits/s are enough to lose some, at intervals of 100 ms"
    ),
    "restart-sigkill": (
        "Six SIGKILLs with a restart at once lose commits (75 commits/s, intervals of 100 ms)"
    ),
    "restart-sigkill-300": "Six SIGKILLs with a restart at once lose commits (300 commits/s)",
    "restart-sigkill-1s": (
        "Three SIGKILLs with a restart at once lose commits (75 commits/s, default intervals)"
    ),
    "restart-sigterm": (
        "Six SIGTERMs with a restart at once lose commits (75 commits/s, intervals of 100 ms)"
    ),
    "killed-writer": (
        "A writer killed inside COMMIT, synchronous=FULL: rows that never were, or later ones lost"
    ),
    "killed-writer-normal": "A writer killed inside COMMIT, synchronous=NORMAL",
    "two-daemons": "Two daemons on one database and one replica destroy the replica",
    "restarted-wal": (
        "What was committed before the WAL began anew is lost if no daemon ran then (SIGKILL)"
    ),
    "restarted-wal-sigterm": (
        "What was committed before the WAL began anew is lost if no daemon ran then (SIGTERM)"
    ),
    "page-size": "A page size that changed while no daemon ran stops the replication for good",
    "replaced-database": (
        "A database that is replaced under the daemon is not replicated, or restores damaged"
    ),
    "linked-database": "A database by the path of a symbolic link is not replicated",
    "emptied-replica": "A replica that is emptied under the daemon stays unrestorable",
    "sync-wait": "`sync -wait` while others write damages the replica for good",
    "stop-start": "Socket `stop`, then `start`, loses what was checkpointed in between",
    "last-sync-at": "`last_sync_at` moves on although every sync fails",
    "stale-wal": "An older `-wal` beside the output is played into the restored database",
    "force-deletes-first": (
        "`restore -force` deletes the database before it knows that the restore works"
    ),
    "permissions": "A restored database is readable by others",
    "between-generations": (
        "A time between two generations (or chains) cannot be restored, or restores another state"
    ),
    "listing-status": "Listings of a replica that cannot be read exit 0",
    "endpoint-down": "`restore` from an endpoint that refuses takes longer than 20 s to say so",
    "endpoint-hangs": (
        "`restore` from an endpoint that never answers has no limit (none within 20 s)"
    ),
    "shutdown-status": "The daemon exits 0 at SIGTERM although its last sync failed",
    "exec-status": "`-exec` turns the command's exit status into another",
    "exec-final-sync": (
        "`-exec` skips the last sync when the command ends with an error after a signal"
    ),
    "exec-short": "`-exec` of a command that ends within the first second replicates nothing",
    "replica-key": "The key `replica:` of a database is ignored, and nothing replicated",
    "retention-key": "`retention:` inside a replica is ignored",
    "unknown-key": "A mistyped key is ignored",
    "dollar-in-path": "A path with `$NAME` in it is expanded: a live daemon and no backup",
    "stray-files": "`#`, `%` or `?` in a database's name opens another file",
    "metrics-address": '`addr: ":9090"` serves metrics and profiles on every interface',
}
