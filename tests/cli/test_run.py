"""`litestream run`, as a container or a Procfile runs it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from litestream import ConfigurationError, Replication
from tests.support import (
    Site,
    daemons,
    executable,
    free_port,
    restored,
    restored_values,
    wait_until,
)
from tests.test_recovery import lose
from tests.test_replication import needs_death_signal, sweeps

LITESTREAM = str(Path(sys.executable).with_name("litestream"))


def start(site: Site, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [LITESTREAM, "run", "--config", str(site.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=stdin,
    )


def run(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    with start(site, *arguments) as process:
        stdout, stderr = process.communicate(timeout=120)
    assert daemons(site.directory) == []
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def start_patched(site: Site, patch: str, *arguments: str) -> subprocess.Popen[str]:
    """Start it with something in its modules replaced, or looked at."""
    script = "import ctypes, os, signal, sys\nfrom litestream._cli import command as _command\n"
    script += "from litestream._cli import run as _run_command\n"
    script += f"{textwrap.dedent(patch)}\n"
    return subprocess.Popen(
        [sys.executable, "-c", script, "--config", str(site.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def insert(site: Site, value: str, then: str = "") -> list[str]:
    return [
        "--",
        sys.executable,
        "-c",
        "import os, signal, sqlite3, sys, time\n"
        f"connection = sqlite3.connect({str(site.database)!r}, isolation_level=None)\n"
        f"connection.execute('INSERT INTO items (value) VALUES (?)', ({value!r},))\n{then}",
    ]


def sent_after_a_death(site: Site) -> None:
    """Let 0.3 send what is left: a run that dies kills its daemon (see `daemon.orphan_signal`)."""
    if site.series == "0.3":
        with Replication(site.config) as replication:
            replication.sync()


def ended(process: subprocess.Popen[str], command: int = 0) -> None:
    """Wait until nobody holds the pipes any more: neither the command nor the daemon."""
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        if command:
            os.kill(command, signal.SIGKILL)
        process.kill()
        process.communicate()
        raise


def test_the_last_row_of_a_short_command_is_replicated_and_its_status_kept(site: Site) -> None:
    done = run(site, *insert(site, "short", "sys.exit(3)"))
    assert done.returncode == 3, done.stderr
    assert "short" in restored_values(site)


def test_a_database_that_a_short_command_makes_is_replicated(site: Site) -> None:
    lose(site)
    make = "CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)"
    script = (
        f"import litestream; connection = litestream.connect({str(site.database)!r})\n"
        f"connection.execute({make!r})\n"
        "connection.execute(\"INSERT INTO items (value) VALUES ('short')\")\n"
        "connection.commit(); connection.close()"
    )
    done = run(site, "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    assert "short" in restored_values(site)


def test_a_command_that_a_signal_ends_gives_128_and_its_number(site: Site) -> None:
    done = run(site, *insert(site, "killed", "os.kill(os.getpid(), signal.SIGKILL)"))
    assert done.returncode == 128 + signal.SIGKILL
    assert "killed" in restored_values(site)


def test_signals_reach_the_command_which_says_what_happens(site: Site) -> None:
    body = """
def ended(number, frame):
    connection.execute("INSERT INTO items (value) VALUES ('from the handler')")
    sys.exit(7)
signal.signal(signal.SIGTERM, ended)
signal.signal(signal.SIGUSR1, lambda *_: print('usr1', flush=True))
print('ready', flush=True)
while True:
    time.sleep(0.05)
