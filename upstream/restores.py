"""Traps of restoring and listing."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import datetime, timezone
from functools import partial

from upstream.harness import Probe
from upstream.lab import Lab


def stale_wal(lab: Lab, *, stale: bool) -> str:
    """Restore to a path beside which an older WAL lies."""
    lab.configure()
    connection = lab.create()
    connection.execute("PRAGMA wal_autocheckpoint=0")
    output = lab.folder / "output.db"
    if stale:
        shutil.copy(f"{lab.database}-wal", f"{output}-wal")
    connection.execute("UPDATE t SET v='newer'")
    lab.back_up()
    lab.end()
    return lab.compare(lab.restore(output), output, lab.database)


def force(lab: Lab, *, backup: bool) -> str:
    """Restore with -force over a database: from a backup, or from where none is."""
    lab.configure()
    lab.create().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if backup:
        lab.back_up()
        lab.end()
    output = lab.folder / "output.db"
    lab.create(output).close()
    restore = lab.restore(output, "-force")
    assert (restore.returncode == 0) == backup, restore.stderr
    return "" if output.exists() else "the restore failed, and the database is gone"


def permissions(lab: Lab, *, mask: int) -> str:
    """Restore a database that its owner alone may read."""
    lab.configure()
    lab.create()
    lab.database.chmod(0o600)
    lab.back_up()
    lab.end()
    output = lab.folder / "output.db"
    before = [lab.release.executable, "restore", "-config", lab.config, "-o", output, lab.database]
    restore = lab.spawn(before, umask=mask, stdout=subprocess.DEVNULL)
    assert restore.wait(30) == 0
    mode = output.stat().st_mode & 0o777
    return f"0600 became {mode:04o} (umask {mask:03o})" if mode & 0o077 else ""


def between(lab: Lab, *, generations: bool) -> str:
    """Restore a time between two runs; the second begins without Litestream's local state."""
    lab.configure()
    lab.create()
    lab.back_up()
    lab.write()
    assert not (found := lab.difference()), found
    lab.end()
    then = lab.folder / "then.db"
    lab.connections[-1].execute("VACUUM INTO ?", (str(then),))
    time.sleep(1.3)
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.3)
    if generations:
        shutil.rmtree(lab.database.with_name(".app.db-litestream"))
    lab.start()
    lab.write()
    assert not (found := lab.difference()), found
    output = lab.folder / "output.db"
    return lab.compare(lab.restore(output, "-timestamp", moment), output, then)


def index(lab: Lab, *, printed: int) -> str:
    """Restore to an index as the listing prints it, and to the same one in hexadecimal."""
    lab.configure("50ms", database={"min-checkpoint-page-count": 1})
    lab.create()
    lab.back_up()

    def is_there(wanted: int) -> bool:
        lines = lab.run("wal", "-config", lab.config, lab.database).stdout.splitlines()
        return any(int(line.split()[2]) >= wanted for line in lines[1:])

    for wanted in range(1, 21):
        lab.write(1)
        assert lab.wait(partial(is_there, wanted)), f"no index {wanted}"
    lab.end()
    here, there = lab.folder / "here.db", lab.folder / "there.db"
    assert lab.restore(here, "-index", f"{printed:08x}").returncode == 0
    return lab.compare(lab.restore(there, "-index", str(printed)), there, here)


def listing(lab: Lab, *, broken: bool) -> str:
    """List what is in a replica that cannot be read."""
    lab.configure()
    lab.create()
    lab.back_up()
    lab.end()
    if broken:
        for name in ("generations", "ltx"):
            shutil.rmtree(lab.replica / name, ignore_errors=True)
            (lab.replica / name).write_text("a file")
    verbs = ("generations", "snapshots", "wal") if lab.is_03 else ("ltx",)
    wrong = []
    for verb in verbs:
        answer = lab.run(verb, "-config", lab.config, lab.database)
        if not broken:
            assert len(answer.stdout.splitlines()) > 1, (verb, answer.stdout)
        if (answer.returncode == 0) == broken:
            wrong.append(f"`{verb}` exits {answer.returncode}")
    return ", ".join(wrong)


PROBES = [
    Probe(
        "stale-wal",
        partial(stale_wal, stale=True),
        partial(stale_wal, stale=False),
    ),
    Probe(
        "force-deletes-first",
        partial(force, backup=False),
        partial(force, backup=True),
        since=(0, 5, 12),
    ),
    Probe(
        "permissions",
        partial(permissions, mask=0o022),
        partial(permissions, mask=0o077),
    ),
    Probe(
        "between-generations",
        partial(between, generations=True),
        partial(between, generations=False),
    ),
    Probe(
        "decimal-index",
        partial(index, printed=10),
        partial(index, printed=5),
        before=(0, 5),
    ),
    Probe(
        "listing-status",
        partial(listing, broken=True),
        partial(listing, broken=False),
    ),
]
