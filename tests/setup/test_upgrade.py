"""`litestream upgrade`: the new config, and the whole way, there and back, on both executables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import litestream
from litestream import ConfigurationError, _settings, commands
from litestream._check import check
from litestream._setup import upgrade
from tests.check.test_check import DOCUMENTED, DOCUMENTED_03
from tests.support import Site, executable, wait_until

COMMAND = Path(sys.executable).parent / "litestream"
TEXT = """# ours
dbs:
  - path: /srv/a.db  # the shop
    max-checkpoint-page-count: 5
    replicas:
      - retention: 72h
        type: s3
        bucket: ${BUCKET}
        path: ${NAME}/app/
        snapshot-interval: 12h
        secret-access-key: canary
      - path: /backups/a
  - path: /srv/b.db
    replicas: [{url: "gcs://b/x", retention: 1h, validation-interval: 5s}, {path: /backups/b}]
  - path: /srv/c.db
    replicas:
      - type: s3
        bucket: c
"""


def upgraded(text):
    return upgrade.upgrade(text, "litestream.yml")


def test_the_new_text(monkeypatch):
    found = upgraded(TEXT)
    assert [] == found.errors
    assert "# ours" in found.text
    assert "# the shop" in found.text
    content = yaml.safe_load(found.text)
    assert {"interval": "12h", "retention": "72h"} == content["snapshot"]
    first, second, third = [db["replicas"] for db in content["dbs"]]
    assert ["${NAME}/app-0.5/"] == [replica["path"] for replica in first]
    assert [{"url": "gs://b/x-0.5"}] == second
    assert [{"path": "v0.5", "type": "s3", "bucket": "c"}] == third
    said = "\n".join(found.notes)
    for needle in (
        *("line 12: this replica is left out", "line 14: this replica is left out"),
        *("Google Cloud is 'gs'", "max-checkpoint-page-count", "line 9: a new and empty prefix"),
    ):
        assert needle in said, said
    monkeypatch.setenv("BUCKET", "b")
    monkeypatch.setenv("NAME", "n")
    rows = check.check_text(found.text, "c.yml", "0.5")
    assert ["secret-in-file"] == [row["id"] for row in rows]


@pytest.mark.parametrize("name", [n for n in DOCUMENTED | DOCUMENTED_03 if n != "an anchor"])
def test_every_documented_config_becomes_one_that_is_sound(name):
    found = upgraded((DOCUMENTED | DOCUMENTED_03)[name])
    assert [] == [row["id"] for row in found.errors]
    assert "retention-check" not in found.text


def test_what_cannot_be_had():
    text = "dbs: [{path: /a.db, replicas: [{path: /b, age: {recipients: [x]}}]}]"
    found = upgraded(text)
    assert ["age-encryption"] == [row["id"] for row in found.errors]
    assert "age encryption is impossible" in "\n".join(found.notes)
    with pytest.raises(ConfigurationError, match="cannot read"):
        upgraded("dbs: {a: 1}")


@pytest.mark.only_series("0.3")
def test_the_verb_rewrites_nothing(installed, tmp_path):
    (tmp_path / "litestream.yml").write_text(TEXT)
    done = subprocess.run([COMMAND, "upgrade"], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert TEXT == (tmp_path / "litestream.yml").read_text()
    assert {"-        path: ${NAME}/app/", "+        path: ${NAME}/app-0.5/"} < set(
        done.stdout.splitlines()
    )
    assert "canary" not in done.stdout
    assert "mv litestream.yml litestream-0.3.yml" in done.stdout
    assert "The way back" in done.stdout
    done = subprocess.run([COMMAND, "upgrade", "--text"], capture_output=True, text=True)
    assert upgraded(TEXT).text == done.stdout
    assert ["litestream.yml"] == [path.name for path in tmp_path.iterdir()]


def use(monkeypatch, site: Site, series: str) -> None:
    monkeypatch.setenv("LITESTREAM_INSTALL_DIR", str(executable(series).parent))
    site.series = series


def prove(site: Site, *, exact: bool = False) -> None:
    def proved() -> bool:
        try:
            return bool(litestream.verify(site.database, config=site.config, exact=exact))
        except litestream.VerificationFailure as failure:
            if failure.reason == "stale":  # the daemon is about to start
                return False
            raise

    wait_until(proved, "a proof")


@pytest.mark.only_series("0.3")
@pytest.mark.parametrize("where", ["directory", "s3"])
def test_the_whole_way_there_and_back(where, request, make_site, monkeypatch, tmp_path):
    replica = None
    if where == "s3":
        replica = request.getfixturevalue("s3").replica()
    site = make_site(replica=replica)
    site.configure("50ms")
    site.write(10)
    site.start()
    site.wait_for_backup()
    prove(site)  # step 1
    site.stop()  # 2
    before = site.rows()
    old = site.config.with_name("litestream-0.3.yml")
    new = upgraded(site.config.read_text())
    assert [] == new.errors
    site.config.rename(old)  # 3
    site.config.write_text(new.text)
    use(monkeypatch, site, "0.5")  # 4
    done = subprocess.run(
        [COMMAND, "check", "--online", site.config], capture_output=True, text=True,
        env={**_settings.environment()},
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout
    site.start()  # 5
    site.write(10)
    site.wait_for_backup(snapshot=True)
    prove(site, exact=True)  # 6
    site.stop()
    restored = commands.restore(site.database, tmp_path / "before.db", config=old)  # 7
    assert restored is not None
    assert before == site.rows(restored)
    after = commands.restore(site.database, tmp_path / "after.db", config=site.config)
    assert after is not None
    assert site.rows() == site.rows(after)
    assert len(site.rows()) == 20
    old.replace(site.config)  # and back
    use(monkeypatch, site, "0.3")
    site.start()
    site.write(5)
    prove(site)
    site.stop()
    back = commands.restore(site.database, tmp_path / "back.db", config=site.config)
    assert back is not None
    assert site.rows() == site.rows(back)
    assert len(site.rows()) == 25
