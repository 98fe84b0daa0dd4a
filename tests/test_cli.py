"""The ``litestream`` command: our own verbs, and the executable for every other."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import litestream
from litestream import _settings, cli
from litestream._cli import verbs
from tests.support import assert_signal_ends, restored, wait_until

COMMAND = Path(sys.executable).parent / "litestream"


def run(*argv, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([COMMAND, *argv], capture_output=True, **options)


def without_times(printed: bytes) -> bytes:
    return re.sub(rb"\d{4}\D\d\d\D\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", b"<time>", printed)


class TestHandThrough:
    @pytest.mark.parametrize(
        "argv",
        [
            ["version"],
            ["databases"],
            ["databases", "-config", "nope.yml"],
            ["restore", "-h"],
            ["frobnicate", "--x", "two words", "", "-"],
            ["databases", "-no-such-flag"],
            ["wal", "-config", "litestream.yml", b"\xff\xfe.db"],
        ],
        ids=lambda argv: " ".join(map(str, argv)),
    )
    def test_it_behaves_as_the_executable(self, argv, installed, tmp_path):
        (tmp_path / "litestream.yml").write_text("dbs: [{path: /a.db, replicas: [{path: /r}]}]")
        environment = {**os.environ, "LITESTREAM_CONFIG": str(tmp_path / "litestream.yml")}
        expected = subprocess.run([installed, *argv], capture_output=True, env=environment)
        found = run(*argv)
        assert expected.returncode == found.returncode
        assert without_times(expected.stdout) == without_times(found.stdout)
        assert without_times(expected.stderr) == without_times(found.stderr)

    def test_the_config_that_is_found_reaches_it(self, site, monkeypatch):
        monkeypatch.chdir(site.directory)
        assert str(site.database).encode() in run("databases").stdout

    def test_a_config_of_the_users_stays(self, installed, tmp_path, monkeypatch):
        (tmp_path / "litestream.yml").write_text("dbs: []")
        monkeypatch.setenv("LITESTREAM_CONFIG", "/no/such/config.yml")
        done = run("databases")
        assert 1 == done.returncode
        assert b"/no/such/config.yml" in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_reach_it_because_it_is_the_process(self, site, number):
        assert_signal_ends(site, number, [COMMAND, "replicate", "-config", site.config])

    def test_a_closed_pipe_ends_it_as_it_ends_the_executable(self, installed, tmp_path):
        """Python ignores SIGPIPE; the executable must not inherit that."""
        show = tmp_path / "litestream"
        show.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status || trap\n")
        show.chmod(0o755)
        done = run("x", env={**os.environ, "LITESTREAM_INSTALL_DIR": str(tmp_path)})
        if done.stdout:  # Linux
            assert not int(done.stdout.split()[1], 16) & 1 << (signal.SIGPIPE - 1)

    @pytest.mark.parametrize(
        "argv", [["sync"], ["stop"], ["restore", "-force"], ["restore", "-o", "x", "--force=true"]]
    )
    def test_a_warning_comes_before_what_can_harm(self, argv, installed):
        done = run(*argv, "-h")
        assert done.stderr.startswith(b"litestream: warning: up to Litestream 0.5.17")

    @pytest.mark.only_series("0.5")
    def test_upstreams_forced_restore_deletes_first(self, installed, tmp_path):
        """What the warning says; when this fails, a release has mended it: lift the warning."""
        (tmp_path / "app.db").write_text("precious")
        done = run("restore", "-force", "-o", "app.db", f"file://{tmp_path}/nothing")
        assert 1 == done.returncode
        assert not (tmp_path / "app.db").exists()

    def test_no_executable(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "nope"))
        done = run("version")
        assert (1, b"") == (done.returncode, done.stdout)
        assert b"LITESTREAM_INSTALL_DIR is" in done.stderr

    def test_an_executable_that_cannot_run(self, tmp_path, monkeypatch):
        (tmp_path / "litestream").write_bytes(b"\x00garbage")
        (tmp_path / "litestream").chmod(0o755)
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
        done = run("version")
        assert 1 == done.returncode
        assert b"not a program for this system" in done.stderr

    def test_the_variables_of_the_settings_are_there(self, monkeypatch, tmp_path):
        """A sitecustomize, say, may call configure() before the command runs."""
        (tmp_path / "litestream").write_text("#!/bin/sh\necho $LITESTREAM_REPLICA_BUCKET")
        (tmp_path / "litestream").chmod(0o755)
        script = (
            "import litestream, litestream.cli; litestream.configure(replica_bucket='b'); "
            "litestream.cli.main(['databases'])"
        )
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
        assert b"b\n" == subprocess.run([sys.executable, "-c", script], capture_output=True).stdout


@pytest.mark.parametrize("verb", ["databases", "generations", "ltx", "snapshots", "wal"])
def test_a_listing_names_the_variable_that_is_not_set(verb, replicated, series, monkeypatch):
    """As in a second terminal: the table of another place is empty, and says nothing."""
    if verb == "ltx" and series == "0.3":
        pytest.skip("0.3 has no such verb")
    elsewhere = json.loads(replicated.config.read_text())["dbs"][0]["replicas"][0]
    monkeypatch.setenv("SHOP_BACKUPS", str(replicated.replica_path.parent))
    monkeypatch.setenv("SHOP_SECRET", "canary")
    replica = {**elsewhere, "path": f"$SHOP_BACKUPS/{replicated.replica_path.name}"}
    other = {"path": "/nowhere.db", "replicas": [{"type": "file", "path": "/$OTHER_BACKUPS/x"}]}
    written = {"dbs": [{"path": str(replicated.database), "replicas": [replica]}, other]}
    replicated.config.write_text(f"# $SHOP_SECRET $ABSENT\n{json.dumps(written)}")
    named = [] if verb == "databases" else [replicated.database]
    argv = [verb, "-config", replicated.config, *named]
    if named:
        done = run(*argv)
        assert (0, 2) <= (done.returncode, len(done.stdout.splitlines())), done
    monkeypatch.delenv("SHOP_BACKUPS")
    for options in [argv, [verb, f"--config={replicated.config}", *named]]:
        done = run(*options)
        assert (1, b"") == (done.returncode, done.stdout)
        wanted = "$SHOP_BACKUPS is" if named else "$OTHER_BACKUPS and $SHOP_BACKUPS are"
        assert f"{wanted} not set here, and the config '{replicated.config}'" in os.fsdecode(
            done.stderr
        )
    unexpanded = run(verb, "-no-expand-env", *argv[1:])
    assert 0 == unexpanded.returncode, unexpanded.stderr
    with pytest.raises(litestream.ConfigurationError, match="SHOP_BACKUPS"):
        getattr(litestream.commands, verb)(*named, config=replicated.config)


def test_the_directory_above_the_backups_is_not_their_place(replicated, series, monkeypatch):
    """It is there without the variable, too, and holds the backups of others."""
    above, name = os.path.split(replicated.replica_path)
    written = replicated.config.read_text().replace(f"{above}/{name}", f"{above}/$SHOP_BACKUPS")
    replicated.config.write_text(written)
    for verb, *named in (["databases"], ["snapshots", replicated.database]):
        done = run(verb, "-config", replicated.config, *named)
        assert (1, b"") == (done.returncode, done.stdout), done
        assert b"$SHOP_BACKUPS is not set here" in done.stderr
    with pytest.raises(litestream.ConfigurationError, match="SHOP_BACKUPS"):
        litestream.databases(config=replicated.config)
    written = written.replace("$SHOP_BACKUPS", f"{name}$SHOP_BACKUPS")  # complete without it
    replicated.config.write_text(written)
    assert litestream.databases(config=replicated.config)[0]["generations"]


def test_a_listing_names_the_variable_of_the_databases_path(site):
    written = site.config.read_text().replace(str(site.directory), "$SHOP_DATA")
    site.config.write_text(written)
    done = run("wal", "-config", site.config, site.database)
    assert (1, b"") == (done.returncode, done.stdout)
    assert b"$SHOP_DATA is not set here" in done.stderr


class TestOurOwnDaemon:
    """Its socket is private, and found all the same."""

    pytestmark = pytest.mark.only_series("0.5")

    @pytest.fixture
    def ours(self, site, monkeypatch):
        site.write(3)
        monkeypatch.setenv("LITESTREAM_CONFIG", str(site.config))
        with litestream.Replication(site.config) as replication:
            replication.sync()
            yield site

    def test_upstreams_verbs_reach_it(self, ours, tmp_path):
        answer = json.loads(run("info", "-json").stdout)
        assert 1 == answer["database_count"]
        assert str(ours.database).encode() in run("list").stdout
        other = tmp_path / "other.db"
        sqlite3.connect(other).close()
        done = run("register", "-replica", f"file://{tmp_path}/other", other)
        assert 0 == done.returncode, done.stderr
        assert 2 == json.loads(run("info", "--json").stdout)["database_count"]
        assert 0 == run("unregister", other).returncode

    def test_a_socket_that_is_named_is_taken(self, ours):
        done = run("info", "-socket", "/nowhere.sock")
        assert (1, True) == (done.returncode, b"/nowhere.sock" in done.stderr)

    def test_sync_is_done_in_its_safe_form(self, ours):
        """Upstream's own form damages the replica, which its warning says."""
        ours.write(2)
        done = run("sync", "-wait", "-json", "-timeout", "60", ours.database)
        assert (0, b"") == (done.returncode, done.stderr)
        answer = json.loads(done.stdout)
        assert answer["replica_txid"] >= answer["txid"] - 1 > 0
        assert ours.rows() == restored(ours)
        done = run("sync", ours.database.name, cwd=ours.directory)
        assert done.stdout.startswith(f"db_path: {ours.database}\ntxid: ".encode())
        done = run("sync", ours.directory / "other.db")
        assert (1, True) == (done.returncode, b"HTTP 404" in done.stderr), done


