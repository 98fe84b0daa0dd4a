"""The traps of Litestream's releases, and the releases in which each was found.

Each row is a probe in `upstream/` of the same name; `make upstream` runs it, and docs/upstream.md
has the evidence. A release that is newer than all examined ones is taken to have every trap.
"""

from __future__ import annotations

EXAMINED = "0.3.13 0.5.5-0.5.17"
"""The releases that were examined."""

WITHOUT_JSON = "0.5.0-0.5.11"
"""The releases whose `databases`, `ltx`, `status` and `restore` know no `-json` (their own usage
texts say so). No command of this library but `version`, `executable` and the command line's own
`litestream VERB` runs them."""

WITH_OTHER_FILES = "0.5.12-0.5.15"
"""The releases whose local LTX files are laid out in another way than `_database.ltx` reads them
(measured: a healthy copy does not compare equal). 0.5.16 passes all tests of 0.5.17."""

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
    "overtaken-snapshot": (
        "The first commit after a start, while a snapshot is written, makes restores malformed"
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
    "decimal-index": "Listings print indexes as decimals, `restore -index` takes hexadecimals",
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
    "exec-short": "`-exec` of a command that ends before the first sync replicates nothing",
    "replica-key": "The key `replica:` of a database is ignored, and nothing replicated",
    "retention-key": "`retention:` inside a replica is ignored",
    "unknown-key": "A mistyped key is ignored",
    "dollar-in-path": "A path with `$NAME` in it is expanded: a live daemon and no backup",
    "stray-files": "`#`, `%` or `?` in a database's name opens another file",
    "metrics-address": '`addr: ":9090"` serves metrics and profiles on every interface',
}
"""What goes wrong, by the name of its probe."""

FOUND = {
    "load": "",
    "load-100ms": "0.5.6-0.5.14",
    "restart-sigkill": "0.5.6-0.5.17",
    "restart-sigkill-300": "0.5.7-0.5.17",
    "restart-sigkill-1s": "0.5.7-0.5.17",
    "restart-sigterm": "0.3.13 0.5.6-0.5.17",
    "killed-writer": "0.3.13 0.5.5-0.5.17",
    "killed-writer-normal": "0.3.13 0.5.8-0.5.17",
    "two-daemons": "0.3.13 0.5.5-0.5.17",
    "restarted-wal": "0.5.5-0.5.7 0.5.10-0.5.17",
    "restarted-wal-sigterm": "0.5.5-0.5.8 0.5.10-0.5.17",
    "overtaken-snapshot": "0.5.5-0.5.17",
    "page-size": "0.5.5-0.5.17",
    "replaced-database": "0.3.13 0.5.5-0.5.17",
    "linked-database": "0.3.13 0.5.5-0.5.17",
    "emptied-replica": "0.3.13 0.5.5-0.5.17",
    "sync-wait": "0.5.11-0.5.17",
    "stop-start": "0.5.7-0.5.17",
    "last-sync-at": "0.5.13-0.5.17",
    "stale-wal": "0.3.13 0.5.5-0.5.17",
    "force-deletes-first": "0.5.12-0.5.17",
    "permissions": "0.5.5-0.5.17",
    "between-generations": "0.3.13",
    "decimal-index": "0.3.13",
    "listing-status": "0.3.13",
    "endpoint-down": "0.5.5-0.5.17",
    "endpoint-hangs": "0.3.13 0.5.5-0.5.17",
    "shutdown-status": "0.5.5-0.5.17",
    "exec-status": "0.3.13 0.5.5-0.5.17",
    "exec-final-sync": "0.3.13 0.5.5-0.5.17",
    "exec-short": "0.3.13 0.5.5-0.5.17",
    "replica-key": "0.3.13",
    "retention-key": "0.5.5-0.5.17",
    "unknown-key": "0.3.13 0.5.5-0.5.17",
    "dollar-in-path": "0.3.13 0.5.5-0.5.17",
    "stray-files": "0.3.13 0.5.5-0.5.17",
    "metrics-address": "0.3.13 0.5.5-0.5.17",
}
"""The releases in which a probe found its trap, and those between two of them."""


def of(version: str) -> list[str]:
    """Return the traps of a release; of one that was not examined, all."""
    return [trap for trap in TRAPS if has(trap, version)]


def has(trap: str, version: str) -> bool:
    """Tell whether a release has a trap, as far as that is known."""
    return not is_among(version, EXAMINED) or is_among(version, FOUND[trap])


def last(trap: str) -> str:
    """Return the last release in which a trap was found."""
    return FOUND[trap].rsplit(" ", 1)[-1].rsplit("-", 1)[-1]


def is_among(version: str, releases: str) -> bool:
    """Tell whether a version is one of some releases, such as ``"0.3.13 0.5.5-0.5.17"``."""
    try:
        wanted = _number(version)
        for part in releases.split():
            first, _, end = part.partition("-")
            if _number(first) <= wanted <= _number(end or first):
                return True
    except ValueError:  # a development build
        pass
    return False


def _number(version: str) -> list[int]:
    return [int(part) for part in version.removeprefix("v").split(".")]
