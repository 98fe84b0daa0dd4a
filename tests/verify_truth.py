"""The truth campaign of verify: healthy backups are proved, broken ones never are.

    python -m tests.verify_truth --series 0.3 --trials 10 --seed 1 [--s3] [FAULT ...]

Every trial has a database of its own with a daemon and, where the fault allows it, a writer in
another process. What a damaged replica is worth is asked of an oracle that does not share our
code: after the writers and the daemon have ended, the bare executable restores, and the rows are
compared. Damage that this finds harmless (to a file that the newest restore does not need) is
counted apart; a proof given to a harmful one is a miss. ``plain`` is the negative control: it runs
the bare executable's restore with SQLite's full integrity check on the same replica.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import litestream
from litestream import _settings, configuration, verification
from tests.support import S3_KEY, S3_SECRET, S3Server, Site, executable, wait_until, writing

DAMAGED = frozenset({"unrestorable", "corrupt", "different"})
LOST = DAMAGED | {"stale"}


class Trial:
    """A Site of one trial, the random choices that it makes, and its S3 server, if it has one."""

    def __init__(
        self, directory: Path, series: str, choose: random.Random, *, s3: bool, socket: bool
    ) -> None:
        self.choose = choose
        self.s3 = S3Server(_made(directory / "s3")) if s3 else None
        if self.s3:
            configuration.configure(replica_key_id=S3_KEY, replica_access_key=S3_SECRET)
        replica = self.s3.replica() if self.s3 else None
        interval = choose.choice(["200ms", "1s"] if s3 else ["50ms", "100ms", "200ms"])
        socket = socket or choose.random() < 0.5
        self.site = Site(
            directory / "site", series, interval=interval, socket=socket, replica=replica
        )
        self.copies = _made(directory / "copies")
        self.stored = directory / "s3" if s3 else self.site.replica_path
        self.second: Site | None = None
        self.patches = contextlib.ExitStack()

    def verify(self, *, exact: bool, timeout: float = 20) -> litestream.Outcome:
        (outcome,) = verification.each(
            [self.site.database],
            1,
            config=self.site.config,
            directory=self.copies,
            exact=exact,
            timeout=timeout,
        )
        return outcome

    def files(self) -> list[Path]:
        """Return the files of the replica that are complete, oldest first."""
        found = [path for path in self.stored.rglob("*.l*") if path.suffix in (".lz4", ".ltx")]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)))

    def is_harmed(self) -> bool:
        """Ask the oracle: the bare executable's restore, compared row by row."""
        self.site.stop()
        copy = self.copies / "oracle.db"
        flags = ("-config", self.site.config, "-o", copy)
        done = subprocess.run(
            [executable(self.site.series), "restore", *flags, self.site.database],
            capture_output=True,
            env=_settings.environment(),
        )
        if done.returncode:
            return True
        try:
            return self.site.rows() != self.site.rows(copy)
        except sqlite3.Error:
            return True

    def passes_weaker_checks(self) -> bool:
        """Say whether exit status and SQLite's integrity check let the oracle's copy pass."""
        copy = self.copies / "oracle.db"
        if not copy.exists():
            return False
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            try:
                return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            except sqlite3.Error:
                return False

    def close(self) -> None:
        self.patches.close()
        for site in (self.site, self.second):
            if site:
                if site.daemon:
                    site.daemon.send_signal(signal.SIGCONT)
                site.close()
        if self.s3:
            self.s3.stop()


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


# The faults: each does its damage and says which reasons are right.


def daemon_stopped(trial: Trial) -> frozenset[str]:
    if trial.choose.random() < 0.5:
        trial.site.stop()
    else:
        trial.site.kill()
    trial.site.write()
    return frozenset({"stale"})


def daemon_suspended(trial: Trial) -> frozenset[str]:
    assert trial.site.daemon is not None
    trial.site.daemon.send_signal(signal.SIGSTOP)
    trial.site.write()
    return frozenset({"stale"})


def file_truncated(trial: Trial) -> frozenset[str]:
    path = trial.choose.choice(trial.files())
    with path.open("r+b") as file:
        file.truncate(trial.choose.randrange(path.stat().st_size))
    return DAMAGED


