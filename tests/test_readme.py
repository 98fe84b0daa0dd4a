"""Every code block of the README runs, in its order, beside a daemon that replicates app.db."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from litestream import commands
from litestream._cli import verbs
from tests.support import wait_until

SCHEDULERS = Path(__file__).parent.parent / "docs" / "schedulers.md"
TROUBLE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = {
    "pip install litestream": "test_packaging.py installs the wheels",
    'pip install "litestream==0.3.13.*"': "test_packaging.py installs the wheels",
    "make demo": "test_workshop.py",
    "make test": "this test is run by it",
    "litestream run": "test_run_command.py",
}


def blocks(language: str) -> list[str]:
    found = [block for kind, block in BLOCKS if kind == language]
    assert found
    return found


@pytest.fixture
def beside_a_daemon(site, monkeypatch):
    site.write(3)
    site.start()
    site.wait_for_backup(snapshot=True)
    monkeypatch.chdir(site.directory)
    return site


def test_python_blocks(beside_a_daemon, tmp_path, capsys):
    for block in blocks("python"):
        block = block.replace("/srv/backups", str(tmp_path / "backups"))
        exec(compile(block, "README.md", "exec"), {})


def test_shell_blocks(beside_a_daemon, series):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)

    for block in blocks("sh"):
        for line in block.splitlines():
            command = line.split("  ")[0].strip()
            if command not in RUN_ELSEWHERE:
                done = run(command)
                if "took up its last commit" in done.stdout + done.stderr and series == "0.3":
                    beside_a_daemon.write(1)  # 0.3.13 tells its replica of some with the next one
                    done = run(command)
                assert 0 == done.returncode, (command, done.stderr)


def test_configs(installed, tmp_path, monkeypatch):
    for variable in ("BUCKET", "REGION"):
        monkeypatch.setenv(f"LITESTREAM_REPLICA_{variable}", "x")
    for block in blocks("yaml"):
        (tmp_path / "litestream.yml").write_text(block)
        (row,) = commands.databases()
        assert row["path"].endswith("app.db")
        assert row["replicas"] in ("file", "s3")


def test_examples_for_schedulers():
    """Their commands are ones that the command line takes, their files ones that parse."""
    commands_found = []
    page = SCHEDULERS.read_text()
    (line,) = blocks("text")
    assert line in page
    for block in re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if block.startswith("apiVersion"):
            container = yaml.safe_load(block)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            commands_found.append(container["containers"][0]["command"][1:])
            continue
        if "[Service]" in block:
            configparser.ConfigParser().read_string(block)
        found = re.findall(r"litestream (verify [^|&\n]*)", block)
        commands_found += [shlex.split(command) for command in found]
    assert len(commands_found) == 3
    for argv in commands_found:
        assert verbs._parser(argv[0])[0].parse_args(argv).verb == argv[0]


@pytest.mark.only_series("0.5")
def test_the_socket_of_the_troubleshooting(installed, site, tmp_path):
    (setting,) = re.findall(r"`(socket: \{enabled: true, path: .*\})`", TROUBLE.read_text())
    setting = setting.replace("/run", os.path.relpath(tmp_path))
    site.config.write_text(f"{setting}\n")
    process = subprocess.Popen(
        [commands.executable(), "replicate", "-config", site.config], stdout=subprocess.DEVNULL
    )
    try:
        wait_until((tmp_path / "litestream.sock").exists, "the control socket")
    finally:
        process.kill()
        process.wait()


def test_every_command_is_in_the_readme():
    text = README.read_text()
    for name in commands.__all__:
        if name == "Restored":  # what restore() returns
            continue
        assert re.search(rf"`{name}\(", text), name


def test_every_language_of_a_block_has_its_test():
    assert {"python", "sh", "text", "yaml", "dockerfile", "procfile", "ini"} == {
        language for language, _ in BLOCKS
    }


@pytest.mark.parametrize("language", ["dockerfile", "procfile", "ini"])
def test_services_run_a_command(language, site):
    """Each as it stands, with a program that ends in place of the web server."""
    (block,) = blocks(language)
    (line,) = re.findall(r"^(?:CMD |web: |ExecStart=)(.*litestream.*)$", block, re.MULTILINE)
    argv = json.loads(line) if language == "dockerfile" else line.split()
    own, program = argv[: argv.index("--") + 1], argv[argv.index("--") + 1 :]
    assert "gunicorn" in program[0]
    own[0] = str(Path(sys.executable).with_name("litestream"))
    done = subprocess.run([*own, "sh", "-c", "exit 4"], cwd=site.directory, capture_output=True)
    assert 4 == done.returncode, done.stderr
