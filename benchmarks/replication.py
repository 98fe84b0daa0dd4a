"""The fault campaign of Replication: nothing lost, whatever kills the daemon.

    python -m benchmarks.replication --series 0.5 --rate 75 --interval 0.1 --trials 12 --kills 10
    python -m benchmarks.replication --series 0.5 --rate 300 --interval 0.1 --bare      (control)

Four writers with SQLite's default `wal_autocheckpoint`, the daemon killed at random, a restore at
the end, compared with a ledger outside the database (`tests/ledger.py`). One line for each trial,
then the sum. Each trial prints its seed; the exit status is 1 when a row was lost. The control is
Litestream alone, started again by a loop, as by systemd.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests import ledger
from tests.support import S3_KEY, S3_SECRET, S3Server, executable
from typing_extensions import Self

from litestream import Replication, commands, configure


class Bare:
    """Litestream alone, started again whenever it ends."""

    state = "replicating"

    def __init__(self, program: Path, config: Path) -> None:
        self._argv = [str(program), "replicate", "-config", str(config)]
        self._daemon: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_up)

    def _keep_up(self) -> None:
        while not self._over.is_set():
            self._daemon = subprocess.Popen(
                self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            self._daemon.wait()
            self._daemon = None
            self._over.wait(0.3)

    @property
    def pid(self) -> int | None:
        """Return the process id of the daemon that runs."""
        return self._daemon.pid if self._daemon else None

    def sync(self, timeout: float) -> None:
        """Wait for a few sync intervals: Litestream alone has nothing better."""
        time.sleep(min(5.0, timeout))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if daemon := self._daemon:
            daemon.terminate()
        self._thread.join()


def trial(options: argparse.Namespace, seed: int, server: S3Server | None) -> ledger.Verdict:
    """Run one trial and return its verdict."""
    source = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="ls-campaign-") as name:
        folder = Path(name)
        database = folder / "app.db"
        ledger.make(database)
        interval = f"{round(options.interval * 1000)}ms"
        replica = server.replica() if server else {"type": "file", "path": f"{name}/replica"}
        config = folder / "litestream.yml"
        replicas = [{**replica, "sync-interval": interval}]
        entry = {"path": str(database), "monitor-interval": interval, "replicas": replicas}
        config.write_text(json.dumps({"dbs": [entry]}))
        replication: Replication | Bare
        if options.bare:
            replication = Bare(executable(options.series), config)
        else:
            replication = Replication(config)
            replication._delays = (0.3, 0.3)  # noqa: SLF001
        with replication, ledger.writers(database, folder / "ledger", options.rate, seed=seed):
            for _ in range(options.kills):
                time.sleep(source.uniform(0.3, options.pause))
                while (pid := replication.pid) is None or replication.state == "starting":
                    time.sleep(0.01)
                os.kill(pid, getattr(signal, options.signal))
                while replication.pid == pid:
                    time.sleep(0.01)
            time.sleep(source.uniform(0.5, 1.5))
            (folder / "ledger" / "stop").touch()
            time.sleep(0.5)
            replication.sync(timeout=240)
        restored = folder / "restored.db"
        commands.restore(database, restored, config=config, integrity_check="none")
        return ledger.judge(folder / "ledger", restored)


def main() -> int:
    """Run the campaign that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="0.5", choices=["0.3", "0.5"])
    parser.add_argument("--replica", default="file", choices=["file", "s3"])
    parser.add_argument("--rate", type=float, default=75, help="commits a second")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--kills", type=int, default=10, help="for each trial")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between kills at most")
    parser.add_argument("--signal", default="SIGKILL", choices=["SIGKILL", "SIGTERM"])
    parser.add_argument("--bare", action="store_true", help="the control")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["LITESTREAM_INSTALL_DIR"] = str(executable(options.series).parent)
    os.environ.pop("AWS_CA_BUNDLE", None)  # 0.5.17 cannot use it
    bad = committed = lost = 0
    longest = 0.0
    with ExitStack() as stack:
        server = None
        if options.replica == "s3":
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ls-s3-"))
            server = S3Server(Path(directory))
            stack.callback(server.stop)
            configure(replica_key_id=S3_KEY, replica_access_key=S3_SECRET)
        for number in range(options.trials):
            verdict = trial(options, options.seed + number, server)
            print(f"seed {options.seed + number}: {verdict}", flush=True)
            bad += not verdict.good
            committed += verdict.committed
            lost += verdict.lost
            longest = max(longest, verdict.longest_write)
    print(
        f"{options.series} {options.replica} {options.rate:g}/s {options.interval:g}s "
        f"{options.signal} {'Litestream alone' if options.bare else 'Replication'}: "
        f"{bad} of {options.trials} trials bad, {lost} of {committed} commits lost, "
        f"{options.trials * options.kills} kills, longest write {longest:g} s"
    )
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