"""
    with start(site, *insert(site, "first", body)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "usr1\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 7
    assert daemons(site.directory) == []
    assert {"first", "from the handler"} <= restored_values(site)


@pytest.mark.only_series("0.5")  # 0.3 does not end when the server is away
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_command_has_started_ends_it(replicated: Site, number: int) -> None:
    replicated.replica = {
        "type": "sftp",
        "host": f"127.0.0.1:{free_port()}",
        "path": "/app",
        "user": "nobody",
        "password": "none",
    }
    replicated.configure("50ms")
    with start(replicated, *insert(replicated, "never")) as process:
        assert process.stderr is not None
        assert any("backing off" in line for line in process.stderr)
        process.send_signal(number)
        ended(process)
    assert process.returncode == 128 + number
    assert daemons(replicated.directory) == []
    assert "never" not in {value for _, value in replicated.rows()}


def test_a_signal_during_the_start_of_the_command_reaches_it(site: Site) -> None:
    patch = """
        spawn = _command.spawn
        def interrupted(*arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            return spawn(*arguments)
        _command.spawn = interrupted
        sys.exit(_run_command.run(sys.argv[1:]))
    """
    with start_patched(site, patch, "--", "sleep", "600") as process:
        ended(process)
    assert process.returncode == 128 + signal.SIGTERM


def test_what_was_ignored_at_the_start_stays_ignored(site: Site) -> None:
    """SIGHUP by nohup, SIGINT in the background job of a script's shell."""
    body = """
print(signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
sys.stdout.flush()
sys.stdin.read()
"""
    with subprocess.Popen(
        [
            *("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh"),
            *(LITESTREAM, "run", "--config", str(site.config), *insert(site, "one", body)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        for number in (signal.SIGHUP, signal.SIGINT):
            process.send_signal(number)
        ended(process)  # communicate() closes the command's standard input
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs the process table of Linux")
def test_the_command_ignores_nothing_that_only_python_ignores(site: Site) -> None:
    done = run(site, "--", "grep", "SigIgn", "/proc/self/status")
    ignored = int(done.stdout.split()[1], 16)
    assert not any(ignored & 1 << (n - 1) for n in (signal.SIGPIPE, signal.SIGXFSZ))


def test_a_missing_database_is_restored_before_the_command_starts(replicated: Site) -> None:
    kept = replicated.rows()
    lose(replicated)
    script = f"import sqlite3; print(len(sqlite3.connect({str(replicated.database)!r}).execute("
    script += "'SELECT * FROM items').fetchall()))"
    done = run(replicated, "--expect", "backup", "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(kept)}\n"
    assert "restored" in done.stderr


def test_the_command_does_not_start_without_the_backup_that_is_expected(site: Site) -> None:
    lose(site)
    done = run(site, "--expect", "backup", *insert(site, "never"))
    assert done.returncode == 1
    assert "litestream run: " in done.stderr
    assert not site.database.exists()


def test_nothing_is_replicated_over_a_foreign_backup(replicated: Site) -> None:
    lose(replicated)
    with closing(sqlite3.connect(replicated.database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
    done = run(replicated, *insert(replicated, "never"))
    assert done.returncode == 1
    assert "adopt" in done.stderr
    assert run(replicated, "--adopt", *insert(replicated, "adopted")).returncode == 0
    assert restored_values(replicated) == {"adopted"}


def test_without_a_command_it_replicates_until_it_is_told_to_end(site: Site) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with start(site) as process:
            wait_until(lambda: daemons(site.directory), "the daemon")
            site.write(3)
            process.send_signal(number)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        assert restored(site) == site.rows()


def test_a_daemon_that_dies_is_started_again_beside_the_command(site: Site) -> None:
    with start(
        site,
        *insert(site, "first", "print('ready', flush=True)\nsys.stdin.read()"),
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (first,) = daemons(site.directory)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: daemons(site.directory) not in ([], [first]), "another daemon")
        site.write(3)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert restored(site) == site.rows()


@pytest.mark.parametrize(
    "stderr",
    [
        "2>&-",
        pytest.param(
            "2>/dev/full",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here"),
        ),
        "a pipe that nobody reads",
    ],
)
def test_a_log_that_cannot_be_written_ends_nothing(site: Site, stderr: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    redirection = stderr if stderr.startswith("2") else ""
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", LITESTREAM, "run"]
    command = insert(site, "unheard", "sys.exit(3)")
    done = subprocess.run(
        [*shell, "--config", str(site.config), *command], stderr=writer, timeout=60
    )
    os.close(writer)
    assert done.returncode == 3
    assert daemons(site.directory) == []
    assert "unheard" in restored_values(site)


@needs_death_signal
def test_the_command_does_not_outlive_a_run_that_is_killed(site: Site) -> None:
    sleep = "print(os.getpid(), flush=True)\ntime.sleep(600)"
    with start(site, *insert(site, "last", sleep)) as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        process.kill()
        ended(process, command)
    wait_until(lambda: not daemons(site.directory), "the daemon's end", 30)
    sent_after_a_death(site)
    assert "last" in restored_values(site)
    sweeps(site)


@pytest.mark.parametrize("deaf", [False, True])
def test_the_command_does_not_outlive_a_run_that_fails(site: Site, deaf: bool) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if deaf else ""
    body += "print(os.getpid(), flush=True)\ntime.sleep(600)"
    patch = """
        def fail(self):
            raise RuntimeError("a fault of ours")
        _command._GRACE = 0.2
        _run_command._Run._forward = lambda run, *_: setattr(_run_command.Supervisor, "tick", fail)
        _run_command.run(sys.argv[1:])
    """
    with start_patched(site, patch, *insert(site, "last", body)) as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        process.send_signal(signal.SIGUSR1)
        ended(process, command)
    assert process.returncode == 1
    wait_until(lambda: not daemons(site.directory), "the daemon's end", 30)
    sent_after_a_death(site)
    assert "last" in restored_values(site)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows sub-reapers")
def test_what_the_command_leaves_behind_is_reaped_and_forgotten(site: Site) -> None:
    """As PID 1 must: here the kernel makes it the reaper of its descendants."""
    patch = """
        class Watched(_run_command.Supervisor):
            def __init__(self, *arguments):
                global watched
                watched = self
                super().__init__(*arguments)
        _run_command.Supervisor = Watched
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        _run_command.run(sys.argv[1:])
        print("kept", watched.reaped)
        try:
            print("left", os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("left nobody")
    """
    body = """
reading, writing = os.pipe()
for _ in range(5):
    if os.fork() == 0:
        if os.fork():
            os._exit(0)
        time.sleep(0.1)
        os._exit(0)
    os.wait()
os.close(writing)
os.read(reading, 1)  # until the last of them has gone
"""
    with start_patched(site, patch, *insert(site, "parent", body)) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert set(stdout.splitlines()) == {"kept {}", "left nobody"}, stderr


@pytest.mark.parametrize(("command", "status"), [(["no-such-program"], 127), (["/etc/hosts"], 126)])
def test_a_command_that_cannot_be_run(site: Site, command: list[str], status: int) -> None:
    done = run(site, "--", *command)
    assert done.returncode == status
    assert done.stderr.count(f"litestream run: {command[0]}: ") == 1  # tried once


def test_wrong_usage_is_status_2(site: Site) -> None:
    assert run(site, "--expect", "maybe").returncode == 2
    assert run(site, "command-without-dashes").returncode == 2


@needs_death_signal
def test_its_death_ends_the_daemon(site: Site) -> None:
    """0.5 does a final sync. 0.3 may write twice in its end, which nobody would hear: see `daemon`.

    What it has not sent, the next one sends.
    """
    with start(site) as process:
        wait_until(lambda: daemons(site.directory), "the daemon")
        wait_until(lambda: site.replica_path.exists(), "the first sync")
        site.write(3)
        process.kill()
        process.communicate()
    wait_until(lambda: not daemons(site.directory), "the daemon's end", 20)
    sent_after_a_death(site)
    assert restored(site) == site.rows()
    sweeps(site)


def test_a_command_does_not_go_on_without_a_daemon(
    site: Site, series: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took over from another process, and its own daemon cannot be started."""
    broken = site.directory / "broken"
    wrapper = site.directory / "bin" / "litestream"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = replicate ] && [ -e {broken} ] && echo "Error: no good" && exit 1\n'
        f'exec {executable(series)} "$@"\n'
    )
    wrapper.chmod(0o700)
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(wrapper.parent))
    with Replication(site.config):
        process = start(site, *insert(site, "one", "print('ready', flush=True); time.sleep(600)"))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        broken.touch()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no good" in stderr


def test_a_closed_standard_output_changes_no_status(site: Site) -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", LITESTREAM, "run", "--config", str(site.config)]
    assert subprocess.run([*shell, "--", "sh", "-c", "exit 5"], timeout=60).returncode == 5


def test_a_config_that_runs_a_program_of_its_own_is_refused(site: Site) -> None:
    """It would run beside the command, and again whenever it has ended."""
    site.configure("50ms", exec="touch ran")
    done = run(site, "--", "true")
    assert done.returncode == 1
    assert "exec:" in done.stderr
    assert not os.path.exists("ran")
    with pytest.raises(ConfigurationError, match="litestream run --"):
        Replication(site.config).start()