def test_python_m_litestream_is_the_same(installed):
    done = subprocess.run([sys.executable, "-m", "litestream", "version"], capture_output=True)
    assert (0, run("version").stdout) == (done.returncode, done.stdout)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"]])
def test_help_lists_upstreams_verbs_and_ours(argv, installed, series, capsys):
    assert 0 == cli.main(argv)
    printed = capsys.readouterr().out
    for verb in [*cli.OWN_VERBS, "databases", "replicate", "restore", "version"]:
        assert f"\n    {verb} " in printed
    assert ("\n    ltx " in printed) == (series == "0.5")
    assert printed.count("\n    generations ") == printed.count("\n    snapshots ") == 1


def test_no_verb_is_a_usage_error(installed, capsys):
    assert 2 == cli.main([])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert captured.err.startswith("usage: litestream VERB")


def test_help_without_an_executable_still_helps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "nope"))
    assert 0 == cli.main(["--help"])
    printed = capsys.readouterr().out
    assert "\n    demo " in printed
    assert "LITESTREAM_INSTALL_DIR is" in printed


def test_the_verbs_not_handed_through_are_those_that_are_ours():
    assert cli.OWN_VERBS == tuple(verbs.PURPOSES)


@pytest.mark.parametrize("verb", cli.OWN_VERBS)
def test_every_verb_of_ours_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert 0 == ended.value.code
    assert f"usage: litestream {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["demo", "extra"], ["verify", "--al"], ["recover", "-nope"], ["run", "--al"]]
)
def test_a_wrong_argument_shows_the_usage_of_its_verb(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)
    assert capsys.readouterr().err.startswith(f"usage: litestream {argv[0]} ")


