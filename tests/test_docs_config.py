"""The pages about the config: every block runs, every table is the code's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from litestream._check.report import IDS, ONLINE
from litestream._config.keys import BY_PLACE, KEYS, PLACES
from litestream._setup.create import KINDS
from tests import projects
from tests.support import wait_until

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str) -> list[tuple[str, str]]:
    text = (DOCS / page).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shell(command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        command, shell=True, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )


@pytest.mark.only_series("0.5")
def test_check(installed, tmp_path):
    configs = [text for kind, text in blocks("check.md") if kind == "yaml"]
    (tmp_path / "litestream.yml").write_text(configs[0])
    (said,) = [text for kind, text in blocks("check.md") if kind == "text"]
    for kind, text in blocks("check.md"):
        if kind == "sh" and "--online" not in text:
            assert said == shell(text).stdout
        elif kind == "python":
            exec(compile(text, "check.md", "exec"), {})
    (tmp_path / "litestream.yml").write_text(configs[1])
    assert "no fault found" in shell("litestream check").stderr
    (online,) = [text for kind, text in blocks("check.md") if "--online" in text]
    assert "executable (" in shell(online).stdout


def test_every_finding_has_its_line():
    text = (DOCS / "check.md").read_text()
    for ident, about in {**IDS, **ONLINE}.items():
        assert f'<a id="{ident}"></a>`{ident}`' in text
        assert about in text
    assert len(re.findall('<a id="', text)) == len({**IDS, **ONLINE})


def test_every_key_has_its_line():
    sections = re.split("^## ", (DOCS / "keys.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) == len(PLACES)
    for section, place in zip(sections, PLACES, strict=True):
        rows = re.findall(r"^\| `([\w-]+)` \|[^|]*\| (✓?) ?\| (✓?) ?\| (.*) \|$", section, re.M)
        found = {
            name: (*[s for s, has in (("0.3", old), ("0.5", new)) if has], about)
            for name, old, new, about in rows
        }
        expected = {n: (*key.series, key.about) for n, key in BY_PLACE[place].items()}
        assert expected == found
    assert KEYS


@pytest.mark.only_series("0.5")
def test_init(installed, tmp_path, tmp_path_factory):
    projects.database(tmp_path / "app.db")
    (tmp_path / "serve.py").write_text("import time; time.sleep(30)")
    first, rest = [text for kind, text in blocks("init.md") if kind == "sh"]
    assert "Written to" in shell(first).stdout
    rest = rest.replace("/mnt/backups", str(tmp_path_factory.mktemp("backups")))
    export, check, run, verify = rest.splitlines()
    assert "no fault found" in shell(f"{export}; {check}").stderr
    both = f"{export}; {run} & RUN=$!; {verify} --timeout 100; S=$?; kill $RUN; wait $RUN; exit $S"
    wait_until(lambda: shell(both).returncode == 0, "the daemon's start")
    for kind, text in blocks("init.md"):
        if kind == "python":
            exec(compile(text, "init.md", "exec"), {})


def test_every_kind_of_replica_is_named():
    for kind in KINDS:
        assert f"`{kind}`" in (DOCS / "init.md").read_text()


@pytest.mark.only_series("0.3")
def test_upgrade(installed, tmp_path):
    before, after = [text for kind, text in blocks("upgrade.md") if kind == "yaml"]
    (tmp_path / "litestream.yml").write_text(before)
    for kind, text in blocks("upgrade.md"):
        if kind == "sh":
            assert 0 == shell(text).returncode
    assert after == shell("litestream upgrade --text").stdout