def byte_flipped(trial: Trial) -> frozenset[str]:
    path = trial.choose.choice(trial.files())
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(trial.choose.randrange(size // 4, max(size // 4 + 1, 3 * size // 4)))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ (1 << trial.choose.randrange(8))]))
    return DAMAGED


def file_deleted(trial: Trial) -> frozenset[str]:
    trial.choose.choice(trial.files()).unlink()
    return LOST


def replica_emptied(trial: Trial) -> frozenset[str]:
    trial.site.wait_for_backup(snapshot=True)
    for path in trial.files():
        path.unlink(missing_ok=True)
    return LOST


def another_database(trial: Trial) -> frozenset[str]:
    trial.site.wait_for_backup(snapshot=True)
    trial.second = Site(trial.site.directory / "other", trial.site.series, interval="50ms")
    trial.second.write(60)
    trial.second.back_up()
    for path in trial.files():
        path.unlink(missing_ok=True)
    shutil.copytree(trial.second.replica_path, trial.site.replica_path, dirs_exist_ok=True)
    return LOST


def credentials_revoked(_trial: Trial) -> frozenset[str]:
    configuration.configure(replica_access_key="revoked")
    return frozenset({"unrestorable", "stale"})


def endpoint_down(trial: Trial) -> frozenset[str]:
    assert trial.s3 is not None
    trial.s3.stop()
    return frozenset({"unrestorable", "stale"})


def destination_full(trial: Trial) -> frozenset[str]:
    trial.patches.enter_context(mock.patch("shutil.disk_usage", return_value=mock.Mock(free=4096)))
    return frozenset({"unusable"})


def sync_wait(trial: Trial) -> frozenset[str]:
    """Trap 1: upstream's own ``sync -wait`` loses frames under load.

    The first one, before the daemon's first tick, is enough: from then on the daemon holds no read
    lock, and what is written between two of its ticks is lost when the WAL is restarted there.
    """
    socket = trial.site.socket
    assert socket is not None
    before = trial.site.connection.execute("SELECT max(id) FROM items").fetchone()[0]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        subprocess.run(
            [executable("0.5"), "sync", "-wait", *("-socket", socket), trial.site.database],
            capture_output=True,
        )
        time.sleep(0.25)
        now = trial.site.connection.execute("SELECT max(id) FROM items").fetchone()[0]
        if now - before > 2500:  # some restarts of the WAL, at a thousand pages each
            break
    return DAMAGED


def two_daemons(trial: Trial) -> frozenset[str]:
    """Trap 3: a second daemon on the same database and replica."""
    second = subprocess.Popen(
        [executable(trial.site.series), "replicate", "-config", trial.site.config],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_settings.environment(),
    )  # fmt: skip
    time.sleep(trial.choose.uniform(6, 12))
    second.kill()
    second.wait()
    return LOST


def hosts_mixed(trial: Trial) -> frozenset[str]:
    """Two databases with a daemon each, and one destination."""
    site = trial.site
    trial.second = Site(site.directory / "host2", site.series, replica=site.replica)
    trial.second.write(40)
    trial.second.start()
    for _ in range(20):
        trial.second.write()
        time.sleep(0.1)
    return LOST


ON_FILES: dict[str, Callable[[Trial], frozenset[str]]] = {
    "daemon stopped": daemon_stopped,
    "daemon suspended": daemon_suspended,
    "file truncated": file_truncated,
    "byte flipped": byte_flipped,
    "file deleted": file_deleted,
    "replica emptied": replica_emptied,
    "another database": another_database,
    "destination full": destination_full,
    "two daemons": two_daemons,
    "hosts mixed": hosts_mixed,
    "sync -wait": sync_wait,
}
ON_S3: dict[str, Callable[[Trial], frozenset[str]]] = {
    "credentials revoked": credentials_revoked,
    "endpoint down": endpoint_down,
    "file truncated": file_truncated,
    "byte flipped": byte_flipped,
    "file deleted": file_deleted,
}
HEAVY = frozenset({"sync -wait", "two daemons"})  # they do their damage under load
MAYBE_HARMLESS = frozenset(
    {"file truncated", "byte flipped", "file deleted", "replica emptied", "two daemons",
     "hosts mixed", "sync -wait", "another database"}
)  # fmt: skip


@contextlib.contextmanager
def trial_of(series: str, seed: str, *, s3: bool = False, socket: bool = False) -> Iterator[Trial]:
    with (
        tempfile.TemporaryDirectory(prefix="truth-", ignore_cleanup_errors=True) as directory,
        mock.patch.dict(os.environ, {"LITESTREAM_INSTALL_DIR": str(executable(series).parent)}),
        mock.patch.object(_settings, "_settings", {}),
    ):
        trial = Trial(Path(directory), series, random.Random(seed), s3=s3, socket=socket)
        try:
            yield trial
        finally:
            trial.close()


def one(name: str, series: str, seed: str, *, exact: bool, s3: bool = False) -> str:
    """Inject a fault, verify, and return what came of it; ``"MISSED …"`` is our failure."""
    with trial_of(series, seed, s3=s3, socket=name == "sync -wait") as trial:
        site = trial.site
        site.write(30, size=trial.choose.randrange(20, 400))
        if name == "sync -wait":
            site.configure("1s")
        with writing(site, pause=0.001 if name in HEAVY else 0.005):
            site.start()
            if name != "sync -wait":
                site.wait_for_backup()
            if name not in ("sync -wait", "two daemons", "hosts mixed"):
                wait_until(lambda: len(trial.files()) >= 3, "some files in the replica")
            right = (ON_S3 if s3 else ON_FILES)[name](trial)
            outcome = trial.verify(exact=exact, timeout=3)
        if not outcome:
            assert outcome.failure is not None
            if outcome.failure.reason in right:
                weaker = ""
                if name in MAYBE_HARMLESS and trial.is_harmed() and trial.passes_weaker_checks():
                    weaker = " (exit status and integrity check pass)"
                return f"{outcome.failure.reason}{weaker}"
            return f"MISSED: wrong reason, {outcome.failure}"
        if name in MAYBE_HARMLESS and not trial.is_harmed():
            return "harmless, proved"
        return "MISSED: proved"


def healthy(series: str, seed: str, count: int, *, s3: bool) -> Counter[str]:
    """Verify a healthy replica under a writer, by turns exactly and not."""
    outcomes: Counter[str] = Counter()
    with trial_of(series, seed, s3=s3) as trial:
        trial.site.write(30, size=100)
        trial.site.start()
        with writing(trial.site, pause=0.003):
            for number in range(count):
                outcome = trial.verify(exact=number % 2 == 1)
                outcomes["proved" if outcome else f"MISSED: {outcome.failure}"] += 1
        assert [] == list(trial.copies.iterdir())
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*")
    parser.add_argument("--series", choices=("0.3", "0.5"), required=True)
    parser.add_argument("--trials", type=int, default=10, help="of each fault")
    parser.add_argument("--healthy", type=int, default=0, help="verifies of healthy replicas")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--plain", action="store_true", help="without exact=True")
    options = parser.parse_args()
    for name in list(os.environ):
        if name.startswith(("AWS_", "LITESTREAM_")):
            del os.environ[name]
    missed = 0
    rounds = -(-options.healthy // 25)
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        count = min(25, options.healthy - 25 * number)
        outcomes += healthy(options.series, f"{options.seed}-{number}", count, s3=options.s3)
    missed += report(options, "healthy", outcomes) if rounds else 0
    faults = ON_S3 if options.s3 else ON_FILES
    for name in options.faults or faults:
        if name == "sync -wait" and options.series == "0.3":
            continue
        outcomes = Counter()
        for number in range(options.trials):
            seed = f"{options.seed}-{name}-{number}"
            outcomes[one(name, options.series, seed, exact=not options.plain, s3=options.s3)] += 1
        missed += report(options, name, outcomes)
    return 1 if missed else 0


def report(options: argparse.Namespace, name: str, outcomes: Counter[str]) -> int:
    where = "S3" if options.s3 else "file"
    how = "plain" if options.plain else "exact"
    parts = "; ".join(f"{count} {what}" for what, count in outcomes.most_common())
    print(f"{options.series} {where} {how} {name}: N={sum(outcomes.values())}: {parts}", flush=True)
    return sum(count for what, count in outcomes.items() if what.startswith("MISSED"))


if __name__ == "__main__":
    sys.exit(main())