def test_a_mistyped_verb_is_guessed_and_handed_through_all_the_same(installed):
    expected = subprocess.run([installed, "verfy"], capture_output=True)
    found = run("verfy")
    assert (expected.returncode, expected.stdout) == (found.returncode, found.stdout)
    guess, _, handed = found.stderr.partition(b"\n")
    assert guess == b"litestream: did you mean 'verify'?"
    assert without_times(handed) == without_times(expected.stderr)


@pytest.mark.parametrize("verb", ["databases", "replicate"])
def test_every_place_of_a_config_is_named(verb, installed, tmp_path):
    done = run(verb)
    assert done.returncode != 0
    assert str(tmp_path / "config" / "litestream.yml").encode() in done.stderr


@pytest.mark.parametrize("flag", ["-config", "--config", "-config="])
def test_our_verbs_take_one_dash_as_litestreams_own_do(flag, replicated, capsys):
    config = str(replicated.config)
    words = [f"{flag}{config}"] if flag.endswith("=") else [flag, config]
    assert 0 == cli.main(["recover", *words])
    assert "app.db: present" in capsys.readouterr().out
    done = run("run", *words, "--", "echo", "-config")
    assert (0, b"-config\n") == (done.returncode, done.stdout)


class TestListings:
    @pytest.mark.parametrize("verb", ["generations", "snapshots"])
    def test_both_series_print_the_same_table(self, verb, replicated):
        rows = getattr(litestream.commands, verb)(replicated.database, config=replicated.config)
        done = run(verb, "-config", replicated.config, replicated.database)
        assert (0, b"") == (done.returncode, done.stderr)
        header, *lines = done.stdout.decode().splitlines()
        columns = [match.start() for match in re.finditer(r"\S+", header)]
        assert [{k: str(v) for k, v in row.items()} for row in rows] == [
            dict(zip(header.split(), line.split(), strict=True)) for line in lines
        ]
        assert all(line[at - 2 : at] == "  " for line in lines for at in columns[1:])
        assert len(rows) == 1

    @pytest.mark.only_series("0.5")
    def test_rows_as_json(self, replicated, capsys):
        config, database = str(replicated.config), str(replicated.database)
        assert 0 == cli.main(["snapshots", "--config", config, "--json", database])
        assert json.loads(capsys.readouterr().out) == litestream.commands.snapshots(
            database, config=config
        )

    @pytest.mark.only_series("0.5")
    def test_a_replica_is_no_choice_here(self, replicated, capsys):
        config, database = str(replicated.config), str(replicated.database)
        argv = ["generations", "--config", config, "--replica", "x", "--json", database]
        assert 1 == cli.main(argv)
        captured = capsys.readouterr()
        assert "UnsupportedCommandError" == json.loads(captured.out)["error"]
        assert "0.5 has one replica" in captured.err

    def test_an_empty_replica_has_a_header(self, site):
        done = run("snapshots", "-config", site.config, site.database)
        assert done.stdout.split() == [b"replica", b"generation", b"index", b"size", b"created"]


