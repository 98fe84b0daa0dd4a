"""`litestream config`: what the daemon sees, without a secret, and where it came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from litestream import configuration
from litestream._config.keys import VERSIONS
from litestream._setup import show
from tests.check.test_check import DOCUMENTED, DOCUMENTED_03, DOCUMENTED_05

COMMAND = Path(sys.executable).parent / "litestream"
TEXT = """addr: 127.0.0.1:1
secret-access-key: canary-1
dbs:
  - path: data/app.db
    replicas:
      - type: s3
        bucket: $BUCKET
        path: ${NOT_SET}app
        access-key-id: $LITESTREAM_ACCESS_KEY_ID
        sync-interval: 5s
"""


def shown(text, version, tmp_path):
    path = tmp_path / "litestream.yml"
    path.write_text(text)
    return show.show(str(path), version)


@pytest.mark.parametrize("release", VERSIONS)
def test_values_and_their_origins(release, tmp_path, monkeypatch):
    monkeypatch.setenv("BUCKET", "mine")
    configuration.configure(replica_key_id="canary-2")
    text = shown(TEXT, VERSIONS[release], tmp_path)
    lines = {line.split("  # ")[0].strip(): line.partition("  # ")[2] for line in text.split("\n")}
    assert "canary" not in text
    assert "line 7, $BUCKET" == lines["bucket: mine"]
    assert "line 8, $NOT_SET (not set)" == lines["path: app"]
    assert "line 9, $LITESTREAM_ACCESS_KEY_ID" == lines['access-key-id: "***"']
    assert "line 2, of the top level" == lines['secret-access-key: "***"']
    assert "line 10" == lines["sync-interval: 5s"]
    assert "default" == lines["monitor-interval: 1s"]
    assert "line 4" == lines[f"- path: {tmp_path}/data/app.db"]
    assert ("socket:" in lines) == (release == "0.5")
    content = yaml.safe_load(text)
    assert "mine" == content["dbs"][0]["replicas"][0]["bucket"]


@pytest.mark.parametrize("release", VERSIONS)
def test_what_is_shown_is_yaml_of_the_same_content(release, tmp_path):
    for text in (DOCUMENTED | (DOCUMENTED_03 if release == "0.3" else DOCUMENTED_05)).values():
        before = yaml.safe_load(text)
        after = yaml.safe_load(shown(text, VERSIONS[release], tmp_path))
        assert len(before["dbs"]) == len(after["dbs"])
        for old, new in zip(before["dbs"], after["dbs"], strict=True):
            replica = old.get("replica") or old["replicas"][0]
            for name, value in replica.items():
                if name not in ("age", "<<") and not str(value).startswith("$"):
                    assert value == new["replicas"][0][name], (text, name)


def test_the_verb(series, installed, tmp_path):
    (tmp_path / "litestream.yml").write_text(TEXT)
    done = subprocess.run([COMMAND, "config"], capture_output=True, text=True)
    assert 1 == done.returncode  # its variables are not set
    assert "run litestream check" in done.stderr
    assert "canary" not in done.stdout + done.stderr
    text = "dbs: [{path: /srv/a.db, replicas: [{path: /backups/a}]}]"
    (tmp_path / "other.yml").write_text(text)
    done = subprocess.run([COMMAND, "config", "other.yml"], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert f"as Litestream {VERSIONS[series]} sees it" in done.stdout