@pytest.mark.parametrize(
    "argv", [["verify", "--all"], ["verify", "app.db"], ["recover"], ["check"]]
)
def test_errors_are_json_where_rows_would_be(argv, installed, capsys):
    assert 1 == cli.main([*argv, "--json", "--config", "nope.yml"])
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert "nope.yml" in found["message"]
    assert argv[0] != "verify" or (False, "unusable") == (found["proved"], found["reason"])


def test_recover_prints_json(replicated, capsys):
    assert 0 == cli.main(["recover", "--json", "--config", str(replicated.config)])
    found = json.loads(capsys.readouterr().out)
    assert (str(replicated.database), "present") == (found["database"], found["action"])


def test_a_wrong_option_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["which", "--nope"])
    assert 2 == ended.value.code


def test_the_version_is_that_of_the_package_and_of_litestream(installed, series, capsys):
    assert 0 == cli.main(["--version"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"litestream {litestream.__version__} (Litestream {series}.")


def test_the_version_is_told_where_there_is_no_executable(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
    assert 1 == cli.main(["--version"])
    printed = capsys.readouterr()
    assert f"litestream {litestream.__version__}\n" == printed.out
    assert printed.err.startswith("litestream: ")


@pytest.mark.parametrize("argv", [["--help"], ["which"], ["env"]])
def test_a_reader_that_has_gone_is_no_error(argv, installed):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([COMMAND, *argv], stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (128 + signal.SIGPIPE, b"") == (done.returncode, done.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux's")
def test_an_output_that_is_full_is_an_error(installed):
    with open("/dev/full", "w") as full:
        done = subprocess.run([COMMAND, "which"], stdout=full, stderr=subprocess.PIPE)
    assert 1 == done.returncode
    assert b"litestream: [Errno 28] No space left on device\n" == done.stderr


def test_which(installed, capsys):
    assert 0 == cli.main(["which"])
    assert f"{installed}\n" == capsys.readouterr().out


def test_which_says_what_is_known_of_the_release(installed, series, capsys):
    assert 0 == cli.main(["which", "--verbose"])
    path, release, *traps = capsys.readouterr().out.splitlines()
    assert str(installed) == path
    assert release.startswith(f"Litestream {series}.")
    assert "examined:" in release
    names = [line.split(":")[0].strip() for line in traps]
    assert "stale-wal" in names
    assert ("stop-start" in names) == (series == "0.5")


def test_which_without_an_executable(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path / "nope"))
    assert 1 == cli.main(["which"])
    assert "is not a directory" in capsys.readouterr().err


def test_env_is_quoted_for_a_shell_and_hides_secrets(capsys):
    litestream.configure(replica_bucket="it's mine", replica_access_key="se$cret canary")
    assert 0 == cli.main(["env"])
    printed = capsys.readouterr().out
    assert list(_settings.VARIABLES.values()) == [
        line.removeprefix("# ").split("=")[0].split(" ")[0] for line in printed.splitlines()
    ]
    assert "# LITESTREAM_REPLICA_REGION is not set" in printed.splitlines()
    assert "canary" not in printed
    assert "LITESTREAM_SECRET_ACCESS_KEY='***'" in printed.splitlines()

    assert 0 == cli.main(["env", "--show-secrets"])
    printed = capsys.readouterr().out
    script = (
        f'{printed}\nprintf \'%s|%s\' "$LITESTREAM_REPLICA_BUCKET" "$LITESTREAM_SECRET_ACCESS_KEY"'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert "it's mine|se$cret canary" == done.stdout


class TestDemo:
    def test_every_row_comes_back_and_nothing_stays(self, installed, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        before = set(tmp_path.iterdir())
        assert 0 == cli.main(["demo"])
        printed = capsys.readouterr().out
        assert "compared   all 300 rows are equal to what was written\n" in printed
        assert "'replicas': 'file'" in printed
        assert before == set(tmp_path.iterdir())

    def test_rows_that_do_not_come_back_fail_it(self, installed, monkeypatch, capsys):
        import sqlite3

        from litestream import commands

        def lossy(*arguments, **options):
            path = restore(*arguments, **options)
            with sqlite3.connect(path) as connection:
                connection.execute("DELETE FROM notes WHERE id = 7")
            connection.close()
            return path

        restore = commands.restore
        monkeypatch.setattr(commands, "restore", lossy)
        assert 1 == cli.main(["demo"])
        assert "FAILED     1 of 300 rows did not come back" in capsys.readouterr().out

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_interrupted_it_leaves_nothing(self, installed, tmp_path, number):
        process = subprocess.Popen(
            [COMMAND, "demo"],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: list(tmp_path.glob("litestream-demo-*/replica")), "the demo's replica")
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert 130 == process.returncode
        assert b"Traceback" not in stderr
        assert [] == list(tmp_path.glob("litestream-demo-*"))

    def test_a_daemon_that_fails_shows_its_log(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "litestream").write_text(
            "#!/bin/sh\n[ $1 = version ] && echo 0.5.17 && exit\n"
            "[ $1 = ltx ] && echo '[]' && exit\n"
            "[ $1 = restore ] && echo no matching backup files available >&2 && exit 1\n"
            "echo the daemon said no; exit 1\n"
        )
        (tmp_path / "litestream").chmod(0o755)
        monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(tmp_path))
        monkeypatch.setattr("litestream._cli.demo._PATIENCE", 0.5)
        assert 1 == cli.main(["demo"])
        assert "the daemon said no" in capsys.readouterr().err
